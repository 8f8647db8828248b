"""Well-known documents: made of what the features publish, in every place where clients look for them.

The bytes are made once an issuer, of settings alone, so that no request can change what the next one reads.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from .exchange import Answer, Exchange
from .resource_server import ResourceServer
from .server import AuthorizationServer

Make = Callable[[Any, Exchange], dict[str, Any]]  # the server first, of either kind
MAX_AGE = 300  # seconds for which others may keep a document
_PREFLIGHT = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "GET, HEAD"),
    ("Access-Control-Allow-Headers", "*"),
    ("Access-Control-Max-Age", "86400"),
]


def document_answer(exchange: Exchange, body: Callable[[], bytes], kind: str = "application/json") -> Answer:
    """A public document that scripts of every origin may read, or the answer to their preflight."""
    if exchange.method == "OPTIONS":
        return Answer(204, _PREFLIGHT)
    headers = [("Content-Type", kind), ("Cache-Control", f"public, max-age={MAX_AGE}"), ("Access-Control-Allow-Origin", "*")]
    return Answer(200, headers, body())


def well_known(server: AuthorizationServer | ResourceServer, name: str, make: Make, identifier: str | None) -> None:
    """Serve what `make` gives as a document of that name."""
    serve_document(server, name, _Document(server, make), identifier)


def serve_document(
    server: AuthorizationServer | ResourceServer,
    name: str,
    handler: Callable[[Exchange], Answer],
    identifier: str | None,
    member: str | None = None,
) -> None:
    """Serve a document below /.well-known/, also with the identifier's path behind the name (RFC 8414 section 3.1) and
    before it (OpenID Connect Discovery section 4).
    """
    place = f"/.well-known/{name}"
    path = urlsplit(identifier or "").path.rstrip("/") if identifier and "://" in identifier else ""
    for address in {place + path, path + place, place}:
        server.endpoint(address, handler, member if address == place else None, methods="GET HEAD OPTIONS", anywhere=True)


def server_document(server: AuthorizationServer, exchange: Exchange) -> dict[str, Any]:
    """The authorization server's metadata (RFC 8414 section 2, OpenID Connect Discovery section 3); members without an
    element are left out.
    """
    document: dict[str, Any] = {"issuer": exchange.base}
    for member, path in server.members.items():
        document[member] = exchange.base + path if path.startswith("/.well-known/") else exchange.url(path)
    for name, value in server.published.items():
        value = value() if callable(value) else value
        endpoint = name.partition("_auth_methods_supported")[0].partition("_auth_signing_alg_values_supported")[0]
        if value not in ([], None) and (endpoint == name or endpoint in document):
            document[name] = value
    if server.scopes.every:
        document["scopes_supported"] = list(server.scopes.every)
    document.setdefault("response_types_supported", [])  # required, also where there is none (section 2)
    return document


def resource_document(server: AuthorizationServer | ResourceServer, exchange: Exchange) -> dict[str, Any]:
    """The protected app's metadata (RFC 9728 section 2)."""
    settings = server.settings
    own = [exchange.base] if settings.server else []
    document: dict[str, Any] = {
        "resource": exchange.resource,
        "authorization_servers": own + [entry.issuer for entry in settings.trusted_issuers],
        "bearer_methods_supported": ["header"],
    }
    if settings.scopes:
        document["scopes_supported"] = list(settings.scopes)
    return document


class _Document:
    """A document whose bytes are made once an issuer, not once a request."""

    def __init__(self, server: AuthorizationServer | ResourceServer, make: Make) -> None:
        self._server = server
        self._make = make
        self._bytes: tuple[str, bytes] | None = None

    def __call__(self, exchange: Exchange) -> Answer:
        return document_answer(exchange, lambda: self._bytes_for(exchange))

    def _bytes_for(self, exchange: Exchange) -> bytes:
        made = self._bytes
        if made is None or made[0] != exchange.base:
            document = self._make(self._server, exchange)
            made = self._bytes = (exchange.base, json.dumps(document, separators=(",", ":")).encode())
        return made[1]
