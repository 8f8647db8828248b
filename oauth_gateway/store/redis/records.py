"""Records in Redis: the transactions, the epoch, and whether it is still the same database."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import StoreUnavailable
from ...forks import reset_in_children
from ..records import Reader, Records, Writer
from .demands import demand, information
from .layout import Layout
from .link import Link, packed
from .listener import Listener
from .transactions import AnotherDatabase, Transaction

LOOK_SECONDS = 10.0  # between two looks at whether the server still keeps everything
_abandoned: list[object] = []


class RedisRecords(Records):
    """See `oauth_gateway.store.redis`."""

    poll = 1.0  # there is push

    def __init__(self, url: str, strict: bool, tag: str) -> None:
        self._link = Link(url)
        self._strict = strict
        self._layout = Layout(tag, self._link.database)
        self._get_epoch = packed("GET", self._layout.epoch)
        self._get_identity = packed("GET", self._layout.identity)
        self._reset()
        reset_in_children(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._identity: bytes | None = None  # of the database that writes are meant for
        self._watched: bytes | None = None  # of the one that was watched last
        self._look_due = 0.0
        self._heard = b""
        self._listener: Listener | None = None

    def reset(self) -> None:
        """Forget, in a forked child, all that the parent opened, without closing it."""
        _abandoned.append(self._listener)
        self._link.reset()
        self._reset()

    def check(self) -> None:
        demand(self._link, self._strict)

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

    def _identify(self) -> bytes:
        identity = self._identity
        if identity is None:
            (identity,) = self._link.ask(self._get_identity)
            if identity is None:
                raise StoreUnavailable("Redis holds no database of ours, or no longer")
            self._identity = identity
        return identity

    def epoch(self) -> bytes:
        (epoch,) = self._link.ask(self._get_epoch)
        if epoch is None:
            raise StoreUnavailable("Redis holds no database of ours, or no longer")
        return bytes(epoch)

    def last_epoch(self) -> bytes:
        if self._listener is None:
            self._listen()
        return self._heard

    def _listen(self) -> None:
        with self._lock:
            if self._listener is None:
                self._listener = Listener(self._link, self._layout.channel, self.epoch, self._hear)

    def _hear(self, epoch: bytes) -> None:
        self._heard = epoch

    def watch(self) -> bool:
        """Whether something changed; raises where it is another database, once, and where the server may forget, until not."""
        epoch, identity = self._link.ask(self._get_epoch, self._get_identity)
        known, self._watched = self._watched, identity
        if epoch is None or identity is None:
            raise StoreUnavailable("Redis holds no database of ours, or no longer")
        if known not in (None, identity):
            raise StoreUnavailable("Redis holds another database than a moment ago")
        self._look()
        changed = bool(epoch != self._heard)
        self._heard = epoch
        return changed

    def _look(self) -> None:
        now = time.monotonic()
        if now < self._look_due:
            return
        policy = information(self._link, "memory").get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            raise StoreUnavailable(f"Redis's maxmemory-policy became {policy!r}: it forgets what was used and revoked")
        self._look_due = now + LOOK_SECONDS

    def close(self) -> None:
        with self._lock:
            if self._listener is not None:
                self._listener.stop()
                self._listener = None
        self._link.close()
