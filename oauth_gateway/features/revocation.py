"""RFC 7009: a client ends a token of its own; with a refresh token the whole grant ends."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc7009 import RevocationEndpoint as AuthlibEndpoint

from .. import clock
from ..client_assertions import SIGNING
from ..errors import OAuthError
from ..models import Client, StoredToken
from ..server import AuthorizationServer


class RevocationEndpoint(AuthlibEndpoint):  # type: ignore[misc]
    CLIENT_AUTH_METHODS = None  # all that the server offers, public clients too

    def authenticate_token(self, request: Any, client: Client) -> StoredToken | None:
        """The token where it is this client's; another's is left alone and answered like an unknown one (section 2.2)."""
        text = request.params.get("token")
        if text is None:
            raise OAuthError("invalid_request", "The parameter token is missing.")
        token: StoredToken | None = self.server.presented(text, dormant=True)
        if token is None and self.server.sealer.recognise(text) is not None:
            # it has ended already, perhaps by a worker that died before it could tell: once this is answered, all have heard
            self.server.store.revoke_token(0, clock.now())
        return token if token is not None and token.check_client(client) else None

    def revoke_token(self, token: StoredToken, request: Any) -> None:
        now = clock.now()
        if token.kind == "refresh_token" and token.grant is not None:
            self.server.store.revoke_grant(token.grant.id, now)
        else:
            self.server.store.revoke_token(token.number, now)
        known = {"client_id": token.client_id, "user_id": token.user_id, "grant_id": token.grant_id}
        self.server.events.emit("token.revoked", **known, address=request.exchange.address, token=token.id)


def install(server: AuthorizationServer) -> None:
    server.register_endpoint(RevocationEndpoint)
    server.endpoint("/token/revoke", "revocation", "revocation_endpoint", scripts=True)
    methods = "token_endpoint_auth_methods_supported"  # whatever they are once all are registered
    server.metadata(
        revocation_endpoint_auth_methods_supported=lambda: server.published[methods],
        revocation_endpoint_auth_signing_alg_values_supported=list(SIGNING),
    )
