"""Cost that the gateway adds to a cached request, in-process: a part of `costs.py`.

1,000 different tokens each, opaque ones and JWTs (RS256), strict revocation on SQLite, the app a constant; interleaved rounds,
in microseconds of CPU. Every request brings its token as a new str, as a server makes it, whose hash is not known yet.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from oauth_gateway import OAuthGateway
from oauth_gateway.clients import Clients
from oauth_gateway.server import AuthorizationServer

REQUESTS, TOKENS = 20_000, 1_000
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


def make(database: str, person: bool = False, **settings: Any) -> tuple[OAuthGateway, list[str]]:
    """A gateway and Authorization headers with tokens: of a client itself, or that a `person` let it have."""
    gateway = OAuthGateway(app, issuer="https://api.example.com", database=database, **settings)
    return gateway, [f"Bearer {text}" for text in issue(gateway, person)]


def issue(gateway: OAuthGateway, person: bool) -> list[str]:
    """As many access tokens, issued as a grant of Authlib's kind has them issued."""
    server: AuthorizationServer = gateway.server
    client, _ = Clients(gateway.settings, gateway.store, gateway.events, server.sealer).create(now=time.time(), scope="read")
    user = server.users.create("a person", "correct horse battery", time.time()) if person else None
    texts = []
    for _ in range(TOKENS):
        made = server.generate_token("password", client, user, "read", include_refresh_token=False)
        server.save_token(made, None)
        texts.append(made["access_token"])
    return texts


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


def cached(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Microseconds added to a request, round by round: with opaque tokens, and with JWTs."""
    opaque, headers = make(f"sqlite:///{folder}/opaque.db")
    signed, jwts = make(f"sqlite:///{folder}/jwt.db", access_token_format="jwt")
    cases = {"bare": (app, headers), "bare, JWT": (app, jwts), "opaque": (opaque, headers), "JWT": (signed, jwts)}
    times: dict[str, list[float]] = {case: [] for case in cases}
    for _ in range(rounds + 1):
        for case, given in cases.items():
            times[case].append(run(*given))
    opaque.store.close()
    signed.store.close()
    pairs = {"opaque": "bare", "JWT": "bare, JWT"}
    added = {case: [x - y for x, y in zip(times[case], times[bare], strict=True)] for case, bare in pairs.items()}
    return {case: found[1:] for case, found in added.items()}  # the first fills the caches
