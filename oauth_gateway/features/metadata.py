"""RFC 8414 and RFC 9728: what clients read to find the server and the protected app.

Both documents are made of what the other features publish, so they cannot lag behind the code. They are readable by
scripts of any origin; the authorization endpoint never is (RFC 9700 section 2.6).
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from ..exchange import Answer, Exchange
from ..server import AuthorizationServer

SERVER = "/.well-known/oauth-authorization-server"
RESOURCE = "/.well-known/oauth-protected-resource"
_HEADERS = [
    ("Content-Type", "application/json"),
    ("Cache-Control", "public, max-age=300"),
    ("Access-Control-Allow-Origin", "*"),
]
_PREFLIGHT = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "GET, HEAD"),
    ("Access-Control-Allow-Headers", "*"),
    ("Access-Control-Max-Age", "86400"),
]


def server_document(server: AuthorizationServer, exchange: Exchange) -> dict[str, Any]:
    """The authorization server's metadata (RFC 8414 section 2); members without an element are left out."""
    document: dict[str, Any] = {"issuer": exchange.base}
    document.update({member: exchange.url(path) for member, path in server.members.items()})
    for name, value in server.published.items():
        value = value() if callable(value) else value
        endpoint = name.partition("_auth_methods_supported")[0]
        if value not in ([], None) and (endpoint == name or endpoint in document):
            document[name] = value
    if server.settings.scopes:
        document["scopes_supported"] = list(server.settings.scopes)
    document.setdefault("response_types_supported", [])  # required, also where there is none (section 2)
    return document


def resource_document(server: AuthorizationServer, exchange: Exchange) -> dict[str, Any]:
    """The protected app's metadata (RFC 9728 section 2)."""
    document: dict[str, Any] = {
        "resource": exchange.resource,
        "authorization_servers": [exchange.base],
        "bearer_methods_supported": ["header"],
    }
    if server.settings.scopes:
        document["scopes_supported"] = list(server.settings.scopes)
    return document


def install(server: AuthorizationServer) -> None:
    documents = (
        (SERVER, server_document, server.settings.issuer),
        (RESOURCE, resource_document, server.settings.audience),
    )
    for path, make, identifier in documents:
        handler = _Document(server, make)
        suffix = urlsplit(identifier or "").path.rstrip("/") if identifier and "://" in identifier else ""
        for place in {path, path + suffix}:
            server.endpoint(place, handler, methods="GET HEAD OPTIONS", anywhere=True)


class _Document:
    """A document whose bytes are made once an issuer, not once a request."""

    def __init__(self, server: AuthorizationServer, make: Any) -> None:
        self._server = server
        self._make = make
        self._bytes: tuple[str, bytes] | None = None

    def __call__(self, exchange: Exchange) -> Answer:
        if exchange.method == "OPTIONS":
            return Answer(204, _PREFLIGHT)
        made = self._bytes
        if made is None or made[0] != exchange.base:
            document = self._make(self._server, exchange)
            made = self._bytes = (exchange.base, json.dumps(document, separators=(",", ":")).encode())
        return Answer(200, _HEADERS, made[1])
