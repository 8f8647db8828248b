"""AuthorizationServer: Authlib's authorization server on WebOb, and the verbs that features use.

Authlib validates; the order of the steps, what is consumed when, and every answer are decided here. Its errors become
OAuthError in one function, and an OAuthError becomes HTTP in one place each for JSON, pages and redirects.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AuthorizationServer as AuthlibServer
from authlib.oauth2.rfc6749 import TokenEndpointMixin
from authlib.oauth2.rfc6749.errors import UnsupportedGrantTypeError

from . import client_assertions, client_auth
from .answering import Answering
from .authlib_errors import from_authlib
from .authorizing import Authorizing, Check
from .claims import Claims
from .deployment import Deployment
from .errors import OAuthError, StoreUnavailable
from .events import Events
from .exchange import Answer, Exchange, json_answer
from .fetch import Documents, Fetcher
from .id_tokens import IdTokens
from .issuing import Issue, Issuing
from .jobs import Jobs
from .models import Client, StoredToken
from .near import Challenges, Near
from .pages import Pages
from .request import AuthorizationRequest
from .scopes import ScopePolicy
from .step_up import JUDGES, Judge
from .users import Users

log = logging.getLogger("oauth_gateway")
logging.getLogger("authlib").setLevel(logging.INFO)  # at DEBUG it writes whole tokens
Handler = Callable[[Exchange], Any]  # an Answer, or any other WSGI application


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An exact path below the prefix; `people` says that errors there are pages, `scripts` that those of public clients may
    read the answers, `always` that it answers before the database was looked at."""

    path: str
    handler: Handler
    methods: frozenset[str]
    people: bool = False
    scripts: bool = False
    always: bool = False


