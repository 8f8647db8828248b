"""What every part of the store does with its records: look, or write and run again after a conflict."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ...errors import StoreUnavailable
from ..kinds import Record
from .primitives import Conflict, Records, Writer

TRIES = 60
FIRST_PAUSE = 0.0005  # seconds; twice as long after each conflict, up to LONGEST_PAUSE
LONGEST_PAUSE = 0.03
Result = TypeVar("Result")


class Part:
    """Some of the methods of a store over `records`."""

    records: Records

    def _get(self, kind: str, *key: object) -> Record | None:
        with self.records.reading() as reader:
            return reader.get(kind, *key)

    def _write(self, now: float, work: Callable[[Writer], Result]) -> Result:
        """Run `work` in a transaction, and again where another one came first: it must do nothing but by its Writer."""
        pause = FIRST_PAUSE
        for _ in range(TRIES):
            try:
                with self.records.writing(now) as writer:
                    return work(writer)
            except Conflict as conflict:
                last = conflict
                time.sleep(pause * random.random())  # noqa: S311 - so that those who met do not meet again
                pause = min(2 * pause, LONGEST_PAUSE)
        raise StoreUnavailable("the database is busy: others changed the same records again and again") from last


def changed(record: Record, **values: Any) -> Record:
    """The record with these values in place of its own."""
    record.update(values)
    return record
