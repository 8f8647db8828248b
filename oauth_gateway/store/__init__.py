"""The Store protocol: what is remembered, with atomicity in the shape of the interface.

A one-time thing is *redeemed*: one transaction picks the single winner and stores what it buys. Every revocation is an
entry in a change feed, visible in commit order, and changes the epoch, which any process compares before it trusts what it
remembers. `now` is always an argument, in seconds. A store that cannot answer raises StoreUnavailable.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ..errors import ConfigurationError
from ..models import AuthorizationCode, Client, Consent, Grant, Job, Party, Session, SigningKey, StoredToken, User

EPOCH_BYTES = 16
UNTOLD = b"\xff" * EPOCH_BYTES  # an epoch while a revocation is committed, and after it where its process died before it told


class NewToken(NamedTuple):
    """A token or code to be stored: `number` is its key, `digest` the SHA-256 of its text. A tuple, as rows are written."""

    number: int
    kind: str  # access_token, refresh_token or authorization_code
    digest: bytes
    client: int
    scope: str
    audience: str
    issued: float
    expires: float
    grant_id: int | None = None
    parent: int | None = None
    generation: int = 0
    redirect_uri: str | None = None
    code_challenge: str | None = None

    def __repr__(self) -> str:
        return f"NewToken({self.number}, {self.kind!r})"


@dataclass(frozen=True, slots=True)
class Purchase:
    """What a redemption buys: the tokens, and the sealed answer that its immediate repetition gets until `sealed_until`."""

    tokens: tuple[NewToken, ...]
    sealed: bytes | None = field(default=None, repr=False)
    sealed_until: float = 0


class Outcome(enum.Enum):
    """How a redemption ended."""

    WON = "won"
    REPLAYED = "replayed"  # redeemed before; the caller decides whether that revokes the grant
    REPEATED = "repeated"  # the immediate predecessor, within its grace: `sealed` has the answer again
    GONE = "gone"  # expired, revoked or unknown


@dataclass(frozen=True, slots=True)
class Redemption:
    outcome: Outcome
    sealed: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Ended:
    """A login session that ended, and who had been told of it by ID tokens: a job `backchannel_logout` waits for each."""

    session: Session
    parties: tuple[Party, ...]


@dataclass(frozen=True, slots=True)
class Access:
    """What a client may do in a person's name: all scopes of its living consents and grants, `since` the first of these,
    `used` when it last got a token.
    """

    client: Client
    scope: str
    since: float
    used: float


@dataclass(frozen=True, slots=True)
class Changes:
    """The feed after a position: what to forget, as (kind, subject); `complete` is False where it reaches less far back."""

    head: int
    entries: tuple[tuple[str, str], ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Count:
    """A throttle counter after an attempt: how many in the window, and the seconds until it starts anew."""

    value: int
    remaining: int


class Store(Protocol):
    """See the module. `StoreContract` in `oauth_gateway.testing` says whether an implementation behaves."""

    # what this deployment is; `place` is where it is kept, for people and without a password
    place: str

    def prepare(self) -> None: ...
    def check(self) -> None: ...
    def migrate(self, tell: Callable[[str], None] = ..., *, contract: bool = False) -> bool: ...
    def advice(self) -> Sequence[str]: ...  # what an operator should know of how the place is kept
    def meta(self, name: str) -> str | None: ...
    def set_meta(self, name: str, value: str, *, replace: bool = False) -> str: ...

    # clients, people, sessions; a change that takes something away is a revocation and enters the feed
    def client(self, client_id: str) -> Client | None: ...
    def has_origin(self, text: str) -> bool: ...
    def client_numbered(self, number: int) -> Client | None: ...
    def clients(self, after: int = 0, limit: int = 100) -> Sequence[Client]: ...
    def add_client(self, client: Client) -> bool: ...
    def update_client(self, client: Client, now: float) -> bool: ...
    def delete_client(self, client_id: str, now: float) -> bool: ...
    def user(self, user_id: str) -> User | None: ...
    def user_named(self, source: str, name: str) -> User | None: ...
    def users(self, after: str = "", limit: int = 100) -> Sequence[User]: ...
    def add_user(self, user: User, name: str) -> bool: ...
    def update_user(
        self, user: User, now: float, *, revoke: bool, known: User | None = None, keeping: str | None = None
    ) -> bool: ...
    def delete_user(self, user_id: str, now: float) -> bool: ...
    def add_session(self, session: Session, replacing: bytes | None = None) -> bool: ...
    def session(self, digest: bytes, now: float) -> Session | None: ...
    def sessions(self, user_id: str | None = None, after: str = "", limit: int = 100) -> Sequence[Session]: ...
    def see_sessions(self, seen: Sequence[tuple[bytes, float]]) -> None: ...
    def end_session(
        self, now: float, *, digest: bytes | None = None, sid: str | None = None, user_id: str | None = None
    ) -> Ended | None: ...
    def end_sessions_of(self, user_id: str, now: float, keeping: str | None = None) -> Sequence[Ended]: ...

    # consents and grants
    def consent(self, user_id: str, client: int, redirect_uri: str, audience: str) -> Consent | None: ...
    def access(self, user_id: str, now: float, after: int = 0, limit: int = 100) -> Sequence[Access]: ...
    def revoke_access(self, user_id: str, client: int | None, now: float) -> bool: ...
    def authorize(self, record: Grant, tokens: Sequence[NewToken], agreed: Consent | None) -> Outcome: ...
    def code(self, number: int, digest: bytes, *, dormant: bool = False) -> AuthorizationCode | None: ...
    def fail_code(self, number: int, limit: int, now: float) -> None: ...

    # tokens
    def issue(self, token: NewToken) -> None: ...
    def redeem(self, number: int, purchase: Purchase, now: float) -> Redemption: ...
    def token(self, number: int, digest: bytes | None, *, dormant: bool = False) -> tuple[StoredToken | None, int]: ...
    def tokens(self, after: int = 0, limit: int = 100) -> Sequence[StoredToken]: ...

    # revocation and the feed
    def revoke_token(self, number: int, now: float) -> bool: ...
    def revoke_grant(self, grant_id: int, now: float) -> None: ...
    def changes(self, position: int) -> Changes: ...

    # `epoch` is as it is now, and UNTOLD while nobody may remember what they know; the function is taken anew after each
    # `watch`. `last_epoch` is as this process was last told, by a push or by `watch`, and costs nothing: it is for those who
    # allow a delay, and then call `watch` every `poll` seconds; `watch` tells whether something changed
    poll: float
    epoch_is_near: bool  # whether `epoch` costs so little that the server may ask it rather than the store itself

    @property
    def epoch(self) -> Callable[[], bytes]: ...
    @property
    def last_epoch(self) -> Callable[[], bytes]: ...
    def watch(self) -> bool: ...

    # signing keys, one a generation; and work that outlives a process
    def signing_keys(self) -> Sequence[SigningKey]: ...
    def add_key(self, record: SigningKey, now: float) -> bool: ...
    def update_key(self, kid: str, now: float, **changes: float | int | bytes) -> None: ...
    def delete_key(self, kid: str) -> None: ...
    def add_job(self, job: Job) -> None: ...
    def take_jobs(self, now: float, lease: float, limit: int = 10) -> Sequence[Job]: ...
    def next_job(self) -> float | None: ...
    def postpone_job(self, record: Job, due: float) -> None: ...
    def finish_job(self, record: Job) -> None: ...

    # insert-only keys, throttles, housekeeping
    def add(self, space: str, key: str, expires: float, now: float) -> bool: ...
    def has(self, space: str, key: str, now: float) -> bool: ...
    def count(self, space: str, key: str, window: int, now: float, amount: int = 1) -> Count: ...
    def forget_count(self, space: str, key: str) -> None: ...
    def purge(self, now: float, limit: int = 100) -> int: ...
    def sweep(self, now: float) -> Iterator[int]: ...

    # everything as records, for `oauth-gateway copy`; the kinds are those of `kinds.KIND`
    def size(self, kind: str) -> int: ...
    def dump(self, kind: str, after: Sequence[Any] | None = None, limit: int = 1000) -> Sequence[dict[str, Any]]: ...
    def load(self, kind: str, records: Sequence[Mapping[str, Any]]) -> None: ...
    def unload(self, kind: str, keys: Sequence[Sequence[Any]]) -> None: ...
    def close(self) -> None: ...


def open_store(url: str, *, strict: bool = True, durable_tokens: bool = False) -> Store:
    """The store that `url` names; nothing is opened before its first use, so that a fork in between is harmless.

    `strict` demands of it that no revocation that was answered can be lost; `durable_tokens` of SQLite, where it costs most,
    that no access token can.
    """
    engine = url.partition(":")[0].replace("rediss", "redis")
    if engine == "sqlite":
        from .sql import SqlStore
        from .sqlite import Database

        file = url.removeprefix("sqlite://").removeprefix("/")
        path = Path(file).resolve() if file else None  # one file, one epoch, whatever links lead to it
        return SqlStore(Database(path), durable_tokens)
    try:
        if engine == "postgresql":
            from .postgresql import PostgreSQL
            from .sql import SqlStore

            return SqlStore(PostgreSQL(url))
        if engine == "mysql":
            from .mysql import MySQL
            from .sql import SqlStore

            return SqlStore(MySQL(url))
        if engine == "redis":
            from .redis import RedisStore

            return RedisStore(url, strict)
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"database: {error.name} is not installed; pip install 'oauth-gateway[{engine}]'") from None
    raise ConfigurationError("database: must be sqlite:///FILE, or sqlite:// for a database in memory")
