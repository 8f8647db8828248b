"""How quickly a worker starts and what it weighs: `python benchmarks/start.py`. Writes its section of benchmarks/PARTS.md.

Medians of new processes: the import, the construction of a gateway on a SQLite file that is there, the first request of each
kind; and the proportional memory (PSS) of gunicorn's workers, each after a few requests, preloaded and not.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from benchmarks.sections import write
from oauth_gateway import OAuthGateway
from oauth_gateway.clients import Clients

ROOT = Path(__file__).parent.parent
TURNS = 7
STEPS = {
    "refused, no token": ("GET", "/x", "", {}),
    "refused, garbage": ("GET", "/x", "", {"HTTP_AUTHORIZATION": "Bearer garbage"}),
    "protected, from the store": ("GET", "/x", "", {"HTTP_AUTHORIZATION": "Bearer TOKEN"}),
    "protected, remembered": ("GET", "/x", "", {"HTTP_AUTHORIZATION": "Bearer TOKEN"}),
    "token": ("POST", "/token", "grant_type=client_credentials", {"HTTP_AUTHORIZATION": "Basic BASIC"}),
    "authorization page": ("GET", "/authorize", "QUERY", {}),
    "error page": ("GET", "/authorize", "client_id=nobody", {}),
    "metadata": ("GET", "/.well-known/openid-configuration", "", {}),
    "JWK Set": ("GET", "/.well-known/jwks.json", "", {}),
}
CHILD = """
import io, json, sys, time
steps, database = json.loads(sys.argv[1]), sys.argv[2]
times, start = {}, time.perf_counter()
import oauth_gateway
times["import"] = time.perf_counter() - start
start = time.perf_counter()
gateway = oauth_gateway.OAuthGateway(lambda environ, answer: [b""], issuer="https://api.example.com", database=database)
times["construction, with all that it loads"] = time.perf_counter() - start
for name, (method, path, text, headers) in steps.items():
    body = text.encode() if method == "POST" else b""
    environ = {"REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "" if body else text,
        "REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": "https", "wsgi.input": io.BytesIO(body),
        "CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": "application/x-www-form-urlencoded", **headers}
    start = time.perf_counter()
    b"".join(gateway(environ, lambda status, given, error=None: None))
    times["first request: " + name] = time.perf_counter() - start
print(json.dumps(times))
"""
APP = """
import os
from oauth_gateway import OAuthGateway

def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]

app = OAuthGateway(app, database=os.environ["BENCH_DATABASE"]) if os.environ["BENCH_GATEWAY"] else app
"""


def prepare(database: str) -> dict[str, tuple]:
    """The steps, with the credentials of clients that the database knows."""
    gateway = OAuthGateway(None, issuer="https://api.example.com", database=database)
    clients = Clients(gateway.settings, gateway.store, gateway.events, gateway.server.sealer)
    machine, secret = clients.create(now=time.time(), client_name="Robot")
    shop, _ = clients.create(now=time.time(), client_name="Shop", redirect_uris=["https://client.test/cb"])
    minted = gateway.server.mint(machine, "", time.time())
    gateway.store.issue(minted.rows[0])
    gateway.store.close()
    query = (
        f"response_type=code&client_id={shop.client_id}&redirect_uri=https://client.test/cb&code_challenge_method=S256"
        "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )
    basic = base64.b64encode(f"{machine.client_id}:{secret}".encode()).decode()
    text = json.dumps(STEPS).replace("TOKEN", minted.answer["access_token"]).replace("BASIC", basic).replace("QUERY", query)
    return json.loads(text)


def starts(folder: str) -> dict[str, float]:
    """Milliseconds of each step, the median of new processes."""
    database = f"sqlite:///{folder}/start.db"
    steps, found = prepare(database), []
    for _ in range(TURNS + 1):
        command = [sys.executable, "-c", CHILD, json.dumps(steps), database]
        done = subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=True)
        found.append(json.loads(done.stdout))
    return {name: statistics.median(one[name] for one in found[1:]) * 1000 for name in found[0]}


def weight(folder: str, workers: int, preload: bool, gateway: bool) -> float:
    """MB of PSS that the master and its workers have together."""
    (Path(folder) / "weighed.py").write_text(APP)
    port = 20_000 + os.getpid() % 10_000
    command = [str(Path(sys.executable).parent / "gunicorn"), "-c", str(ROOT / "gunicorn.conf.py"), "weighed:app"]
    command += ["--bind", f"127.0.0.1:{port}", "--workers", str(workers), *(["--preload"] if preload else [])]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "BENCH_DATABASE": f"sqlite:///{folder}/weight.db"}
    environ["BENCH_GATEWAY"] = "yes" if gateway else ""
    server = subprocess.Popen(command, cwd=folder, env=environ, stderr=subprocess.DEVNULL)
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for _ in range(200):
            try:
                opener.open(f"http://127.0.0.1:{port}/.well-known/jwks.json", timeout=5).read()
                break
            except OSError:
                time.sleep(0.1)
        for _ in range(40):
            opener.open(f"http://127.0.0.1:{port}/.well-known/jwks.json", timeout=5).read()
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        sizes = [Path(f"/proc/{process}/smaps_rollup").read_text() for process in (str(server.pid), *children)]
        return sum(int(re.search(r"^Pss:\s+(\d+)", size, re.MULTILINE)[1]) for size in sizes) / 1024
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        times = starts(folder)
        bare = {workers: weight(folder, workers, False, False) for workers in (1, 2, 4)}
        apart = {workers: weight(folder, workers, False, True) for workers in (1, 2, 4)}
        shared = {workers: weight(folder, workers, True, True) for workers in (1, 2, 4)}
    write(
        "Start",
        [
            f"`python benchmarks/start.py`: medians of {TURNS} new processes; memory is the PSS of master and workers.",
            "",
            "| step | ms |",
            "| --- | ---: |",
            *[f"| {name} | {spent:.1f} |" for name, spent in times.items()],
            "",
            "| workers | bare app, MB | gateway, MB | gateway with `--preload`, MB |",
            "| ---: | ---: | ---: | ---: |",
            *[f"| {n} | {bare[n]:.0f} | {apart[n]:.0f} | {shared[n]:.0f} |" for n in bare],
        ],
        Path(__file__).with_name("PARTS.md"),
    )


if __name__ == "__main__":
    main()
