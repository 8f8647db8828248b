"""Work in a process that may be killed in its middle."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import traceback
from collections.abc import Callable
from typing import Any

Tell = Callable[[Any], object]


def die(_: Exception) -> None:
    """No handler, no `finally`, no flush."""
    os.kill(os.getpid(), signal.SIGKILL)


def in_a_child(work: Callable[[Tell], None]) -> tuple[list[Any], bool]:
    """Run `work(tell)` in a forked process: what it told until it ended, and whether it was killed.

    Raises AssertionError with its traceback where it ended by an exception.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _be_the_child(work, reading, writing)
    os.close(writing)
    told: list[Any] = []
    with os.fdopen(reading, "rb") as pipe:
        while True:
            try:
                told.append(pickle.load(pipe))
            except EOFError:
                break
    status = os.waitpid(child, 0)[1]
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert killed or status == 0, f"the child failed: {told[-1:]}"
    return told, killed


def _be_the_child(work: Callable[[Tell], None], reading: int, writing: int) -> None:
    gc.disable()  # which would touch, and so copy, all that the parent has
    status = 1
    try:
        os.close(reading)
        with os.fdopen(writing, "wb", buffering=0) as pipe:
            try:
                work(lambda message: pipe.write(pickle.dumps(message)))
                status = 0
            except BaseException:
                pipe.write(pickle.dumps(("failed", traceback.format_exc())))
    finally:
        os._exit(status)
