"""Commits on SQLite that must be durable: on the disk before they are answered, with one flush for all that wait."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from oauth_gateway import OAuthGateway
from oauth_gateway.errors import StoreUnavailable
from oauth_gateway.store import open_store
from oauth_gateway.store.flush import Flush
from oauth_gateway.testing import NOW, StoreContract

contract = StoreContract()


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were flushed."""
    files: list[str] = []
    monkeypatch.setattr(os, "fdatasync", lambda handle: files.append(os.readlink(f"/proc/self/fd/{handle}")))
    return files


def test_a_revocation_is_on_the_disk_when_it_is_answered_and_a_token_need_not_be(tmp_path: Path, flushed: list[str]) -> None:
    """A092: what a power loss could undo was not answered"""
    store = open_store(f"sqlite:///{tmp_path}/x.db")
    store.prepare()
    client, _, grant, _ = contract.a_grant(store)
    flushed.clear()
    store.issue(contract.a_token(client))
    assert flushed == []
    store.revoke_grant(grant.id, NOW)
    assert flushed == [f"{tmp_path}/x.db-wal"]
    store.close()


def test_a_token_is_on_the_disk_too_where_the_operator_wants_it(tmp_path: Path, flushed: list[str]) -> None:
    gateway = OAuthGateway(None, database=f"sqlite:///{tmp_path}/x.db", durable_tokens=True)
    client = contract.a_client(gateway.store)
    flushed.clear()
    gateway.store.issue(contract.a_token(client))
    assert flushed == [f"{tmp_path}/x.db-wal"]
    gateway.store.close()


def test_commits_that_wait_together_share_a_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started, go_on, flushes = threading.Event(), threading.Event(), []

    def slow(handle: int) -> None:
        flushes.append(handle)
        started.set()
        assert go_on.wait(10)

    monkeypatch.setattr(os, "fdatasync", slow)
    (tmp_path / "log").touch()
    flush = Flush(str(tmp_path / "log"), lambda: None)
    first = threading.Thread(target=flush.wait, args=(flush.wrote(),))
    first.start()
    assert started.wait(10)
    others = [threading.Thread(target=flush.wait, args=(flush.wrote(),)) for _ in range(6)]  # after the first flush began
    for thread in others:
        thread.start()
    go_on.set()
    for thread in (first, *others):
        thread.join(10)
        assert not thread.is_alive()
    assert len(flushes) == 2
    flush.close()


def test_after_a_flush_that_failed_nothing_is_durable_until_the_log_was_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A094: the next flush of the same file may say that all is well when it is not"""

    def broken(handle: int) -> None:
        raise OSError(5, "Input/output error")

    store = open_store(f"sqlite:///{tmp_path}/x.db")
    store.prepare()
    _, _, grant, token = contract.a_grant(store, "at")
    log = tmp_path / "x.db-wal"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        with pytest.raises(StoreUnavailable):
            store.revoke_grant(grant.id, NOW)
    assert log.stat().st_size > 0
    assert store.token(token.number, token.digest)[0] is None  # it is committed; only that it is durable was not said
    other = contract.a_client(store)
    assert log.stat().st_size == 0, "the log was not copied"
    assert store.client(other.client_id) == other
    store.close()


def test_a_log_that_was_made_anew_is_the_one_that_is_flushed(tmp_path: Path, flushed: list[str]) -> None:
    log = tmp_path / "log"
    log.write_text("one")
    flush = Flush(str(log), lambda: None)
    flush.wait(flush.wrote())
    log.rename(tmp_path / "old")
    log.write_text("two")
    flush.wait(flush.wrote())
    assert flushed == [str(log), str(log)]
    flush.close()
