"""SQLite for one machine: a writer behind a lock, a few readers, and the epoch that every process maps.

Nothing is opened before its first use, and what a process opened is abandoned, not closed, in a child that it forks:
closing would release the parent's locks (https://www.sqlite.org/howtocorrupt.html, section 2.6).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from ..errors import ConfigurationError, StoreUnavailable
from ..forks import reset_in_children
from . import UNTOLD
from .epoch import Epoch, place_of
from .flush import Flush
from .prepared import drive
from .transaction import Reading, Writing, WritingOnce, translate, translated

BUSY_SECONDS = 5
_abandoned: list[object] = []


class Database:
    """Connections to one SQLite file, or to one database in memory where `path` is None."""

    poll = 1.0
    epoch_is_near = True
    binary_collation: str | None = None

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.place = str(path) if path else "the database in memory"
        self.engine = create_engine(
            "sqlite://", creator=self._open, poolclass=NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True
        )
        reset_in_children(self)
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._watch_lock = threading.RLock()  # its own: a cached token does not wait for writers
        self._file: tuple[int, int] | None = None
        self._writer: Connection | None = None
        self.readers: deque[Connection] = deque()
        self._watcher: sqlite3.Connection | None = None
        self._data_version = 0
        self._epoch = Epoch(self.path)
        self.flush = None if self.path is None else Flush(f"{self.path}-wal", self._copy_log)

    def reset(self) -> None:
        """Forget, in a forked child, all that the parent opened, without closing it."""
        _abandoned.append((self._writer, self.readers, self._watcher, self._epoch, self.flush, self._lock, self._watch_lock))
        self._reset()

    def connect(self) -> Connection:
        return drive(self.engine.connect())

    def _open(self) -> sqlite3.Connection:
        if self.path is None:
            connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        else:
            if not self.path.exists():
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            connection = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None, cached_statements=256
            )
        if self.path is not None and self._file is None:
            self._file = place_of(self.path)
        connection.execute("PRAGMA synchronous=NORMAL")  # and what must be durable waits for a flush
        connection.execute("PRAGMA wal_autocheckpoint=4000")
        return connection

    def write(self, durable: bool = True, alone: bool = False) -> AbstractContextManager[Connection]:
        """A transaction that holds the write lock from its start; one statement needs none, unless there is an announcement
        that whoever writes next has to finish.
        """
        return WritingOnce(self, durable) if alone and not self.is_announced() else Writing(self, durable)

    def take_turn(self) -> None:
        """The writer's lock, waited for no longer than SQLite's own: threads must not queue up behind a locked file."""
        if not self._lock.acquire(timeout=BUSY_SECONDS):
            raise StoreUnavailable("the database is busy: other writers did not finish in time")

    def give_turn(self) -> None:
        self._lock.release()

    def writer(self) -> Connection:
        """The one connection that writes; whoever asks holds the lock."""
        if self._writer is None:
            self._writer = self.connect()
        return self._writer

    def refuse_another_file(self) -> None:
        """A write into a file that is no longer the database would be answered and lost."""
        if self.path is None:
            return
        found = place_of(self.place)
        if self._file is None:
            self._file = found
        if self._file != found:
            raise StoreUnavailable(f"{self.path} was replaced while it was in use")

    def roll_back(self, connection: Connection) -> None:
        try:
            connection.exec_driver_sql("ROLLBACK")
        except DBAPIError:
            if self.path is not None:  # the connection is of no more use; the next write opens another
                self._writer = None
                connection.close()

    def _copy_log(self) -> None:
        """Bring everything that is in the log into the database, and that onto the disk."""
        with closing(self._open()) as connection:
            busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise StoreUnavailable(f"{self.path}: the disk refused a commit, and others are still reading the log")

    def read(self) -> AbstractContextManager[Connection]:
        """A connection for single SELECTs."""
        return self._reading_memory() if self.path is None else Reading(self)

    @contextmanager
    def _reading_memory(self) -> Iterator[Connection]:
        with translated, self._lock:
            yield self.writer()

    # -- the schema

    def check_place(self) -> None:
        """Raise ConfigurationError where no file of ours could be, or where it is another program's."""
        if self.path is None:
            return
        if not self.path.parent.is_dir():
            raise ConfigurationError(f"database: the folder {self.path.parent} does not exist; create it first")
        if not os.access(self.path.parent, os.W_OK):
            raise ConfigurationError(
                f"database: the folder {self.path.parent} is not writable; SQLite keeps files beside {self.path.name}"
            )
        if self.path.is_dir():
            raise ConfigurationError(f"database: {self.path} is a folder; name a file")

    def advice(self) -> Sequence[str]:
        return ()

    @contextmanager
    def changing_the_schema(self) -> Iterator[Connection]:
        """A connection that no other process has at the same time: create_all and the switch to WAL do not wait."""
        with translated:
            if self.path is None:
                with self._lock, self.read() as connection:
                    yield connection
                return
            lock = os.open(f"{self.path}-lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                connection = self.connect()
                try:
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                    yield connection
                finally:
                    connection.close()
            finally:
                os.close(lock)

    def version(self, connection: Connection) -> int:
        """The schema version of the file; 0 where it has none of our tables yet."""
        version = int(connection.execute(text("PRAGMA user_version")).scalar_one())
        ours = connection.execute(text("SELECT 1 FROM sqlite_master WHERE name = 'oauth_meta'")).first() is not None
        if version and not ours:  # another program may number its schema in the same place
            raise ConfigurationError(f"database: {self.path} is another program's SQLite file; name another file")
        return version

    def set_version(self, connection: Connection, version: int) -> None:
        connection.exec_driver_sql(f"PRAGMA user_version={version}")

    # -- the epoch and the watch

    def announce(self, connection: Connection) -> None:
        """Have everybody look for what is about to be committed, until `new_epoch` tells that it is there."""
        self._epoch.announce()

    def is_announced(self) -> bool:
        """Whether somebody announced what is not told yet."""
        try:
            return self._epoch.read() == UNTOLD
        except OSError as error:
            translate(error)
            raise

    def finish_announcement(self) -> None:
        """Called by who holds the write lock: see Epoch.finish."""
        self._epoch.finish()

    @property
    def epoch(self) -> Callable[[], bytes]:
        """Gives the bytes that every revocation changes."""
        return self._epoch.read

    last_epoch = epoch  # always the present one

    def new_epoch(self) -> None:
        """Called after the commit of every revocation and before it is answered."""
        self._epoch.change()

    def _is_the_same(self) -> bool:
        try:
            found = os.stat(self.place)
            return (found.st_dev, found.st_ino) == self._file and found.st_size > 0 and self._epoch.is_in_place()
        except FileNotFoundError:
            return False

    def watch(self) -> bool:
        """Whether another process committed since the last call; raises where the file was replaced or is gone."""
        if self.path is None:
            return False
        with translated, self._watch_lock:
            if self._file is None:
                self._file = place_of(self.place)
            self._epoch.read()
            if not self._is_the_same():
                self.take_turn()
                try:
                    self._replaced()
                finally:
                    self.give_turn()
                raise StoreUnavailable(f"{self.path} was replaced while it was in use")
            if self._watcher is None:
                self._watcher = self._open()
            version = int(self._watcher.execute("PRAGMA data_version").fetchone()[0])
            changed, self._data_version = version != self._data_version, version
            return changed

    def _replaced(self) -> None:
        """Let go of a file that is no longer the database; what comes next opens the one at the path."""
        with suppress(IndexError):  # one by one: those that others have in hand are theirs, and theirs to close
            while True:
                self.readers.pop().close()
        if self._writer is not None:
            self._writer.close()
        if self._watcher is not None:
            self._watcher.close()
        locks = self._lock, self._watch_lock
        self._reset()
        self._lock, self._watch_lock = locks

    def close(self) -> None:
        with self._lock:
            self._replaced()
