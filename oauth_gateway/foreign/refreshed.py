"""Something of another server's, read in the background ahead of its age: who asks for it waits only where there is none."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..clock import Since
from ..errors import IssuerUnavailable
from ..fetch import FetchError
from ..forks import reset_in_children

log = logging.getLogger("oauth_gateway")
Value = TypeVar("Value")
AHEAD_SECONDS = 240  # of age, after which it is read again meanwhile
FRESH_SECONDS = 300  # of age, after which a request waits for that, unless the last reading failed
OLDEST_SECONDS = 3600  # for which it is good while it cannot be read again
AGAIN_SECONDS = 10  # between two readings for what is not in it; a second after one that failed where there is none
PATIENCE = 1.0  # seconds for which a request waits, from the beginning of the reading


@dataclass(frozen=True, slots=True)
class _Kept(Generic[Value]):
    value: Value
    read: Since


class _Reading:
    """One that is under way: `done` is set at its end, `failure` says why it brought nothing."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.done = threading.Event()
        self.failure = ""

    def patience(self) -> float:
        """The seconds for which a request may still wait."""
        return max(0.0, self.began + PATIENCE - time.monotonic())


class Refreshed(Generic[Value]):
    """The value that `read(now)` gives, which may take its time and raises FetchError; one reading at a time.

    Raises IssuerUnavailable where there is none, at once while one that began PATIENCE ago goes on.
    """

    def __init__(self, name: str, read: Callable[[float], Value]) -> None:
        self._name = name
        self._read = read
        self.reset()
        reset_in_children(self)

    def reset(self) -> None:
        """Know nothing: at first and in a forked child."""
        self._lock = threading.Lock()
        self._kept: _Kept[Value] | None = None
        self._reading: _Reading | None = None
        self._last: _Reading | None = None
        self._asked: Since | None = None
        self._failed = False

    def get(self, now: float) -> Value:
        """What is known: at most FRESH_SECONDS old where its server answers, and at most OLDEST_SECONDS where it does not."""
        kept = self._kept
        age = kept.read.age(now) if kept is not None else OLDEST_SECONDS
        if kept is not None and age < AHEAD_SECONDS:
            return kept.value
        if kept is not None and age < OLDEST_SECONDS:
            failed = self._failed
            reading = self._begin(now, AGAIN_SECONDS)
            if age >= FRESH_SECONDS and not failed:
                reading.done.wait(reading.patience())
            return (self._kept or kept).value
        return self._wait(self._begin(now, 1), now).value

    def newer(self, now: float) -> Value | None:
        """What is there now, for something that is not in what `get` gave; None where it was asked for just before."""
        with self._lock:
            idle = self._reading is None and self._last is not None and not self._last.failure
            if idle and self._asked_within(AGAIN_SECONDS, now):
                return None
        reading = self._begin(now, AGAIN_SECONDS)
        kept = self._wait(reading, now)
        if reading.failure:
            raise IssuerUnavailable(f"{self._name}: {reading.failure}")
        return kept.value

    def _begin(self, now: float, again: float) -> _Reading:
        """The reading that is under way, or a new one; where the last one was too recent, that."""
        with self._lock:
            if self._reading is None and self._last is not None and self._asked_within(again, now):
                return self._last
            if self._reading is None:
                self._reading = self._last = _Reading()
                self._asked = Since(now)
                self._start(self._reading, now)
            return self._last or self._reading

    def _asked_within(self, seconds: float, now: float) -> bool:
        return self._asked is not None and self._asked.age(now) < seconds

    def _start(self, reading: _Reading, now: float) -> None:
        thread = threading.Thread(target=self._work, args=(reading, now), name="oauth_gateway issuer", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            reading.failure = "no thread could be started"
            self._reading = None
            reading.done.set()

    def _work(self, reading: _Reading, now: float) -> None:
        reading.failure = "the reading broke off"
        try:
            began = Since(now)
            self._kept = _Kept(self._read(now), began)
            reading.failure = ""
        except FetchError as error:
            reading.failure = str(error)
            log.warning("%s: %s", self._name, error)
        finally:
            with self._lock:
                self._reading = None
                self._failed = bool(reading.failure)
            reading.done.set()

    def _wait(self, reading: _Reading, now: float) -> _Kept[Value]:
        reading.done.wait(reading.patience())
        kept = self._kept
        if not reading.done.is_set() or kept is None or kept.read.age(now) >= OLDEST_SECONDS:
            raise IssuerUnavailable(f"{self._name}: {reading.failure or 'it has not answered yet'}")
        return kept
