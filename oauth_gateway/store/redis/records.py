"""Records in Redis: the transactions, the epoch, and whether it is still the same database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ...errors import StoreUnavailable
from ...forks import reset_in_children
from ..pulse import Pulse
from ..records import Reader, Records, Writer
from .demands import demand, information
from .layout import Layout
from .link import TIMEOUT, Link, packed
from .listener import listen
from .transactions import Transaction

LOOK_SECONDS = 10.0  # between two looks at whether the server still keeps everything


class RedisRecords(Records):
    """See `oauth_gateway.store.redis`."""

    poll = 1.0  # there is push

    def __init__(self, url: str, strict: bool, tag: str) -> None:
        self._link = Link(url)
        self._strict = strict
        self._layout = Layout(tag, self._link.database)
        self._get_feed = packed("GET", self._layout.feed)
        self.place = self._link.place
        self._reset()
        reset_in_children(self)

    def _reset(self) -> None:
        self._look_due = 0.0
        self._pulse = Pulse(self._ask, self._listen, 2 * TIMEOUT)

    def reset(self) -> None:
        """Forget, in a forked child, all that the parent opened, without closing it."""
        self._pulse.abandon()
        self._link.reset()
        self._reset()

    def check(self) -> None:
        self.advice()

    def advice(self) -> Sequence[str]:
        self._link.ask(self._get_feed)  # in a cluster this leads to the node whose settings count
        return demand(self._link, self._strict)

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        yield Transaction(self._link, self._layout)

    @contextmanager
    def writing(self, now: float) -> Iterator[Writer]:
        transaction = Transaction(self._link, self._layout, now)
        yield transaction
        transaction.commit()
        if transaction.has_told:
            self._pulse.hear()

    # -- the epoch is the feed's record as it stands there: every `announce` changes it

    def epoch(self) -> bytes:
        return self._pulse.epoch()

    def last_epoch(self) -> bytes:
        return self._pulse.last()

    def _ask(self, _: object) -> tuple[object, bytes]:
        (feed,) = self._link.ask(self._get_feed)
        if feed is None:
            raise StoreUnavailable(f"{self.place}: there is no database of ours, or no longer")
        return None, bytes(feed)

    def _listen(self, heard: Callable[[], None], closed: threading.Event) -> None:
        listen(self._link, self._layout.channel, heard, closed)

    def watch(self) -> bool:
        """Whether something changed; raises while there is no database of ours or the server may forget."""
        self._look()
        return self._pulse.ask()

    def _look(self) -> None:
        now = time.monotonic()
        if now < self._look_due:
            return
        policy = information(self._link, "memory").get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            raise StoreUnavailable(f"{self.place}: maxmemory-policy became {policy!r}, which forgets what was used and revoked")
        self._look_due = now + LOOK_SECONDS

    def close(self) -> None:
        self._pulse.close()
        self._pulse = Pulse(self._ask, self._listen, 2 * TIMEOUT)
        self._link.close()
