"""PostgreSQL and MariaDB: connections to a database server, its epoch read over the network, and what happens when it is away.

Isolation is READ COMMITTED on both: a conditional update picks every winner, and what must not change meanwhile is locked in
the order feed, session, token, grant. Nothing is opened before its first use nor shared with a forked child.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, inspect, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.pool import QueuePool

from ..errors import ConfigurationError, StoreUnavailable
from ..forks import reset_in_children
from .database import Interrupted, add_row
from .pulse import Pulse
from .schema import REALM, meta, metadata

ANSWER_SECONDS = 3.0  # for one statement; a server that is slower counts as away
CONNECT_SECONDS = 2
REST_SECONDS = 1.0  # after a failure to connect, for which nobody else tries
LOCK_SECONDS = 2  # for a row that another transaction holds
MOST_CONNECTIONS = 8  # of each kind (for reading, for writing) in a process
POOL_SECONDS = 2.0  # for one of them to become free


class ServerDatabase:
    """Connections to one database of a server; a subclass says what is special to the kind of server."""

    poll = 0.1
    epoch_is_near = False
    binary_collation: str | None = None
    epoch_query = "SELECT epoch FROM oauth_feed WHERE realm = ''"
    drivername = ""
    durability: tuple[tuple[str, str, str], ...] = ()  # a variable, the statement that reads it, the values that keep commits

    def __init__(self, address: str) -> None:
        try:
            url = make_url(address)
        except (ArgumentError, ValueError):
            raise ConfigurationError(
                "database: the address cannot be read; write SERVER://USER:PASSWORD@HOST:PORT/NAME, and everything but letters"
                " and digits of the password percent-encoded"
            ) from None
        self.url = url.set(drivername=self.drivername)
        self.place = url.set(password=None, query={}).render_as_string()
        pool = {"poolclass": QueuePool, "pool_size": MOST_CONNECTIONS, "max_overflow": 0, "pool_timeout": POOL_SECONDS}
        common: dict[str, Any] = {**pool, "pool_use_lifo": True, "pool_reset_on_return": None, "creator": self._creator}
        common["hide_parameters"] = True  # they are digests and sealed answers, and an error may be logged
        self._readers = create_engine(self.url, isolation_level="AUTOCOMMIT", **common)
        self._writers = create_engine(self.url, isolation_level="READ COMMITTED", **common)
        reset_in_children(self)
        self._reset()

    def _reset(self) -> None:
        self._probing = threading.Lock()
        self._rest_until = 0.0
        self._pulse = Pulse(self._ask, self.listen, ANSWER_SECONDS)

    def reset(self) -> None:
        """Forget, in a forked child, all that the parent opened, without closing it."""
        for engine in (self._readers, self._writers):
            engine.dispose(close=False)
        self._pulse.abandon()
        self._reset()

    # -- what a kind of server says of itself

    def connect(self) -> Any:
        """A new connection of the driver's, whose every call ends within ANSWER_SECONDS."""
        raise NotImplementedError

    def ask(self, connection: Any) -> bytes:
        """The answer to `epoch_query` on a connection of the driver's."""
        raise NotImplementedError

    def is_passing(self, error: DBAPIError) -> bool:
        """Whether the transaction was the victim of another one and may run again."""
        raise NotImplementedError

    def is_read_only(self, error: DBAPIError) -> bool:
        """Whether the server takes no writes: it was the primary once, and another one may be now."""
        raise NotImplementedError

    def lock_schema(self, connection: Connection) -> None:
        """Wait until no other process changes the schema; the lock goes with the connection."""
        raise NotImplementedError

    listen: Callable[[Callable[[], None], threading.Event], None] | None = None  # see `pulse`

    def announce(self, connection: Connection) -> None:
        """Have the commit of this transaction wake up those who listen."""

    # -- connections

    def _creator(self) -> Any:
        """A connection, or StoreUnavailable at once while the server is known to be away: threads must not pile up."""
        if time.monotonic() < self._rest_until:
            raise StoreUnavailable(f"{self.place} did not answer a moment ago")
        if not self._probing.acquire(blocking=self._rest_until == 0.0):
            raise StoreUnavailable(f"{self.place} does not answer; another request is trying")
        try:
            if time.monotonic() < self._rest_until:
                raise StoreUnavailable(f"{self.place} did not answer a moment ago")
            connection = self.connect()
            self._rest_until = 0.0
        except StoreUnavailable:
            raise
        except TypeError as error:
            raise ConfigurationError(f"database: an option behind `?` is none of the driver's ({error})") from None
        except Exception:
            self._rest()
            raise
        finally:
            self._probing.release()
        return connection

    def _rest(self) -> None:
        self._rest_until = time.monotonic() + REST_SECONDS

    @contextmanager
    def _connection(self, engine: Engine) -> Iterator[Connection]:
        started = time.monotonic()
        try:
            with engine.connect() as connection:
                try:
                    yield connection
                except BaseException as error:
                    self._give_up(connection, error)
                    raise
        except IntegrityError:
            raise  # the database did answer: trying again would not help
        except DBAPIError as error:
            raise self._told(error, started) from error
        except PoolExhausted as error:
            raise StoreUnavailable(f"{self.place}: every connection is busy") from error
        except (OSError, SQLAlchemyError) as error:
            raise StoreUnavailable(f"{self.place} did not answer: {error}") from error

    def _give_up(self, connection: Connection, error: BaseException) -> None:
        """Roll back; a connection that cannot, or whose server takes no writes any more, is not used again."""
        try:
            connection.rollback()
            if isinstance(error, DBAPIError) and self.is_read_only(error):
                connection.invalidate()
        except (SQLAlchemyError, OSError):
            with suppress(SQLAlchemyError, OSError):
                connection.invalidate()

    def _told(self, error: DBAPIError, started: float) -> StoreUnavailable:
        told = f"{self.place} did not answer: {' '.join(str(error.orig).split())}"
        if self.is_passing(error):
            return Interrupted(told)
        if error.connection_invalidated:
            if time.monotonic() - started < REST_SECONDS:
                return Interrupted(told)  # it had died before, most likely while it waited in the pool
            self._rest()  # it was silent for long: do not ask again at once
        return StoreUnavailable(told)

    @contextmanager
    def write(self, durable: bool = True, alone: bool = False) -> Iterator[Connection]:
        """One transaction; every commit waits for the server's disk (see `docs/databases.md`)."""
        with self._connection(self._writers) as connection:
            yield connection
            try:
                connection.commit()
            except DBAPIError as error:  # whether it happened is not known, so it must not run again
                connection.invalidate()  # nor may it be finished, or hold its locks, in the pool
                if self.is_passing(error):
                    raise
                raise StoreUnavailable(f"{self.place}: the answer to a commit was lost: {error.orig}") from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for single SELECTs."""
        with self._connection(self._readers) as connection:
            yield connection

    def close(self) -> None:
        self._pulse.close()
        for engine in (self._readers, self._writers):
            engine.dispose()

    # -- the schema

    def advice(self) -> Sequence[str]:
        """What makes the server forget commits that it has answered."""
        with self.read() as connection:
            return [
                f"{name} is {value}: a crash of the server may undo revocations that were answered; set it to {wanted}"
                for name, statement, wanted in self.durability
                if (value := str(connection.execute(text(statement)).scalar())).lower() not in wanted.split(" or ")
            ]

    def check_place(self) -> None:
        """Nothing: `version` says what is wrong with it."""

    @contextmanager
    def changing_the_schema(self) -> Iterator[Connection]:
        """A connection that no other process has at the same time."""
        with self._connection(self._readers) as connection:
            self.lock_schema(connection)
            try:
                yield connection
            finally:
                connection.invalidate()  # and the lock with it

    def version(self, connection: Connection) -> int:
        """The schema version; 0 where none of our tables is there yet."""
        found = set(inspect(connection).get_table_names())
        if meta.name not in found:
            strange = sorted(found.intersection(metadata.tables))
            if strange:
                raise ConfigurationError(
                    f"database: {self.place} has a table {strange[0]} that is not of this gateway; use another database"
                )
            return 0
        recorded = connection.execute(select(meta.c.value).where(meta.c.realm == REALM, meta.c.name == "schema")).scalar()
        return int(recorded or 0)

    def set_version(self, connection: Connection, version: int) -> None:
        values = {"realm": REALM, "name": "schema", "value": str(version)}
        if not add_row(connection, meta, values):
            connection.execute(update(meta).where(meta.c.realm == REALM, meta.c.name == "schema").values(value=str(version)))

    # -- the epoch

    def epoch(self) -> bytes:
        return self._pulse.epoch()

    def last_epoch(self) -> bytes:
        return self._pulse.last()

    def _ask(self, connection: Any) -> tuple[Any, bytes]:
        """The epoch, and the connection to ask on the next time."""
        for last in (connection is None, True):
            started = time.monotonic()
            try:
                if connection is None:
                    connection = self._creator()
                return connection, self.ask(connection)
            except StoreUnavailable:
                raise
            except Exception as error:
                if connection is not None:
                    with suppress(Exception):
                        connection.close()
                    if time.monotonic() - started >= REST_SECONDS:
                        self._rest()
                connection = None
                if last or time.monotonic() - started >= REST_SECONDS:
                    raise StoreUnavailable(f"{self.place} did not answer: {error}") from error
        raise StoreUnavailable(f"{self.place} did not answer")

    def new_epoch(self) -> None:
        """The transaction of a revocation has changed the row that `epoch` reads; tell this process at once."""
        self._pulse.hear()

    def watch(self) -> bool:
        """Ask for the epoch; whether it is another one than the last time."""
        return self._pulse.ask()
