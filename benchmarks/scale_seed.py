"""Databases with many rows for `scale.py`: SQLite by executemany in large transactions, PostgreSQL by COPY.

A row is what the server would have stored: time-ordered numbers as `oauth_gateway.sealing.new_number` makes them, spread over
a month, random digests, clients, people, sessions, grants. Some tokens, at random places, are real: their texts are returned.
"""

from __future__ import annotations

import base64
import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Table

from oauth_gateway import OAuthGateway
from oauth_gateway.clients import Clients
from oauth_gateway.models import Client
from oauth_gateway.store.schema import grant, session, token, user

POSTGRESQL = os.environ.get("BENCH_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432/postgres")
ISSUER, CALLBACK = "https://api.example.com", "https://client.example.com/callback"
SECRET = "a secret for benchmarks, of more than enough characters"
MONTH = 30 * 86_400_000  # milliseconds
LIFETIME = 7 * 86_400  # seconds that rows which are alive have left
CLIENTS, BATCH = 50, 50_000
FAMILY = ("authorization_code", "access_token", "refresh_token", "access_token", "refresh_token")
SPENT = (0, 2)  # places in a family of what was redeemed
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to put into a database: `rows` in oauth_token, families of `kinds` with a grant each.

    Every `itself`-th family is a client's that acts for itself: access tokens without a grant (0: none is). `families` is how
    many grants one person has. `real` tokens of each living kind have a text that is known. The first `expired` rows are over.
    """

    rows: int
    kinds: tuple[str, ...] = FAMILY
    itself: int = 5
    families: int = 4
    real: int = 20_000
    expired: int = 0


@dataclass(frozen=True, slots=True)
class Seeded:
    """Texts of real access tokens, and of real refresh tokens with their client, in random order; client_ids and secrets."""

    tokens: list[str]
    refresh_tokens: list[tuple[str, int]]
    clients: list[tuple[str, str]]


def open_gateway(url: str, app: Callable[..., Any] | None, **settings: Any) -> OAuthGateway:
    return OAuthGateway(app, database=url, issuer=ISSUER, secret=SECRET, **settings)


@contextmanager
def new_database(engine: str, folder: Path, name: str) -> Iterator[str]:
    """The address of an empty database, which is deleted in the end."""
    if engine == "SQLite":
        try:
            yield f"sqlite:///{folder}/{name}.db"
        finally:
            for file in folder.glob(f"{name}.db*"):
                file.unlink()
        return
    database = f"oauth_gateway_bench_{os.getpid()}_{name}"
    with psycopg.connect(POSTGRESQL, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {database}")
        try:
            yield f"{POSTGRESQL.rpartition('/')[0]}/{database}"
        finally:
            connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


def seed(url: str, plan: Plan) -> Seeded:
    """Fill the new database at `url`; about 10 µs a row."""
    gateway = open_gateway(url, None)
    clients = Clients(gateway.settings, gateway.store, gateway.events, gateway.server.sealer)
    grants = ["authorization_code", "refresh_token", "client_credentials"]
    known = {"scope": "read write", "redirect_uris": [CALLBACK], "grant_types": grants}
    made = [clients.create(now=time.time(), client_name=f"Client {n}", **known) for n in range(CLIENTS)]
    gateway.store.close()
    rows = _Rows(plan, [client for client, _ in made], gateway.server.sealer.issue)
    for table, found in ((user, rows.people()), (session, rows.sessions()), (grant, rows.grants()), (token, rows.tokens())):
        fill(url, table, found)
    for texts in (rows.texts, rows.refreshing):
        random.Random(1).shuffle(texts)
    return Seeded(rows.texts, rows.refreshing, [(client.client_id, secret or "") for client, secret in made])


class _Rows:
    """The rows of a plan, made while they are written; a family has the same client, person and grant in every table."""

    def __init__(self, plan: Plan, clients: list[Client], issue: Callable[..., Any]) -> None:
        self._plan = plan
        self._clients = [client.number for client in clients]
        self._issue = issue
        self._now = time.time()
        self._start = int(self._now * 1000) - MONTH
        self._step = MONTH // (plan.rows + 1)
        self._families = -(-plan.rows // len(plan.kinds))
        self._people = -(-self._families // plan.families)
        self.texts: list[str] = []
        self.refreshing: list[tuple[str, int]] = []
        self._real = self._some("access_token") | self._some("refresh_token")

    def _some(self, kind: str) -> set[int]:
        """Random rows of this kind that are alive."""
        found = [n for n in range(self._plan.expired, self._plan.rows) if self._kind(n) == kind and not self._is_spent(n)]
        return set(random.Random(0).sample(found, min(self._plan.real, len(found))))

    def _number(self, index: int) -> int:
        """That of the row at `index`: later rows have greater ones."""
        return ((self._start + index * self._step) << 21) | (index * 2_654_435_761 & 0x1FFFFF)

    def _is_itself(self, family: int) -> bool:
        return bool(self._plan.itself) and family % self._plan.itself == 0

    def _kind(self, index: int) -> str:
        family, place = divmod(index, len(self._plan.kinds))
        return "access_token" if self._is_itself(family) else self._plan.kinds[place]

    def _is_spent(self, index: int) -> bool:
        family, place = divmod(index, len(self._plan.kinds))
        return place in SPENT and self._plan.kinds is FAMILY and not self._is_itself(family)

    def people(self) -> Iterator[Row]:
        for number in range(self._people):
            name = f"user{number:07}@example.com"
            shown = {"id": _scrambled(number), "realm": "", "source": "builtin", "name": name, "username": name}
            yield {**shown, "claims": "{}", "created": self._now}

    def sessions(self) -> Iterator[Row]:
        """One a person, who has not signed in again since what is expired."""
        for number in range(self._plan.expired // len(self._plan.kinds) // self._plan.families, self._people):
            yield {
                "digest": os.urandom(32),
                "realm": "",
                "sid": _sid(number),
                "user_id": _scrambled(number),
                "auth_time": self._now,
                "amr": "pwd",
                "created": self._now,
                "expires": self._now + LIFETIME,
            }

    def grants(self) -> Iterator[Row]:
        for family in range(self._families):
            if not self._is_itself(family):
                number, person = self._number(family * len(self._plan.kinds)), family // self._plan.families
                yield {
                    "id": number,
                    "realm": "",
                    "client": self._clients[family % CLIENTS],
                    "user_id": _scrambled(person),
                    "subject": _scrambled(person),
                    "session": _sid(person),
                    "scope": "read",
                    "audience": ISSUER,
                    "auth_time": (number >> 21) / 1000,
                    "amr": "pwd",
                    "created": (number >> 21) / 1000,
                }

    def tokens(self) -> Iterator[Row]:
        size = len(self._plan.kinds)
        for index in range(self._plan.rows):
            family, number, kind = index // size, self._number(index), self._kind(index)
            issued = (number >> 21) / 1000
            yield {
                "id": number,
                "realm": "",
                "kind": kind,
                "digest": self._digest(index, kind, number) if index in self._real else os.urandom(32),
                "client": self._clients[family % CLIENTS],
                "grant_id": None if self._is_itself(family) else self._number(family * size),
                "generation": 0,
                "scope": "read",
                "audience": ISSUER,
                "issued": issued,
                "expires": issued + 3600 if index < self._plan.expired else self._now + LIFETIME,
                "redeemed": issued if self._is_spent(index) else None,
                "failures": 0,
            }

    def _digest(self, index: int, kind: str, number: int) -> bytes:
        """That of a real token, whose text is kept."""
        text, credential = self._issue("at" if kind == "access_token" else "rt", number)
        if kind == "access_token":
            self.texts.append(text)
        else:
            self.refreshing.append((text, index // len(self._plan.kinds) % CLIENTS))
        digest: bytes = credential.digest
        return digest


def _sid(person: int) -> str:
    return f"{person * 0x9E3779B97F4A7C15 % 2**64:016x}" * 2


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
    values = (tuple(row.values()) for row in chain((first,), found))
    if url.startswith("sqlite:"):
        _fill_sqlite(Path(url.removeprefix("sqlite:///")), table.name, columns, values)
    else:
        _fill_postgresql(url, table.name, columns, values)


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
    with psycopg.connect(url, autocommit=True) as connection:
        with connection.cursor().copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
            for row in values:
                copy.write_row(row)
        connection.execute(f"VACUUM ANALYZE {table}")  # as autovacuum would, in its time
