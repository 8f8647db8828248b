"""Cost that the gateway adds to a cached request, in-process: `python benchmarks/in_process.py`.

1,000 different tokens each, opaque ones and JWTs (RS256), strict revocation on SQLite, the app a constant; medians of
interleaved rounds, in microseconds of CPU. Every request brings its token as a new str, as a server makes it, whose hash is
not known yet. Writes its section of benchmarks/RESULTS.md.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from typing import Any

from benchmarks.run import write
from oauth_gateway import OAuthGateway
from oauth_gateway.clients import Clients
from oauth_gateway.server import AuthorizationServer

ROUNDS, REQUESTS, TOKENS = 21, 20_000, 1_000
# what gunicorn puts into an environ besides what each request changes
ENVIRON = {
    "SERVER_SOFTWARE": "gunicorn",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    "QUERY_STRING": "",
    "RAW_URI": "/thing",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "127.0.0.1",
    "REMOTE_PORT": "1",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "8000",
    "REQUEST_METHOD": "GET",
    "PATH_INFO": "/thing",
    "SCRIPT_NAME": "",
    "HTTP_HOST": "api.example.com",
    "HTTP_ACCEPT": "*/*",
    "HTTP_USER_AGENT": "x",
}


def app(environ, start_response):
    return []


def make(database: str, **settings: Any) -> tuple[OAuthGateway, list[str]]:
    gateway = OAuthGateway(app, issuer="https://api.example.com", database=database, **settings)
    clients = Clients(gateway.settings, gateway.store, gateway.events, gateway.server.sealer)
    client, _ = clients.create(now=time.time(), scope="read")
    server: AuthorizationServer = gateway.server
    headers = []
    for _ in range(TOKENS):
        minted = server.mint(client, "read", time.time())
        gateway.store.issue(minted.rows[0])
        headers.append("Bearer " + minted.answer["access_token"])
    return gateway, headers


def run(target, headers: list[str]) -> float:
    """Microseconds of CPU a request."""
    spent = 0.0
    for _ in range(REQUESTS // len(headers)):
        fresh = [{**ENVIRON, "HTTP_AUTHORIZATION": header[:7] + header[7:]} for header in headers]
        start = time.process_time()
        for environ in fresh:
            target(environ, None)
        spent += time.process_time() - start
    return spent / REQUESTS * 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        opaque, headers = make(f"sqlite:///{folder}/opaque.db")
        signed, jwts = make(f"sqlite:///{folder}/jwt.db", access_token_format="jwt")
        cases = {"bare": (app, headers), "bare, JWT": (app, jwts), "opaque": (opaque, headers), "JWT": (signed, jwts)}
        times: dict[str, list[float]] = {case: [] for case in cases}
        for _ in range(ROUNDS + 1):
            for case, given in cases.items():
                times[case].append(run(*given))
        opaque.store.close()
        signed.store.close()
    rounds = {case: spent[1:] for case, spent in times.items()}  # the first fills the caches
    median = {case: statistics.median(spent) for case, spent in rounds.items()}
    added = {case: median[case] - median[bare] for case, bare in (("opaque", "bare"), ("JWT", "bare, JWT"))}
    between = [jwt - opaque for jwt, opaque in zip(rounds["JWT"], rounds["opaque"], strict=True)]
    low, middle, high = statistics.quantiles(between, n=4)
    write(
        "In-process",
        [
            "`python benchmarks/in_process.py`: CPU that the gateway adds to a request whose token is remembered, medians of",
            f"{ROUNDS} interleaved rounds of {REQUESTS} requests, {TOKENS} tokens each, every request with a new str.",
            "",
            "| token | characters | gateway µs | bare app µs | added µs |",
            "| --- | ---: | ---: | ---: | ---: |",
            f"| opaque | {len(headers[0]) - 7} | {median['opaque']:.2f} | {median['bare']:.2f} | {added['opaque']:.2f} |",
            f"| JWT (RS256) | {len(jwts[0]) - 7} | {median['JWT']:.2f} | {median['bare, JWT']:.2f} | {added['JWT']:.2f} |",
            "",
            f"Within a round a JWT costs {middle:+.2f} µs more (quartiles {low:+.2f}, {high:+.2f}): a longer str to hash.",
        ],
    )


if __name__ == "__main__":
    main()
