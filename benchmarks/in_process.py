"""Cost that the gateway adds to a cached request, in-process: `python benchmarks/in_process.py`.

1,000 different tokens, strict revocation on SQLite, the app a constant; median of interleaved rounds, in microseconds.
"""

from __future__ import annotations

import statistics
import tempfile
import time

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


def make(folder: str) -> tuple[OAuthGateway, list[str]]:
    gateway = OAuthGateway(app, issuer="https://api.example.com", database=f"sqlite:///{folder}/bench.db")
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
    environs = [{**ENVIRON, "HTTP_AUTHORIZATION": header} for header in headers]
    spent = 0.0
    for _ in range(REQUESTS // len(headers)):
        fresh = [dict(environ) for environ in environs]
        start = time.process_time()
        for environ in fresh:
            target(environ, None)
        spent += time.process_time() - start
    return spent / REQUESTS * 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        gateway, headers = make(folder)
        run(gateway, headers)
        bare, with_gateway = [], []
        for _ in range(ROUNDS):
            bare.append(run(app, headers))
            with_gateway.append(run(gateway, headers))
        added = statistics.median(with_gateway) - statistics.median(bare)
        print(f"bare {statistics.median(bare):.2f} µs, gateway {statistics.median(with_gateway):.2f} µs, added {added:.2f} µs")


if __name__ == "__main__":
    main()
