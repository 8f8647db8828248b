"""RFC 7517 section 5: the public keys, for whoever checks what we signed."""

from __future__ import annotations

import json

from . import clock
from .discovery import document_answer
from .exchange import Answer, Exchange
from .server import AuthorizationServer

PATH = "/.well-known/jwks.json"


def install(server: AuthorizationServer) -> None:
    """Serve the JWK Set of a deployment that signs."""

    def answer(exchange: Exchange) -> Answer:
        return document_answer(exchange, lambda: _document(server), "application/jwk-set+json")

    server.endpoint(PATH, answer, "jwks_uri", methods="GET HEAD OPTIONS", anywhere=True)


def _document(server: AuthorizationServer) -> bytes:
    return json.dumps({"keys": server.keys.public(clock.now())}, separators=(",", ":")).encode()
