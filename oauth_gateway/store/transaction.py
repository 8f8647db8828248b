"""Reading and writing an SQLite database, as a `with` statement enters them. Classes: entering a generator costs as much as a
SELECT by its key.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ..errors import StoreUnavailable
from .prepared import driver_of

if TYPE_CHECKING:
    from .sqlite import Database

MOST_READERS = 8


def translate(error: BaseException) -> None:
    """Raise every way in which SQLite can fail to answer as StoreUnavailable; the cause stays attached for the log."""
    if isinstance(error, (DBAPIError, sqlite3.Error, OSError)):
        cause = getattr(error, "orig", None) or error
        if not isinstance(cause, sqlite3.IntegrityError):  # there the database did answer: trying again would not help
            raise StoreUnavailable(f"the database did not answer: {cause}") from error


class Translated:
    """The same for all that happens within it."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if error is not None:
            translate(error)


translated = Translated()


class Reading:
    """A reader's connection, taken from the pool and given back."""

    __slots__ = ("_connection", "_database", "_pool")

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pool = database.readers

    def __enter__(self) -> Connection:
        try:
            self._connection = self._pool.pop()
        except IndexError:
            with translated:
                self._connection = self._database.connect()
        return self._connection

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._connection.close()
            translate(error)
        elif self._pool is self._database.readers and len(self._pool) < MOST_READERS:  # another pool: the file was replaced
            self._pool.append(self._connection)
        else:
            self._connection.close()


class Writing:
    """A transaction that holds the write lock from its start; `durable` waits for the disk after its commit."""

    __slots__ = ("_connection", "_database", "_durable")

    def __init__(self, database: Database, durable: bool) -> None:
        self._database = database
        self._durable = durable

    def __enter__(self) -> Connection:
        database = self._database
        database.take_turn()
        try:
            self._connection = connection = database.writer()
            self._begin()
        except BaseException as failure:
            database.give_turn()
            translate(failure)
            raise
        return connection

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        database, flush, number = self._database, self._database.flush, 0
        try:
            if error is not None:
                self._roll_back()
            else:
                self._commit()
                if self._durable and flush is not None:
                    number = flush.wrote()
        except BaseException as failure:
            translate(failure)
            raise
        finally:
            database.give_turn()
        if error is not None:
            translate(error)
        elif number and flush is not None:
            with translated:
                flush.wait(number)

    def _begin(self) -> None:
        driver_of(self._connection).execute("BEGIN IMMEDIATE")
        try:
            self._database.refuse_another_file()
            self._database.finish_announcement()
        except BaseException:
            self._roll_back()
            raise

    def _commit(self) -> None:
        try:
            driver_of(self._connection).execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        self._database.roll_back(self._connection)


class WritingOnce(Writing):
    """A single statement, which SQLite commits by itself or not at all: without BEGIN and COMMIT it takes half as long. A file
    that was replaced is seen after it, and nothing that was written into it is answered.
    """

    __slots__ = ()

    def _begin(self) -> None:
        pass

    def _commit(self) -> None:
        self._database.refuse_another_file()

    def _roll_back(self) -> None:
        pass
