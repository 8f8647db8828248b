"""What was authorized: grants, codes and tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, TokenMixin

from .. import clock
from ..errors import StepUpRequired
from ..sentences import Sentence
from .client import Client
from .people import Session, User

LACKS_SCOPE = Sentence("The token lacks a scope that is needed here.")
NOTHING: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Grant:
    """One authorization and its family of tokens; it belongs to a consent, or to a client acting for itself.

    `subject` is what the client knows the person by; `asked` has what the OpenID request wants in its answers.
    """

    id: int
    client: int
    user_id: str | None
    subject: str
    scope: str
    audience: str
    created: float
    expires: float | None = None
    consent_id: int | None = None
    session: str | None = None
    auth_time: float | None = None
    amr: tuple[str, ...] = ()
    acr: str | None = None
    revoked: float | None = None
    asked: dict[str, Any] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class AuthorizationCode(AuthorizationCodeMixin):  # type: ignore[misc]
    """A code as stored: `redirect_uri` is the one that the request named, or None where it named none."""

    id: int
    digest: bytes = field(repr=False)
    grant: Grant
    issued: float
    expires: float
    redirect_uri: str | None
    code_challenge: str | None
    redeemed: float | None = None

    def get_redirect_uri(self) -> str | None:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.grant.scope


@dataclass(frozen=True, slots=True)
class Token(TokenMixin):  # type: ignore[misc]
    """An access token as the app behind the gateway sees it (`environ["oauth_gateway.token"]`).

    `user_id` and `username` are None for a client acting for itself; `subject` is the user_id or then the client_id. A login
    session on a route that takes one is a token too, with the `kind` "session" and without a client.
    `issued_at` and `expires_at` are seconds since 1970, `audience` is the resource it was issued for.
    """

    id: str
    client_id: str | None
    user_id: str | None
    username: str | None
    subject: str
    scopes: frozenset[str]
    audience: str
    issuer: str
    grant_id: str | None
    issued_at: float
    expires_at: float
    kind: str = "access_token"
    auth_time: float | None = None
    acr: str | None = None
    amr: tuple[str, ...] = ()
    claims: dict[str, Any] = field(default_factory=lambda: NOTHING)

    @property
    def number(self) -> int:
        return int(self.id, 16)

    def require(self, *scopes: str) -> None:
        """Raise StepUpRequired unless the token has all of `scopes`; one text may name several (RFC 6750 section 3.1)."""
        wanted = " ".join(scopes).split()
        if not self.scopes.issuperset(wanted):
            refusal = StepUpRequired("insufficient_scope", LACKS_SCOPE, 403, wanted)
            refusal.token = self
            raise refusal

    def check_client(self, client: Client) -> bool:
        return self.client_id == client.get_client_id()

    def get_scope(self) -> str:
        return " ".join(sorted(self.scopes))

    def get_expires_in(self) -> int:
        """The whole lifetime in seconds."""
        return int(self.expires_at - self.issued_at)

    def is_expired(self) -> bool:
        return self.expires_at <= clock.now()

    def is_revoked(self) -> bool:
        """The app is never shown one that is."""
        return False

    def get_user(self) -> User | None:
        if self.user_id is None:
            return None
        return User(self.user_id, self.username or "")

    def get_client(self) -> Client | None:
        return None if self.client_id is None else Client(self.client_id)


@dataclass(frozen=True, slots=True)
class SessionToken(Token):
    """A login session on a route that takes one; `noted_next` is when it is to be noted as seen, or ends."""

    noted_next: float = field(default=0, repr=False)

    @classmethod
    def of(
        cls, session: Session, user: User, scopes: frozenset[str], audience: str, issuer: str, noted_next: float
    ) -> SessionToken:
        """A token of no client, for the session's own time."""
        return cls(
            id=session.sid,
            client_id=None,
            user_id=user.user_id,
            username=user.username,
            subject=user.user_id,
            scopes=scopes,
            audience=audience,
            issuer=issuer,
            grant_id=None,
            issued_at=session.created,
            expires_at=session.expires,
            kind="session",
            auth_time=session.auth_time,
            acr=session.acr,
            amr=session.amr,
            noted_next=noted_next,
        )

    def subjects(self) -> list[tuple[str, str | None]]:
        """The feed entries that end it."""
        return [("session", self.id), ("user", self.user_id)]


@dataclass(frozen=True, slots=True)
class StoredToken(Token):
    """An access or refresh token as the store knows it, dead or alive."""

    client_id: str
    revoked: bool = False
    redeemed: float | None = field(default=None, repr=False)
    grant: Grant | None = field(default=None, repr=False)
    parent: int | None = field(default=None, repr=False)
    generation: int = field(default=0, repr=False)
    session: str | None = field(default=None, repr=False)

    def lives(self, now: float, audience: str) -> bool:
        """Whether it is good for `audience` at `now`; a refresh token that was used up is not."""
        return self.expires_at > now and not self.revoked and self.redeemed is None and self.audience == audience

    def subjects(self, kid: str | None) -> list[tuple[str, str]]:
        """The feed entries that end this token; `kid` is of the key that signed it, where it is a JWT."""
        keys = [("token", self.id), ("client", self.client_id)]
        if self.grant_id is not None:
            keys.append(("grant", self.grant_id))
        if self.user_id is not None:
            keys.append(("user", self.user_id))
        if self.session is not None:
            keys.append(("session", self.session))
        if kid is not None:
            keys.append(("key", kid))
        return keys

    def is_revoked(self) -> bool:
        return self.revoked
