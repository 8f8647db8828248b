"""Statements that run often: built once, and on SQLite compiled once and run by the driver itself.

Building, looking up and running a statement through Core costs ten times what SQLite needs for it; the values of the tables
here need no conversion on their way.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Executable
from sqlalchemy.dialects import sqlite

_DRIVER = "oauth_gateway_driver"


class Prepared:
    """A statement of Core's whose values are named by `bindparam`; `order` names them all for those who give them in order."""

    def __init__(self, statement: Executable, order: Sequence[str] = ()) -> None:
        self._statement = statement
        self._order = order
        self._text = ""
        self._values: Callable[[dict[str, Any]], Sequence[Any]] | None = None
        self._fixed: dict[str, Any] = {}
        self._in_order: Callable[[Sequence[Any]], Sequence[Any]] | None = None
        self._row: Callable[[Sequence[Any]], Any] | None = None

    def first(self, connection: Connection, **given: Any) -> Any:
        """The first row, with its columns as attributes, or None."""
        driver = driver_of(connection)
        if driver is None:
            return connection.execute(self._statement, given).first()
        cursor = self._execute(driver, given)
        row = cursor.fetchone()  # and with the cursor goes the snapshot that it may hold
        return None if row is None else (self._row or self._as_row(cursor))(row)

    def all(self, connection: Connection, **given: Any) -> list[Any]:
        """All rows."""
        driver = driver_of(connection)
        if driver is None:
            return list(connection.execute(self._statement, given).all())
        cursor = self._execute(driver, given)
        return [self._as_row(cursor)(row) for row in cursor.fetchall()]

    def run(self, connection: Connection, **given: Any) -> int:
        """Run it and say how many rows it changed."""
        driver = driver_of(connection)
        if driver is None:
            return connection.execute(self._statement, given).rowcount
        count: int = self._execute(driver, given).rowcount
        return count

    def run_in_order(self, connection: Connection, values: tuple[Any, ...]) -> None:
        """Run it with `values` as its order names them: without a dict between, which costs as much as SQLite's part."""
        driver = driver_of(connection)
        if driver is None:
            connection.execute(self._statement, dict(zip(self._order, values, strict=True)))
            return
        if self._in_order is None:
            self._in_order = itemgetter(*map(self._order.index, self._compile()))
        driver.execute(self._text, self._in_order(values))

    def _execute(self, driver: Any, given: dict[str, Any]) -> Any:
        if self._values is None:
            names = self._compile()
            self._values = itemgetter(*names) if len(names) > 1 else lambda given: [given[name] for name in names]
        if self._fixed:
            given = {**self._fixed, **given}
        return driver.execute(self._text, self._values(given))

    def _as_row(self, cursor: Any) -> Callable[[Sequence[Any]], Any]:
        if self._row is None:
            names = [column[0] for column in cursor.description]
            made: Any = namedtuple("Row", names)  # type: ignore[misc]
            self._row = made._make
        return self._row

    def _compile(self) -> Sequence[str]:
        """Sets the text; gives the names of the values in its order."""
        compiled: Any = self._statement.compile(dialect=sqlite.dialect())  # type: ignore[attr-defined]
        self._fixed = {name: value for name, value in compiled.params.items() if value is not None}
        self._text = str(compiled)
        return compiled.positiontup or ()


def drive(connection: Connection) -> Connection:
    """Have what is prepared run by the driver's own connection: to be called with each new connection to SQLite."""
    connection.__dict__[_DRIVER] = connection.connection.driver_connection
    return connection


def driver_of(connection: Connection) -> Any:
    """SQLite's connection behind one of SQLAlchemy's, which looks for it at length; None for another engine's."""
    return connection.__dict__.get(_DRIVER)
