"""The epoch of an SQLite database: a few bytes beside the file, which every process of the machine maps."""

from __future__ import annotations

import mmap
import operator
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from . import EPOCH_BYTES, UNTOLD


class Epoch:
    """Opened at its first use; for a database in memory (`path` None) bytes of this process."""

    def __init__(self, path: Path | None) -> None:
        self._path = None if path is None else f"{path}-epoch"
        self._lock = threading.Lock()
        self._shared: mmap.mmap | bytearray | None = None
        self._read: Callable[[], Any] | None = None
        self._place: tuple[int, int] | None = None

    @property
    def read(self) -> Callable[[], bytes]:
        """A function that gives the bytes as they are now. Once the file is open it is none of Python's: every request of the
        app calls it, and then it takes less than 0.1 µs.
        """
        return self._read or self._open_and_read

    def change(self) -> None:
        self._mapped()[:EPOCH_BYTES] = os.urandom(EPOCH_BYTES)

    def announce(self) -> None:
        """Have nobody trust what they know until `change` is called."""
        self._mapped()[:EPOCH_BYTES] = UNTOLD

    def finish(self) -> None:
        """Called by who holds the write lock: whoever announced something has ended without calling `change`."""
        if self._shared is not None and self._shared[:EPOCH_BYTES] == UNTOLD:
            self.change()

    def is_in_place(self) -> bool:
        """Whether the file that is mapped is the one at the path; raises FileNotFoundError."""
        return self._path is None or place_of(self._path) == self._place

    def _open_and_read(self) -> bytes:
        self._mapped()
        return self.read()

    def _mapped(self) -> mmap.mmap | bytearray:
        if self._shared is not None:
            return self._shared
        with self._lock:
            if self._shared is None:
                shared = bytearray(EPOCH_BYTES) if self._path is None else self._map(self._path)
                self._read = partial(operator.getitem, shared, slice(EPOCH_BYTES))
                self._shared = shared
            return self._shared

    def _map(self, path: str) -> mmap.mmap:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._place = place_of(handle)
            if os.fstat(handle).st_size < EPOCH_BYTES:
                os.ftruncate(handle, EPOCH_BYTES)
            return mmap.mmap(handle, EPOCH_BYTES)
        finally:
            os.close(handle)


def place_of(file: str | Path | int) -> tuple[int, int]:
    """Device and inode of a path or an open file: whether two are the same file."""
    found = os.stat(file)
    return found.st_dev, found.st_ino
