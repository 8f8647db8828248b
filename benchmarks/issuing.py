"""What issuing a token costs, beside node-oidc-provider: `python benchmarks/issuing.py`.

client_credentials at the token endpoint, the same request to each: ours under one gunicorn gthread worker with SQLite in a
file, node-oidc-provider with its adapter in memory; server on the first core, wrk on the last, interleaved rounds, medians and
ratios within a round. CPU is that of the server's processes only. Then, in-process, what an ID token adds to the code flow.
Needs wrk, Node and npm; all traffic goes to 127.0.0.1. Writes its section of benchmarks/RESULTS.md.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import webob

from benchmarks.run import HERE, free_port, load, served, workers, write
from oauth_gateway import OAuthGateway, jose
from tests.oracle.corpus import CALLBACK, CHALLENGE, FORM, VERIFIER, basic
from tests.oracle.run import HERE as ORACLE
from tests.oracle.run import register, send

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "2"))
CODES = 200  # of each kind, in-process
KINDS = {"opaque": None, "JWT ES256": "ES256", "JWT RS256": "RS256"}
SYSTEMS = [(who, kind) for kind in KINDS for who in ("gateway", "oidc-provider")]
BODY = "grant_type=client_credentials&scope=read"
HEADERS = {"Content-Type": FORM, **basic("machine")}
SCRIPT = f"""
wrk.method, wrk.path, wrk.body = "POST", "/token", "{BODY}"
wrk.headers["Content-Type"] = "{FORM}"
wrk.headers["Authorization"] = "{HEADERS["Authorization"]!s}"
"""
Rates = dict[tuple[str, str], list[tuple[float, float]]]


def main() -> None:
    for program in ("wrk", "node", "npm"):
        if not shutil.which(program):
            sys.exit(f"benchmarks/issuing.py needs {program} (Debian: apt install wrk nodejs npm)")
    if not (ORACLE / "node_modules").is_dir():
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=ORACLE, check=True)
    started, busy = time.strftime("%Y-%m-%d"), os.getloadavg()[0]
    results: Rates = {system: [] for system in SYSTEMS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "wrk.lua").write_text(SCRIPT)
        environ = prepare(folder)
        for number in range(ROUNDS):
            for who, kind in SYSTEMS[:: -1 if number % 2 else 1]:
                results[who, kind].append(measure(who, KINDS[kind], folder, environ))
                print(f"round {number + 1}: {who:13} {kind:9} {results[who, kind][-1][0]:7.0f} tokens/s", flush=True)
        flow = code_flow(folder)
    report(results, flow, started, busy)


def prepare(folder: Path) -> dict[str, str]:
    database = f"sqlite:///{folder}/bench.db"
    gateway = OAuthGateway(None, database=database, issuer="https://api.example.com", scopes={"read": "Read"})
    machine = {"grant_types": ["client_credentials"], "response_types": [], "scope": "read", "redirect_uris": []}
    register(gateway, "machine", {**machine, "token_endpoint_auth_method": "client_secret_basic"})
    gateway.store.close()
    return {**os.environ, "BENCH_DATABASE": database, "PYTHONPATH": str(HERE.parent), "NODE_ENV": "production"}


def measure(who: str, algorithm: str | None, folder: Path, environ: dict[str, str]) -> tuple[float, float]:
    """Tokens per second, and microseconds of the server's CPU a token."""
    with (ours if who == "gateway" else theirs)(algorithm, environ) as (port, processes):
        check(port, algorithm)
        return load(folder / "wrk.lua", port, SECONDS, environ, processes)


@contextmanager
def ours(algorithm: str | None, environ: dict[str, str]) -> Iterator[tuple[int, Callable[[], list[str]]]]:
    settings = {"OAUTH_GATEWAY_SCOPES": "read: Read"}
    if algorithm:
        settings |= {"OAUTH_GATEWAY_ACCESS_TOKEN_FORMAT": "jwt", "OAUTH_GATEWAY_ACCESS_TOKEN_ALGORITHM": algorithm}
    with served("gateway()", {**environ, **settings}) as (port, master):
        yield port, lambda: workers(master)


