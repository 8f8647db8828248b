"""Commits reach the disk before they are answered, and those that wait at the same time share one flush (group commit).

SQLite's own synchronous=FULL flushes its write-ahead log at every commit, while the next writer waits. Here every commit is
made with NORMAL, which writes the same log in the same order and flushes it before it is copied into the database; whoever
must be durable then flushes the log once more, after the write lock was given back
(https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress

from ..errors import StoreUnavailable
from .epoch import place_of

WAIT_SECONDS = 5.0


class Flush:
    """Of one process. `copy_all` brings the whole log into the database and that onto the disk."""

    def __init__(self, log: str, copy_all: Callable[[], None]) -> None:
        self._log = log
        self._copy_all = copy_all
        self._turn = threading.Lock()
        self._handle = -1
        self._place: tuple[int, int] | None = None
        self._written = 0  # commits of this process that must be durable
        self._kept = 0  # of these, how many are known to be on the disk
        self._doubtful = False  # a flush failed: the next one may say that all is well when it is not

    def wrote(self) -> int:
        """Called with the write lock held, after a commit that must be durable: its number."""
        self._written += 1
        return self._written

    def wait(self, number: int) -> None:
        """Return when that commit is on the disk; raises StoreUnavailable where this cannot be said."""
        if not self._turn.acquire(timeout=WAIT_SECONDS):
            raise StoreUnavailable("the disk is busy: a commit was not flushed in time")
        try:
            if self._kept < number:
                latest = self._written  # before the flush: those who commit meanwhile wait for the next one
                self._flush()
                self._kept = latest
        finally:
            self._turn.release()

    def _flush(self) -> None:
        if self._doubtful:
            self._copy_all()
            self._doubtful = False
            return
        try:
            os.fdatasync(self._opened())
        except OSError:
            self._doubtful = True
            raise

    def _opened(self) -> int:
        """The log's own file, which SQLite may have made anew."""
        place = place_of(self._log)
        if place != self._place:
            self.close()
            self._handle = os.open(self._log, os.O_RDONLY)
            self._place = place
        return self._handle

    def close(self) -> None:
        """SQLite locks nothing on this file, so that closing it releases none of its locks."""
        if self._handle >= 0:
            with suppress(OSError):
                os.close(self._handle)
        self._handle, self._place = -1, None
