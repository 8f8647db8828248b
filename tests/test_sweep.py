"""`oauth-gateway purge` deletes what is over in SQL, and gets in nobody's way meanwhile."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oauth_gateway.models import Grant
from oauth_gateway.sealing import new_number
from oauth_gateway.store import Outcome, Store, open_store, sql
from oauth_gateway.store.sql import RETENTION
from oauth_gateway.store.sqlite import Database
from oauth_gateway.testing import NOW, StoreContract

from .conftest import ENGINES
from .engines import FRESH

LATER = NOW + 40 * RETENTION
ENGINES_OF_SQL = ["sqlite", *(name for name in FRESH if name in ENGINES and name != "redis")]
contract = StoreContract()


@pytest.fixture(params=ENGINES_OF_SQL)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/a.db" if request.param == "sqlite" else FRESH[request.param]()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = open_store(url)
    store.prepare()
    yield store
    store.close()


def test_a_grant_goes_with_its_last_token_whatever_page_it_is_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "PAGE", 3)
    monkeypatch.setattr(sql, "BATCH", 2)
    alive = []
    for number in range(20):
        client, user = contract.a_client(store), contract.a_user(store)
        grant = Grant(new_number(), client.number, user.user_id, user.user_id, "read", "aud", NOW)
        keeps = number % 3 == 0
        tokens = [contract.a_token(client, grant_id=grant.id, expires=LATER + 60 if keeps else NOW + 600) for _ in range(3)]
        assert store.authorize(grant, tokens, None) is Outcome.WON
        store.issue(contract.a_token(client))
        alive += tokens if keeps else []
    assert sum(store.sweep(LATER)) == 20 + 13 * 3 + 13
    assert all(contract.found(store, token) for token in alive)
    assert sum(store.sweep(LATER)) == 0


def test_others_write_between_any_two_batches(store: Store, url: str) -> None:
    """Whoever sweeps may wait between batches, with no transaction open"""
    other = open_store(url)
    for _ in range(5):
        contract.a_grant(store)
    batches = 0
    for _ in store.sweep(LATER):
        started = time.monotonic()
        contract.a_client(other)
        assert time.monotonic() - started < 4, "a transaction is open: it would wait for its end in vain"
        batches += 1
    assert batches >= 3
    other.close()


def test_a_sweep_of_twice_as_many_rows_is_twice_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A join without an index was four times; counted in steps of SQLite's machine, not in seconds"""
    spent: list[int] = []
    connect = Database._open

    def counted(self: Database) -> sqlite3.Connection:
        connection = connect(self)
        connection.set_progress_handler(lambda: spent.__setitem__(-1, spent[-1] + 1), 100)
        return connection

    monkeypatch.setattr(Database, "_open", counted)
    for rows in (10_000, 20_000):
        spent.append(0)
        store = open_store(f"sqlite:///{tmp_path}/{rows}.db")
        store.prepare()
        client, _, grant, token = contract.a_grant(store)
        with sqlite3.connect(tmp_path / f"{rows}.db") as connection:
            for table, given, columns in (("oauth_grant", grant.id, "id"), ("oauth_token", token.number, "id, grant_id")):
                names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
                rest = ", ".join(name for name in names if name not in columns.split(", "))
                several = ", ".join("?" * len(columns.split(", ")))
                statement = f"INSERT INTO {table} ({columns}, {rest}) SELECT {several}, {rest} FROM {table} WHERE id = {given}"
                connection.executemany(statement, ([number] * len(columns.split(", ")) for number in range(rows)))
            connection.execute("UPDATE oauth_token SET expires = ?", (LATER + 60,))
        spent.append(0)
        assert sum(store.sweep(LATER)) == 0
        store.close()
        assert client
    assert spent[1] > 100 and spent[3] < 3 * spent[1], spent
