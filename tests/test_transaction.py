"""A single statement on SQLite is a transaction by itself, and gives up none of what a transaction promises"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from oauth_gateway.errors import StoreUnavailable
from oauth_gateway.models import Client
from oauth_gateway.store import UNTOLD, Outcome, sqlite
from oauth_gateway.store.epoch import Epoch
from oauth_gateway.store.schema import token
from oauth_gateway.store.sql import SqlStore
from oauth_gateway.store.sqlite import Database
from oauth_gateway.testing import NOW, StoreContract

contract = StoreContract()


class Place:
    """A store on a file, a client in it, and what SQLite was told since."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.database = Database(file)
        self.store = SqlStore(self.database)
        self.store.prepare()
        self.client: Client = contract.a_client(self.store)
        self.told: list[str] = []
        driver = self.database.writer().connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.set_trace_callback(self.told.append)

    def issue(self) -> int:
        new = contract.a_token(self.client)
        self.store.issue(new)
        return new.number

    def tokens(self) -> list[int]:
        with self.database.read() as connection:
            return [row.id for row in connection.execute(select(token.c.id))]

    def verbs(self) -> list[str]:
        return [text.split()[0] for text in self.told]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path / "x.db")
    yield made
    made.store.close()


def test_one_statement_has_no_transaction_around_it_and_is_there_for_everybody(place: Place) -> None:
    number = place.issue()
    assert place.verbs() == ["INSERT"]
    with sqlite3.connect(place.file) as other:
        assert other.execute("SELECT id FROM oauth_token").fetchall() == [(number,)]


def test_a_decision_that_comes_again_when_its_grant_has_gone_with_the_client_is_answered(place: Place) -> None:
    """The driver's own error for a number that is taken, and not Core's"""
    client, _, grant, code = contract.a_grant(place.store)
    place.store.delete_client(client.client_id, NOW)
    assert place.store.authorize(grant, (code,), None) is Outcome.REPLAYED


def test_the_announcement_of_one_who_died_is_finished_first(place: Place) -> None:
    """Else the epoch stays untold for as long as nothing else is written"""
    place.database._epoch.announce()
    place.issue()
    assert place.verbs() == ["BEGIN", "INSERT", "COMMIT"]
    assert place.store.epoch() != UNTOLD


def test_what_was_written_into_a_file_that_is_no_longer_the_database_is_not_answered(place: Place) -> None:
    place.file.rename(place.file.with_suffix(".old"))
    place.file.write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="was replaced while it was in use"):
        place.issue()


def test_an_epoch_that_cannot_be_opened_is_a_store_that_is_unavailable(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Epoch, path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(Epoch, "_map", refused)
    place.database._epoch = Epoch(place.file)
    with pytest.raises(StoreUnavailable, match="Permission denied"):
        place.issue()


def test_a_statement_that_fails_stores_nothing_and_keeps_no_lock(place: Place) -> None:
    number = place.issue()
    again = contract.a_token(place.client)
    with place.database.read() as connection:
        connection.exec_driver_sql(
            f"CREATE TRIGGER no BEFORE INSERT ON oauth_token WHEN NEW.id = {again.number} BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    with pytest.raises((StoreUnavailable, sqlite3.IntegrityError)):
        place.store.issue(again)
    free = threading.Thread(target=place.issue)
    free.start()
    free.join(5)
    assert not free.is_alive()
    assert number in place.tokens() and again.number not in place.tokens() and len(place.tokens()) == 2


def test_a_database_that_another_holds_is_waited_for_no_longer_than_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request gets 503 and the lock is free for the next"""
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.2)
    place = Place(tmp_path / "x.db")
    other = sqlite3.connect(place.file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        place.issue()
    other.execute("ROLLBACK")
    other.close()
    place.issue()
    assert len(place.tokens()) == 1
    place.store.close()
