"""Where a fault may strike below the store: at the single statements that it sends to its database.

Looks outside of a transaction have no points: they fail like the call that they are for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis.exceptions import ConnectionError as Unconnected
from sqlalchemy.engine.default import DefaultDialect

from oauth_gateway.store.redis.link import Link

from .points import WORDS, Faults

_struck: list[Faults] = []
SILENT = ("PRAGMA synchronous", "PRAGMA wal_autocheckpoint")


class _Cursor(sqlite3.Cursor):
    def execute(self, sql: str, *given: Any) -> Any:
        what = " ".join(sql.split()[:3])
        looks = not self.connection.in_transaction and (what.startswith("SELECT") or ("PRAGMA" in what and "=" not in what))
        faults = _struck[-1] if _struck and not looks and not what.startswith(SILENT) else None
        error = sqlite3.OperationalError(f"disk I/O error: it {WORDS}")
        if faults is not None:
            faults.point("before", what, error)
        done = super().execute("SELECT 1" if what.startswith("PRAGMA synchronous") else sql, *given)
        if faults is not None and not self.connection.in_transaction and what != "ROLLBACK":
            faults.point("after", what, error)
        return done


class _Connection(sqlite3.Connection):
    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)

    def execute(self, sql: str, *given: Any) -> Any:
        return self.cursor().execute(sql, *given)


@contextmanager
def sqlite_driver() -> Iterator[None]:
    """Within it SQLite can be struck, and waits for no disk: no power is lost here."""
    with pytest.MonkeyPatch.context() as patch:
        connect = sqlite3.connect
        patch.setattr(sqlite3, "connect", lambda *given, **named: connect(*given, factory=_Connection, **named))
        yield


@contextmanager
def statements(faults: Faults) -> Iterator[None]:
    """Within it the drivers have a point before each statement, and one after each that leaves nothing to roll back."""
    with pytest.MonkeyPatch.context() as patch:
        _strike_servers(patch, faults)
        _strike_redis(patch, faults)
        _struck.append(faults)
        try:
            yield
        finally:
            _struck.pop()


def _strike_servers(patch: pytest.MonkeyPatch, faults: Faults) -> None:
    execute, commit = DefaultDialect.do_execute, DefaultDialect.do_commit

    def error_of(dialect: Any, connection: Any) -> Exception:
        words = (1105, f"it {WORDS}") if dialect.name == "mysql" else (f"it {WORDS}",)
        error: Exception = dialect.loaded_dbapi.OperationalError(*words)
        error.connection = getattr(connection, "driver_connection", connection)  # type: ignore[attr-defined]
        return error

    def struck_execute(dialect: Any, cursor: Any, statement: str, *given: Any) -> None:
        looks = dialect._on_connect_isolation_level == "AUTOCOMMIT" and not statement.lstrip().startswith(("CREATE", "INSERT"))
        if dialect.name != "sqlite" and not looks:
            faults.point("before", " ".join(statement.split()[:3]), error_of(dialect, cursor.connection))
        execute(dialect, cursor, statement, *given)

    def struck_commit(dialect: Any, connection: Any) -> None:
        if dialect.name == "sqlite" or dialect._on_connect_isolation_level == "AUTOCOMMIT":
            return commit(dialect, connection)
        faults.point("before", "COMMIT", error_of(dialect, connection))
        commit(dialect, connection)
        faults.point("after", "COMMIT", error_of(dialect, connection))

    patch.setattr(DefaultDialect, "do_execute", struck_execute)
    patch.setattr(DefaultDialect, "do_commit", struck_commit)


def _strike_redis(patch: pytest.MonkeyPatch, faults: Faults) -> None:
    exchange = Link._try

    def struck(link: Link, commands: Any, repeatable: bool) -> Any:
        if repeatable:
            return exchange(link, commands, repeatable)
        faults.point("before", "EVALSHA", Unconnected(f"it {WORDS}"))
        answers = exchange(link, commands, repeatable)
        faults.point("after", "EVALSHA", Unconnected(f"it {WORDS}"))
        return answers

    patch.setattr(Link, "_try", struck)


def cut(error: Exception) -> None:
    """The connection is closed; the driver finds out by itself."""
    error.connection.close()  # type: ignore[attr-defined]
