"""What the server remembers and hands out, as frozen values with Authlib's mixins.

Times are seconds since 1970. `number` and `id` of rows are the store's time-ordered integers; people and programs see
them as hexadecimal text. No value here holds a usable secret, only digests.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any

from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, TokenMixin

from . import clock, redirects
from .errors import StepUpRequired

LACKS_SCOPE = "The token lacks a scope that is needed here."
NOTHING: dict[str, Any] = {}


def public_id(number: int) -> str:
    """A row's number as people and programs see it."""
    return format(number, "016x")


def digest(secret: str) -> bytes:
    """What is stored of a secret that was generated with at least 128 random bits."""
    return hashlib.sha256(secret.encode()).digest()


@dataclass(frozen=True, slots=True)
class Secret:
    """One of a client's secrets: the hexadecimal SHA-256 of it and when it stops being accepted (0 for never)."""

    digest: str
    created: float
    expires: float = 0


@dataclass(frozen=True, slots=True)
class Client(ClientMixin):  # type: ignore[misc]
    """A registered client; `metadata` has the members of RFC 7591 section 2."""

    client_id: str
    metadata: dict[str, Any] = field(default_factory=dict)
    secrets: tuple[Secret, ...] = field(default=(), repr=False)
    created: float = 0
    disabled: float | None = None
    number: int = 0
    owner: str | None = None

    @property
    def name(self) -> str:
        return str(self.metadata.get("client_name") or self.client_id)

    @property
    def redirect_uris(self) -> tuple[str, ...]:
        return tuple(self.metadata.get("redirect_uris", ()))

    @property
    def scopes(self) -> frozenset[str]:
        return frozenset(str(self.metadata.get("scope", "")).split())

    client_name = name  # Authlib's name for it, as are the next ones

    @property
    def client_metadata(self) -> dict[str, Any]:
        return self.metadata

    @property
    def scope(self) -> str:
        return str(self.metadata.get("scope", ""))

    @property
    def auth_method(self) -> str:
        return str(self.metadata.get("token_endpoint_auth_method", "client_secret_basic"))

    token_endpoint_auth_method = auth_method

    @property
    def is_public(self) -> bool:
        return self.auth_method == "none"

    @property
    def origins(self) -> frozenset[str]:
        """Web origins whose scripts may read our answers: `allowed_origins`, else those of the redirect URIs.

        A client with a secret is no script and has none.
        """
        if not self.is_public:
            return frozenset()
        registered = self.metadata.get("allowed_origins")
        found = registered if registered is not None else [redirects.origin_of(uri) for uri in self.redirect_uris]
        return frozenset(origin for origin in found if origin)

    @property
    def may_introspect(self) -> bool:
        """Whether it is a resource server, which may ask about every access token (RFC 7662 section 2)."""
        return self.metadata.get("may_introspect") is True

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str | None:
        """The only registered redirect URI; with several the request must name one (RFC 6749 section 3.1.2.3)."""
        uris = self.redirect_uris
        return uris[0] if len(uris) == 1 else None

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """`scope` where all of it is registered, else None: a scope is refused, never silently narrowed."""
        words = (scope or "").split()
        return " ".join(words) if self.scopes.issuperset(words) else None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirects.matches(self.redirect_uris, redirect_uri)

    def check_client_secret(self, client_secret: str) -> bool:
        """Whether `client_secret` is one of the client's living secrets; every one is compared, in constant time."""
        given = digest(client_secret).hex()
        now = clock.now()
        found = False
        for secret in self.secrets:
            same = hmac.compare_digest(secret.digest, given)
            found |= same and (not secret.expires or secret.expires > now)
        return found

    def has_client_secret(self) -> bool:
        """The name in Authlib's older documentation for a client that can authenticate with a secret."""
        return bool(self.secrets)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return self.auth_method == method

    def check_token_endpoint_auth_method(self, method: str) -> bool:
        """The name in Authlib's older documentation for `check_endpoint_auth_method(method, "token")`."""
        return self.check_endpoint_auth_method(method, "token")

    def check_response_type(self, response_type: str) -> bool:
        return response_type in self.metadata.get("response_types", ())

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.metadata.get("grant_types", ())


@dataclass(frozen=True, slots=True)
class User:
    """A person: `user_id` is random and never given again, `source` says who vouches for the name."""

    user_id: str
    username: str
    source: str = "builtin"
    password: str | None = field(default=None, repr=False)
    created: float = 0
    disabled: float | None = None
    claims: dict[str, Any] = field(default_factory=dict)
    locale: str | None = None

    def get_user_id(self) -> str:
        return self.user_id


@dataclass(frozen=True, slots=True)
class Session:
    """A login session; `digest` is of the cookie's value, `sid` its public name."""

    digest: bytes = field(repr=False)
    sid: str
    user_id: str
    auth_time: float
    created: float
    expires: float
    amr: tuple[str, ...] = ()
    acr: str | None = None


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person agreed to: this client, redirect URI and audience may have these scopes."""

    id: int
    user_id: str
    client: int
    redirect_uri: str
    audience: str
    scope: str
    created: float


@dataclass(frozen=True, slots=True)
class Grant:
    """One authorization and its family of tokens; it belongs to a consent, or to a client acting for itself."""

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


@dataclass(frozen=True, slots=True)
class AuthorizationCode(AuthorizationCodeMixin):  # type: ignore[misc]
    """A code as stored: `redirect_uri` is the one that the request named, or None where it named none."""

    id: int
    digest: bytes = field(repr=False)
    grant: Grant
    issued: float
    expires: float
    redirect_uri: str | None
    code_challenge: str
    redeemed: float | None = None

    def get_redirect_uri(self) -> str | None:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.grant.scope


@dataclass(frozen=True, slots=True)
class Token(TokenMixin):  # type: ignore[misc]
    """An access or refresh token as the app behind the gateway sees it (`environ["oauth_gateway.token"]`).

    `user_id` and `username` are None for a client acting for itself; `subject` is the user_id or then the client_id.
    `issued_at` and `expires_at` are seconds since 1970, `audience` is the resource it was issued for.
    """

    id: str
    client_id: str
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
    revoked: bool = False
    redeemed: float | None = field(default=None, repr=False)
    grant: Grant | None = field(default=None, repr=False)
    parent: int | None = field(default=None, repr=False)
    generation: int = field(default=0, repr=False)
    session: str | None = field(default=None, repr=False)

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

    def lives(self, now: float, audience: str) -> bool:
        """Whether it is good for `audience` at `now`; a refresh token that was used up is not."""
        return self.expires_at > now and not self.revoked and self.redeemed is None and self.audience == audience

    def is_revoked(self) -> bool:
        return self.revoked

    def get_user(self) -> User | None:
        if self.user_id is None:
            return None
        return User(self.user_id, self.username or "")

    def get_client(self) -> Client:
        return Client(self.client_id)