@contextmanager
def theirs(algorithm: str | None, environ: dict[str, str]) -> Iterator[tuple[int, Callable[[], list[str]]]]:
    port = free_port()
    command = ["taskset", "-c", "0", "node", "provider.mjs", str(port), *([algorithm] if algorithm else [])]
    with subprocess.Popen(
        command, cwd=ORACLE, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            assert server.stdout and server.stdout.readline() == "ready\n"
            yield port, lambda: [str(server.pid)]  # taskset becomes node
        finally:
            server.terminate()


def check(port: int, algorithm: str | None) -> None:
    """A right secret gets a token of the right kind, a wrong one none, or nothing is measured."""
    for _ in range(100):
        try:
            reply = send(port, "POST", "/token", BODY.encode(), HEADERS)
            break
        except ConnectionError:
            time.sleep(0.1)
    token = reply.document()["access_token"]
    assert (jose.peek(token)[0]["alg"] if token.startswith("eyJ") else None) == algorithm, reply
    assert send(port, "POST", "/token", BODY.encode(), {**HEADERS, **basic("machine", "wrong")}).status == 401


def code_flow(folder: Path) -> dict[str, float]:
    """Microseconds of CPU that redeeming a code takes in-process, without and with an ID token, interleaved; medians."""
    gateway = OAuthGateway(None, database=f"sqlite:///{folder}/flow.db", issuer="https://a.test", scopes={"read": "Read"})
    flow = {"grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"], "redirect_uris": [CALLBACK]}
    register(gateway, "confidential", {**flow, "scope": "read openid", "token_endpoint_auth_method": "client_secret_basic"})
    spent: dict[str, list[float]] = {"read": [], "openid read": []}
    for number in range(CODES + 20):
        for scope in spent:
            answer, seconds = redeem(gateway, new_code(gateway, scope))
            assert ("id_token" in answer) == scope.startswith("openid")
            if number >= 20:  # warm
                spent[scope].append(seconds * 1e6)
    gateway.store.close()
    return {scope: statistics.median(times) for scope, times in spent.items()}


def new_code(gateway: OAuthGateway, scope: str) -> str:
    query = {"response_type": "code", "client_id": "confidential", "redirect_uri": CALLBACK, "scope": scope}
    query |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    request = webob.Request.blank(f"/authorize?{urlencode(query)}", base_url="https://a.test")
    location = gateway.server.create_authorization_response(request, grant_user="ann").location
    return parse_qs(urlsplit(location).query)["code"][0]


def redeem(gateway: OAuthGateway, code: str) -> tuple[dict[str, str], float]:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    body, known = urlencode(form).encode(), basic("confidential")["Authorization"]
    environ = {"REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "PATH_INFO": "/token", "CONTENT_TYPE": FORM}
    environ |= {"CONTENT_LENGTH": str(len(body)), "HTTP_AUTHORIZATION": known, "REMOTE_ADDR": "192.0.2.1"}
    started = time.process_time()
    parts = gateway({**environ, "wsgi.input": io.BytesIO(body)}, lambda status, headers: None)
    seconds = time.process_time() - started
    answer: dict[str, str] = json.loads(b"".join(parts))
    return answer, seconds


def report(results: Rates, flow: dict[str, float], started: str, busy: float) -> None:
    version = json.loads((ORACLE / "node_modules/oidc-provider/package.json").read_text())["version"]
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    lines = [
        f"`BENCH_ROUNDS={ROUNDS} BENCH_SECONDS={SECONDS} python benchmarks/issuing.py`, {started}: client_credentials by HTTP,",
        "8 connections, server on one core and wrk on another; ours is one gunicorn gthread worker that stores each token in",
        f"SQLite on disk, theirs oidc-provider {version} on Node {node} with its adapter in memory (opaque tokens) or nothing",
        f"stored (JWTs). Medians of {ROUNDS} interleaved rounds, in brackets the lowest and highest; a share is the median of",
        f"the shares within a round. The machine's load was {busy:.1f} before it began; the brackets tell how noisy it was.",
        "",
        "| token | system | tokens/s | CPU µs a token | of oidc-provider's tokens/s |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for kind in KINDS:
        for who in ("gateway", "oidc-provider"):
            rows, other = results[who, kind], results["oidc-provider", kind]
            share = statistics.median(a / b for (a, _), (b, _) in zip(rows, other, strict=True))
            rate, cost = (f"{statistics.median(v):.0f} ({min(v):.0f}–{max(v):.0f})" for v in zip(*rows, strict=True))
            lines.append(f"| {kind} | {who} | {rate} | {cost} | {share:.2f} |")
    plain, openid = flow["read"], flow["openid read"]
    lines += [
        "",
        f"In-process, a code for an opaque access token and a refresh token: {plain:.0f} µs of CPU; with an ID token (RS256)",
        f"too: {openid:.0f} µs, that is {openid - plain:+.0f} µs (medians of {CODES} each, interleaved).",
    ]
    write("Issuing", lines)


if __name__ == "__main__":
    main()
