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
from collections.abc import Callable
from dataclasses import replace
from time import monotonic

from .errors import StoreUnavailable
from .foreign import Believed, BelievedTokens, ForeignTokens
from .forks import reset_in_children
from .models import SEEN_SECONDS, SessionToken, StoredToken, Token, digest, maker
from .refused import Refused
from .remembered import Alike, Remembered
from .sealing import Credential, Sealer, is_older
from .seen import Seen
from .store import UNTOLD, Store

log = logging.getLogger("oauth_gateway")
WATCH_SECONDS = 1.0
_token = maker(Token)
MOST_HEADERS = 1 << 14  # Cookie headers: who sends others again and again pushes out no token, and no session
SETTLED = 300.0  # seconds after which no transaction that stores a token can still be under way, whoever's clock is wrong


class Tokens:
    """Finds the access token behind an `Authorization` header.

    `audience` is the only one accepted; `grace` is None for strict revocation, which asks for the epoch at every request, else
    the seconds for which remembered tokens are trusted after the store was last asked. `effective` adds what scopes imply,
    `forget_keys` is called when a signing key was changed, `opening` before the store is asked at all; `foreign` judges
    what is not ours.
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
        foreign: ForeignTokens | None = None,
        effective: Callable[[frozenset[str]], frozenset[str]] = frozenset,
        forget_keys: Callable[[], None] = lambda: None,
        opening: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self.seen = Seen(store)
        self._sealer = sealer
        self._audience = audience
        self._issuer = issuer
        self._size = size
        self._grace = grace
        self._foreign = foreign or ForeignTokens((), audience)
        self._effective = effective
        self._forget_keys = forget_keys
        self._opening = opening
        self._watch_seconds = WATCH_SECONDS if grace is None else min(WATCH_SECONDS, store.poll, grace / 2)
        reset_in_children(self)
        self.reset()

    def reset(self) -> None:
        """Start empty: at first and in a forked child."""
        self._lock = threading.RLock()
        self._epoch = self._store.epoch if self._grace is None else self._store.last_epoch
        self._asking = False
        self._remembered: Remembered[Token] = Remembered(self._size)  # sessions among them, by value and scope words
        self._headers: Remembered[tuple[SessionToken, str]] = Remembered(min(self._size, MOST_HEADERS))
        self._hits, self._header_hits = self._remembered.hits, self._headers.hits  # read without the lock
        self._believed = BelievedTokens(self._size)
        self._refused = Refused()
        self._alike = Alike()
        self._applied: bytes | None = None
        self._position = -1
        self._watch_due = self._watch_by = 0.0
        self._trusted_until = self._trusted_by = 0.0  # the other by a clock that nobody sets: `now` waits after a step back

    def find(self, header: str, now: float) -> Token | None:
        """The living token in `header`, an Authorization value; None for any that does not start with `Bearer `, without a
        question. Raises StoreUnavailable where nothing can be said.
        """
        if header not in self._hits and header not in self._believed.hits and header[:7] != "Bearer ":
            return None
        if now >= self._watch_due or monotonic() >= self._watch_by or self._epoch() != self._applied:
            if self._foreign.issuers and (token := self.of_others(header, now)) is not None:
                return token
            self._follow(now)
        token = self._hits.get(header)
        if token is not None and token.expires_at > now:
            return token
        others = self._believed.hits
        if others and (known := others.get(header)) is not None and known[1] > now and known[2] > monotonic():
            return known[0]
        return self._load(header, now)

    def of_others(self, header: str, now: float) -> Token | None:
        """The living token in `header` where another issuer's, which needs no store; None where only the store can say."""
        known = self._believed.hits.get(header)
        if known is not None and known[1] > now and known[2] > monotonic():
            return known[0]
        return None if self._sealer.foreign else self._from_elsewhere(header, header[7:].lstrip(" "), now)

    def of_cookies(self, key: str, now: float) -> tuple[Token, str] | None:
        """What `remember_cookies` was told of a login session that lives; without it `of_session` is to be asked.

        `key` is a decision's `session` and a whole Cookie header. Raises StoreUnavailable where nothing can be said.
        """
        if key not in self._header_hits:  # there may be no session in it, and then the store, which may be away, is not asked
            return None
        if now >= self._watch_due or monotonic() >= self._watch_by or self._epoch() != self._applied:
            self._follow(now)
        known = self._header_hits.get(key)
        return known if known is not None and known[0].noted_next > now else None

    def remember_cookies(self, header: str, cookie: str, scope: str, token: SessionToken, rest: str) -> None:
        """Have `of_cookies` find `token`, which `of_session` gave, and `rest` of the header, unless it has ended since."""
        with self._lock:
            if self._hits.get((cookie, scope)) is token:
                self._headers.add(scope + header, (token, rest), token.subjects())

    def of_session(self, cookie: str, scope: str, now: float) -> SessionToken | None:
        """The living login session behind a cookie's value, or None: as a token of no client, with the words of `scope` and
        what they imply. It is remembered and forgotten as tokens are. Raises StoreUnavailable where nothing can be said.
        """
        if now >= self._watch_due or monotonic() >= self._watch_by or self._epoch() != self._applied:
            self._follow(now)
        key = (cookie, scope)  # as no Authorization header can be
        token = self._hits.get(key)
        if isinstance(token, SessionToken) and token.noted_next > now:
            return token
        return self._load_session(key, now)

    def could_be_ours(self, header: str) -> bool:
        """Whether the credential is well-formed with a true checksum; garbage is refused without any store."""
        text = header[7:].lstrip(" ")
        ours = self._sealer.foreign or not self._foreign.names_theirs(text)
        return ours and self._sealer.recognise(text) is not None

    def _follow(self, now: float) -> None:
        """Apply what was revoked since; now and then also look whether the database is still the same."""
        trusted = self._grace is not None and now < self._trusted_until and monotonic() < self._trusted_by
        if trusted and self._asking:
            return  # another thread is: a store that is slow holds up one of them, while there is trust left
        with self._lock:
            try:
                self._look(now)
            except StoreUnavailable:
                self._watch_due, self._applied, self._position = 0.0, None, -1  # what comes back may be another database
                if self._grace is None or now >= self._trusted_until or monotonic() >= self._trusted_by:
                    self._drop()
                    raise

    def _look(self, now: float) -> None:
        began = monotonic()
        self._watch_due, self._watch_by = now + self._watch_seconds, began + self._watch_seconds
        self._asking = True
        try:
            self._opening()
            if self._store.watch():
                self._applied = None  # a commit whose epoch may have been lost: read the feed
            self._epoch = self._store.epoch if self._grace is None else self._store.last_epoch  # of a file made anew, say
            epoch = self._epoch()
            if epoch != self._applied:
                self._apply(epoch)
        finally:
            self._asking = False
        if self._grace is not None:
            self._trusted_until, self._trusted_by = now + self._grace, began + self._grace

    def _apply(self, epoch: bytes) -> None:
        changes = self._store.changes(self._position)
        if not changes.complete:
            self._drop()
        if not changes.complete or any(kind == "key" for kind, _ in changes.entries):
            self._forget_keys()  # before the position moves: whoever judges a key from here on reads it anew
        for entry in changes.entries:
            self._remembered.end(entry)
            self._headers.end(entry)
        self._position = changes.head
        self._applied = None if epoch == UNTOLD else epoch

    def _drop(self) -> None:
        self._remembered.clear()
        self._headers.clear()
        self._refused.clear()
        self._alike.clear()
        self._applied = None
        self._position = -1

    def _load(self, header: str, now: float) -> Token | None:
        """The token from the store, remembered if nothing was revoked since it was read."""
        expired = self._hits.get(header)
        if expired is not None:
            with self._lock:
                self._remembered.forget(header, ("token", expired.id))
        position = self._position  # before the signature is judged: a key may be revoked at any moment
        text = header[7:].lstrip(" ")
        credential = self._sealer.recognise(text)
        if credential is None:
            return self._from_elsewhere(header, text, now)
        if not credential.may_be("at") or (credential.digest, monotonic()) in self._refused:
            return None
        stored, head = self._store.token(credential.number, credential.digest)
        if stored is None and not credential.kind:
            return self._from_elsewhere(header, text, now)
        if stored is None or not stored.lives(now, self._audience) or stored.kind != "access_token":
            if stored is not None or self._is_gone(credential):
                with self._lock:
                    if self._position == position <= head:
                        self._refused.add(credential.digest, monotonic())
            return None
        token = self._for_the_app(stored)
        with self._lock:
            if self._position == position <= head:
                self._remembered.add(header, token, stored.subjects(credential.kid))
        return token

    def _is_gone(self, credential: Credential) -> bool:
        """Whether a token that the store did not give will never be given: not one that is stored in this moment, not one whose
        client or person is disabled for now. Of a text of another's making nobody knows when it is stored.
        """
        if not credential.kind or not is_older(credential.number, SETTLED):
            return False
        return self._store.token(credential.number, credential.digest, dormant=True)[0] is None

    def _from_elsewhere(self, header: str, text: str, now: float) -> Token | None:
        """The token of another issuer, remembered for as long as it is believed without asking again."""
        found = self._foreign.find(text, now)
        if found is None:
            return None
        token = replace(found.token, scopes=self._alike.one(self._effective(found.token.scopes)))
        if found.until > now:
            self._believed.add(header, Believed(token, found.until), now)
        return token

    def _load_session(self, key: tuple[str, str], now: float) -> SessionToken | None:
        position = self._position  # what is read afterwards has all that was applied until here
        known = self._hits.get(key)
        if isinstance(known, SessionToken) and known.expires_at > now:
            self.seen.add(digest(key[0]), now)
            return self._seen_next(known, key, now)
        session = self._store.session(digest(key[0]), now)
        user = self._store.user(session.user_id) if session is not None else None
        if session is None or user is None or user.disabled is not None:
            return None
        if now >= session.noted_next:
            self.seen.add(session.digest, now)
        scopes = self._alike.one(self._effective(frozenset(key[1].split())))
        noted_next = min(session.expires, session.noted_next if now < session.noted_next else now + SEEN_SECONDS)
        token = SessionToken.of(session, user, scopes, self._audience, self._issuer, noted_next)
        with self._lock:
            if known is not None:
                self._remembered.forget(key, ("session", known.id))
            if self._position == position:
                self._remembered.add(key, token, token.subjects())
        return token

    def _seen_next(self, known: SessionToken, key: tuple[str, str], now: float) -> SessionToken:
        """The session, which was noted as seen, to be noted again in a while."""
        token = replace(known, noted_next=min(known.expires_at, now + SEEN_SECONDS))
        with self._lock:
            if self._hits.get(key) is known:  # it has not ended meanwhile
                self._hits[key] = token
        return token

    def _for_the_app(self, stored: StoredToken) -> Token:
        """What the app may see of it, with its scopes in effect. What is alike in many tokens they share."""
        alike = self._alike.room().setdefault
        subject = stored.subject
        scopes = self._effective(stored.scopes)
        return _token(  # without the names: with them it takes half as long again
            stored.id,
            alike(stored.client_id, stored.client_id),
            stored.user_id,
            stored.username,
            subject if stored.user_id is not None else alike(subject, subject),
            alike(scopes, scopes),
            self._audience,
            self._issuer,
            stored.grant_id,
            stored.issued_at,
            stored.expires_at,
            "access_token",
            stored.auth_time,
            alike(stored.acr, stored.acr),
            alike(stored.amr, stored.amr),
            stored.claims,
        )
