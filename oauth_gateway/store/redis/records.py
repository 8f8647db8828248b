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
from .transactions import AnotherDatabase, Transaction

LOOK_SECONDS = 10.0  # between two looks at whether the server still keeps everything


class RedisRecords(Records):
    """See `oauth_gateway.store.redis`."""

    poll = 1.0  # there is push

    def __init__(self, url: str, strict: bool, tag: str) -> None:
        self._link = Link(url)
        self._strict = strict
        self._layout = Layout(tag, self._link.database)
        self._get_feed = packed("GET", self._layout.feed)
        self._get_identity = packed("GET", self._layout.identity)
        self.place = self._link.place
        self._reset()
        reset_in_children(self)

    def _reset(self) -> None:
        self._identity: bytes | None = None  # of the database that writes are meant for
        self._watched: bytes | None = None  # of the one that was watched last
        self._look_due = 0.0
        self._pulse = Pulse(self._ask, self._listen, 2 * TIMEOUT)

    def reset(self) -> None:
        """Forget, in a forked child, all that the parent opened, without closing it."""
        self._pulse.abandon()
        self._link.reset()
        self._reset()

    def check(self) -> None:
        demand(self._link, self._strict)

    def advice(self) -> Sequence[str]:
        return demand(self._link, self._strict)

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        yield Transaction(self._link, self._layout, 0, self._identify)

    @contextmanager
    def writing(self, now: float) -> Iterator[Writer]:
        transaction = Transaction(self._link, self._layout, now, self._identify)
        yield transaction
        try:
            transaction.commit()
        except AnotherDatabase:
            self._identity = None
            raise
        if transaction.has_told:
            self._pulse.hear()

    def _identify(self) -> bytes:
        identity = self._identity
        if identity is None:
            (identity,) = self._link.ask(self._get_identity)
            if identity is None:
                raise StoreUnavailable(f"{self.place}: there is no database of ours, or no longer")
            self._identity = identity
        return identity

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
        """Whether something changed; raises where it is another database, once, and where the server may forget, until not."""
        (identity,) = self._link.ask(self._get_identity)
        known, self._watched = self._watched, identity
        if known not in (None, identity):
            raise StoreUnavailable(f"{self.place}: there is another database than a moment ago, or none")
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
