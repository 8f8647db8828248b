"""The shipped contract on SQLite, and what only a file can show: several processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from oauth_gateway.errors import ConfigurationError, StoreUnavailable
from oauth_gateway.models import Client
from oauth_gateway.store import Store, open_store
from oauth_gateway.testing import StoreContract

from .processes import at_once, fork, prepare, race_for_one_code


class TestFile(StoreContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def store(self) -> Store:
        store = open_store(f"sqlite:///{self.folder / 'contract.db'}")
        store.prepare()
        return store


class TestMemory(StoreContract):
    def store(self) -> Store:
        store = open_store("sqlite://")
        store.prepare()
        return store


def test_processes_racing_for_one_code_have_one_winner(tmp_path: Path) -> None:
    race_for_one_code(f"sqlite:///{tmp_path / 'contract.db'}")


def test_several_processes_may_start_on_a_new_database_at_once(tmp_path: Path) -> None:
    """A101"""
    url = f"sqlite:///{tmp_path / 'new.db'}"
    assert at_once(*[lambda: prepare(url)] * 6) == [0] * 6


def _write_forever(url: str, number: int) -> None:
    store = open_store(url)
    while True:
        store.revoke_token(number, time.time())
        store.count("x", "y", 60, time.time())


def test_a_killed_writer_leaves_a_database_that_works(tmp_path: Path) -> None:
    """A090"""
    contract = TestFile()
    contract.folder = tmp_path
    store = contract.store()
    client = contract.a_client(store)
    for _ in range(5):
        worker = fork.Process(target=_write_forever, args=(f"sqlite:///{tmp_path / 'contract.db'}", 1))
        worker.start()
        time.sleep(0.15)  # let it be in the middle of something
        os.kill(worker.pid or 0, signal.SIGKILL)
        worker.join()
        token = contract.a_token(client)
        store.issue(token)
        assert contract.found(store, token)


def test_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    contract = TestFile()
    contract.folder = tmp_path
    contract.store().epoch()
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes and set(modes.values()) == {0o600}, modes


def test_a_replaced_database_is_noticed(tmp_path: Path) -> None:
    """A096"""
    contract = TestFile()
    contract.folder = tmp_path
    store = contract.store()
    store.watch()
    os.rename(tmp_path / "contract.db", tmp_path / "old.db")
    with pytest.raises(StoreUnavailable):
        store.watch()
    (tmp_path / "contract.db").touch()
    with pytest.raises(StoreUnavailable):
        store.watch()


def test_a_newer_schema_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """A096; a schema that was only expanded serves older code on, or no restart could be a rolling one (A106)."""
    import sqlite3

    url = f"sqlite:///{tmp_path / 'newer.db'}"
    store = open_store(url)
    store.prepare()
    store.close()
    with sqlite3.connect(tmp_path / "newer.db") as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    open_store(url).prepare()
    with sqlite3.connect(tmp_path / "newer.db") as connection:
        connection.execute("UPDATE oauth_meta SET value = '98' WHERE name = 'oldest code'")
    connection.close()
    with pytest.raises(ConfigurationError, match="99.*upgrade oauth-gateway"):
        open_store(url).prepare()


def test_a_missing_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist; create it first"):
        open_store(f"sqlite:///{tmp_path / 'no' / 'x.db'}").prepare()


def test_a_database_of_the_first_version_is_brought_up_to_date_on_demand(tmp_path: Path) -> None:
    """Schema version 2: the origins of the clients that there are"""
    import sqlite3

    url = f"sqlite:///{tmp_path / 'old.db'}"
    store = open_store(url)
    store.prepare()
    metadata = {"token_endpoint_auth_method": "none", "redirect_uris": ["https://spa.test/cb"]}
    store.add_client(Client("c", metadata, number=1))
    store.close()
    with sqlite3.connect(tmp_path / "old.db") as connection:
        connection.execute("DROP TABLE oauth_origin")
        connection.execute("PRAGMA user_version=1")
    connection.close()
    with pytest.raises(ConfigurationError, match="run oauth-gateway migrate"):
        open_store(url).prepare()
    assert open_store(url).migrate() is True and open_store(url).migrate() is False
    store = open_store(url)
    store.prepare()
    assert store.has_origin("https://spa.test") and not store.has_origin("https://other.test")


def test_a_full_disk_fails_closed_and_recovers(tmp_path: Path) -> None:
    """A093: SQLITE_FULL, by a limit on the database's pages"""
    contract = TestFile()
    contract.folder = tmp_path
    store = contract.store()
    client = contract.a_client(store)
    with store.database.write() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql("PRAGMA max_page_count=1")  # as it is now, and no page more
    with pytest.raises(StoreUnavailable, match="full"):
        for _ in range(10_000):
            token = contract.a_token(client, scope="x" * 1000)
            store.issue(token)
    assert not contract.found(store, token), "no success without a commit"
    with store.database.write() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql("PRAGMA max_page_count=1000000")
    store.issue(token)
    assert contract.found(store, token)
