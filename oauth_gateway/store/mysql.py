"""MariaDB and MySQL through PyMySQL. They push nothing: processes that do not ask at every request ask often."""

from __future__ import annotations

from typing import Any

import pymysql
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from ..errors import StoreUnavailable
from .server import ANSWER_SECONDS, CONNECT_SECONDS, LOCK_SECONDS, ServerDatabase

DEADLOCK = (1213, 1020)
READ_ONLY = (1290, 1792, 1836)
SCHEMA_SECONDS = 120


class MySQL(ServerDatabase):
    drivername = "mysql+pymysql"
    epoch_query = "SELECT epoch, @@global.read_only FROM oauth_feed WHERE realm = ''"
    durability = (("innodb_flush_log_at_trx_commit", "SELECT @@innodb_flush_log_at_trx_commit", "1"),)

    def connect(self) -> Any:
        _, given = self._readers.dialect.create_connect_args(self.url)
        ours = {
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": ANSWER_SECONDS,
            "write_timeout": ANSWER_SECONDS,
            "charset": "utf8mb4",
            "sql_mode": "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION",
            "init_command": f"SET SESSION innodb_lock_wait_timeout={LOCK_SECONDS}",
        }
        return pymysql.connect(**{**ours, **given})

    def ask(self, connection: Any) -> bytes:
        if not connection.get_autocommit():
            connection.autocommit(True)
        with connection.cursor() as cursor:
            cursor.execute(self.epoch_query)
            row = cursor.fetchone()
        if row and row[1]:  # it keeps its connections when it becomes a replica, which may not know what was revoked
            raise StoreUnavailable(f"{self.place} takes no writes: it is a replica now")
        return b"%d" % row[0] if row else b""

    def is_passing(self, error: DBAPIError) -> bool:
        return _number(error) in DEADLOCK

    def is_read_only(self, error: DBAPIError) -> bool:
        return _number(error) in READ_ONLY

    def lock_schema(self, connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        driver._read_timeout = None  # a change may take its time
        found = connection.execute(text(f"SELECT GET_LOCK(CONCAT('oauth_gateway.', DATABASE()), {SCHEMA_SECONDS})")).scalar()
        if found != 1:
            raise StoreUnavailable(f"{self.place}: another process has been changing the schema for {SCHEMA_SECONDS} s")


def _number(error: DBAPIError) -> int:
    found = error.orig.args[0] if error.orig is not None and error.orig.args else 0
    return found if isinstance(found, int) else 0
