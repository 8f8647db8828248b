"""Statements that run often: built once, and on SQLite compiled once and run by the driver itself.

Building, looking up and running a statement through Core costs ten times what SQLite needs for it; the values of the tables
here need no conversion on their way.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Executable
from sqlalchemy.dialects import sqlite


class Prepared:
    """A statement of Core's whose values are named by `bindparam`."""

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._text = ""
        self._names: tuple[str, ...] = ()
        self._fixed: dict[str, Any] = {}
        self._row: Callable[[Sequence[Any]], Any] | None = None

    def first(self, connection: Connection, **given: Any) -> Any:
        """The first row, with its columns as attributes, or None."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self._statement, given).first()
        cursor = self._execute(connection, given)
        row = cursor.fetchone()  # and with the cursor goes the snapshot that it may hold
        return None if row is None else self._as_row(cursor)(row)

    def all(self, connection: Connection, **given: Any) -> list[Any]:
        """All rows."""
        if connection.dialect.name != "sqlite":
            return list(connection.execute(self._statement, given).all())
        cursor = self._execute(connection, given)
        return [self._as_row(cursor)(row) for row in cursor.fetchall()]

    def run(self, connection: Connection, **given: Any) -> int:
        """Run it and say how many rows it changed."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self._statement, given).rowcount
        count: int = self._execute(connection, given).rowcount
        return count

    def _execute(self, connection: Connection, given: dict[str, Any]) -> Any:
        if not self._text:
            self._compile()
        driver: Any = connection.connection.driver_connection
        values = {**self._fixed, **given} if self._fixed else given
        return driver.execute(self._text, [values[name] for name in self._names])

    def _as_row(self, cursor: Any) -> Callable[[Sequence[Any]], Any]:
        if self._row is None:
            names = [column[0] for column in cursor.description]
            made: Any = namedtuple("Row", names)  # type: ignore[misc]
            self._row = made._make
        return self._row

    def _compile(self) -> None:
        compiled: Any = self._statement.compile(dialect=sqlite.dialect())  # type: ignore[attr-defined]
        self._names = tuple(compiled.positiontup or ())
        self._fixed = {name: value for name, value in compiled.params.items() if value is not None}
        self._text = str(compiled)
