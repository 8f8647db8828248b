"""A store over primitives: the contract on records in memory, and what the primitives owe."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from oauth_gateway.errors import StoreUnavailable
from oauth_gateway.store import schema
from oauth_gateway.store.kinds import KIND, KINDS
from oauth_gateway.store.records import Conflict, RecordStore, Writer
from oauth_gateway.testing import MemoryRecords, StoreContract


def memory() -> RecordStore:
    store = RecordStore(MemoryRecords())
    store.prepare()
    return store


class TestMemory(StoreContract):
    def store(self) -> RecordStore:
        return memory()


class Restless(MemoryRecords):
    """Every third transaction meets another one that came first."""

    def __init__(self) -> None:
        super().__init__()
        self.random = random.Random(7)

    @contextmanager
    def writing(self, now: float) -> Iterator[Writer]:
        with self._lock, super().writing(now) as writer:
            yield writer
            if self.random.random() < 0.33:
                raise Conflict("for the test")


class TestWithConflicts(StoreContract):
    """Whatever a transaction does, it does by its Writer, and may so be run again."""

    def store(self) -> RecordStore:
        store = RecordStore(Restless())
        store.prepare()
        return store


def test_kinds_are_the_tables_of_the_schema() -> None:
    tables = {table.name.removeprefix("oauth_"): table for table in schema.metadata.sorted_tables}
    assert set(KINDS) == set(tables)
    for name, table in tables.items():
        assert set(KIND[name].columns) == {column.name for column in table.c} - {"realm"}, name
        assert KINDS[name] == tuple(column.name for column in table.primary_key if column.name != "realm"), name
        binary = {column.name for column in table.c if column.type.python_type is bytes}
        assert KIND[name].binary == binary, name


def test_a_conflict_that_never_ends_is_a_store_that_does_not_answer() -> None:
    store = memory()
    token = StoreContract().a_token(StoreContract().a_client(store))
    store.issue(token)
    with pytest.raises(StoreUnavailable, match="again and again"):
        store.issue(token)
