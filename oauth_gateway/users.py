"""Who people are: the built-in accounts, their passwords, and the throttle against guessing.

Passwords are kept as argon2id. Guessing is counted in the store, so every worker sees the same count; unknown names cost
the same time and answer the same as wrong passwords.
"""

from __future__ import annotations

import json
import math
import re
import secrets
import threading
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from .errors import ConfigurationError, OAuthError
from .events import Events
from .forks import reset_in_children
from .models import User
from .sealing import Sealer
from .sentences import Counted, Sentence
from .store import Store
from .values import RESERVED_CLAIMS

SOURCE = "builtin"
APPLICATION = "application"  # it calls the server itself, or is asked through `authenticate`, and says who is signed in
SOURCES = (SOURCE, "remote_user", APPLICATION)
LEAST_PASSWORD, MOST_PASSWORD_BYTES = 8, 1024  # characters, bytes
WINDOW = 15 * 60  # seconds
PER_ADDRESS = 10  # failures for a name from one address in the window
PER_NAME = 100  # failures for a name from everywhere
MOST_CLAIMS = 16_384
KNOWN = 90 * 86400  # seconds for which an address that logged in is not locked out by others
CONCURRENT_HASHES = 2  # each takes a core and 64 MiB for about 0.1 s
HASH_PATIENCE = 5.0  # seconds to wait for a turn before answering 503


