"""The gateway around the bare app, a Flask app and a Django project; its database is also what `handwritten.py` serves."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers import CALLBACK, ISSUER, LIFETIME, OURS, Facts, basic, folder, is_used, plain
from oauth_gateway import OAuthGateway
from oauth_gateway.clients import Clients
from oauth_gateway.exchange import Exchange
from oauth_gateway.models import Client, Consent
from oauth_gateway.sealing import new_number
from oauth_gateway.sessions import Sessions
from oauth_gateway.store.rows import consent_values
from oauth_gateway.store.schema import consent, token

READ = ["* /** scope=read"]


def around(app: Any, **settings: Any) -> OAuthGateway:
    database = f"sqlite:///{folder()}/gateway.db"
    return OAuthGateway(app, database=database, issuer=ISSUER, scopes={"read": "Read"}, **settings)


def bare() -> OAuthGateway:
    return around(plain.bare)


def beside() -> Any:
    """The bare app, and in its process a gateway that is ready and not asked."""
    gateway = around(plain.bare)

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        return plain.bare(environ, start_response) if gateway else []

    return app


def sessions() -> OAuthGateway:
    """Around the bare app, for browsers that are signed in as well."""
    return around(plain.bare, routes=["* /** session scope=read"])


def flask() -> OAuthGateway:
    from benchmarks.peers import flask_plain

    return around(flask_plain.app(), routes=READ)


def django() -> OAuthGateway:
    from benchmarks.peers import django_project

    return around(django_project.app(), routes=READ)


def prepare(into: Path, rows: int) -> Facts:
    """`rows` access tokens of a client; a person who is signed in at a browser and agreed to what the shop asks for."""
    database = into / "gateway.db"
    gateway = OAuthGateway(None, database=f"sqlite:///{database}", issuer=ISSUER, scopes={"read": "Read"})
    clients = Clients(gateway.settings, gateway.store, gateway.events, gateway.server.sealer)
    now = time.time()
    machine, machine_secret = clients.create(now=now, scope="read")
    shop, shop_secret = clients.create(now=now, scope="read", redirect_uris=[CALLBACK])
    cookie = sign_in(gateway, shop, database, now)
    gateway.store.close()
    texts: list[str] = []
    fill(database, token.name, access_tokens(gateway, machine, rows, now, texts))
    return Facts(
        texts,
        machine=basic(machine.client_id, machine_secret or ""),
        wrong=basic(machine.client_id, "wrong"),
        shop=basic(shop.client_id, shop_secret or ""),
        shop_id=shop.client_id,
        cookie=cookie,
        paths=OURS,
    )


def sign_in(gateway: OAuthGateway, shop: Client, database: Path, now: float) -> str:
    """The Cookie header of a person who agreed before."""
    server = gateway.server
    user = server.users.create("ann", "a long enough password", now)
    value, _ = Sessions(gateway.settings, gateway.store, server.sealer).start(user, None, now)
    agreed = Consent(new_number(), user.user_id, shop.number, CALLBACK, gateway.settings.audience, "read", now)
    fill(database, consent.name, iter([consent_values(agreed)]))
    name = Exchange({"REQUEST_METHOD": "GET"}, gateway.settings).cookie[0]
    return f"{name}={value}"


def access_tokens(gateway: OAuthGateway, client: Client, rows: int, now: float, texts: list[str]) -> Iterator[dict[str, Any]]:
    """As the server stores them, the oldest first; the texts of those that are used are put into `texts`."""
    start = int(now * 1000) - rows - 1000
    for index in range(rows):
        number, digest = (start + index) << 21, os.urandom(32)
        if is_used(index, rows):
            text, credential = gateway.server.sealer.issue("at", number)
            digest = credential.digest
            texts.append(text)
        yield {
            "id": number,
            "realm": "",
            "kind": "access_token",
            "digest": digest,
            "client": client.number,
            "generation": 0,
            "scope": "read",
            "audience": gateway.settings.audience,
            "issued": now,
            "expires": now + LIFETIME,
            "failures": 0,
        }


def fill(database: Path, table: str, rows: Iterator[dict[str, Any]]) -> None:
    """Write all `rows`, which have the same columns, in one transaction."""
    first = next(rows, None)
    if first is None:
        return
    columns = ", ".join(first)
    statement = f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(first))})"
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(statement, tuple(first.values()))
    connection.executemany(statement, (tuple(row.values()) for row in rows))
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
