"""RFC 7523 section 2.2 and OpenID Connect Core section 9: `private_key_jwt` and `client_secret_jwt`.

The audience is the issuer alone, as one string (draft-ietf-oauth-rfc7523bis): a token endpoint's address, or a list, could
have been meant for another server. An assertion works once, whichever worker gets it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

from . import clock, jose
from .fetch import FetchError
from .jose import ALGORITHMS, JoseRefused, UnknownKey
from .models import Client

if TYPE_CHECKING:
    from collections.abc import Callable

    from .request import AuthorizationRequest
    from .server import AuthorizationServer

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
METHODS = ("private_key_jwt", "client_secret_jwt")
SIGNING = [*ALGORITHMS, "HS256"]
SKEW = 60  # seconds by which the client's clock may differ
MOST_SECONDS = 3600  # that an assertion may live: its jti is remembered for so long
MOST_JTI = 255  # characters
_NOT_ASSERTIONS = frozenset({"at+jwt", "application/at+jwt", "logout+jwt", "dpop+jwt", "oauth-authz-req+jwt"})


def client_id_of(request: AuthorizationRequest) -> str:
    """Who an assertion says it is from, not believed yet; empty where it says nothing."""
    try:
        _, claims = jose.peek(request.params.get("client_assertion", ""))
    except JoseRefused:
        return ""
    subject = claims.get("sub")
    return subject if isinstance(subject, str) else ""


class ClientAssertions:
    """Authenticates clients of one server; `by(method)` is what Authlib registers."""

    def __init__(self, server: AuthorizationServer) -> None:
        self._server = server

    def by(self, method: str) -> Callable[..., Client | None]:
        def authenticate(query_client: Callable[[str], Client | None], request: AuthorizationRequest) -> Client | None:
            client = query_client(client_id_of(request))
            if client is None or client.auth_method != method or request.params.get("client_assertion_type") != TYPE:
                return None
            try:
                self._check(client, request.params["client_assertion"], request.exchange.base)
            except (JoseRefused, FetchError) as error:
                request.exchange.cause = f"client {client.client_id!r}: its assertion is not good: {error}"
                return None
            return client

        return authenticate

    def _check(self, client: Client, text: str, issuer: str) -> None:
        """Raise JoseRefused (or FetchError) for what is not a fresh assertion of `client` for us."""
        header, _ = jose.peek(text)
        if str(header.get("typ", "JWT")).lower() in _NOT_ASSERTIONS:
            raise JoseRefused("it is a JWT of another kind")
        registered = client.metadata.get("token_endpoint_auth_signing_alg")
        claims = self._verified(client, text, [registered] if registered else None)
        now = clock.now()
        if claims.get("iss") != client.client_id or claims.get("sub") != client.client_id:
            raise JoseRefused("iss and sub must both be the client_id")
        if claims.get("aud") != issuer:
            raise JoseRefused(f"aud must be {issuer!r}, alone and not in a list")
        expires = jose.date_of(claims, "exp")
        if expires is None or not now - SKEW < expires <= now + SKEW + MOST_SECONDS:
            raise JoseRefused(f"exp must be there, not past, and at most {MOST_SECONDS} seconds ahead")
        for name in ("iat", "nbf"):
            if (jose.date_of(claims, name) or 0) > now + SKEW:
                raise JoseRefused(f"{name} is in the future")
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 0 < len(jti) <= MOST_JTI:
            raise JoseRefused(f"jti must be text of at most {MOST_JTI} characters")
        key = hashlib.sha256(json.dumps([client.client_id, jti]).encode()).hexdigest()
        if not self._server.store.add("jti", key, expires + SKEW, now):
            raise JoseRefused("its jti was used before")

    def _verified(self, client: Client, text: str, registered: list[str] | None) -> dict[str, Any]:
        if client.auth_method == "client_secret_jwt":
            return self._with_secret(client, text, registered or ["HS256"])
        algorithms = registered or list(ALGORITHMS)
        if "jwks" in client.metadata:
            return jose.verify_with(text, client.metadata["jwks"], algorithms)
        uri, now = client.metadata["jwks_uri"], clock.now()
        try:
            return jose.verify_with(text, self._server.documents.get(uri, now), algorithms)
        except UnknownKey:
            return jose.verify_with(text, self._server.documents.refreshed(uri, now), algorithms)

    def _with_secret(self, client: Client, text: str, algorithms: list[str]) -> dict[str, Any]:
        for secret in client.secrets:
            if secret.sealed is None or (secret.expires and secret.expires <= clock.now()):
                continue
            opened = self._server.sealer.unseal("client secret", base64.b64decode(secret.sealed), client.client_id)
            if opened is None:
                raise JoseRefused("its secret cannot be opened: `secret` was changed")
            try:
                return jose.verify(text, jose.secret_key(opened.decode()), algorithms)
            except JoseRefused:
                continue
        raise JoseRefused("the signature is not good, or it has no secret for signing: rotate it")
