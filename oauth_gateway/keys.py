"""The keys that sign ID tokens, JWT access tokens and logout tokens: made once, published early, rotated, retired.

A new generation is published LEAD seconds before it signs, so that whoever keeps a JWK Set has it by then; an old one is
published until nothing that it signed can be valid. Which process makes a generation is decided by the store, and every
process compares the epoch before it uses what it knows, so all are in step.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from . import clock, jose
from .errors import ConfigurationError, StoreUnavailable
from .forks import reset_in_children
from .jose import ALGORITHMS, JoseRefused
from .models import SigningKey
from .own_keys import own_keys
from .sealing import Sealer
from .settings import Settings
from .store import UNTOLD, Store

log = logging.getLogger("oauth_gateway")
LEAD = 600  # seconds; twice the age for which the JWK Set may be kept (see `jwk_set`)
READ_SECONDS = 60  # after which the keys are read again though nothing was said to have changed
SKEW = 60  # seconds by which clocks may differ
ID_TOKEN_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class _Known:
    """The keys at one moment, with the private ones opened; `until` says when those that have a successor are of no more use.

    It holds for the store's `epoch` and until it is `due` to be read again.
    """

    stored: tuple[SigningKey, ...]
    opened: Mapping[str, jose.Key] = field(repr=False)
    until: Mapping[str, float]
    epoch: bytes | None = b""
    due: float = 0.0

    def living(self, now: float, longer: float = 0) -> list[SigningKey]:
        """Those that are of use, each of which is in `opened`: whoever takes one takes it opened from here, for the next look
        may no longer have it.
        """
        return [key for key in self.stored if not key.revoked and self.until.get(key.kid, now + 1) + longer > now]


class Keys:
    """The signing keys of one deployment: made here, or the operator's own in their place (`own_keys`)."""

    def __init__(self, store: Store, sealer: Sealer, settings: Settings) -> None:
        self._store = store
        self._sealer = sealer
        self._lifetime = settings.signing_key_lifetime
        self._hinted = settings.session_lifetime  # seconds for which ID tokens of a dropped key still tell whom they name
        self._longest = max(ID_TOKEN_SECONDS, settings.access_token_lifetime)
        self._own = own_keys(settings.signing_keys)
        self._algorithms = {key.algorithm for key, _ in self._own.values()}
        self._replaced: dict[str, float] = {}  # since when an own key signs in place of made ones
        self._known: _Known | None = None
        self._made: dict[str, jose.Key] = {}  # just now, or opened before the fork
        reset_in_children(self)
        self.reset()

    def reset(self) -> None:
        """Know nothing: at first and in a forked child, which keeps the opened keys for when it has read that they live."""
        self._lock = threading.Lock()
        if self._known is not None:
            self._made.update(self._known.opened)  # opening a private RSA key takes 40 ms
        self._known = None
        self._making = threading.Lock()
        self._succeed_after = 0.0

    def prepare(self, now: float) -> None:
        """Make what is missing, exactly once whoever starts together; raises ConfigurationError for keys that do not open."""
        found = {key.algorithm for key in self._store.signing_keys()}
        for algorithm in ALGORITHMS:
            if algorithm not in found | self._algorithms:
                self._make(algorithm, 0, now, now)
            self._note_replacement(algorithm, now)
        self.forget()
        for key in self._known_at(now).stored:
            self._keep_up(key, now)

    def _note_replacement(self, algorithm: str, now: float) -> None:
        """Remember since when an operator's own key signs in place of the made ones, which then end like any others."""
        name = f"own {algorithm} key since"
        since, owned = self._store.meta(name) or "", algorithm in self._algorithms
        if owned != bool(since):
            since = self._store.set_meta(name, repr(now) if owned else "", replace=True)
        if owned:
            self._replaced[algorithm] = float(since)

    def forget(self) -> None:
        """Something about keys was changed: read them again before they are used."""
        with self._lock:
            if self._known is not None:
                self._known = replace(self._known, due=0.0)

    def signing(self, algorithm: str, now: float) -> SigningKey:
        """The key that signs with `algorithm` now; raises LookupError where there is none.

        Where every one is still to come, a clock is wrong: the oldest will do.
        """
        return self._signing(self._known_at(now), algorithm, now)

    def _signing(self, known: _Known, algorithm: str, now: float) -> SigningKey:
        living = [key for key in known.living(now) if key.algorithm == algorithm]
        if not living:
            raise LookupError(f"there is no key for {algorithm}")
        newest = living[-1]
        if algorithm not in self._algorithms and newest.active + self._lifetime - LEAD <= now:
            self._succeed(known, newest, now)
        active = [key for key in living if key.active <= now]
        return active[-1] if active else living[0]

    def _succeed(self, known: _Known, newest: SigningKey, now: float) -> None:
        """Make the next generation of a key of age; whatever keeps it from that is no reason not to sign with this one."""
        if now < self._succeed_after or not self._making.acquire(blocking=False):
            return
        try:
            self._make_next(known.stored, newest.algorithm, now, now + LEAD)
        except StoreUnavailable as error:
            self._succeed_after = now + READ_SECONDS
            log.warning("a signing key of age could not be replaced: %s", error)
        finally:
            self._making.release()

    def sign(self, algorithm: str, typ: str, claims: Mapping[str, Any], now: float) -> str:
        """A JWT of `typ` with the `claims`, signed by the current key."""
        known = self._known_at(now)
        key = self._signing(known, algorithm, now)
        return jose.encode(known.opened[key.kid], algorithm, key.kid, typ, claims)

    def verify(self, text: str, now: float, *, hint: bool = False) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Header and claims of a JWT that one of our living keys signed, else None; times are not looked at.

        A `hint` opens nothing: it may be signed by a key that was dropped while a login session may still live.
        """
        try:
            header, _ = jose.peek(text)
            known = self._known_at(now)
            living = known.living(now, self._hinted if hint else 0)
            key = next((key for key in living if key.kid == header.get("kid")), None)
            if key is None or header.get("alg") != key.algorithm:
                return None
            return header, jose.verify(text, known.opened[key.kid], [key.algorithm])
        except JoseRefused:
            return None

    def public(self, now: float) -> list[dict[str, Any]]:
        """The public JWKs: those that sign, those that will, and those that signed what may still be valid."""
        return [dict(key.public) for key in self._known_at(now).living(now)]

    def listed(self, now: float) -> list[tuple[SigningKey, str, float]]:
        """For the operator: every key, what it does, and when it is dropped (0 for not yet known)."""
        known, told = self._known_at(now), []
        for key in known.stored:
            current = key.active <= now and not key.revoked and self.signing(key.algorithm, now).kid == key.kid
            state = "revoked" if key.revoked else "next" if key.active > now else "signs" if current else "retired"
            told.append((key, state, known.until.get(key.kid, 0.0)))
        return told

    def rotate(self, now: float, *, at_once: bool = False) -> list[str]:
        """A new generation of every made key, published now; it signs after LEAD seconds, or `at_once`. Its kids.

        A generation that is published and waiting is the new one.
        """
        kids = []
        for algorithm in sorted(set(ALGORITHMS) - self._algorithms):
            stored = self._store.signing_keys()
            newest = [key for key in stored if key.algorithm == algorithm and not key.revoked][-1]
            if newest.active <= now:
                self._make_next(stored, algorithm, now, now + LEAD)
                newest = self._unrevoked(algorithm)[-1]
            if at_once:
                self._store.update_key(newest.kid, now, active=now)
            kids.append(newest.kid)
        return kids

    def revoke(self, kid: str, now: float) -> None:
        """Refuse from now on whatever this key signed, and have another sign; raises ConfigurationError."""
        stored = self._store.signing_keys()
        key = next((key for key in stored if key.kid == kid and not key.revoked), None)
        if kid in self._own:
            raise ConfigurationError(f"key {kid!r}: is your own; take it out of `signing_keys` and restart")
        if key is None:
            raise ConfigurationError(f"key {kid!r}: there is no such key, or it is revoked already; `keys list` shows them")
        if key.active <= now:  # one that waits is missed by nobody
            if not any(_follows(other, key) for other in stored):
                self._make_next(stored, key.algorithm, now, now)
            later = next(other for other in self._store.signing_keys() if _follows(other, key))
            if later.active > now:  # also where another process made it a moment ago, to sign later
                self._store.update_key(later.kid, now, active=now)
        self._store.update_key(kid, now, revoked=now, sealed=b"")

    def _unrevoked(self, algorithm: str) -> list[SigningKey]:
        return [key for key in self._store.signing_keys() if key.algorithm == algorithm and not key.revoked]

    def _make_next(self, stored: Sequence[SigningKey], algorithm: str, now: float, active: float) -> None:
        """The generation after those in which its need was seen: of several who see it one makes it."""
        newest = [key for key in stored if key.algorithm == algorithm and key.kid not in self._own][-1]
        self._make(algorithm, newest.generation + 1, now, active)

    # -- what this process knows

    def _known_at(self, now: float) -> _Known:
        epoch = self._store.epoch()  # before the keys: what comes in between is seen the next time
        known = self._known
        if known is None or epoch != known.epoch or now >= known.due:
            try:
                with self._lock:
                    known = self._read(epoch, now)
            except StoreUnavailable:
                if known is None:
                    raise
                log.warning("the signing keys could not be read again")  # whatever they are used for asks the store too
        return known

    def _read(self, epoch: bytes, now: float) -> _Known:
        before = self._known.opened if self._known else {}
        stored = tuple(self._store.signing_keys())
        ends, opened = self._ends(stored), {kid: opened for kid, (_, opened) in self._own.items()}
        for key in stored:
            if not key.revoked and ends.get(key.kid, now + 1) + self._hinted > now:
                opened[key.kid] = before.get(key.kid) or self._made.pop(key.kid, None) or self._open(key)
        seen = None if epoch == UNTOLD else epoch
        self._known = _Known((*stored, *(key for key, _ in self._own.values())), opened, ends, seen, now + READ_SECONDS)
        return self._known

    def _open(self, key: SigningKey) -> jose.Key:
        private = self._sealer.unseal("signing key", key.sealed, key.kid)
        if private is None:
            raise ConfigurationError(
                f"secret: does not open the signing key {key.kid}; list the one from before `secret` was changed, too"
            )
        return jose.load(json.loads(private))

    def _ends(self, stored: tuple[SigningKey, ...]) -> dict[str, float]:
        """When each key that has a successor, made or the operator's own, is of no more use."""
        ends = {}
        for key in stored:
            later = [
                other.active
                for other in stored
                if other.algorithm == key.algorithm and other.generation > key.generation and _took_over(other)
            ]
            if key.algorithm in self._algorithms:
                later.append(self._replaced.get(key.algorithm, clock.now()))
            if key.revoked or later:
                ends[key.kid] = (key.revoked or min(later)) + READ_SECONDS + SKEW + key.longest
        return ends

    # -- making and keeping

    def _make(self, algorithm: str, generation: int, now: float, active: float) -> None:
        """A generation, unless another process was first."""
        private = jose.generate(algorithm)
        kid = f"{algorithm.lower()}-{generation}-{private.thumbprint()[:16]}"
        sealed = self._sealer.seal("signing key", json.dumps(jose.private_of(private)).encode(), kid)
        public = jose.public_of(private, algorithm, kid)
        self._made[kid] = private
        if not self._store.add_key(SigningKey(kid, algorithm, generation, public, sealed, now, active, self._longest), now):
            del self._made[kid]

    def _keep_up(self, key: SigningKey, now: float) -> None:
        """Seal again under a newer secret, remember a longer lifetime, drop what is of no more use."""
        known = self._known_at(now)
        if known.until.get(key.kid, now + 1) + self._hinted <= now:
            self._store.delete_key(key.kid)
            return
        if key.kid in self._own or key.kid not in known.opened:
            return  # an operator's own, or revoked
        changes: dict[str, float | int | bytes] = {}
        if key.longest < self._longest:
            changes["longest"] = self._longest
        if not self._sealer.is_newest("signing key", key.sealed, key.kid):
            private = json.dumps(jose.private_of(known.opened[key.kid])).encode()
            changes["sealed"] = self._sealer.seal("signing key", private, key.kid)
        if changes:
            self._store.update_key(key.kid, now, **changes)


def _follows(other: SigningKey, key: SigningKey) -> bool:
    """Whether it is a later generation that may sign."""
    return other.algorithm == key.algorithm and other.generation > key.generation and not other.revoked


def _took_over(key: SigningKey) -> bool:
    """Whether it signs or will, or did: one that was revoked while it waited never did."""
    return key.revoked is None or key.active < key.revoked
