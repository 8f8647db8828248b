"""RFC 6749 section 4.2: an access token straight in the fragment, for old clients that cannot change.

Off by default, and `check` warns: tokens in addresses leak (RFC 9700 section 2.1.2). Only clients registered for it may use it;
there is no refresh token, and as nobody authenticates the client, every request asks the person.
"""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749.grants import ImplicitGrant as AuthlibGrant

from .. import authorize, clock
from ..codes import vouched
from ..decision import new_grant
from ..errors import OAuthError
from ..models import public_id
from ..sentences import Sentence
from ..server import AuthorizationServer
from ..store import Outcome


class ImplicitGrant(AuthlibGrant):  # type: ignore[misc]
    authenticates_client = False

    def validate_authorization_request(self) -> str:
        uri: str = self.request.validated_redirect_uri()
        return uri

    def create_authorization_response(self, redirect_uri: str, grant_user: Any) -> tuple[int, bytes, list[Any]]:
        """Store grant and token; a decision that is repeated at once gives the same opaque token again (section 4.2.2)."""
        server, request, now = self.server, self.request, clock.now()
        decision = request.decision or vouched(server, request, grant_user, now)
        grant, agreed = new_grant(server, request, decision, redirect_uri, now)
        credential = server.sealer.issue("at", decision.number, decision.seed or None)
        minted = server.mint(
            request.client, grant.scope, now, self.GRANT_TYPE, grant, credential=credential, issuer=request.exchange.base
        )
        outcome = server.store.authorize(grant, minted.rows, agreed)
        if outcome is Outcome.WON:
            server.after_write(now)
            known = {"client_id": request.client.client_id, "user_id": grant.user_id, "grant_id": public_id(grant.id)}
            more = {"token": minted.token_id, "scope": grant.scope}
            server.events.emit("token.issued", **known, address=request.exchange.address, **more)
        elif outcome is Outcome.GONE:
            raise OAuthError("login_required", "The person signed out, or took the access back, meanwhile.")
        else:
            token = server.store.token(minted.rows[0].number, minted.rows[0].digest)[0]
            if token is None or token.issued_at + server.settings.authorization_code_lifetime <= now or token.revoked:
                raise OAuthError("invalid_request", Sentence("This request was answered before."), 409)
        answer = server.redirect(request, redirect_uri, minted.answer)
        return answer.status, answer.body, answer.headers


def install(server: AuthorizationServer) -> None:
    server.grant(ImplicitGrant)
    server.metadata(response_types_supported=["token"], response_modes_supported=["fragment"])
    authorize.install(server)
