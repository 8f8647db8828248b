"""A breaker before another server: after a few failures in a row nobody waits for it, save one who tries now and then."""

from __future__ import annotations

import math
import threading

from ..errors import IssuerUnavailable
from ..forks import reset_in_children

FAILURES = 3  # in a row, before it opens
FIRST_PAUSE = 2.0  # seconds; twice as long after each try that failed, up to LONGEST_PAUSE
LONGEST_PAUSE = 30.0


class Breaker:
    """`enter` before a question, then `succeeded` or `failed`; times are `clock.now()`'s."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.reset()
        reset_in_children(self)

    def reset(self) -> None:
        """Closed: at first and in a forked child."""
        self._lock = threading.Lock()
        self._failures = 0
        self._pause = 0.0
        self._until = 0.0
        self._trying = False

    def enter(self, now: float) -> None:
        """Raise IssuerUnavailable while it is open; where the pause is over, whoever comes first tries for all."""
        with self._lock:
            if now < self._until:
                left = math.ceil(self._until - now)
                raise IssuerUnavailable(f"{self._name}: not asked for {left} more seconds, since it failed", left)
            if self._failures >= FAILURES:
                self._trying = True
                self._until = now + self._pause

    def succeeded(self) -> None:
        with self._lock:
            self._failures, self._pause, self._until, self._trying = 0, 0.0, 0.0, False

    def failed(self, now: float) -> None:
        with self._lock:
            self._failures += 1
            if self._failures == FAILURES or self._trying:  # else it was asked before the breaker opened
                self._trying = False
                self._pause = min(2 * self._pause or FIRST_PAUSE, LONGEST_PAUSE)
                self._until = now + self._pause
