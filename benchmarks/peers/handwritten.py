"""A token endpoint written by hand, which does what ours does for client_credentials and nothing else.

The gateway's own database, its table and its rows; no check beyond grant type, secret and scope.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from benchmarks.peers import ISSUER, PRAGMAS, folder

INSERT = """INSERT INTO oauth_token (id, realm, kind, digest, client, generation, scope, audience, issued, expires, failures)
VALUES (?, '', 'access_token', ?, ?, 0, ?, ?, ?, ?, 0)"""
LIFETIME = 3600


def app() -> Callable[[dict[str, Any], Any], list[bytes]]:
    reading = sqlite3.connect(folder() / "gateway.db")
    known = {
        client_id: (number, bytes.fromhex(json.loads(kept)[0]["digest"]), json.loads(metadata)["scope"].split())
        for number, client_id, kept, metadata in reading.execute(
            "SELECT number, client_id, secrets, metadata FROM oauth_client WHERE secrets != '[]'"
        )
    }
    reading.close()
    lock, connections = threading.Lock(), list[sqlite3.Connection]()

    def store(*row: object) -> None:
        with lock:
            if not connections:  # none is opened before the fork
                made = sqlite3.connect(folder() / "gateway.db", check_same_thread=False, isolation_level=None)
                for pragma in (*PRAGMAS, "PRAGMA wal_autocheckpoint=4000"):
                    made.execute(pragma)
                connections.append(made)
            connections[0].execute(INSERT, row)

    def answer(start_response: Any, status: str, body: dict[str, Any]) -> list[bytes]:
        data = json.dumps(body).encode()
        headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store"), ("Content-Length", str(len(data)))]
        start_response(status, headers)
        return [data]

    def token(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        form = dict(parse_qsl(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()))
        given = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Basic ")
        name, _, secret = base64.b64decode(given).decode().partition(":")
        number, kept, scopes = known.get(name, (0, b"", []))
        if not hmac.compare_digest(hashlib.sha256(secret.encode()).digest(), kept):
            return answer(start_response, "401 Unauthorized", {"error": "invalid_client"})
        if form.get("grant_type") != "client_credentials":
            return answer(start_response, "400 Bad Request", {"error": "unsupported_grant_type"})
        scope = form.get("scope", "")
        if not set(scope.split()) <= set(scopes):
            return answer(start_response, "400 Bad Request", {"error": "invalid_scope"})
        text, now = secrets.token_urlsafe(32), time.time()
        row = (int(now * 1000) << 21) | secrets.randbits(21)
        store(row, hashlib.sha256(text.encode()).digest(), number, scope, ISSUER, now, now + LIFETIME)
        body = {"access_token": text, "token_type": "Bearer", "expires_in": LIFETIME, "scope": scope}
        return answer(start_response, "200 OK", body)

    return token
