"""OpenID Connect Core section 3.3: the hybrid flow, a code with an ID token or an access token beside it at once.

Off by default, and `check` warns: what stands in addresses leaks (RFC 9700 section 2.1.2). Clients are registered for each
response type; `code id_token` hands out no access token.
"""

from __future__ import annotations

import hashlib
from typing import Any

from authlib.oauth2.rfc6749.grants import BaseGrant
from authlib.oauth2.rfc6749.grants.base import AuthorizationEndpointMixin

from .. import authorize, clock
from ..authorizing import response_type_of
from ..codes import issue_code
from ..decision import Decision
from ..errors import ConfigurationError, OAuthError
from ..issuing import Issue
from ..models import Client, Grant
from ..request import AuthorizationRequest
from ..sealing import Credential
from ..server import AuthorizationServer
from ..store import NewToken

RESPONSE_TYPES = ("code id_token", "code token", "code id_token token")


class HybridGrant(BaseGrant, AuthorizationEndpointMixin):  # type: ignore[misc]
    GRANT_TYPE = None
    authenticates_client = False  # an ID token, or an access token, goes out before anybody authenticated

    @classmethod
    def check_authorization_endpoint(cls, request: AuthorizationRequest) -> bool:
        return response_type_of(request) in RESPONSE_TYPES

    def validate_authorization_request(self) -> str:
        uri: str = self.request.validated_redirect_uri()
        return uri

    def create_authorization_response(self, redirect_uri: str, grant_user: Any) -> tuple[int, bytes, list[Any]]:
        """One transaction stores grant, code and, where it is asked for, an access token."""
        server, request, now = self.server, self.request, clock.now()
        kinds = request.params["response_type"].split()
        made: dict[str, Any] = {}

        def beside(grant: Grant, decision: Decision) -> tuple[NewToken, ...]:
            if "token" not in kinds:
                return ()
            credential = _same_again(server, decision)
            minted = server.mint(
                request.client, grant.scope, now, "implicit", grant, credential=credential, issuer=request.exchange.base
            )
            made.update(minted.answer)
            rows: tuple[NewToken, ...] = minted.rows
            return rows

        code, grant = issue_code(server, request, redirect_uri, grant_user, beside)
        if "id_token" in kinds:
            issue = Issue(request.client, grant, "hybrid", grant.scope, request.exchange.base, now, made)
            made["id_token"] = server.id_tokens.make(issue, nonce=request.params["nonce"], code=code)
        answer = server.redirect(request, redirect_uri, {"code": code, **made})
        return answer.status, answer.body, answer.headers


def _same_again(server: AuthorizationServer, decision: Decision) -> tuple[str, Credential]:
    """The access token of a decision: the same one where the decision is repeated."""
    if not decision.seed:
        return server.sealer.issue("at")
    derived = hashlib.sha512(decision.seed + b"access token").digest()
    return server.sealer.issue("at", int.from_bytes(derived[:8], "big") >> 1, derived[32:])


def check_nonce(request: AuthorizationRequest, client: Client) -> None:
    """An ID token from the authorization endpoint needs a nonce (section 3.3.2.11), and both are for OpenID requests."""
    kind = response_type_of(request)
    if kind not in RESPONSE_TYPES:
        return
    if "openid" not in request.params.get("scope", "").split():
        raise OAuthError("invalid_scope", "This response_type is for requests with the scope openid.")
    if "id_token" in kind and "nonce" not in request.params:
        raise OAuthError("invalid_request", "The parameter nonce is missing.")


def install(server: AuthorizationServer) -> None:
    if "id_token_signing_alg_values_supported" not in server.published:
        raise ConfigurationError("features: hybrid needs openid")
    server.grant(HybridGrant)
    server.check(check_nonce)
    server.metadata(response_types_supported=list(RESPONSE_TYPES), response_modes_supported=["fragment"])
    authorize.install(server)
