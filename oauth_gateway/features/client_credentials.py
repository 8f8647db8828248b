"""RFC 6749 section 4.4: a client acting for itself gets a token for its own credentials."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant as AuthlibGrant

from .. import clock
from ..server import AuthorizationServer


class ClientCredentialsGrant(AuthlibGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = None  # all that the server offers; registration and Authlib keep out public clients

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        """One stored access token and no refresh token (section 4.4.3)."""
        server, request, client = self.server, self.request, self.request.client
        server.check_resource(request)
        now = clock.now()
        scope = server.scopes.for_itself(server.scopes.grant(client, request.params.get("scope")))
        minted = server.mint(client, scope, now, self.GRANT_TYPE, issuer=request.exchange.base)
        server.store.issue(minted.rows[0])
        server.after_write(now)
        address = request.exchange.address
        server.events.emit("token.issued", client_id=client.client_id, address=address, token=minted.token_id, scope=scope)
        return 200, minted.answer, []


def install(server: AuthorizationServer) -> None:
    server.grant(ClientCredentialsGrant)
    server.endpoint("/token", server.create_token_response, "token_endpoint", scripts=True)
