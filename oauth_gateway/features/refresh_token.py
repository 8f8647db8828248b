"""RFC 6749 section 6 and RFC 9700 section 4.14: refresh tokens that rotate, with reuse detection and a sealed grace.

The immediate predecessor may be presented again for some seconds and gets the very same answer, for a client that lost
it; any other reuse by its own client revokes the whole grant.
"""

from __future__ import annotations

import json
from typing import Any

from authlib.oauth2.rfc6749.grants import RefreshTokenGrant as AuthlibGrant

from .. import clock
from ..errors import OAuthError
from ..issuing import Minted
from ..models import Client, Token, User
from ..server import AuthorizationServer
from ..store import Outcome, Purchase


class RefreshTokenGrant(AuthlibGrant):  # type: ignore[misc]
    def authenticate_refresh_token(self, text: str) -> Token | None:
        """The stored token, redeemed or not: whether it buys anything is decided when it is redeemed."""
        credential = self.server.sealer.recognise(text)
        if credential is None or credential.kind != "rt":
            return None
        token: Token | None = self.server.store.token(credential.number, credential.digest)[0]
        return token

    def authenticate_user(self, token: Token) -> User | None:
        return token.get_user()

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        """One transaction redeems the token and stores its successors."""
        server, request, old = self.server, self.request, self.request.refresh_token
        server.check_resource(request)
        now = clock.now()
        minted = self._mint(server, request.client, old, now)
        # the same request, repeated: whoever asks for another scope does not get the answer again
        binding = "\n".join((request.form["refresh_token"], minted.answer.get("scope", "")))
        sealed = server.sealer.seal("grace", json.dumps(minted.answer).encode(), binding)
        grace = server.settings.refresh_token_reuse_grace
        purchase = Purchase(minted.rows, sealed if grace else None, now + grace)
        redemption = server.store.redeem(old.number, purchase, now)
        if redemption.outcome is Outcome.WON:
            server.after_write(now)
            server.events.emit("token.refreshed", client_id=old.client_id, grant=old.grant_id, token=old.id)
            return 200, minted.answer, []
        if redemption.outcome is Outcome.REPEATED and redemption.sealed is not None:
            answer = server.sealer.unseal("grace", redemption.sealed, binding)
            if answer is not None:
                return 200, json.loads(answer), []
            raise OAuthError("invalid_grant", "The refresh token was used before for another request.")
        if redemption.outcome is Outcome.REPLAYED:
            server.store.revoke_grant(old.grant.id, now)
            server.events.emit("token.replayed", client_id=old.client_id, grant=old.grant_id, token=old.id)
        raise OAuthError("invalid_grant", "The code or token is not valid.")

    def _mint(self, server: AuthorizationServer, client: Client, old: Token, now: float) -> Minted:
        asked = self.request.params.get("scope")
        if asked is not None:
            server.scope_for(client, asked)  # well-formed, and what the client may still have
        scope = old.get_scope() if asked is None else " ".join(sorted(set(asked.split())))
        return server.mint(
            client,
            scope,
            now,
            grant=old.grant,
            refresh=True,
            refresh_scope=old.get_scope(),
            parent=old.number,
            generation=old.generation + 1,
        )


def install(server: AuthorizationServer) -> None:
    server.grant(RefreshTokenGrant)
    server.endpoint("/token", server.create_token_response, "token_endpoint")
