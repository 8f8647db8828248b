"""Stores that are broken on purpose: the loop must notice each."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from oauth_gateway.errors import StoreUnavailable
from oauth_gateway.store import Outcome, Purchase, Redemption


class Broken:
    """As good as the store below it, but for what a subclass does itself."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class TokensBeforeTheCode(Broken):
    """Two transactions: what is bought is stored before the code is marked."""

    def redeem(self, number: int, purchase: Purchase, now: float) -> Redemption:
        for new in purchase.tokens:
            self._store.issue(new)
        done: Redemption = self._store.redeem(number, Purchase((), purchase.sealed, purchase.sealed_until), now)
        return done


class AnswersWithoutACommit(Broken):
    """Tokens are handed out that were not stored."""

    def redeem(self, number: int, purchase: Purchase, now: float) -> Redemption:
        try:
            done: Redemption = self._store.redeem(number, purchase, now)
            return done
        except StoreUnavailable:
            return Redemption(Outcome.WON)


class RevokesInVain(Broken):
    """A revocation that failed is answered as done."""

    def revoke_grant(self, grant_id: int, now: float) -> None:
        with suppress(StoreUnavailable):
            self._store.revoke_grant(grant_id, now)


class RevokesUnheard(Broken):
    """Nobody hears of revocations."""

    def epoch(self) -> bytes:
        return b"always the same"


class LetsThrough(Broken):
    """A token that cannot be looked up is taken for what it was."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self._seen: dict[int, Any] = {}

    def token(self, number: int, digest: bytes | None, **more: Any) -> Any:
        try:
            found = self._store.token(number, digest, **more)
            self._seen.setdefault(number, found)
            return found
        except StoreUnavailable:
            if number in self._seen:
                return self._seen[number]
            raise


class KeepsALock(Broken):
    """A lock is not given back where something fails."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self._lock = threading.Lock()

    def redeem(self, number: int, purchase: Purchase, now: float) -> Redemption:
        self._lock.acquire()
        done: Redemption = self._store.redeem(number, purchase, now)
        self._lock.release()
        return done


class NeverRecovers(Broken):
    """What failed once fails for good."""

    failed = False

    def redeem(self, number: int, purchase: Purchase, now: float) -> Redemption:
        if self.failed:
            raise StoreUnavailable("it failed before")
        self.failed = True
        done: Redemption = self._store.redeem(number, purchase, now)
        self.failed = False
        return done


class RaisesAnything(Broken):
    """An error that nobody expects of a store."""

    def redeem(self, number: int, purchase: Purchase, now: float) -> Redemption:
        try:
            done: Redemption = self._store.redeem(number, purchase, now)
            return done
        except StoreUnavailable as error:
            raise RuntimeError("a driver's own error") from error


NOTICED: dict[type[Broken], tuple[str, str]] = {  # in which flow, and by which words
    TokensBeforeTheCode: ("a code redeemed", "one code bought 2 families|half-written|not handed out' is alive"),
    AnswersWithoutACommit: ("a code redeemed", "invalid_token, because the store did not answer"),
    RevokesInVain: ("a refresh token revoked", "is alive, and must not be"),
    RevokesUnheard: ("a refresh token revoked", "caches differ|is alive, and must not be"),
    LetsThrough: ("a call, warm", "answered with success where invalid_token is due"),
    KeepsALock: ("a code redeemed", "a lock was left behind"),
    NeverRecovers: ("a code redeemed", "503 again"),
    RaisesAnything: ("a code redeemed", "answered 500"),
}