class AuthorizationServer(Authorizing, Answering, Issuing, AuthlibServer):  # type: ignore[misc]
    """Authlib's server with our store, clients and answers; see `docs/architecture.md` for the verbs."""

    def __init__(self, deployment: Deployment, events: Events | None = None) -> None:
        settings, store, sealer = deployment.settings, deployment.store, deployment.sealer
        super().__init__(scopes_supported=list(settings.scopes) or None)
        self.settings = settings
        self.store = store
        self.opening = deployment.opening
        self.sealer = sealer
        self.keys = deployment.keys
        self.jwts = deployment.jwts
        self.events = events or Events()
        self.pages = Pages(settings)
        self.users = Users(store, sealer, self.events)
        self.scopes = ScopePolicy(settings)
        self.claims = Claims(settings, store)
        self.id_tokens = IdTokens(store, self.keys, self.claims, lambda client: self.scopes.allowed(client))
        self.fetcher = Fetcher(settings.fetch_private_networks)
        self.documents = Documents(self.fetcher)
        self.jobs = Jobs(store)
        self.challenges = Challenges()
        self._clients: Near[Client] = Near(store)
        self._presented: Near[StoredToken] = Near(store, lambda token: token.kind == "access_token")
        self.endpoints: dict[str, Endpoint] = {}
        self.published: dict[str, Any] = {}
        self.members: dict[str, str] = {}
        self.judges: dict[str, Judge] = dict(JUDGES)
        self._checks: list[Check] = []
        self._token_steps: list[Callable[[Issue], None]] = []
        self._writes = 0
        self.own_auth_methods: list[str] = []  # beside the built-in ones
        self.usual_secrets = True  # whether a secret is judged by nothing but what is stored of it
        self._by_grant_type: dict[str, tuple[Any, Any]] = {}
        for method, authenticate in client_auth.METHODS.items():
            self.client_auth(method, authenticate)
        assertions = client_assertions.ClientAssertions(self)
        for method in client_assertions.METHODS:
            self.client_auth(method, assertions.by(method))
        self.metadata(token_endpoint_auth_signing_alg_values_supported=list(client_assertions.SIGNING))

    # -- the verbs of features

    def endpoint(
        self,
        path: str,
        handler: Handler | str,
        member: str | None = None,
        *,
        methods: str = "POST",
        people: bool = False,
        anywhere: bool = False,
        scripts: bool = False,
        always: bool = False,
    ) -> None:
        """Answer `path` with `handler`, or with the registered endpoint of that name; the metadata names it as `member`.

        `people`: errors there are pages. `anywhere`: the prefix does not move the path. `scripts`: answers have CORS headers.
        `always`: it answers also before the database was looked at.
        """
        name = handler
        answer = (lambda exchange: self.create_endpoint_response(name, exchange)) if isinstance(name, str) else name
        if not path.startswith("/") or (isinstance(name, str) and name not in self._endpoints):
            raise ValueError(f"endpoint {path!r}: write a path with a slash, and register_endpoint what {name!r} names first")
        place = path if anywhere else self.settings.prefix + path
        self.endpoints[place] = Endpoint(path, answer, frozenset(methods.split()), people, scripts, always)
        if member:
            self.members[member] = path

    def metadata(self, **members: Any) -> None:
        """Publish `members` in the server's metadata; lists accumulate."""
        for name, value in members.items():
            if isinstance(value, list):
                value = [*self.published.get(name, []), *(v for v in value if v not in self.published.get(name, []))]
            self.published[name] = value

    def grant(self, cls: type, extensions: Any = None) -> None:
        """Serve an Authlib grant class at the token endpoint, and at the authorization endpoint where it has one."""
        grant_type = getattr(cls, "GRANT_TYPE", None)
        for grants in (self._authorization_grants, self._token_grants):  # an own one takes the place of ours
            grants[:] = [known for known in grants if grant_type is None or getattr(known[0], "GRANT_TYPE", None) != grant_type]
        super().register_grant(cls, extensions)
        if grant_type:
            self.metadata(grant_types_supported=[grant_type])
        usual = all(_goes_by_its_type(known) for known, _ in self._token_grants)
        self._by_grant_type = {known.GRANT_TYPE: (known, more) for known, more in self._token_grants[::-1]} if usual else {}
        self.forget_decisions()

    register_grant = grant

    def check(self, step: Check) -> None:
        """Have `step(request, client)` refuse an authorization request once client and redirect URI are trusted."""
        self._checks.append(step)

    def access(self, word: str, judge: Judge) -> None:
        """Have `judge(token, value, environ)` decide about requests on routes that say `word`: True lets them pass, an
        OAuthError says why not. It is asked at every request, of sessions and tokens that are good otherwise.
        """
        self.judges[word] = judge

    def client_auth(self, method: str, authenticate: Callable[..., Client | None]) -> None:
        """Offer a client authentication method under its registered name, or under a URI of one's own (RFC 7591 section 2).

        `authenticate(query_client, request)` gives the client, or None where the request does not use the method.
        """
        super().register_client_auth_method(method, authenticate)
        self.metadata(token_endpoint_auth_methods_supported=[method])
        if method not in client_auth.BUILT_IN and method not in self.own_auth_methods:
            self.own_auth_methods.append(method)
        built_in = client_auth.METHODS.get(method) is authenticate or method in client_assertions.METHODS
        self.usual_secrets = self.usual_secrets and built_in
        self.forget_decisions()

    register_client_auth_method = client_auth

    # -- what Authlib asks of an integration

    def query_client(self, client_id: str) -> Client | None:
        client = self._clients.get(client_id, lambda: self.store.client(client_id)) if len(client_id) <= 2048 else None
        return client if client is not None and client.disabled is None else None

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Authlib's signals have no listeners here: events are emitted where things are decided."""

    def create_oauth2_request(self, request: Any) -> AuthorizationRequest:
        """From an Exchange of ours, from a WebOb request, or as it is."""
        if isinstance(request, AuthorizationRequest):
            return request
        self.opening()
        exchange = self.exchange_of(request)
        if exchange.method == "POST":
            return AuthorizationRequest(exchange, exchange.form(), exchange.environ.get("PATH_INFO", ""))
        return AuthorizationRequest(exchange, exchange.query(), exchange.environ.get("PATH_INFO", ""))

    def exchange_of(self, request: Any) -> Exchange:
        if isinstance(request, Exchange):
            return request
        for name in ("environ", "META"):  # WebOb, Pyramid and Flask have the one, Django the other
            request = getattr(request, name, request)
        if not isinstance(request, dict):
            raise TypeError("pass the request: WebOb's, Pyramid's, Flask's, Django's, or a WSGI environ")
        return Exchange(request, self.settings)

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> Answer:
        if isinstance(body, dict):
            return json_answer(status, body, [h for h in headers if h[0] == "WWW-Authenticate"])
        return Answer(status, list(headers), body.encode() if isinstance(body, str) else body)

    def handle_error_response(self, request: Any, error: OAuth2Error) -> Answer:
        raise from_authlib(error)

    def authenticate_client(self, request: AuthorizationRequest, methods: Any, endpoint: str = "token") -> Client:
        """The client, by the one mechanism that the request uses; every failure reads the same to the outside.

        `methods` are those that the grant or endpoint allows, None for all that the server offers.
        """
        client = client_auth.authenticate(self, super().authenticate_client, request, methods, endpoint)
        request.exchange.client = client
        return client

    def presented(self, text: str, *, dormant: bool = False) -> StoredToken | None:
        """The access or refresh token whose text somebody presents, as the store has it at this moment."""
        if dormant:
            return self._stored(text, dormant)
        return self._presented.get(text, lambda: self._stored(text, dormant))

    def _stored(self, text: str, dormant: bool) -> StoredToken | None:
        credential = self.sealer.recognise(text)
        if credential is None or credential.kind == "ac":
            return None
        return self.store.token(credential.number, credential.digest, dormant=dormant)[0]

    # -- what the token endpoint asks

    def get_token_grant(self, request: AuthorizationRequest) -> Any:
        grant_type = request.params.get("grant_type")
        if grant_type is None:
            raise OAuthError("invalid_request", "The parameter grant_type is missing.")
        if grant_type in self._by_grant_type:  # Authlib asks one class after the other
            cls, extensions = self._by_grant_type[grant_type]
            made = cls(request, self)
            for extend in extensions or ():
                extend(made)
            return made
        try:
            return super().get_token_grant(request)
        except UnsupportedGrantTypeError:
            raise OAuthError("unsupported_grant_type", "This grant_type is not supported.") from None

    def decides_by(self, cls: type) -> bool:
        """Whether Authlib would choose exactly `cls` for its grant type, with nothing registered beside it."""
        return self._by_grant_type.get(cls.GRANT_TYPE) == (cls, None)  # type: ignore[attr-defined]

    def validate_requested_scope(self, scope: str | None) -> None:
        """Authlib's question; the answer is given by `scopes`, which also knows the client."""

    def check_resource(self, request: AuthorizationRequest) -> None:
        """Refuse a `resource` that is not the protected app (RFC 8707 section 2)."""
        for resource in request.params.every["resource"] if "resource" in request.params else ():
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


def _goes_by_its_type(cls: Any) -> bool:
    """Whether Authlib would choose a grant class by nothing but `grant_type`."""
    check = getattr(cls.check_token_endpoint, "__func__", None)
    return check is TokenEndpointMixin.check_token_endpoint.__func__ and "POST" in cls.TOKEN_ENDPOINT_HTTP_METHODS
