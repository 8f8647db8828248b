"""An empty database on each of the engines that this machine runs."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from typing import Any

import psycopg
import pymysql

from oauth_gateway.store.schema import metadata

from .conftest import needs

POSTGRESQL = os.environ.get("GATEWAY_TEST_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432/postgres")
MYSQL = os.environ.get("GATEWAY_TEST_MYSQL", "mysql://root@127.0.0.1:3306/mysql")
NAME = f"oauth_gateway_test_{os.getpid()}"
EMPTIED = [name for name in metadata.tables if name != "oauth_meta"]
_made: set[str] = set()
_redis: Any = None


def fresh_postgresql(*, keep_tables: bool = True) -> str:
    """The address of a database of this process without rows; without `keep_tables` also without tables."""
    url = POSTGRESQL.rpartition("/")[0] + "/" + NAME
    if "postgresql" not in _made:
        try:
            with psycopg.connect(POSTGRESQL, autocommit=True, connect_timeout=3) as connection:
                connection.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
                connection.execute(f"CREATE DATABASE {NAME}")
                connection.execute(f"ALTER DATABASE {NAME} SET synchronous_commit = off")
        except psycopg.OperationalError as error:
            needs(False, f"PostgreSQL does not answer at {POSTGRESQL}; start it or set GATEWAY_TEST_POSTGRESQL ({error})")
        _made.add("postgresql")
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM information_schema.tables WHERE table_name = 'oauth_meta'").fetchone()
        if keep_tables and found:
            connection.execute(f"TRUNCATE {', '.join(EMPTIED)}")
            connection.execute("DELETE FROM oauth_meta WHERE name NOT IN ('schema', 'oldest code')")
        elif found:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
    return url


def _mysql() -> pymysql.Connection:  # type: ignore[type-arg]
    user, _, address = MYSQL.removeprefix("mysql://").partition("@")
    host, _, port = address.partition("/")[0].partition(":")
    return pymysql.connect(host=host, port=int(port or 3306), user=user, connect_timeout=3, autocommit=True)


def fresh_mysql(*, keep_tables: bool = True) -> str:
    """The same on MariaDB."""
    try:
        connection = _mysql()
    except pymysql.err.OperationalError as error:
        needs(False, f"MariaDB does not answer at {MYSQL}; start it or set GATEWAY_TEST_MYSQL ({error})")
    with connection, connection.cursor() as cursor:
        if "mysql" not in _made or not keep_tables:
            cursor.execute(f"DROP DATABASE IF EXISTS {NAME}")
            cursor.execute(f"CREATE DATABASE {NAME}")
            _made.add("mysql")
        cursor.execute(f"USE {NAME}")
        if cursor.execute("SHOW TABLES"):
            for table in EMPTIED:
                cursor.execute(f"DELETE FROM {table}")
            cursor.execute("DELETE FROM oauth_meta WHERE name NOT IN ('schema', 'oldest code')")
    return MYSQL.rpartition("/")[0] + "/" + NAME


def fresh_redis(*, keep_tables: bool = True) -> str:
    """A private Redis that is as durable as strict revocation demands, emptied; one a process."""
    global _redis
    if _redis is None:
        from .services import Redis

        _redis = Redis()
    _redis.ask("FLUSHALL")
    return f"redis://127.0.0.1:{_redis.port}/0"


FRESH: dict[str, Callable[..., str]] = {"postgresql": fresh_postgresql, "mysql": fresh_mysql, "redis": fresh_redis}


@atexit.register
def _drop() -> None:
    if _redis is not None:
        _redis.close()
    if "postgresql" in _made:
        with psycopg.connect(POSTGRESQL, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
    if "mysql" in _made:
        with _mysql() as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {NAME}")
