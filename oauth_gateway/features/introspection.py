"""RFC 7662: what a token is worth, for its own client and for resource servers.

A client with `may_introspect` is a resource server of this deployment's audience and may ask about every access token; any
other client with a secret about its own tokens. Everything else is answered like a token that never was.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from authlib.oauth2.rfc7662 import IntrospectionEndpoint as AuthlibEndpoint

from .. import clock
from ..client_assertions import SIGNING
from ..errors import OAuthError
from ..models import Client, StoredToken
from ..server import AuthorizationServer


class IntrospectionEndpoint(AuthlibEndpoint):  # type: ignore[misc]
    @property
    def CLIENT_AUTH_METHODS(self) -> list[str]:
        """All that the server offers, save none: whoever asks must be authenticated (section 2.1)."""
        return [m for m in self.server.published["token_endpoint_auth_methods_supported"] if m != "none"]

    def authenticate_token(self, request: Any, client: Client) -> StoredToken | None:
        """The token as the store has it at this moment, where this client may ask about it and it is alive."""
        text = request.params.get("token")
        if text is None:
            raise OAuthError("invalid_request", "The parameter token is missing.")
        token: StoredToken | None = self.server.presented(text)
        if token is None or not token.lives(clock.now(), self.server.settings.audience):
            return None
        if not self.check_permission(token, client, request):
            return None
        hides = client.is_pairwise and not client.may_introspect  # a name would tell what its own ids are there to hide
        return replace(token, username=None) if hides else token

    def check_permission(self, token: StoredToken, client: Client, request: Any) -> bool:
        """Its own tokens, or as a resource server every access token; a refresh token is nobody else's business."""
        return token.check_client(client) or (client.may_introspect and token.kind == "access_token")

    def create_introspection_payload(self, token: StoredToken | None) -> dict[str, Any]:
        return {"active": False} if token is None else {"active": True, **self.introspect_token(token)}

    def introspect_token(self, token: StoredToken) -> dict[str, Any]:
        """Section 2.2, with `auth_time` and `acr` where they are known (RFC 9470 section 6.2)."""
        answer = {
            "scope": " ".join(sorted(self.server.scopes.effective(token.scopes))),
            "client_id": token.client_id,
            "username": token.username,
            "token_type": "Bearer" if token.kind == "access_token" else None,
            "exp": int(token.expires_at),
            "iat": int(token.issued_at),
            "nbf": int(token.issued_at),
            "sub": token.grant.subject if token.grant else token.subject,
            "aud": token.audience,
            "iss": self.server.settings.issuer,
            "jti": token.id,
            "auth_time": None if token.auth_time is None else int(token.auth_time),
            "acr": token.acr,
            "amr": list(token.amr) or None,
        }
        return {name: value for name, value in answer.items() if value is not None}


def install(server: AuthorizationServer) -> None:
    endpoint = IntrospectionEndpoint(server)
    server.register_endpoint(endpoint)
    server.endpoint("/token/introspect", "introspection", "introspection_endpoint", scripts=True)
    server.metadata(
        introspection_endpoint_auth_methods_supported=lambda: endpoint.CLIENT_AUTH_METHODS,
        introspection_endpoint_auth_signing_alg_values_supported=list(SIGNING),
    )
