"""RFC 6749 section 4.1 with RFC 7636: codes by redirect, PKCE S256 for every client, `iss` in every answer (RFC 9207).

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

from .. import clock
from ..errors import OAuthError
from ..models import AuthorizationCode, Client, Consent, Grant, User, public_id
from ..request import AuthorizationRequest, Decision
from ..sealing import new_number
from ..server import AuthorizationServer
from ..store import NewToken, Outcome, Purchase

MOST_FAILURES = 5
_CHALLENGE = re.compile(r"[A-Za-z0-9\-._~]{43,128}\Z")


class AuthorizationCodeGrant(AuthlibGrant):  # type: ignore[misc]
    def create_authorization_response(self, redirect_uri: str, grant_user: Any) -> tuple[int, str, list[Any]]:
        """Store grant and code; a decision repeated while its code is unredeemed gives the same code again."""
        server, request = self.server, self.request
        now = clock.now()
        decision = request.decision or Decision(server.users.known(grant_user, now), b"", new_number(), remember=True)
        text, credential = server.sealer.issue("ac", decision.number, decision.seed or None)
        grant, agreed = self._family(decision, redirect_uri, now)
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
            server.events.emit("code.issued", client_id=request.client.client_id, grant=public_id(grant.id))
        else:
            known = server.store.code(credential.number, credential.digest)
            if known is None or known.redeemed is not None or known.expires <= now:
                raise OAuthError("invalid_request", "This request was answered before.", 409)
        answer = server.redirect(request.exchange, redirect_uri, {"code": text}, request.params.get("state"))
        return answer.status, "", answer.headers

    def _family(self, decision: Decision, redirect_uri: str, now: float) -> tuple[Grant, Consent | None]:
        server, request = self.server, self.request
        user_id = decision.user.user_id
        audience = server.settings.audience
        agreed = None
        known = server.store.consent(user_id, request.client.number, redirect_uri, audience)
        consent_id = known.id if known else None
        if decision.remember and not (known and set(known.scope.split()).issuperset((request.scope or "").split())):
            consent_id = decision.number
            agreed = Consent(consent_id, user_id, request.client.number, redirect_uri, audience, request.scope or "", now)
        grant = Grant(
            decision.number,
            request.client.number,
            user_id,
            user_id,
            request.scope or "",
            audience,
            now,
            server.ends(now),
            consent_id,
            decision.session,
            decision.auth_time,
            decision.amr,
        )
        return grant, agreed

    def query_authorization_code(self, text: str, client: Client) -> AuthorizationCode | None:
        """The client's own code, redeemed or not; an expired one only where it was redeemed, to see its replay."""
        credential = self.server.sealer.recognise(text)
        if credential is None or credential.kind != "ac":
            return None
        code: AuthorizationCode | None = self.server.store.code(credential.number, credential.digest)
        if code is None or code.grant.client != client.number:
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
        refresh = any(cls.GRANT_TYPE == "refresh_token" for cls, _ in server._token_grants)
        refresh = refresh and request.client.check_grant_type("refresh_token")
        minted = server.mint(request.client, code.grant.scope, now, grant=code.grant, refresh=refresh, parent=code.id)
        redemption = server.store.redeem(code.id, Purchase(minted.rows), now)
        if redemption.outcome is Outcome.WON:
            server.after_write(now)
            client_id, token = request.client.client_id, public_id(minted.rows[0].number)
            server.events.emit("token.issued", client_id=client_id, grant=public_id(code.grant.id), token=token)
            return 200, minted.answer, []
        if redemption.outcome is Outcome.REPLAYED:
            server.store.revoke_grant(code.grant.id, now)
            server.events.emit("code.replayed", client_id=request.client.client_id, grant=public_id(code.grant.id))
        raise OAuthError("invalid_grant", "The code or token is not valid.")


def verifies(verifier: str, challenge: str) -> bool:
    """Whether SHA-256 of `verifier` is `challenge` (RFC 7636 section 4.6)."""
    if not _CHALLENGE.match(verifier):
        return False
    made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    return hmac.compare_digest(made, challenge.encode())


def check_challenge(request: AuthorizationRequest, client: Client) -> None:
    """Every request brings an S256 challenge (RFC 9700 section 2.1.1)."""
    challenge = request.params.get("code_challenge")
    if challenge is None:
        raise OAuthError("invalid_request", "code challenge required")
    if request.params.get("code_challenge_method") != "S256":
        raise OAuthError("invalid_request", "transform algorithm not supported: code_challenge_method must be S256")
    if not _CHALLENGE.match(challenge):
        raise OAuthError("invalid_request", "code_challenge must be 43 to 128 unreserved characters")


def check_parameters(request: AuthorizationRequest, client: Client) -> None:
    """What is not supported is refused rather than ignored where ignoring it would change the meaning."""
    for name in ("request", "request_uri"):
        if name in request.params:
            raise OAuthError(f"{name}_not_supported", f"The parameter {name} is not supported.")
    if request.params.get("response_mode", "query") != "query":
        raise OAuthError("invalid_request", "response_mode must be query.")
    prompts = request.params.get("prompt", "").split()
    if not {"none", "login", "consent"}.issuperset(prompts) or ("none" in prompts and len(prompts) > 1):
        raise OAuthError("invalid_request", "prompt must be none alone, or login or consent.")


def install(server: AuthorizationServer) -> None:
    from ..authorize import Authorization

    server.grant(AuthorizationCodeGrant)
    server.check(check_parameters)
    server.check(check_challenge)
    server.check(lambda request, client: server.check_resource(request))
    server.metadata(
        response_types_supported=["code"],
        response_modes_supported=["query"],
        code_challenge_methods_supported=["S256"],
        authorization_response_iss_parameter_supported=True,
        prompt_values_supported=["none", "login", "consent"],
    )
    Authorization(server).install()
    server.endpoint("/token", server.create_token_response, "token_endpoint")
