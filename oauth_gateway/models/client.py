"""Clients and their secrets (RFC 7591 section 2)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from authlib.oauth2.rfc6749 import ClientMixin

from .. import clock, redirects
from ..sentences import Worded
from .digests import digest


@lru_cache(1024)
def scope_words(scope: str) -> frozenset[str]:
    """The names in a scope. Of the few that there are each is split once; all who have it share them."""
    return frozenset(scope.split())


@dataclass(frozen=True, slots=True)
class Secret:
    """One of a client's secrets: the hexadecimal SHA-256 of it and when it stops being accepted (0 for never)."""

    digest: str
    created: float
    expires: float = 0
    sealed: str | None = field(default=None, repr=False)  # itself, where it is the key of signatures


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
        """What people know it by; in their language where it has several names (RFC 7591 section 2.2)."""
        name = str(self.metadata.get("client_name") or self.client_id)
        others = {key[12:]: str(text) for key, text in self.metadata.items() if key.startswith("client_name#")}
        return Worded(name, others) if others else name

    @property
    def redirect_uris(self) -> tuple[str, ...]:
        return tuple(self.metadata.get("redirect_uris", ()))

    @property
    def scopes(self) -> frozenset[str]:
        return scope_words(str(self.metadata.get("scope", "")))

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

    @property
    def is_pairwise(self) -> bool:
        """Whether it knows people by ids of its own sector (OpenID Connect Core section 8)."""
        return self.metadata.get("subject_type") == "pairwise"

    @property
    def may_omit_pkce(self) -> bool:
        """Whether it is an old OpenID client that cannot send a code_challenge."""
        return self.metadata.get("may_omit_pkce") is True and not self.is_public

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
        asked = sorted(response_type.split())  # their order has no meaning (RFC 6749 section 3.1.1)
        return any(sorted(known.split()) == asked for known in self.metadata.get("response_types", ()))

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.metadata.get("grant_types", ())
