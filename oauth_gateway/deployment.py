"""What a process needs before it serves: the store, the secret, and the record of whose database it is."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import clock
from .errors import ConfigurationError, StoreUnavailable
from .forks import reset_in_children
from .jwt_access_tokens import JwtAccessTokens
from .keys import Keys
from .naming import named
from .sealing import Sealer
from .settings import Settings
from .store import Store, open_store
from .store.kinds import COPIED
from .values import NAMED

log = logging.getLogger("oauth_gateway")
LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Deployment:
    """What all parts of a process share. Nothing is believed before `opening()` has returned once."""

    settings: Settings
    store: Store
    sealer: Sealer
    keys: Keys
    jwts: JwtAccessTokens
    opening: Opening


class Opening:
    """The look at a database that comes before it is trusted: whether its schema, secret and issuer are ours.

    A call returns where that is done, and raises StoreUnavailable where it cannot be yet; it is tried once a second.
    """

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self.done = False
        reset_in_children(self)
        self.reset()

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._next = 0.0

    def __call__(self) -> None:
        if self.done:
            return
        if not self._lock.acquire(blocking=False):
            raise StoreUnavailable("the database is being looked at for the first time")
        try:
            if not self.done and time.monotonic() < self._next:
                raise StoreUnavailable("the database has not answered since this process started")
            self._next = time.monotonic() + LOOK_SECONDS
            self._look()
            self.done = True
        except ConfigurationError as error:  # for people it is too late, for requests it is not
            log.error("the database cannot be used: %s", error)
            raise StoreUnavailable(str(error)) from error
        finally:
            self._lock.release()


def open_deployment(
    settings: Settings, *, adopt_issuer: bool = False, look_only: bool = False, makes: bool = True, patient: bool = False
) -> Deployment:
    """The prepared store, the sealer and the signing keys; raises ConfigurationError with what to do about it.

    `look_only` makes and records nothing; without `makes` there must be a database already; `patient` takes one that does not
    answer, and looks at it when it does. Nothing stays open: who forks after this shares no connection with the children.
    """
    store = store_of(settings)

    def place() -> None:
        if makes and not look_only:
            store.prepare()
        store.check()

    def look() -> None:
        place()
        _recognise_secret(store, sealer, look_only)
        _recognise_issuer(store, settings, adopt_issuer, look_only)
        _take_up(settings, store, keys, look_only)

    try:
        if not has_secret(settings):
            place()
        sealer = Sealer(settings.secret or (_own_secret(store, settings.database, look_only),))
        keys = Keys(store, sealer, settings)
        jwts = JwtAccessTokens(settings, keys)
        sealer.signed = jwts.recognise
        opening = Opening(look)
        look()
        opening.done = True
    except StoreUnavailable as error:
        if not patient or not has_secret(settings):
            raise ConfigurationError(f"database: {store.place} cannot be used ({error})") from error
        log.error("requests are answered with 503 until the database answers: %s", error)
    if settings.database != "sqlite://":
        store.close()
    return Deployment(settings, store, sealer, keys, jwts, opening)


def _take_up(settings: Settings, store: Store, keys: Keys, look_only: bool) -> None:
    """The keys, made where they are missing; a database that was a copy is one of its own from here on."""
    if look_only:
        if settings.signs:
            keys.public(clock.now())  # whether they open
        return
    if store.meta(COPIED):
        store.set_meta(COPIED, "", replace=True)
    if settings.signs:
        keys.prepare(clock.now())


def has_secret(settings: Settings) -> bool:
    """Whether the secret is known without asking the database."""
    file = file_of(settings.database)
    return bool(settings.secret) or (file is not None and Path(f"{file}.secret").exists())


def store_of(settings: Settings) -> Store:
    """The store that `database` names or is; raises ConfigurationError where there is none to have."""
    if not settings.server:
        raise ConfigurationError(
            "server = false: this is a gate for others' tokens, without clients, people, keys or a database"
        )
    if not isinstance(settings.database, str):
        store: Store = settings.database
    elif NAMED.fullmatch(settings.database):
        store = named("database", settings.database)()
    else:
        strict = settings.revocation is None
        store = open_store(settings.database, strict=strict, durable_tokens=settings.durable_tokens)
    if not settings.secret and file_of(settings.database) is None and settings.database != "sqlite://":
        raise ConfigurationError(
            "secret: must be set with this database, the same on every machine: at least 32 bytes that nobody can guess, such"
            " as `python -c 'import secrets; print(secrets.token_urlsafe(48))'` prints"
        )
    return store


def file_of(database: object) -> Path | None:
    """The absolute path of an SQLite file; None for another database."""
    if not isinstance(database, str) or not database.startswith("sqlite:///"):
        return None
    return Path(database.removeprefix("sqlite:///")).resolve()


def _own_secret(store: Store, database: str, look_only: bool) -> bytes:
    """The secret beside a SQLite file, made once with mode 0600 whoever comes first; a random one for memory.

    Where the database knows one already, a missing file is not made anew: it would open nothing.
    """
    file = file_of(database)
    if file is None:
        return secrets.token_bytes(32)
    path = Path(f"{file}.secret")
    known = look_only or store.meta("secret") is not None  # asked first: who recorded it since has made the file before
    if known and not path.exists():
        raise ConfigurationError(f"secret: {path} is missing; restore it from a backup, the database is of no use without it")
    try:
        if not path.exists():
            made = path.with_name(f"{path.name}.{os.getpid()}.{time.time_ns()}")
            handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(handle, secrets.token_urlsafe(48).encode())
            os.fsync(handle)
            os.close(handle)
            try:
                os.link(made, path)  # fails where another process was first; its secret is then the one
            except FileExistsError:
                pass
            finally:
                made.unlink()
        secret = path.read_bytes().strip()
    except OSError as error:
        raise ConfigurationError(f"secret: {path} cannot be read or made ({error.strerror}); or set `secret`") from None
    if len(secret) < 32:
        raise ConfigurationError(f"secret: {path} holds fewer than 32 bytes; restore it from a backup or set `secret`")
    return secret


def _recognise_secret(store: Store, sealer: Sealer, look_only: bool) -> None:
    """Refuse another secret than the database's; a newer one in a list that has the old one is recorded."""
    known = sealer.fingerprints()
    recorded = store.meta("secret") if look_only else store.set_meta("secret", known[-1])
    if recorded not in known:
        raise ConfigurationError(
            "secret: is not the one that this database was made with; restore it (for SQLite the file DATABASE.secret),"
            " or list the old one before the new one"
        )
    if recorded != known[-1] and not look_only:
        store.set_meta("secret", known[-1], replace=True)


def _recognise_issuer(store: Store, settings: Settings, adopt: bool, look_only: bool) -> None:
    if settings.issuer is None:
        return
    recorded = store.meta("issuer") if look_only else store.set_meta("issuer", settings.issuer, replace=adopt)
    if recorded not in (settings.issuer, None):
        raise ConfigurationError(
            f"issuer = {settings.issuer!r}: this database belongs to {recorded!r}; set that, use another database, or run"
            " `oauth-gateway migrate --adopt-issuer` (tokens of the old issuer are then refused)"
        )
