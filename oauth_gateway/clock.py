"""The one time source: seconds since the epoch that never step back within a process.

Everything that remembers or compares a time takes it as an argument; only the outermost callers ask `now()`. Tests put
their own source in (`oauth_gateway.testing.frozen_time`), so that nothing has to sleep.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_source: Callable[[], float] = time.time
_latest = 0.0


def now() -> float:
    """Seconds since 1970, at least as late as the last answer: a clock set back must not revive what has expired."""
    global _latest
    current = _source()
    if current > _latest:
        _latest = current
    return _latest


class Since:
    """A moment, and how long ago it was by the clock that says more: `now()` waits after a step back, the other one sleeps with
    its machine.
    """

    __slots__ = ("_by", "_now")

    def __init__(self, now: float) -> None:
        self._now = now
        self._by = time.monotonic()

    def age(self, now: float) -> float:
        return max(now - self._now, time.monotonic() - self._by)


def replace_source(source: Callable[[], float] | None) -> None:
    """Take the time from `source`, or from the system again with None; for tests."""
    global _source, _latest
    _source = source or time.time
    _latest = 0.0
