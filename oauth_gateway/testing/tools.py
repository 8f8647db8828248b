"""A clock that tests set, and calls that start together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .. import clock

NOW = 1_800_000_000.0


class Clock:
    """The time that the gateway sees; it moves when told to."""

    def __init__(self, start: float) -> None:
        self.time = start

    def __call__(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += seconds


@contextmanager
def frozen_time(start: float = NOW) -> Iterator[Clock]:
    """Within it `oauth_gateway.clock.now()` is the yielded clock's time."""
    source = Clock(start)
    clock.replace_source(source)
    try:
        yield source
    finally:
        clock.replace_source(None)


def race(*calls: Callable[[], object]) -> list[object]:
    """Run the calls in threads that start together; their results, in order. An exception is a result too."""
    barrier = threading.Barrier(len(calls))
    results: list[object] = [None] * len(calls)

    def run(index: int, call: Callable[[], object]) -> None:
        barrier.wait()
        try:
            results[index] = call()
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(i, call)) for i, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
