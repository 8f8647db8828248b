"""The epoch of a store that is asked over a network: at every request, or now and then with a push in between.

A question that is asked after somebody came answers that one too, so threads that wait together cost one question.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any

from ..errors import StoreUnavailable

log = logging.getLogger("oauth_gateway")
REST_SECONDS = 1.0  # between two tries of a listener to connect
Listen = Callable[[Callable[[], None], threading.Event], None]


class Pulse:
    """`ask(connection)` gives (connection, epoch) or raises StoreUnavailable; `listen(heard, closed)` calls `heard` for every
    push, and once when it has begun to hear, until `closed` is set, and raises when the connection is lost.
    """

    def __init__(self, ask: Callable[[Any], tuple[Any, bytes]], listen: Listen | None, patience: float) -> None:
        self._ask = ask
        self._listen = listen
        self._patience = patience
        self._lock = threading.Lock()
        self._connection: Any = None
        self._asked = 0  # questions begun; each is over when the lock is free
        self._answer: bytes | StoreUnavailable = b""
        self._news = threading.Lock()
        self._pushes = 0
        self._polled = b""
        self._last = b""
        self._closed = threading.Event()
        self._listener: threading.Thread | None = None

    def epoch(self) -> bytes:
        """The epoch as it is now: what was read after this call began."""
        before = self._asked
        if not self._lock.acquire(timeout=self._patience):
            raise StoreUnavailable("the database is slow: others have waited for its answer for too long")
        try:
            if self._asked == before:
                self._asked += 1
                connection, self._connection = self._connection, None
                # for those who wait, where this thread is killed
                self._answer = StoreUnavailable("the question was interrupted")
                try:
                    self._connection, self._answer = self._ask(connection)
                except StoreUnavailable as error:
                    self._connection, self._answer = None, error
            answer = self._answer
        finally:
            self._lock.release()
        if isinstance(answer, StoreUnavailable):
            raise StoreUnavailable(str(answer)) from answer
        return answer

    def ask(self) -> bool:
        """Read the epoch for `last`; whether it is another one than the last time it was read so."""
        now = self.epoch()
        with self._news:
            changed, self._polled = now != self._polled, now
            self._last = b"%b.%d" % (now, self._pushes)
        return changed

    def last(self) -> bytes:
        """The epoch as far as this process was told; another one after every push."""
        if self._listener is None and self._listen is not None:
            self._start()
        return self._last

    def _start(self) -> None:
        with self._news:
            if self._listener is None:
                self._listener = threading.Thread(
                    target=self._run, args=(self._closed,), name="oauth_gateway listener", daemon=True
                )
                self._listener.start()

    def _run(self, closed: threading.Event) -> None:
        listen = self._listen
        while listen is not None and not closed.is_set():
            try:
                listen(self.hear, closed)
            except Exception as error:  # polling goes on without it
                log.warning("the push of revocations is interrupted: %s", type(error).__name__)
            closed.wait(REST_SECONDS)

    def hear(self) -> None:
        """There is something new: `last` is another one from here on."""
        with self._news:
            self._pushes += 1
            self._last = b"%b.%d" % (self._polled, self._pushes)

    def close(self) -> None:
        """Close what is open; the next question opens it again."""
        with self._news:
            self._closed.set()
            self._closed, self._listener = threading.Event(), None
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def abandon(self) -> None:
        """In a forked child: the parent's connection must not be closed from here, nor its objects be collected."""
        _abandoned.append(self)


_abandoned: list[Pulse] = []
