"""RFC 6749 section 4.1 with RFC 7636: codes by redirect, PKCE S256, `iss` in every answer (RFC 9207).

A code buys tokens once: one transaction marks it redeemed and stores them. A replay that is otherwise valid revokes the
grant, one by a stranger is refused and revokes nothing, and five wrong verifiers kill the code.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Any

from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant as AuthlibGrant

from .. import authorize, clock
from ..codes import issue_code, tell
from ..errors import OAuthError
from ..models import AuthorizationCode, Client, User
from ..request import AuthorizationRequest
from ..server import AuthorizationServer
from ..store import Outcome, Purchase

MOST_FAILURES = 5
_CHALLENGE = re.compile(r"[A-Za-z0-9\-._~]{43,128}\Z")


class AuthorizationCodeGrant(AuthlibGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = None  # all that the server offers
    authenticates_client = True  # before the client gets anything, so that consent may be remembered

    def validate_authorization_request(self) -> str:
        uri: str = self.request.validated_redirect_uri()
        return uri

    def create_authorization_response(self, redirect_uri: str, grant_user: Any) -> tuple[int, bytes, list[Any]]:
        """Store grant and code; a decision repeated while its code is unredeemed gives the same code again."""
        code, _ = issue_code(self.server, self.request, redirect_uri, grant_user)
        answer = self.server.redirect(self.request, redirect_uri, {"code": code})
        return answer.status, answer.body, answer.headers

    def query_authorization_code(self, text: str, client: Client) -> AuthorizationCode | None:
        """The client's own code, redeemed or not; an expired one only where it was redeemed, to see its replay."""
        credential = self.server.sealer.recognise(text)
        if credential is None or credential.kind != "ac":
            return None
        code: AuthorizationCode | None = self.server.store.code(credential.number, credential.digest, dormant=True)
        audience = self.server.settings.audience
        if code is None or code.grant.client != client.number or code.grant.audience != audience:
            return None
        return code if code.redeemed is not None or code.expires > clock.now() else None

    def authenticate_user(self, code: AuthorizationCode) -> User:
        return User(code.grant.user_id or "", "")

    def validate_token_request(self) -> None:
        """Client, code and redirect URI as Authlib checks them, then the verifier."""
        super().validate_token_request()
        code: AuthorizationCode = self.request.authorization_code
        sent = self.request.params.get("redirect_uri")
        if code.redirect_uri is None and sent is not None and sent != self.request.client.get_default_redirect_uri():
            raise OAuthError("invalid_grant", "The redirect_uri differs from the one of the request.")
        verifier = self.request.params.get("code_verifier")
        if not verifies(verifier, code.code_challenge):
            self.server.store.fail_code(code.id, MOST_FAILURES, clock.now())
            raise OAuthError("invalid_grant", "The code_verifier does not match.")

    def create_token_response(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        """One transaction redeems the code and stores what it buys."""
        server, request = self.server, self.request
        code: AuthorizationCode = request.authorization_code
        server.check_resource(request)
        now = clock.now()
        refresh = server.refreshes(request.client)
        scope = code.grant.scope
        base = request.exchange.base
        minted = server.mint(
            request.client, scope, now, self.GRANT_TYPE, code.grant, refresh=refresh, parent=code.id, issuer=base
        )
        redemption = server.store.redeem(code.id, Purchase(minted.rows), now)
        if redemption.outcome is Outcome.WON:
            server.after_write(now)
            tell(server, request, "token.issued", code.grant, token=minted.token_id, scope=scope)
            return 200, minted.answer, []
        if redemption.outcome is Outcome.REPLAYED or code.redeemed is not None:  # also while the person is disabled
            server.store.revoke_grant(code.grant.id, now)
            tell(server, request, "code.replayed", code.grant)
        raise OAuthError("invalid_grant", "The code or token is not valid.")


def verifies(verifier: str | None, challenge: str | None) -> bool:
    """Whether SHA-256 of `verifier` is `challenge` (RFC 7636 section 4.6), or neither is there (RFC 9700 section 2.1.1)."""
    if verifier is None or challenge is None:
        return verifier is challenge
    if not _CHALLENGE.match(verifier):
        return False
    made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    return hmac.compare_digest(made, challenge.encode())


def check_challenge(request: AuthorizationRequest, client: Client) -> None:
    """Every request for a code brings an S256 challenge (RFC 9700 section 2.1.1), save OpenID requests of clients with a
    secret that are registered as too old for it: they are trusted to check their nonce (OAuth 2.1 section 7.5.1).
    """
    if "code" not in request.params["response_type"].split():
        return
    challenge = request.params.get("code_challenge")
    openid = "openid" in request.params.get("scope", "").split()
    if challenge is None and openid and client.may_omit_pkce and "code_challenge_method" not in request.params:
        return
    if challenge is None:
        raise OAuthError("invalid_request", "code challenge required")
    if request.params.get("code_challenge_method") != "S256":
        raise OAuthError("invalid_request", "transform algorithm not supported: code_challenge_method must be S256")
    if not _CHALLENGE.match(challenge):
        raise OAuthError("invalid_request", "code_challenge must be 43 to 128 unreserved characters")


def install(server: AuthorizationServer) -> None:
    server.grant(AuthorizationCodeGrant)
    server.check(check_challenge)
    server.metadata(
        response_types_supported=["code"], response_modes_supported=["query"], code_challenge_methods_supported=["S256"]
    )
    authorize.install(server)
    server.endpoint("/token", server.create_token_response, "token_endpoint", scripts=True)
