"""RFC 7517 section 5: the public keys, for whoever checks what we signed."""

from __future__ import annotations

import json

from . import clock
from .discovery import document_answer, serve_document
from .exchange import Answer, Exchange
from .server import AuthorizationServer


def install(server: AuthorizationServer) -> None:
    """Serve the JWK Set of a deployment that signs."""

    def answer(exchange: Exchange) -> Answer:
        return document_answer(exchange, lambda: _document(server), "application/jwk-set+json")

    serve_document(server, "jwks.json", answer, server.settings.issuer, "jwks_uri")


def _document(server: AuthorizationServer) -> bytes:
    return json.dumps({"keys": server.keys.public(clock.now())}, separators=(",", ":")).encode()
