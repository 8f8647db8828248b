"""Requests per second of the protected road against the bare app: `make bench`.

One gunicorn gthread worker on the first core, wrk on the last, interleaved rounds, medians and ratios; CPU per request from
the worker's own accounting. Needs wrk (Debian: apt install wrk). Writes its section of benchmarks/RESULTS.md.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from oauth_gateway import OAuthGateway
from oauth_gateway.clients import Clients

HERE = Path(__file__).parent
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "4"))
TOKENS = 1000
SYSTEMS = {"bare app": "bare", "dict check": "dict_check()", "SHA-256 and dict": "sha256_check()", "gateway": "gateway()"}
SCRIPT = """
local tokens = {}
for line in io.lines(os.getenv("BENCH_LINES")) do tokens[#tokens + 1] = line end
local at = 0
request = function()
  at = at %% #tokens + 1
  return wrk.format("GET", "/thing", {["Authorization"] = "Bearer " .. tokens[at], ["Host"] = "127.0.0.1:%d"})
end
"""


def main() -> None:
    if not shutil.which("wrk"):
        sys.exit("benchmarks need wrk (Debian: apt install wrk)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environ = prepare(folder)
        results: dict[str, list[tuple[float, float]]] = {system: [] for system in SYSTEMS}
        for number in range(ROUNDS):
            for system, target in SYSTEMS.items():
                results[system].append(measure(target, folder, environ))
                print(f"round {number + 1}: {system:18} {results[system][-1][0]:9.0f} requests/s", flush=True)
    report(results)


def prepare(folder: Path) -> dict[str, str]:
    database = f"sqlite:///{folder}/bench.db"
    gateway = OAuthGateway(None, database=database, issuer="https://api.example.com")
    client, _ = Clients(gateway.settings, gateway.store, gateway.events, gateway.server.sealer).create(
        now=time.time(), scope="read"
    )
    tokens = []
    for _ in range(TOKENS):
        minted = gateway.server.mint(client, "read", time.time())
        gateway.store.issue(minted.rows[0])
        tokens.append(minted.answer["access_token"])
    gateway.store.close()
    (folder / "tokens.json").write_text(json.dumps(tokens))
    (folder / "lines").write_text("\n".join(tokens))
    more = {"BENCH_TOKENS": f"{folder}/tokens.json", "BENCH_LINES": f"{folder}/lines", "BENCH_DATABASE": database}
    return {**os.environ, **more, "PYTHONPATH": str(HERE.parent)}


def measure(target: str, folder: Path, environ: dict[str, str]) -> tuple[float, float]:
    """Requests per second, and microseconds of the worker's CPU a request."""
    with served(target, environ) as (port, master):
        wait_and_check(port, json.loads((folder / "tokens.json").read_text())[0], target)
        script = folder / "wrk.lua"
        script.write_text(SCRIPT % port)
        return load(script, port, SECONDS, environ, lambda: workers(master))


@contextmanager
def served(target: str, environ: dict[str, str]) -> Iterator[tuple[int, int]]:
    """Port and master of gunicorn on the first core, with one worker for `target` of systems.py."""
    port = free_port()
    command = ["taskset", "-c", "0", sys.executable, "-m", "gunicorn", "-c", str(HERE.parent / "gunicorn.conf.py")]
    command += ["--workers", "1", "--bind", f"127.0.0.1:{port}", "--max-requests", "0", "--log-level", "error"]
    server = subprocess.Popen([*command, f"benchmarks.systems:{target}"], env=environ, cwd=HERE.parent, start_new_session=True)
    try:
        yield port, server.pid
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def load(
    script: Path, port: int, seconds: int, environ: dict[str, str], servers: Callable[[], list[str]]
) -> tuple[float, float]:
    """Requests per second that wrk on the last core gets, and microseconds of CPU of the `servers` a request."""
    wrk = ["taskset", "-c", str((os.cpu_count() or 2) - 1), "wrk", "-t1", "-c8", "-s", str(script)]
    address = f"http://127.0.0.1:{port}/"
    subprocess.run([*wrk, "-d1s", address], env=environ, capture_output=True, check=True)
    before = cpu(servers())
    done = subprocess.run([*wrk, f"-d{seconds}s", address], env=environ, capture_output=True, text=True, check=True)
    spent = cpu(servers()) - before
    assert "Non-2xx" not in done.stdout, done.stdout
    requests = int(re.search(r"(\d+) requests in", done.stdout)[1])
    rate = float(re.search(r"Requests/sec:\s+([0-9.]+)", done.stdout)[1])
    return rate, spent / requests * 1e6


def wait_and_check(port: int, token: str, target: str) -> None:
    """A good token gets 200, a bad one 401, or nothing is measured."""
    for _ in range(100):
        try:
            good = status(port, token)
            break
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    assert good == 200, good
    assert target == "bare" or status(port, "nonsense") == 401


def status(port: int, token: str) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/thing", headers={"Authorization": f"Bearer {token}"})
    try:
        return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code


def workers(master: int) -> list[str]:
    return Path(f"/proc/{master}/task/{master}/children").read_text().split()


def cpu(processes: list[str]) -> float:
    """Seconds of CPU that the processes have used."""
    ticks = 0
    for process in processes:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def report(results: dict[str, list[tuple[float, float]]]) -> None:
    rates = {system: statistics.median(rate for rate, _ in rows) for system, rows in results.items()}
    bare = [rate for rate, _ in results["bare app"]]
    shares = {s: statistics.median(rate / b for (rate, _), b in zip(rows, bare, strict=True)) for s, rows in results.items()}
    costs = {system: statistics.median(cost for _, cost in rows) for system, rows in results.items()}
    lines = [
        f"`make bench`: one gunicorn gthread worker on one core, wrk on another, {TOKENS} tokens, strict revocation on SQLite;",
        f"medians of {ROUNDS} interleaved rounds of {SECONDS} seconds; a share is the median of the shares within a round.",
        "",
        "| system | requests/s | of the bare app | CPU µs a request |",
        "| --- | ---: | ---: | ---: |",
    ]
    for system, rate in rates.items():
        lines.append(f"| {system} | {rate:.0f} | {shares[system]:.3f} | {costs[system]:.1f} |")
    write("The protected road", lines)


def write(heading: str, lines: list[str], file: Path = HERE / "RESULTS.md") -> None:
    """Print the section `heading`, and put it into `file` in place of the one that is there."""
    print("\n".join(lines))
    title, *sections = file.read_text().split("\n## ")
    kept = {section.partition("\n")[0]: section.strip() for section in sections}
    kept[heading] = "\n".join([heading, "", *lines])
    file.write_text("\n\n## ".join([title.strip(), *kept.values()]) + "\n")


if __name__ == "__main__":
    main()
