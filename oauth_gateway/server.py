"""AuthorizationServer: Authlib's authorization server on WebOb, and the verbs that features use.

Authlib validates; the order of the steps, what is consumed when, and every answer are decided here. Its errors become
OAuthError in one function, and an OAuthError becomes HTTP in one place each for JSON, pages and redirects.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import webob
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AuthorizationServer as AuthlibServer

from . import client_auth, clock, redirects
from .errors import OAuthError, StoreUnavailable
from .events import Events
from .exchange import Answer, Exchange, error_answer, json_answer, unavailable_answer
from .issuing import Minted, Unsaved, mint
from .models import Client, Grant
from .pages import Pages
from .request import AuthorizationRequest
from .sealing import Sealer, new_number
from .settings import Settings
from .store import Store
from .users import Users

log = logging.getLogger("oauth_gateway")
logging.getLogger("authlib").setLevel(logging.INFO)  # at DEBUG it writes whole tokens
SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*\Z")  # RFC 6749 section 3.3
Handler = Callable[[Exchange], Answer]
Check = Callable[["AuthorizationRequest", Client], None]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An exact path below the prefix; `people` says that errors there are pages."""

    path: str
    handler: Handler
    methods: frozenset[str]
    people: bool = False
    anywhere: bool = False  # a well-known document, which the prefix does not move


