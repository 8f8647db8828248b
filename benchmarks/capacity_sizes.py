"""The part of `capacity.py` that says how many bytes rows are: real ones, made by the flows, and then many times the same."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

import psycopg

from benchmarks.capacity_deployment import Flows
from oauth_gateway.jobs import Jobs
from oauth_gateway.sealing import new_number
from oauth_gateway.store import Store
from oauth_gateway.store.kinds import KIND
from tests.services import PostgreSQL, Redis

ROWS = int(os.environ.get("CAPACITY_ROWS", "100000"))  # of each kind in PostgreSQL
RECORDS = int(os.environ.get("CAPACITY_RECORDS", "5000"))  # of each kind in Redis
BATCH = 500  # records that are loaded at once
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class What:
    """Records of a kind like the one that `like` finds, of which `differ` columns are other ones in each."""

    kind: str
    differ: str
    like: Callable[[Record], bool] = lambda _: True


WHAT = {
    "person (with a password)": What("user", "id name username"),
    "login session": What("session", "digest sid user_id"),
    "consent": What("consent", "id user_id"),
    "grant, refreshed": What("grant", "id consent_id user_id subject session predecessor", lambda r: bool(r["sealed"])),
    "access token": What("token", "id digest grant_id", lambda r: r["kind"] == "access_token" and bool(r["grant_id"])),
    "refresh token": What("token", "id digest grant_id parent", lambda r: r["kind"] == "refresh_token"),
    "code": What("token", "id digest grant_id", lambda r: r["kind"] == "authorization_code"),
    "client": What("client", "number client_id"),
    "address that a person signed in from": What("entry", "key", lambda r: r["space"] == "known"),
    "throttle counter": What("counter", "key", lambda r: r["space"] == "login"),
}
# columns whose values are numbers in the order of their making; the others are texts and digests as random as theirs
NUMBERS = {"id", "number", "consent_id", "grant_id", "parent", "predecessor"}


class Server(PostgreSQL):
    """With what makes filling tables quick and changes no size."""

    def command(self) -> list[str]:
        quick = (
            "fsync=off",
            "autovacuum=off",
            "shared_buffers=1GB",
            "max_wal_size=16GB",
            "wal_level=minimal",
            "max_wal_senders=0",
        )
        return [*super().command(), *(part for one in quick for part in ("-c", one))]


def templates(flows: Flows) -> dict[str, Record]:
    """A real record for each line of the table."""
    tokens = flows.tokens("read openid")
    assert flows.world.refresh(tokens["refresh_token"]).status_code == 200
    store: Store = flows.world.gateway.store
    return {name: next(r for r in store.dump(what.kind, None, 1000) if what.like(r)) for name, what in WHAT.items()}


def in_postgresql() -> dict[str, tuple[float, float]]:
    """Bytes a row of its table and of the indexes."""
    found = {}
    with Server() as server:
        url = server.url()
        with Flows(url) as flows:
            records = templates(flows)
        with psycopg.connect(url, autocommit=True) as connection:
            for name, what in WHAT.items():
                found[name] = _fill(connection, what, records[name])
                print(f"{name}: {found[name]}", flush=True)
    return found


def _fill(connection: psycopg.Connection[Any], what: What, record: Record) -> tuple[float, float]:
    table, differ = f"oauth_{what.kind}", what.differ.split()
    connection.execute(f"TRUNCATE {table}")
    connection.execute(f"ALTER TABLE {table} SET UNLOGGED")
    same = {column: value for column, value in record.items() if column not in differ}
    chosen = [_differing(what.kind, column, record[column]) for column in differ]
    columns = ", ".join((*differ, *same))
    statement = (
        f"INSERT INTO {table} ({columns}) SELECT {', '.join((*chosen, *['%s'] * len(same)))} FROM generate_series(1, {ROWS}) n"
    )
    connection.execute(statement, list(same.values()))
    connection.execute(f"VACUUM ANALYZE {table}")
    row = connection.execute(f"SELECT pg_total_relation_size('{table}'), pg_indexes_size('{table}')").fetchone()
    assert row
    connection.execute(f"TRUNCATE {table}")
    return (row[0] - row[1]) / ROWS, row[1] / ROWS


def _differing(kind: str, column: str, value: Any) -> str:
    """An expression of row `n`: as long as `value`, as random, and for the number of a row in the order of making."""
    if column in NUMBERS:
        return f"{int(time.time() * 1000) << 21} + n::bigint * (20 << 21) + (hashint4(n) & 1048575)"
    if isinstance(value, bytes):
        return f"sha256(convert_to('{column}' || n, 'UTF8'))"
    if kind == "user" and column != "id":
        return "'person' || n || '@example.com'"
    return f"left(translate(encode(sha256(convert_to('{column}' || n, 'UTF8')), 'base64'), '+/', '-_'), {len(value)})"


def in_redis() -> dict[str, float]:
    """Bytes of memory a record, with all that leads to it."""
    found = {}
    with Redis() as server, Flows(server.url()) as flows:
        store: Store = flows.world.gateway.store
        for name, record in templates(flows).items():
            kind = WHAT[name].kind
            before = _memory(server)
            copies = list(_copies(WHAT[name], record))
            batches = [copies[start : start + BATCH] for start in range(0, RECORDS, BATCH)]
            for batch in batches:
                store.load(kind, batch)
            found[name] = (_memory(server) - before) / RECORDS
            for batch in batches:
                store.unload(kind, [KIND[kind].key_of(each) for each in batch])
    return found


def _memory(server: Redis) -> int:
    return int(server.ask("INFO", "memory").partition("used_memory:")[2].split()[0])


def _copies(what: What, record: Record) -> Iterator[Record]:
    for number in range(RECORDS):
        copy = dict(record)
        for column in what.differ.split():
            digest = hashlib.sha256(f"{column}{number}".encode())
            if column in NUMBERS:
                copy[column] = new_number()
            elif isinstance(record[column], bytes):
                copy[column] = digest.digest()
            else:
                copy[column] = digest.hexdigest()[: max(len(record[column]), 22)]
        yield copy


def main() -> list[str]:
    """The section."""
    with mock.patch.object(Jobs, "start", lambda self: None):
        rows, records = in_postgresql(), in_redis()
    lines = [
        f"`CAPACITY_ROWS={ROWS} CAPACITY_RECORDS={RECORDS} python benchmarks/capacity.py sizes`: rows that a deployment made,",
        f"{ROWS:,} of each kind with other keys, right after VACUUM: `pg_total_relation_size` less `pg_indexes_size`, and the",
        "latter, divided by the rows.",
        f"Redis: `used_memory` of {RECORDS:,} records of a kind, with all that leads to them. A million of them:",
        "",
        "| a million of | table bytes a row | index bytes a row | PostgreSQL MiB | Redis bytes | Redis MiB |",
        "| --- " + "| ---: " * 5 + "|",
    ]
    for name, (table, index) in rows.items():
        million = [f"{each * 1e6 / 2**20:.0f}" for each in (table + index, records[name])]
        lines.append(f"| {name} | {table:.0f} | {index:.0f} | {million[0]} | {records[name]:.0f} | {million[1]} |")
    return lines
