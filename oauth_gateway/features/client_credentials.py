"""RFC 6749 section 4.4: a client acting for itself gets a token for its own credentials."""

from __future__ import annotations

from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant as AuthlibGrant

from .. import clock
from ..authlib_errors import from_authlib
from ..exchange import Answer, Exchange, json_answer
from ..models import Client
from ..scopes import ScopePolicy
from ..server import AuthorizationServer

SECRETS = frozenset({"client_secret_basic", "client_secret_post"})


class ClientCredentialsGrant(AuthlibGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = None  # all that the server offers; registration and Authlib keep out public clients

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        """One stored access token and no refresh token (section 4.4.3)."""
        server, request, client = self.server, self.request, self.request.client
        server.check_resource(request)
        asked = request.params.get("scope")
        scope = granted(server, client, asked)
        if self._means_the_same_again():
            usual = server.scopes if type(server.scopes) is ScopePolicy else None  # an own one is asked each time

            def again(exchange: Exchange) -> Answer:
                exchange.client = client
                try:
                    known = scope if server.scopes is usual else granted(server, client, asked)
                    return json_answer(200, issue(server, exchange, client, known))
                except OAuth2Error as error:  # of a step or generator of the application's
                    raise from_authlib(error) from None

            request.exchange.decided = again
        return 200, issue(server, request.exchange, client, scope, self.GRANT_TYPE), []

    def _means_the_same_again(self) -> bool:
        """Whether these words are decided by nothing but what is stored of the client, until that changes: by this class, asked
        for by its own name (another grant may inherit from it, or ask it), a secret without an end, no assertion, no method or
        grant of the application's own, no resource, which depends on the address.
        """
        server, client, params = self.server, self.request.client, self.request.params
        if type(server) is not AuthorizationServer or params.get("grant_type") != ClientCredentialsGrant.GRANT_TYPE:
            return False
        usual = server.usual_secrets and server.decides_by(ClientCredentialsGrant) and "resource" not in params
        return usual and client.auth_method in SECRETS and not any(secret.expires for secret in client.secrets)


def granted(server: AuthorizationServer, client: Client, asked: str | None) -> str:
    """The scope that `client` gets for itself where it asks for `asked`; raises OAuthError `invalid_scope`."""
    return server.scopes.for_itself(server.scopes.grant(client, asked))


def issue(
    server: AuthorizationServer, exchange: Exchange, client: Client, scope: str, grant_type: str = "client_credentials"
) -> dict[str, Any]:
    """A token for `client` itself, stored and told."""
    now = clock.now()
    minted = server.mint(client, scope, now, grant_type, issuer=exchange.base)
    server.store.issue(minted.rows[0])
    server.after_write(now)
    if server.events.are_heard():
        address = exchange.address
        server.events.emit("token.issued", client_id=client.client_id, address=address, token=minted.token_id, scope=scope)
    return minted.answer


def install(server: AuthorizationServer) -> None:
    server.grant(ClientCredentialsGrant)
    server.endpoint("/token", server.create_token_response, "token_endpoint", scripts=True)
