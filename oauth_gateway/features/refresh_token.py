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
from ..models import Client, StoredToken, User
from ..server import AuthorizationServer
from ..store import Outcome, Purchase


class RefreshTokenGrant(AuthlibGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = None  # all that the server offers

    def authenticate_refresh_token(self, text: str) -> StoredToken | None:
        """The stored token, redeemed or not: whether it buys anything is decided when it is redeemed."""
        credential = self.server.sealer.recognise(text)
        if credential is None or not credential.may_be("rt"):
            return None
        token: StoredToken | None = self.server.store.token(credential.number, credential.digest, dormant=True)[0]
        if token is None or token.kind != "refresh_token" or token.audience != self.server.settings.audience:
            return None  # one of before the issuer or resource was changed buys nothing that the gate would accept
        return token

    def _validate_token_scope(self, token: StoredToken) -> None:
        """Authlib's question; the answer is given by the server's `scopes`, which know what scopes imply."""

    def authenticate_user(self, token: StoredToken) -> User | None:
        return token.get_user()

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        """One transaction redeems the token and stores its successors."""
        server, request, old = self.server, self.request, self.request.refresh_token
        server.check_resource(request)
        now = clock.now()
        minted = self._mint(server, request.client, old, now)
        # the same request, repeated: whoever asks for another scope does not get the answer again
        binding = "\n".join((request.form["refresh_token"], minted.answer.get("scope", "")))
        grace = server.settings.refresh_token_reuse_grace
        sealed = server.sealer.seal("grace", json.dumps(minted.answer).encode(), binding) if grace else None
        purchase = Purchase(minted.rows, sealed, now + grace)
        redemption = server.store.redeem(old.number, purchase, now)
        if redemption.outcome is Outcome.WON:
            server.after_write(now)
            self._tell("token.refreshed", old, token=minted.token_id, scope=minted.answer.get("scope", ""))
            return 200, minted.answer, []
        if redemption.outcome is Outcome.REPEATED and redemption.sealed is not None:
            answer = server.sealer.unseal("grace", redemption.sealed, binding)
            if answer is not None:
                return 200, json.loads(answer), []
            raise OAuthError("invalid_grant", "The refresh token was used before for another request.")
        if redemption.outcome is Outcome.REPLAYED or old.redeemed is not None:  # also while the person is disabled
            server.store.revoke_grant(old.grant.id, now)
            self._tell("token.replayed", old, token=old.id)
        raise OAuthError("invalid_grant", "The code or token is not valid.")

    def _tell(self, name: str, old: StoredToken, **more: object) -> None:
        known = {"client_id": old.client_id, "user_id": old.user_id, "grant_id": old.grant_id}
        self.server.events.emit(name, **known, address=self.request.exchange.address, **more)

    def _mint(self, server: AuthorizationServer, client: Client, old: StoredToken, now: float) -> Minted:
        held = old.get_scope()
        return server.mint(
            client,
            server.scopes.refresh(client, held, self.request.params.get("scope")),
            now,
            self.GRANT_TYPE,
            old.grant,
            refresh=True,
            refresh_scope=held,
            parent=old.number,
            generation=old.generation + 1,
            issuer=self.request.exchange.base,
        )


def install(server: AuthorizationServer) -> None:
    server.grant(RefreshTokenGrant)
    server.endpoint("/token", server.create_token_response, "token_endpoint", scripts=True)
