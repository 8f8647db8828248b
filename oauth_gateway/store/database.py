"""What the SQL engines share: how they tell that they failed, when a transaction may run again, and an insert that can lose."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Table, bindparam, insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from ..errors import StoreUnavailable
from .prepared import Prepared

TRIES = 4
TAKEN = (IntegrityError, sqlite3.IntegrityError)  # as Core has it, and as the driver has it of what is prepared
MYSQL_DUPLICATE = 1062
Step = Callable[[Connection, Callable[[str], None]], None]
Method = TypeVar("Method", bound=Callable[..., Any])


class Database(Protocol):
    """Connections to one engine. `write` is one transaction, of one statement only where it says `alone`; `read` is for single
    SELECTs; both raise StoreUnavailable.
    """

    place: str  # what an operator finds it by, without a password
    binary_collation: str | None  # the name of the order of bytes, where texts are not compared so by themselves
    poll: float  # seconds between two looks at the feed where a process does not ask at every request
    epoch_is_near: bool  # whether reading the epoch is reading a few bytes of memory

    @property
    def epoch(self) -> Callable[[], bytes]: ...
    @property
    def last_epoch(self) -> Callable[[], bytes]: ...
    def write(self, durable: bool = True, alone: bool = False) -> AbstractContextManager[Connection]: ...
    def read(self) -> AbstractContextManager[Connection]: ...
    def advice(self) -> Sequence[str]: ...
    def check_place(self) -> None: ...
    def changing_the_schema(self) -> AbstractContextManager[Connection]: ...
    def version(self, connection: Connection) -> int: ...
    def set_version(self, connection: Connection, version: int) -> None: ...
    def announce(self, connection: Connection) -> None: ...
    def new_epoch(self) -> None: ...
    def watch(self) -> bool: ...
    def close(self) -> None: ...


class Interrupted(StoreUnavailable):
    """The transaction did not happen and nothing of it was kept: it may run again."""


def rerun(method: Method) -> Method:
    """Run a method of a store again where its transaction was the victim of a deadlock or of a connection that had died."""

    @functools.wraps(method)
    def run(*args: Any, **named: Any) -> Any:
        for _ in range(TRIES - 1):
            try:
                return method(*args, **named)
            except Interrupted:
                continue
        return method(*args, **named)

    return run  # type: ignore[return-value]


def add_row(connection: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert; False where one of the table's keys is taken, which the database decides."""
    try:
        return _insert_that_can_lose(table, connection.dialect.name, tuple(values)).run(connection, **values) == 1
    except IntegrityError as error:
        if connection.dialect.name != "mysql" or error.orig is None or error.orig.args[0] != MYSQL_DUPLICATE:
            raise
        return False


@functools.cache
def _insert_that_can_lose(table: Table, engine: str, columns: tuple[str, ...]) -> Prepared:
    values: dict[str, Any] = {column: bindparam(column) for column in columns}
    if engine == "mysql":  # whose INSERT IGNORE would ignore too much
        return Prepared(insert(table).values(values))
    dialect: Any = postgresql if engine == "postgresql" else sqlite
    return Prepared(dialect.insert(table).values(values).on_conflict_do_nothing().execution_options(preserve_rowcount=True))
