"""RFC 6749 section 4.1 with RFC 7636: codes by redirect, PKCE S256 for every client, `iss` in every answer (RFC 9207).

A code buys tokens once: one transaction marks it redeemed and stores them. A replay that is otherwise valid revokes the
grant, one by a stranger is refused and revokes nothing, and five wrong verifiers kill the code.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from contextlib import suppress
from typing import Any

from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant as AuthlibGrant

from .. import authorize, clock
from ..decision import Decision, new_grant
from ..errors import OAuthError, StoreUnavailable
from ..models import AuthorizationCode, Client, Grant, User, public_id
from ..request import AuthorizationRequest
from ..sealing import new_number
from ..server import AuthorizationServer
from ..store import NewToken, Outcome, Purchase

MOST_FAILURES = 5
CHALLENGE_SECONDS = 86_400  # for which a challenge is remembered to notice one that is used again
_CHALLENGE = re.compile(r"[A-Za-z0-9\-._~]{43,128}\Z")


class AuthorizationCodeGrant(AuthlibGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = None  # all that the server offers
    authenticates_client = True  # before the client gets anything, so that consent may be remembered

    def validate_authorization_request(self) -> str:
        uri: str = self.request.validated_redirect_uri()
        return uri

    def create_authorization_response(self, redirect_uri: str, grant_user: Any) -> tuple[int, str, list[Any]]:
        """Store grant and code; a decision repeated while its code is unredeemed gives the same code again."""
        server, request = self.server, self.request
        now = clock.now()
        decision = request.decision or Decision(server.users.known(grant_user, now), b"", new_number(), remember=True)
        text, credential = server.sealer.issue("ac", decision.number, decision.seed or None)
        grant, agreed = new_grant(server, request, decision, redirect_uri, now)
        code = NewToken(
            credential.number,
            "authorization_code",
            credential.digest,
            request.client.number,
            grant.scope,
            grant.audience,
            now,
            now + server.settings.authorization_code_lifetime,
            grant.id,
            redirect_uri=request.params.get("redirect_uri"),
            code_challenge=request.params["code_challenge"],
        )
        if server.store.authorize(grant, (code,), agreed):
            server.after_write(now)
            self._tell("code.issued", grant)
            self._notice_a_constant_challenge(request.params["code_challenge"], grant, now)
        else:
            known = server.store.code(credential.number, credential.digest)
            if known is None or known.redeemed is not None or known.expires <= now:
                raise OAuthError("invalid_request", "This request was answered before.", 409)
        answer = server.redirect(request, redirect_uri, {"code": text})
        return answer.status, "", answer.headers

    def _notice_a_constant_challenge(self, challenge: str, grant: Grant, now: float) -> None:
        """A client that always sends the same one has no protection (RFC 9700 section 2.1.1)."""
        with suppress(StoreUnavailable):  # the code is committed and must be answered
            if not self.server.store.add("challenge", challenge, now + CHALLENGE_SECONDS, now):
                self._tell("challenge.reused", grant)

    def _tell(self, name: str, grant: Grant, **more: object) -> None:
        client_id, address = self.request.client.client_id, self.request.exchange.address
        known = {"client_id": client_id, "user_id": grant.user_id, "grant_id": public_id(grant.id), "address": address}
        self.server.events.emit(name, **known, **more)

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
        verifier = self.request.params.get("code_verifier", "")
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
        minted = server.mint(request.client, scope, now, self.GRANT_TYPE, code.grant, refresh=refresh, parent=code.id)
        redemption = server.store.redeem(code.id, Purchase(minted.rows), now)
        if redemption.outcome is Outcome.WON:
            server.after_write(now)
            self._tell("token.issued", code.grant, token=minted.token_id, scope=scope)
            return 200, minted.answer, []
        if redemption.outcome is Outcome.REPLAYED or code.redeemed is not None:  # also while the person is disabled
            server.store.revoke_grant(code.grant.id, now)
            self._tell("code.replayed", code.grant)
        raise OAuthError("invalid_grant", "The code or token is not valid.")


def verifies(verifier: str, challenge: str) -> bool:
    """Whether SHA-256 of `verifier` is `challenge` (RFC 7636 section 4.6)."""
    if not _CHALLENGE.match(verifier):
        return False
    made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    return hmac.compare_digest(made, challenge.encode())


def check_challenge(request: AuthorizationRequest, client: Client) -> None:
    """Every request for a code brings an S256 challenge (RFC 9700 section 2.1.1)."""
    if "code" not in request.params["response_type"].split():
        return
    challenge = request.params.get("code_challenge")
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
