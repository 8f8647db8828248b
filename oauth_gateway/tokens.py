"""Access tokens on protected requests: found in the cache, and never staler than the change feed.

The four rules, each of which was seen to matter under a race:
(a) compare the epoch first, then look in the cache;
(b) read the epoch, then the feed, apply it under the lock, and only then remember that epoch as applied;
(c) on a miss read the feed's head with the row, and cache it only if nothing newer was applied meanwhile;
(d) a revocation is commit, then epoch, then answer.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

import cachetools

from .errors import StoreUnavailable
from .forks import reset_in_children
from .models import Token
from .sealing import Sealer
from .store import Store

log = logging.getLogger("oauth_gateway")
WATCH_SECONDS = 1.0


class _Evicting(cachetools.FIFOCache):  # type: ignore[type-arg]
    """First in, first out: a hit moves nothing, so hits can read a plain dict without the lock."""

    def __init__(self, maxsize: int, evicted: object) -> None:
        super().__init__(maxsize)
        self._evicted = evicted

    def popitem(self) -> tuple[str, Token]:
        item: tuple[str, Token] = super().popitem()
        self._evicted(*item)  # type: ignore[operator]
        return item


class Tokens:
    """Finds the access token behind an `Authorization` header.

    `audience` is the only one accepted; `grace` is None for strict revocation, which asks for the epoch at every request, else
    the seconds for which remembered tokens are trusted after the store was last asked. `effective` adds what scopes imply,
    `forget_keys` is called when a signing key was changed.
    """

    def __init__(
        self,
        store: Store,
        sealer: Sealer,
        *,
        audience: str,
        issuer: str,
        size: int,
        grace: int | None,
        effective: Callable[[frozenset[str]], frozenset[str]] = frozenset,
        forget_keys: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._audience = audience
        self._issuer = issuer
        self._size = size
        self._grace = grace
        self._effective = effective
        self._forget_keys = forget_keys
        self._watch_seconds = WATCH_SECONDS if grace is None else min(WATCH_SECONDS, store.poll, grace / 2)
        reset_in_children(self)
        self.reset()

    def reset(self) -> None:
        """Start empty: at first and in a forked child."""
        self._lock = threading.RLock()
        self._epoch = self._store.epoch if self._grace is None else self._store.last_epoch
        self._asking = False
        self._hits: dict[str, Token] = {}  # the same items as _order, for reads without its Python-level calls
        self._order = _Evicting(self._size, self._evicted)
        self._index: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._applied: bytes | None = None
        self._position = -1
        self._watch_due = 0.0
        self._trusted_until = 0.0

    def find(self, header: str, now: float) -> Token | None:
        """The living token in `header`, an Authorization value that starts with the Bearer scheme, or None.

        Raises StoreUnavailable where that cannot be said.
        """
        if now >= self._watch_due or self._epoch() != self._applied:
            self._follow(now)
        token = self._hits.get(header)
        if token is not None and token.expires_at > now:
            return token
        return self._load(header, now)

    def could_be_ours(self, header: str) -> bool:
        """Whether the credential is well-formed with a true checksum; garbage is refused without any store."""
        return self._sealer.recognise(header[7:].lstrip(" ")) is not None

    def _follow(self, now: float) -> None:
        """Apply what was revoked since; now and then also look whether the database is still the same."""
        trusted = self._grace is not None and now < self._trusted_until
        if trusted and self._asking:
            return  # another thread is: a store that is slow holds up one of them, while there is trust left
        with self._lock:
            try:
                self._look(now)
            except StoreUnavailable:
                self._watch_due, self._applied, self._position = 0.0, None, -1  # what comes back may be another database
                if self._grace is None or now >= self._trusted_until:
                    self._drop()
                    raise

    def _look(self, now: float) -> None:
        self._watch_due = now + self._watch_seconds
        self._asking = True
        try:
            if self._store.watch():
                self._applied = None  # a commit whose epoch may have been lost: read the feed
            epoch = self._epoch()
            if epoch != self._applied:
                self._apply(epoch)
        finally:
            self._asking = False
        if self._grace is not None:
            self._trusted_until = now + self._grace

    def _apply(self, epoch: bytes) -> None:
        changes = self._store.changes(self._position)
        if not changes.complete:
            self._drop()
        if not changes.complete or any(kind == "key" for kind, _ in changes.entries):
            self._forget_keys()  # before the position moves: whoever judges a key from here on reads it anew
        for entry in changes.entries:
            for header in self._index.pop(entry, ()):
                self._forget(header)
        self._position = changes.head
        self._applied = epoch

    def _drop(self) -> None:
        self._hits.clear()
        self._order.clear()
        self._index.clear()
        self._applied = None
        self._position = -1

    def _forget(self, header: str) -> None:
        token = self._hits.pop(header, None)
        if token is not None:
            del self._order[header]
            self._unindex(header, token)

    def _evicted(self, header: str, token: Token) -> None:
        self._hits.pop(header, None)
        self._unindex(header, token)

    def _unindex(self, header: str, token: Token) -> None:
        for key in _subjects(token):
            headers = self._index.get(key)
            if headers is not None:
                headers.discard(header)
                if not headers:
                    del self._index[key]

    def _load(self, header: str, now: float) -> Token | None:
        """The token from the store, remembered if nothing was revoked since it was read."""
        if header in self._hits:
            with self._lock:
                self._forget(header)  # it expired
        position = self._position  # before the signature is judged: a key may be revoked at any moment
        credential = self._sealer.recognise(header[7:].lstrip(" "))
        if credential is None or not credential.may_be("at"):
            return None
        token, head = self._store.token(credential.number, credential.digest)
        if token is None or not token.lives(now, self._audience) or token.kind != "access_token":
            return None
        token = replace(token, issuer=self._issuer, grant=None, scopes=self._effective(token.scopes), kid=credential.kid)
        with self._lock:
            if self._position == position <= head:
                self._order[header] = token
                self._hits[header] = token
                for key in _subjects(token):
                    self._index[key].add(header)
        return token


def _subjects(token: Token) -> list[tuple[str, str]]:
    """The feed entries that end this token."""
    keys = [("token", token.id), ("client", token.client_id)]
    if token.grant_id is not None:
        keys.append(("grant", token.grant_id))
    if token.user_id is not None:
        keys.append(("user", token.user_id))
    if token.session is not None:
        keys.append(("session", token.session))
    if token.kid is not None:
        keys.append(("key", token.kid))
    return keys
