"""RFC 6749 section 4.3: a person's name and password for tokens, for old clients that cannot change.

Off by default, and `check` warns: the password passes through the client (RFC 9700 section 2.4). Only clients registered for
it may use it, and guessing is throttled together with the login page's.
"""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749.grants import ResourceOwnerPasswordCredentialsGrant as AuthlibGrant

from .. import clock
from ..errors import OAuthError
from ..models import Grant, User, public_id
from ..sealing import new_number
from ..server import AuthorizationServer


class PasswordGrant(AuthlibGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = None  # all that the server offers

    def authenticate_user(self, username: str, password: str) -> User:
        """The person; a disabled one, an unknown name and a wrong password read the same."""
        user: User | None = self.server.users.log_in(username, password, self.request.exchange.address, clock.now())
        if user is None:
            raise OAuthError("invalid_grant", "Name or password is not right.")
        return user

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        """A grant of its own with an access token, and with a refresh token where the client may refresh."""
        server, request, client = self.server, self.request, self.request.client
        server.check_resource(request)
        now, user = clock.now(), request.user
        scope = server.scopes.grant(client, request.params.get("scope"))
        audience, number = server.settings.audience, new_number()
        grant = Grant(
            number,
            client.number,
            user.user_id,
            server.claims.subject(user.user_id, client),
            scope,
            audience,
            now,
            server.ends(now),
            auth_time=now,
            amr=("pwd",),
        )
        minted = server.mint(
            client, scope, now, self.GRANT_TYPE, grant, refresh=server.refreshes(client), issuer=request.exchange.base
        )
        server.store.authorize(grant, minted.rows, None)
        server.after_write(now)
        known = {"client_id": client.client_id, "user_id": user.user_id, "grant_id": public_id(number)}
        more = {"token": minted.token_id, "scope": scope}
        server.events.emit("token.issued", **known, address=request.exchange.address, **more)
        return 200, minted.answer, []


def install(server: AuthorizationServer) -> None:
    server.grant(PasswordGrant)
    server.endpoint("/token", server.create_token_response, "token_endpoint", scripts=True)