class AuthorizationServer(AuthlibServer):  # type: ignore[misc]
    """Authlib's server with our store, clients and answers; see `docs/architecture.md` for the verbs."""

    def __init__(self, settings: Settings, store: Store, sealer: Sealer, events: Events | None = None) -> None:
        super().__init__(scopes_supported=list(settings.scopes) or None)
        self.settings = settings
        self.store = store
        self.sealer = sealer
        self.events = events or Events()
        self.pages = Pages(settings)
        self.users = Users(store, sealer, self.events)
        self.endpoints: dict[str, Endpoint] = {}
        self.published: dict[str, Any] = {}
        self.members: dict[str, str] = {}
        self._checks: list[Check] = []
        self._writes = 0
        for method, authenticate in client_auth.METHODS.items():
            self.client_auth(method, authenticate)

    # -- the verbs of features

    def endpoint(
        self,
        path: str,
        handler: Handler,
        member: str | None = None,
        *,
        methods: str = "POST",
        people: bool = False,
        anywhere: bool = False,
    ) -> None:
        """Answer `path` with `handler`; `member` is the name under which the metadata publishes it."""
        allowed = frozenset(methods.split())
        self.endpoints[path] = Endpoint(path, handler, allowed, people, anywhere)
        if member:
            self.members[member] = path

    def metadata(self, **members: Any) -> None:
        """Publish `members` in the server's metadata; lists accumulate."""
        for name, value in members.items():
            if isinstance(value, list):
                value = [*self.published.get(name, []), *(v for v in value if v not in self.published.get(name, []))]
            self.published[name] = value

    def grant(self, cls: type) -> None:
        """Serve an Authlib grant class at the token endpoint, and at the authorization endpoint where it has one."""
        self.register_grant(cls)
        grant_type = getattr(cls, "GRANT_TYPE", None)
        if grant_type:
            self.metadata(grant_types_supported=[grant_type])

    def check(self, step: Check) -> None:
        """Have `step(request, client)` refuse an authorization request once client and redirect URI are trusted."""
        self._checks.append(step)

    def client_auth(self, method: str, authenticate: Callable[..., Client | None]) -> None:
        """Offer a client authentication method under its registered name."""
        self.register_client_auth_method(method, authenticate)
        self.metadata(token_endpoint_auth_methods_supported=[method])

    # -- what Authlib asks of an integration

    def query_client(self, client_id: str) -> Client | None:
        client = self.store.client(client_id) if len(client_id) <= 2048 else None
        return client if client is not None and client.disabled is None else None

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Authlib's signals have no listeners here: events are emitted where things are decided."""

    def create_oauth2_request(self, request: Any) -> AuthorizationRequest:
        """From an Exchange of ours, from a WebOb request, or as it is."""
        if isinstance(request, AuthorizationRequest):
            return request
        exchange = self._exchange(request)
        if exchange.method == "POST":
            return AuthorizationRequest(exchange, exchange.form(), exchange.environ.get("PATH_INFO", ""))
        return AuthorizationRequest(exchange, exchange.query(), exchange.environ.get("PATH_INFO", ""))

    def _exchange(self, request: Any) -> Exchange:
        if isinstance(request, Exchange):
            return request
        return Exchange(request.environ if isinstance(request, webob.BaseRequest) else request, self.settings)

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> Answer:
        if isinstance(body, dict):
            return json_answer(status, body, [h for h in headers if h[0] == "WWW-Authenticate"])
        return Answer(status, list(headers), body.encode() if isinstance(body, str) else body)

    def handle_error_response(self, request: Any, error: OAuth2Error) -> Answer:
        raise from_authlib(error)

    def authenticate_client(self, request: AuthorizationRequest, methods: Any, endpoint: str = "token") -> Client:
        """The client, by the one mechanism that the request uses; every failure reads the same to the outside."""
        return client_auth.authenticate(self, super().authenticate_client, request)

    # -- the authorization endpoint

    def get_consent_grant(self, request: Any = None, end_user: Any = None) -> Any:
        """A validated authorization request as Authlib's grant (`.client`, `.redirect_uri`, `.request.scope`).

        Raises OAuthError; its `redirect_uri` is set only where client and redirect URI can be trusted.
        """
        request = self.create_oauth2_request(request)
        client, redirect_uri = self._trusted_redirect(request)
        state = request.params.get("state") if "state" not in request.params.repeated else None
        try:
            request.params.refuse_repeated()
            if not (request.params.get("response_type") or "").replace(" ", "").replace("_", "").isalnum():
                raise OAuthError("invalid_request", "response_type is missing or malformed.")
            request.user = end_user
            for check in self._checks:
                check(request, client)
            grant = self.get_authorization_grant(request)
            grant.validate_consent_request()
            request.scope = self.scope_for(client, request.params.get("scope"))
        except OAuth2Error as error:
            failure = from_authlib(error)
        except OAuthError as error:
            failure = error
        else:
            grant.redirect_uri = redirect_uri
            return grant
        failure.redirect_uri, failure.state = redirect_uri, state
        raise failure

    validate_consent_request = get_consent_grant

    def _trusted_redirect(self, request: AuthorizationRequest) -> tuple[Client, str]:
        """Client and redirect URI, or an error that is never sent anywhere (RFC 6749 section 4.1.2.1)."""
        for name in ("client_id", "redirect_uri"):
            if name in request.params.repeated:
                raise OAuthError("invalid_request", f"The parameter {name} must not be repeated.")
        client_id = request.params.get("client_id")
        if client_id is None:
            raise OAuthError("invalid_request", "The parameter client_id is missing.")
        client = self.query_client(client_id)
        if client is None:
            raise OAuthError("invalid_client", "This client is not known here.", cause=f"client_id {client_id[:200]!r}")
        asked = request.params.get("redirect_uri")
        if asked is None:
            only = client.get_default_redirect_uri()
            if only is None:
                raise OAuthError("invalid_request", "The parameter redirect_uri is missing.")
            return client, only
        if not client.check_redirect_uri(asked):
            why = redirects.difference(client.redirect_uris, asked)
            raise OAuthError(
                "invalid_request",
                "The redirect_uri is not registered for this client.",
                cause=f"client {client_id}: redirect_uri {asked[:200]!r} is not registered: {why}",
            )
        return client, asked

    def create_authorization_response(self, request: Any = None, grant_user: Any = None, grant: Any = None) -> Any:
        """The redirect with a code for `grant_user`, or with access_denied where it is None."""
        webob_wanted = isinstance(request, webob.BaseRequest)
        if grant is None:
            grant = self.get_consent_grant(request, grant_user)
        try:
            if not grant_user:
                raise OAuthError("access_denied", "The person denied the request.")
            answer = self.handle_response(*grant.create_authorization_response(grant.redirect_uri, grant_user))
        except OAuthError as error:
            if error.status != 400:  # answered before: a page, for the client has its answer
                raise
            error.redirect_uri = grant.redirect_uri
            error.state = grant.request.params.get("state")
            answer = self.redirect_error(grant.request.exchange, error)
        return answer.as_response() if webob_wanted else answer

    def redirect(self, exchange: Exchange, uri: str, answer: dict[str, str], state: str | None) -> Answer:
        """Send the browser to the client with `answer`, `state` as it came and `iss` (RFC 9207)."""
        answer = {**answer, **({"state": state} if state is not None else {}), "iss": exchange.base}
        location = f"{uri}{'&' if '?' in uri else '?'}{urlencode(answer, quote_via=quote)}"
        headers = [("Location", location), ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-store")]
        return Answer(303, headers)  # 303, so that a posted form is never posted on (RFC 9700 section 4.12)

    def redirect_error(self, exchange: Exchange, error: OAuthError) -> Answer:
        """The error as a redirect to the client, or raised for a page where the redirect URI cannot be trusted."""
        if error.redirect_uri is None:
            raise error
        answer = {"error": error.error}
        if error.description:
            answer["error_description"] = error.description
        return self.redirect(exchange, error.redirect_uri, answer, error.state)

    # -- the token endpoint and its kin

    def create_token_response(self, request: Any = None) -> Any:
        """The answer of the token endpoint; a WebOb response for a WebOb request."""
        return self._answer(request, super().create_token_response)

    def create_endpoint_response(self, name: str, request: Any = None) -> Any:
        """The answer of a registered endpoint, such as `revocation`."""
        return self._answer(request, lambda made: super(AuthorizationServer, self).create_endpoint_response(name, made))

    def _answer(self, request: Any, create: Callable[[AuthorizationRequest], Answer]) -> Any:
        try:
            if self._exchange(request).method != "POST":
                raise OAuthError("invalid_request", "Use POST here.", 405, headers=(("Allow", "POST"),))
            made = self.create_oauth2_request(request)
            made.params.refuse_repeated()
            answer = create(made)
        except OAuthError as error:
            if error.cause:
                log.info("%s: %s", error.error, error.cause)
            answer = error_answer(error)
        except StoreUnavailable as error:
            if not isinstance(request, webob.BaseRequest):
                raise
            log.error("%s", error)
            answer = unavailable_answer(error)
        return answer.as_response() if isinstance(request, webob.BaseRequest) else answer

    def get_token_grant(self, request: AuthorizationRequest) -> Any:
        grant_type = request.params.get("grant_type")
        if grant_type is None:
            raise OAuthError("invalid_request", "The parameter grant_type is missing.")
        for cls, _ in self._token_grants:
            if cls.check_token_endpoint(request):
                return super().get_token_grant(request)
        raise OAuthError("unsupported_grant_type", "This grant_type is not supported.")

    def scope_for(self, client: Client, asked: str | None) -> str:
        """The scope of a request: all that was asked for, or what a request without `scope` means."""
        if asked is None:
            words = client.scopes
            if self.settings.default_scope is not None:
                words &= frozenset(self.settings.default_scope.split())
            if self.settings.scopes:
                words &= frozenset(self.settings.scopes)
            return " ".join(sorted(words))
        if not SCOPE.match(asked):
            raise OAuthError("invalid_scope", "The scope is malformed.")
        wanted = list(dict.fromkeys(asked.split(" ")))
        allowed = client.scopes if not self.settings.scopes else client.scopes & frozenset(self.settings.scopes)
        if not allowed.issuperset(wanted):
            raise OAuthError("invalid_scope", "The client may not have this scope.")
        return " ".join(sorted(wanted))

    def validate_requested_scope(self, scope: str | None) -> None:
        """Authlib's question; the answer is given by `scope_for`, which also knows the client."""

    def check_resource(self, request: AuthorizationRequest) -> None:
        """Refuse a `resource` that is not the protected app (RFC 8707 section 2)."""
        for resource in request.params.every.get("resource", ()):
            if resource not in (self.settings.audience, request.exchange.resource):
                raise OAuthError("invalid_target", "This resource is not served here.")

    def after_write(self, now: float) -> None:
        """Purge as part of normal work: at most one write in fifty deletes a small batch."""
        self._writes += 1
        if self._writes % 50 == 0:
            try:
                self.store.purge(now)
            except StoreUnavailable as error:  # what was written before is committed and must be answered
                log.warning("expired rows were not deleted: %s", error)

    # -- what grants of Authlib's own making need

    def generate_token(
        self,
        grant_type: str,
        client: Client,
        user: Any = None,
        scope: str | None = None,
        expires_in: int | None = None,
        include_refresh_token: bool = True,
    ) -> dict[str, Any]:
        """A token answer for a registered grant that leaves issuing to the server; `save_token` stores it."""
        now = clock.now()
        family = None
        if user is not None:
            person, audience = self.users.known(user, now).user_id, self.settings.audience
            family = Grant(new_number(), client.number, person, person, scope or "", audience, now, self.ends(now))
        minted = self.mint(client, scope or "", now, grant=family, refresh=include_refresh_token and family is not None)
        return Unsaved(minted, family)

    def save_token(self, token: dict[str, Any], request: Any) -> None:
        """Store what `generate_token` made."""
        if not isinstance(token, Unsaved):
            raise TypeError("save_token stores the answer of generate_token")
        if token.family is None:
            for row in token.minted.rows:
                self.store.issue(row)
        else:
            self.store.authorize(token.family, token.minted.rows, None)

    def mint(self, client: Client, scope: str, now: float, **details: Any) -> Minted:
        """New tokens of one answer, not stored yet; `details` as in `issuing.mint`."""
        return mint(self.settings, self.sealer, client, scope, now, **details)

    def ends(self, now: float) -> float | None:
        """When a grant made now ends, or None for never."""
        return now + self.settings.grant_lifetime if self.settings.grant_lifetime else None


def from_authlib(error: OAuth2Error) -> OAuthError:
    """The one place where an error of Authlib's becomes ours; its text may echo input, so it goes to the log only."""
    status = error.status_code if error.status_code in (400, 401, 403) else 400
    description = _SENTENCES.get(error.error, "The request was refused.")
    return OAuthError(error.error, description, status, cause=json.dumps(str(error.description)))


_SENTENCES = {
    "invalid_request": "The request is malformed or lacks a parameter.",
    "invalid_client": "Client authentication failed.",
    "invalid_grant": "The code or token is not valid.",
    "unauthorized_client": "The client may not use this grant type or response type.",
    "unsupported_response_type": "This response_type is not supported.",
    "invalid_scope": "The client may not have this scope.",
}