class Users:
    """The built-in accounts of one gateway."""

    def __init__(self, store: Store, sealer: Sealer, events: Events) -> None:
        self._store = store
        self._sealer = sealer
        self._events = events
        self._hasher = PasswordHasher()
        self.reset()
        reset_in_children(self)
        self._nobody: str | None = None

    def reset(self) -> None:
        """All turns are free: at first and in a forked child, where nobody would give back what the parent's threads hold."""
        self._turns = threading.BoundedSemaphore(CONCURRENT_HASHES)

    def create(self, username: str, password: str, now: float) -> User:
        """A new account; raises ConfigurationError where name or password will not do."""
        if not is_name(username):
            raise ConfigurationError(f"user name {username!r}: must be 1 to 255 visible characters")
        name = normalise(username)
        user = User(secrets.token_urlsafe(16), username.strip(), SOURCE, self.hash(password), now)
        if not self._store.add_user(user, name):
            raise ConfigurationError(f"user name {username!r}: there is such an account already")
        self._events.emit("user.created", user_id=user.user_id)
        return user

    def named(self, username: str, source: str | None = None) -> User:
        """The account with this name, of one source or of any; where several have it, `SOURCE:NAME` says which. Raises
        ConfigurationError where there is none.
        """
        before, colon, rest = username.partition(":")
        if source is None and colon and before in SOURCES:
            source, username = before, rest
        found = [self._store.user_named(each, normalise(username)) for each in SOURCES if source in (None, each)]
        users = [user for user in found if user is not None]
        if not users:
            raise ConfigurationError(f"user name {username!r}: there is no such account")
        if len(users) > 1:
            names = " or ".join(f"{user.source}:{username}" for user in users)
            raise ConfigurationError(f"user name {username!r}: there are several such accounts; write {names}")
        return users[0]

    def known(self, who: Any, now: float) -> User:
        """The person that an application vouches for: a User, a name, a mapping with `name`, or an object with
        `get_user_id()`. Names get a row of their own at first sight; a disabled person is refused.
        """
        if isinstance(who, User):
            if who.disabled is not None:
                raise OAuthError("access_denied", Sentence("This account is disabled."))
            return who
        if isinstance(who, Mapping):
            who = who["name"]
        name = who if isinstance(who, str) else str(who.get_user_id())
        return self.enrol(self._store.user_named(APPLICATION, normalise(name)) or User("", name, APPLICATION), now)

    def vouched_for(self, source: str, name: str) -> User:
        """The person whom `source` knows by this name; without a `user_id` where nothing is stored of them yet.

        Raises ValueError for what is no name, OAuthError for somebody who is disabled.
        """
        if not is_name(name):
            raise ValueError("gave a name that is not 1 to 255 visible characters")
        user = self._store.user_named(source, normalise(name))
        if user is not None and user.disabled is not None:
            raise OAuthError("access_denied", Sentence("This account is disabled."), 403)
        return user or User("", name.strip(), source)

    def enrol(self, user: User, now: float) -> User:
        """The stored row of somebody who is vouched for, made where there is none, with the claims of `user`."""
        name = normalise(user.username)
        known = self._store.user_named(user.source, name)
        if known is None:
            self._store.add_user(replace(user, user_id=secrets.token_urlsafe(16), created=now), name)
            known = self._store.user_named(user.source, name)  # which may be another's, who was faster
        if known is None or known.disabled is not None:
            raise OAuthError("access_denied", Sentence("This account is disabled."))
        return known if known.claims == user.claims else self.set_claims(known, user.claims, now)

    def set_password(self, user: User, password: str, now: float) -> None:
        """Replace the password; ends the person's sessions."""
        self._store.update_user(replace(user, password=self.hash(password)), now, revoke=True)
        self._events.emit("user.password_changed", user_id=user.user_id)

    def change_password(
        self, user: User, current: str, password: str, address: str, now: float, *, keeping: str | None = None
    ) -> bool:
        """Replace the password by its owner, who knows the current one: False where it is another. Ends the person's sessions
        but for the one named `keeping`.

        Guesses count as those at the sign-in page do. Raises OAuthError where guessing is suspected, and where the account was
        changed while this one was verified: neither a password nor a disabled account comes back so.
        """
        known = self.log_in(user.username, current, address, now)
        if known is None or known.user_id != user.user_id:
            return False
        with self._turn():
            changed = replace(known, password=self.hash(password))
        if not self._store.update_user(changed, now, revoke=True, known=known, keeping=keeping):
            raise OAuthError("invalid_request", Sentence("The account was changed meanwhile. Please try again."), 409)
        self._events.emit("user.password_changed", user_id=user.user_id, address=address)
        return True

    def set_claims(self, user: User, claims: dict[str, Any], now: float) -> User:
        """Replace what OpenID clients may learn of the person; raises ConfigurationError for names that are not."""
        try:
            changed = replace(user, claims=checked_claims(claims))
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
        self._store.update_user(changed, now, revoke=False)
        self._events.emit("user.claims_changed", user_id=user.user_id)
        return changed

    def set_disabled(self, user: User, disabled: bool, now: float) -> None:
        self._store.update_user(replace(user, disabled=now if disabled else None), now, revoke=True)
        self._events.emit("user.disabled" if disabled else "user.enabled", user_id=user.user_id)

    def delete(self, user: User, now: float) -> None:
        """Delete the account with all that it allowed."""
        self._store.delete_user(user.user_id, now)
        self._events.emit("user.deleted", user_id=user.user_id)

    def hash(self, password: str) -> str:
        if not is_password(password):
            raise ConfigurationError(
                f"password: must have at least {LEAST_PASSWORD} characters and at most {MOST_PASSWORD_BYTES} bytes"
            )
        return self._hasher.hash(_bytes_of(password))

    def log_in(self, username: str, password: str, address: str, now: float) -> User | None:
        """The person, or None for a wrong name or password; raises OAuthError 429 where guessing is suspected."""
        name = normalise(username)[:255]
        person = self._sealer.mac("throttle name", name)
        pair = self._sealer.mac("throttle name and address", f"{len(name)}:{name}{address}")
        # counted before it is verified, so that parallel guesses cannot all pass the check
        here = self._store.count("login", pair, WINDOW, now)
        everywhere = self._store.count("login", person, WINDOW, now)
        known = everywhere.value > PER_NAME and self._store.has("known", pair, now)
        if here.value > PER_ADDRESS or (everywhere.value > PER_NAME and not known):
            wait = max(here.remaining, everywhere.remaining)
            self._events.emit("login.throttled", address=address)
            raise OAuthError(
                "slow_down",
                Counted(
                    "Too many attempts. Please try again in %(number)s minute.",
                    "Too many attempts. Please try again in %(number)s minutes.",
                    math.ceil(wait / 60),
                ),
                429,
                headers=(("Retry-After", str(wait)),),
            )
        user = self._store.user_named(SOURCE, name) if name else None
        if not self._verify(user, password) or user is None or user.disabled is not None:
            self._events.emit("login.failed", address=address, user_id=user.user_id if user else None)
            return None
        self._store.forget_count("login", pair)
        self._store.count("login", person, WINDOW, now, -1)
        self._store.add("known", pair, now + KNOWN, now)
        return user

    def _verify(self, user: User | None, password: str) -> bool:
        raw = _bytes_of(password)[: MOST_PASSWORD_BYTES + 1]
        with self._turn():
            if self._nobody is None:
                self._nobody = self._hasher.hash(secrets.token_bytes(16))
            stored = user.password if user and user.password else self._nobody
            try:
                same = self._hasher.verify(stored, raw)
            except (VerificationError, InvalidHashError):
                return False
            return same and user is not None and len(raw) <= MOST_PASSWORD_BYTES

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Within it a password may be hashed; raises OAuthError 503 where too many others are."""
        turns = self._turns
        if not turns.acquire(timeout=HASH_PATIENCE):
            raise OAuthError(
                "temporarily_unavailable",
                Sentence("Too many people are signing in at once. Please try again."),
                503,
                headers=(("Retry-After", "5"),),
            )
        try:
            yield
        finally:
            turns.release()


def is_password(text: str) -> bool:
    """Whether it will do as a new password."""
    return len(text) >= LEAST_PASSWORD and len(_bytes_of(text)) <= MOST_PASSWORD_BYTES


def _bytes_of(password: str) -> bytes:
    return unicodedata.normalize("NFKC", password).encode("utf-8", "replace")


def is_name(username: str) -> bool:
    """Whether it can be somebody's name."""
    hidden = any(unicodedata.category(character).startswith("C") for character in username)
    return not hidden and 0 < len(normalise(username)) <= 255 and len(username.strip()) <= 255


def checked_claims(claims: Mapping[str, Any]) -> dict[str, Any]:
    """The claims as they are stored; raises ValueError for what cannot be told of a person."""
    for name in claims:
        if not isinstance(name, str) or name in RESERVED_CLAIMS or not re.fullmatch(r"[\x21-\x7e]{1,100}", name):
            raise ValueError(f"claim {name!r}: is not one of a person")
    try:
        text = json.dumps(dict(claims), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        text = ""
    if not 0 < len(text) <= MOST_CLAIMS:
        raise ValueError(f"claims: must be JSON of at most {MOST_CLAIMS} characters")
    stored: dict[str, Any] = json.loads(text)
    return stored


def normalise(username: str) -> str:
    """The form in which two spellings of one name are equal."""
    return unicodedata.normalize("NFKC", username).strip().casefold()
