"""OpenID Connect Core 1.0: ID tokens for the code flow, the UserInfo endpoint, and requests that say who is meant and how.

With it come Discovery, RP-Initiated, Back-Channel and Front-Channel Logout. What a plain OAuth request means is not changed:
all of this is for requests with the scope `openid`.
"""

from __future__ import annotations

from typing import Any

from .. import authorize, backchannel_logout, userinfo
from ..claims import parse_request, wanted_values
from ..discovery import server_document, well_known
from ..errors import ConfigurationError, OAuthError
from ..issuing import Issue
from ..jose import ALGORITHMS
from ..models import Client
from ..request import AuthorizationRequest
from ..server import AuthorizationServer

MOST_NONCE = 1000  # characters
DISPLAYS = ("page", "popup", "touch", "wap")


class OpenID:
    """The steps of one server."""

    def __init__(self, server: AuthorizationServer) -> None:
        self._server = server

    def check_request(self, request: AuthorizationRequest, client: Client) -> None:
        """Read what an OpenID request says of the person and of the answers (sections 3.1.2.1 and 5.5)."""
        if "openid" not in request.params.get("scope", "").split():
            return
        nonce = request.params.get("nonce")
        if nonce is not None and len(nonce) > MOST_NONCE:
            raise OAuthError("invalid_request", f"nonce must have at most {MOST_NONCE} characters.")
        if request.params.get("display", "page") not in DISPLAYS:
            raise OAuthError("invalid_request", f"display must be one of {', '.join(DISPLAYS)}.")
        asked: dict[str, Any] = parse_request(request.params["claims"]) if "claims" in request.params else {}
        self._choose_person(request, asked)
        acr = asked.get("id_token", {}).get("acr")
        if isinstance(acr, dict) and acr.get("essential") is True:
            request.acr = wanted_values(acr)
        claims, scopes = self._server.claims, self._server.scopes
        named = {name for wanted in asked.values() for name in wanted} & claims.names(scopes.allowed(client))
        request.claims = frozenset(named - claims.names(request.params["scope"].split()))
        request.asked = {"openid": True, **asked, **({"nonce": nonce} if nonce else {})}

    def _choose_person(self, request: AuthorizationRequest, asked: dict[str, Any]) -> None:
        """Whom an ID token as a hint, or `sub` among the wanted claims, means."""
        subjects: set[Any] = set()
        hint = request.params.get("id_token_hint")
        if hint is not None:
            claims = self._server.id_tokens.recognise(hint, request.exchange.base)
            if claims is None or claims["aud"] != request.client.client_id:
                raise OAuthError("invalid_request", "id_token_hint is not an ID token that this client got here.")
            subjects.add(claims["sub"])
        for wanted in asked.values():
            values = wanted_values(wanted.get("sub"))
            if values is not None:
                subjects.add(values[0] if len(values) == 1 and isinstance(values[0], str) else None)
        if len(subjects) > 1 or None in subjects:
            raise OAuthError("invalid_request", "id_token_hint and claims name several people.")
        request.subject = next(iter(subjects), None)

    def add_id_token(self, issue: Issue) -> None:
        """A code buys an ID token, and so does each refresh, then without the nonce (section 12.2)."""
        if issue.grant is None or "openid" not in issue.scope.split():
            return
        if issue.grant_type == "authorization_code":
            issue.answer["id_token"] = self._server.id_tokens.make(issue, nonce=issue.grant.asked.get("nonce"))
        elif issue.grant_type == "refresh_token" and issue.grant.asked.get("openid"):
            issue.answer["id_token"] = self._server.id_tokens.make(issue)


def install(server: AuthorizationServer) -> None:
    if "code" not in server.published.get("response_types_supported", ()):
        raise ConfigurationError("features: openid needs authorization_code, which signs people in")
    feature = OpenID(server)
    server.check(feature.check_request)
    server.on_token(feature.add_id_token)
    authorize.install(server)
    endpoint = userinfo.UserInfo(server)
    server.endpoint(userinfo.PATH, endpoint, "userinfo_endpoint", methods="GET POST", scripts=True)
    if server.settings.keeps_accounts:  # else there is no session of ours that could end
        server.members["end_session_endpoint"] = "/authorize/logout"
        backchannel_logout.install(server)
    _publish(server)
    well_known(server, "openid-configuration", server_document, server.settings.issuer)


def _publish(server: AuthorizationServer) -> None:
    """What Discovery says of the feature (OpenID Connect Discovery section 3, Back-Channel Logout section 2.1)."""
    keeps_sessions = server.settings.keeps_accounts
    calls_back = keeps_sessions and server.settings.issuer is not None
    server.metadata(
        response_modes_supported=["query", "fragment", "form_post"],
        subject_types_supported=["public", "pairwise"],
        id_token_signing_alg_values_supported=list(ALGORITHMS),
        userinfo_signing_alg_values_supported=list(ALGORITHMS),
        display_values_supported=list(DISPLAYS),
        claim_types_supported=["normal"],
        claims_supported=[
            "sub",
            "iss",
            "aud",
            "exp",
            "iat",
            "auth_time",
            "nonce",
            "acr",
            "amr",
            "sid",
            *server.claims.supported,
        ],
        claims_parameter_supported=True,
        request_parameter_supported=False,
        request_uri_parameter_supported=False,
        backchannel_logout_supported=calls_back,
        backchannel_logout_session_supported=calls_back,
        frontchannel_logout_supported=keeps_sessions,
        frontchannel_logout_session_supported=keeps_sessions,
    )
