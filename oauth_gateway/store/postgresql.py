"""PostgreSQL through psycopg 3, with LISTEN and NOTIFY as the push."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from .server import ANSWER_SECONDS, CONNECT_SECONDS, LOCK_SECONDS, ServerDatabase

CHANNEL = "oauth_gateway"
LISTEN_SECONDS = 30.0  # after which a listener that heard nothing looks whether its connection still lives
SCHEMA_LOCK = 0x6F617574_68676174  # any number that nobody else takes


class Impatient(psycopg.Connection[Any]):
    """A connection that is closed where the server is silent: neither it nor TCP would notice a server that hangs."""

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, ANSWER_SECONDS if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if error.sqlstate is None:  # nothing that the server said
                self.close()
            raise


class PostgreSQL(ServerDatabase):
    poll = 1.0
    binary_collation: str | None = "C"
    drivername = "postgresql+psycopg"
    durability = (
        ("fsync", "SHOW fsync", "on"),
        ("synchronous_commit", "SHOW synchronous_commit", "on or remote_apply or remote_write or local"),
    )

    def _arguments(self) -> dict[str, Any]:
        _, given = self._readers.dialect.create_connect_args(self.url)
        milliseconds = int(ANSWER_SECONDS * 1000)
        ours = (
            f"-c statement_timeout={milliseconds} -c lock_timeout={LOCK_SECONDS * 1000}"
            f" -c idle_in_transaction_session_timeout={milliseconds} -c client_min_messages=warning"
        )
        return {
            "connect_timeout": CONNECT_SECONDS,
            "tcp_user_timeout": milliseconds,
            "application_name": "oauth_gateway",
            "target_session_attrs": "read-write",  # a standby may not know yet what was revoked
            **given,
            "options": f"{ours} {given.get('options', '')}",
        }

    def connect(self) -> Any:
        return Impatient.connect(**self._arguments())

    def ask(self, connection: Any) -> bytes:
        if not connection.autocommit:
            connection.autocommit = True
        row = connection.execute(self.epoch_query, prepare=True).fetchone()
        return b"%d" % row[0] if row else b""

    def is_passing(self, error: DBAPIError) -> bool:
        return getattr(error.orig, "sqlstate", None) in ("40001", "40P01")

    def is_read_only(self, error: DBAPIError) -> bool:
        return getattr(error.orig, "sqlstate", None) == "25006"

    def lock_schema(self, connection: Connection) -> None:
        connection.execute(text("SET lock_timeout = '120s'"))
        connection.execute(text("SET statement_timeout = 0"))
        driver = connection.connection.driver_connection
        if isinstance(driver, Impatient):
            driver.wait = super(Impatient, driver).wait  # type: ignore[method-assign] # a change may take its time
        connection.execute(text("SELECT pg_advisory_lock(:number)"), {"number": SCHEMA_LOCK})
        connection.execute(text("SET lock_timeout = '1s'"))  # a change that waits for a table holds up all who come after it

    def announce(self, connection: Connection) -> None:
        connection.execute(text(f"NOTIFY {CHANNEL}"))

    def listen(self, heard: Callable[[], None], closed: threading.Event) -> None:
        """See `pulse`; on a connection of its own, which waits longer than others."""
        with psycopg.connect(**self._arguments(), autocommit=True) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            heard()  # what was said before
            while not closed.is_set():
                for _ in connection.notifies(timeout=LISTEN_SECONDS, stop_after=1):
                    heard()
                connection.execute("SELECT 1")
