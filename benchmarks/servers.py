"""Servers on the first core and wrk on the last: starting them, loading them, and what the kernel says that they used."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
LAST_CORE = str((os.cpu_count() or 2) - 1)
CONNECTIONS = 8
START_SECONDS = 60


class NotMeasured(Exception):
    """A server that did not start, or answered what it must not."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its port, and its first process, which is not counted where it is gunicorn's master."""

    port: int
    pid: int
    has_master: bool

    def processes(self) -> list[str]:
        """All that serve."""
        found = family(str(self.pid))
        return found[1:] if self.has_master else found

    def cpu(self) -> float:
        """Seconds of CPU that they used so far; threads that have ended are not in it, and servers keep theirs."""
        return sum(cpu(process) for process in self.processes())

    def memory(self) -> int:
        """KiB of memory, a page that several processes share divided among them (PSS)."""
        return sum(pss(process) for process in self.processes())


@dataclass(frozen=True, slots=True)
class Measured:
    """One round: units of work a second, microseconds of the server's CPU a unit, KiB of its memory afterwards."""

    rate: float
    cpu: float
    memory: int


def family(pid: str) -> list[str]:
    """The process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += family(child)
    return found


def cpu(process: str) -> float:
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{process}/task").iterdir()) / 1e9


def pss(process: str) -> int:
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{process}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


@contextmanager
def served(target: str, environ: Mapping[str, str], port: int | None = None) -> Iterator[Server]:
    """`target` on the first core: MODULE:APP under gunicorn with one worker, or an .mjs file under Node."""
    port = port or free_port()
    gunicorn = not target.endswith(".mjs")
    command = gunicorn_command(target, port) if gunicorn else ["node", target, str(port)]
    with subprocess.Popen(
        ["taskset", "-c", "0", *command], env={**environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT, start_new_session=True
    ) as process:
        try:
            wait(process, port)
            yield Server(port, process.pid, gunicorn)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()


def gunicorn_command(target: str, port: int) -> list[str]:
    command = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), "--workers", "1"]
    return [*command, "--bind", f"127.0.0.1:{port}", "--max-requests", "0", "--log-level", "error", target]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait(process: subprocess.Popen[bytes], port: int) -> None:
    """Until something, whatever it is, is answered by HTTP."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            status(port, None)
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise NotMeasured(f"{process.args!r} did not start: run it by hand to see why")


def status(port: int, token: str | None, path: str = "/thing") -> int:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        found: int = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10).status
        return found
    except urllib.error.HTTPError as error:
        return error.code


def load(server: Server, script: Path, environ: Mapping[str, str], seconds: int, steps: int, alone: bool) -> Measured:
    """What wrk's `script` gets in `seconds` when it was warm; a unit of work is `steps` requests.

    `alone` gives each connection a thread, and so a Lua state, of its own.
    """
    threads = CONNECTIONS if alone else 1
    command = ["taskset", "-c", LAST_CORE, "wrk", f"-t{threads}", f"-c{CONNECTIONS}", "--timeout", "10s", "-s", str(script)]
    address = f"http://127.0.0.1:{server.port}/"
    run([*command, "-d1s", address], environ)
    before = server.cpu()
    said = run([*command, f"-d{seconds}s", address], environ)
    spent = server.cpu() - before
    requests, rate = re.search(r"(\d+) requests in", said), re.search(r"Requests/sec:\s+([0-9.]+)", said)
    if not requests or not rate or not int(requests[1]) or "Non-2xx" in said or "Socket errors" in said:
        raise NotMeasured(said)
    return Measured(float(rate[1]) / steps, spent / int(requests[1]) * 1e6 * steps, server.memory())


def run(command: list[str], environ: Mapping[str, str]) -> str:
    done = subprocess.run(command, env=dict(environ), capture_output=True, text=True)
    if done.returncode:
        raise NotMeasured(done.stdout + done.stderr)
    return done.stdout
