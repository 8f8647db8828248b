"""An issuer of somebody else's, on this machine: discovery, a JWK Set and introspection, as good or bad as a test wants it."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from oauth_gateway import OAuthGateway, jose
from oauth_gateway.testing import Clock

from .conftest import RecordingApp

AUDIENCE = "https://api.example.com"
Reply = tuple[int, str, bytes]  # status, content type, body


class _Anything(jose.jws.JWSRegistry):
    def check_header(self, header: Any) -> None:
        """An issuer may sign any header."""


def signed_by(key: jose.Key, header: dict[str, Any], claims: Any) -> str:
    """A JWT with whatever header and claims."""
    return jose.jws.serialize_compact(header, json.dumps(claims), key, registry=_Anything(algorithms=[header["alg"]]))


class Issuer:
    """`asked` counts questions by path, `replies` answers a path otherwise, `hold` keeps all back while it is clear."""

    def __init__(self, path: str = "") -> None:
        self.path = path
        self.asked: Counter[str] = Counter()
        self.forms: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.replies: dict[str, Callable[[], Reply]] = {}
        self.living: dict[str, dict[str, Any]] = {}
        self.keys: dict[str, tuple[jose.Key, str]] = {}
        self.published: list[dict[str, Any]] = []
        self.hold = threading.Event()
        self.hold.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self._server.server_port}"
        self.name = self.base + path
        self.add_key("k1")
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()

    def add_key(self, kid: str, algorithm: str = "RS256", *, published: bool = True) -> None:
        key = jose.generate(algorithm)
        self.keys[kid] = key, algorithm
        if published:
            self.published.append(jose.public_of(key, algorithm, kid))

    @property
    def jwks(self) -> str:
        return f"{self.path}/jwks"

    @property
    def introspection(self) -> str:
        return f"{self.path}/introspect"

    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.name,
            "jwks_uri": self.base + self.jwks,
            "introspection_endpoint": self.base + self.introspection,
        }

    def token(self, clock: Clock, *, kid: str = "k1", typ: str | None = "at+jwt", header: Any = None, **changes: Any) -> str:
        """A good access token after RFC 9068; a change to None leaves a claim out, and a header's `typ` wins."""
        now = int(clock())
        claims = {
            "iss": self.name,
            "aud": AUDIENCE,
            "sub": "f-1",
            "client_id": "phone",
            "iat": now,
            "exp": now + 600,
            "jti": "j1",
            "scope": "read",
            **changes,
        }
        key, algorithm = self.keys[kid]
        made = {"alg": algorithm, "kid": kid, **({"typ": typ} if typ is not None else {}), **(header or {})}
        claims = {name: value for name, value in claims.items() if value is not None}
        made = {name: value for name, value in made.items() if value is not None}
        return signed_by(key, made, claims)

    def describe(self, clock: Clock, text: str, **changes: Any) -> None:
        """Have introspection say that the opaque token `text` lives."""
        now = int(clock())
        answer = {
            "active": True,
            "iss": self.name,
            "aud": AUDIENCE,
            "sub": "f-1",
            "client_id": "phone",
            "scope": "read",
            "token_type": "Bearer",
            "exp": now + 600,
            **changes,
        }
        self.living[text] = {name: value for name, value in answer.items() if value is not None}

    def _reply(self, path: str, body: bytes) -> Reply:
        if path in self.replies:
            return self.replies[path]()
        if "/.well-known/" in path:
            return 200, "application/json", json.dumps(self.metadata()).encode()
        if path == self.jwks:
            return 200, "application/json", json.dumps({"keys": self.published}).encode()
        if path == self.introspection:
            form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            self.forms.append(form)
            return 200, "application/json", json.dumps(self.living.get(form["token"], {"active": False})).encode()
        return 404, "text/plain", b"nothing"

    def _handler(issuer) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                issuer.asked[self.path] += 1
                issuer.headers.append(dict(self.headers))
                issuer.hold.wait(30)
                status, kind, answer = issuer._reply(self.path, body)
                with suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                """Nothing on standard error."""

        return Handler


@contextmanager
def issuer(path: str = "") -> Iterator[Issuer]:
    made = Issuer(path)
    try:
        yield made
    finally:
        made.close()


def entry(of: Issuer, **changes: Any) -> dict[str, Any]:
    """An entry of `trusted_issuers` for it."""
    return {"issuer": of.name, "audience": AUDIENCE, "private_networks": "127.0.0.0/8", **changes}


def gate(*entries: dict[str, Any], **settings: Any) -> tuple[OAuthGateway, RecordingApp]:
    """A gate without a server that trusts these, and the app behind it."""
    app = RecordingApp()
    values = {"server": False, "resource": AUDIENCE, "trusted_issuers": list(entries), **settings}
    return OAuthGateway(app, **values), app
