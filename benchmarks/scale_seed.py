"""Databases with many rows for `scale.py`: SQLite by executemany in one transaction, PostgreSQL by COPY.

A row is what the server would have stored: time-ordered numbers as `oauth_gateway.sealing.new_number` makes them, spread over
a month, random digests, clients, people, grants. Some access tokens, at random places, are real: their texts are returned.
"""

from __future__ import annotations

import base64
import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Table

from oauth_gateway import OAuthGateway
from oauth_gateway.clients import Clients
from oauth_gateway.models import Client, public_id
from oauth_gateway.store.schema import grant, token, user

ISSUER = "https://api.example.com"
SECRET = "a secret for benchmarks, of more than enough characters"
MONTH = 30 * 86_400_000  # milliseconds
LIFETIME = 7 * 86_400  # seconds that rows which are alive have left
CLIENTS = 50
BATCH = 50_000
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to put into a database: `rows` in oauth_token, families of `kinds` one grant each.

    Every `itself`-th family is of a client acting for itself: its rows have no grant (0: none is). `families` is how many
    grants one person has. `real` access tokens get a text. Of `expired` rows, the first ones, the time is over.
    """

    rows: int
    kinds: tuple[str, ...] = ("access_token", "refresh_token", "access_token", "refresh_token", "access_token")
    itself: int = 5
    families: int = 5
    real: int = 20_000
    expired: int = 0


@dataclass(frozen=True, slots=True)
class Seeded:
    """Texts of real access tokens in random order, and a client with its secret."""

    tokens: list[str]
    client: Client
    secret: str


def open_gateway(url: str, app: Callable[..., Any] | None, **settings: Any) -> OAuthGateway:
    return OAuthGateway(app, database=url, issuer=ISSUER, secret=SECRET, **settings)


def seed(url: str, plan: Plan) -> Seeded:
    """Fill the new database at `url`; about 10 µs a row."""
    gateway = open_gateway(url, None)
    clients = Clients(gateway.settings, gateway.store, gateway.events, gateway.server.sealer)
    made = [clients.create(now=time.time(), scope="read write", client_name=f"Client {n}") for n in range(CLIENTS)]
    gateway.store.close()
    rows = _Rows(plan, [client for client, _ in made], gateway.server.sealer.issue)
    fill(url, user, rows.people())
    fill(url, grant, rows.grants())
    fill(url, token, rows.tokens())
    random.Random(1).shuffle(rows.texts)
    client, secret = made[0]
    assert secret
    return Seeded(rows.texts, client, secret)


class _Rows:
    """The rows of a plan, made while they are written; the same family gets the same grant and person in every table."""

    def __init__(self, plan: Plan, clients: Sequence[Client], issue: Callable[..., Any]) -> None:
        self._plan = plan
        self._clients = [client.number for client in clients]
        self._issue = issue
        self._now = time.time()
        self._start = int(self._now * 1000) - MONTH
        self._step = MONTH // (plan.rows + 1)
        self._families = -(-plan.rows // len(plan.kinds))
        self.texts: list[str] = []
        access = [n for n in range(plan.expired, plan.rows) if plan.kinds[n % len(plan.kinds)] == "access_token"]
        self._real = set(random.Random(0).sample(access, min(plan.real, len(access))))

    def _number(self, index: int) -> int:
        """That of the row at `index`: later rows have greater ones, and every table uses the same clock."""
        return ((self._start + index * self._step) << 21) | (index * 2_654_435_761 & 0x1FFFFF)

    def _is_itself(self, family: int) -> bool:
        return bool(self._plan.itself) and family % self._plan.itself == 0

    def _person(self, family: int) -> str:
        """Text as long and as random-looking as `secrets.token_urlsafe(16)`."""
        return _scrambled(family // self._plan.families)

    def people(self) -> Iterator[Row]:
        for number in range(-(-self._families // self._plan.families)):
            name = f"user{number:07}@example.com"
            shown = {"id": _scrambled(number), "realm": "", "source": "builtin", "name": name, "username": name}
            yield {**shown, "claims": "{}", "created": self._now}

    def grants(self) -> Iterator[Row]:
        for family in range(self._families):
            if not self._is_itself(family):
                number = self._number(family * len(self._plan.kinds))
                yield {
                    "id": number,
                    "realm": "",
                    "client": self._clients[family % CLIENTS],
                    "user_id": self._person(family),
                    "subject": self._person(family),
                    "session": public_id(number) * 2,
                    "scope": "read",
                    "audience": ISSUER,
                    "auth_time": (number >> 21) / 1000,
                    "amr": "pwd",
                    "created": (number >> 21) / 1000,
                }

    def tokens(self) -> Iterator[Row]:
        kinds = self._plan.kinds
        for index in range(self._plan.rows):
            family, place = divmod(index, len(kinds))
            number = self._number(index)
            issued = (number >> 21) / 1000
            digest = os.urandom(32)
            if index in self._real:
                text, credential = self._issue("at", number)
                digest = credential.digest
                self.texts.append(text)
            yield {
                "id": number,
                "realm": "",
                "kind": kinds[place],
                "digest": digest,
                "client": self._clients[family % CLIENTS],
                "grant_id": None if self._is_itself(family) else self._number(family * len(kinds)),
                "generation": 0,
                "scope": "read",
                "audience": ISSUER,
                "issued": issued,
                "expires": issued + 3600 if index < self._plan.expired else self._now + LIFETIME,
                "failures": 0,
            }


def _scrambled(number: int) -> str:
    """22 characters that stand for `number` and look random."""
    text = (number * 0x9E3779B97F4A7C15F39CC0605CEDC835 + 1) % 2**128
    return base64.urlsafe_b64encode(text.to_bytes(16, "big")).rstrip(b"=").decode()


def fill(url: str, table: Table, rows: Iterable[Row]) -> None:
    """Write all `rows`, which have the same columns, at once."""
    found = iter(rows)
    first = next(found, None)
    if first is None:
        return
    columns = list(first)
    assert set(columns) <= {column.name for column in table.columns}
    values = (tuple(row.values()) for row in _again(first, found))
    if url.startswith("sqlite:"):
        _fill_sqlite(Path(url.removeprefix("sqlite:///")), table.name, columns, values)
    else:
        _fill_postgresql(url, table.name, columns, values)


def _again(first: Row, rest: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rest


def _fill_sqlite(path: Path, table: str, columns: list[str], values: Iterator[tuple[Any, ...]]) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    while batch := list(islice(values, BATCH)):
        connection.execute("BEGIN")
        connection.executemany(statement, batch)
        connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _fill_postgresql(url: str, table: str, columns: list[str], values: Iterator[tuple[Any, ...]]) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        with connection.cursor().copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
            for row in values:
                copy.write_row(row)
        connection.execute(f"VACUUM ANALYZE {table}")  # as autovacuum would, in its time
