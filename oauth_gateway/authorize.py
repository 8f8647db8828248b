"""The authorization endpoint as people meet it: consent and decision.

The request is checked before anybody logs in and again at every step; the only thing carried between the steps is its
query string, so a page that was left open simply starts over. Pages answer navigations only (see `docs/security.md`): the
wrapped app shares our origin, and a script injected there must not be able to drive consent.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from typing import Any
from urllib.parse import urlencode, urlsplit

from . import account, clock, logout, params, redirects
from .decision import Decision
from .errors import OAuthError
from .exchange import Answer, Exchange
from .external_login import ExternalLogin
from .languages import TAGS
from .login import MOST_QUERY, Login
from .models import Client, Consent, Session, User
from .navigation import is_navigation, is_same_origin, refuse_unless_navigation, refuse_unless_same_origin, wrong_form
from .request import AuthorizationRequest
from .sealing import new_number
from .sentences import Sentence
from .server import AuthorizationServer
from .sessions import PASSWORD_ACR
from .settings import Settings
from .users import normalise

PATH = "/authorize"
PROMPTS = frozenset({"none", "login", "consent", "select_account"})
ALLOWED, DENIED = 1, 1_000_000
TRANSACTION_SECONDS = 3600  # how long a consent page may stay open
MOST_CARRIED = 20_000  # characters of a request that the consent form carries a second time: it must fit into params.MAX_BODY


class Authorization:
    """The endpoint, and the consent page."""

    def __init__(self, server: AuthorizationServer) -> None:
        self.server = server
        if server.settings.keeps_accounts:
            self.login = Login(server)
            self.logout = logout.Logout(server, self.login).logout
        else:
            self.login = external = ExternalLogin(server)
            self.logout = external.logout

    def authorize(self, exchange: Exchange) -> Answer:
        """GET shows login or consent; POST with `decision` decides, POST without it is the same request as a GET."""
        if not is_navigation(exchange):
            return self._in_a_frame(exchange)
        if exchange.method == "POST":
            form = exchange.form()
            if "decision" in form:
                return self._decide(exchange, form)
            if len(form.text) <= MOST_QUERY or not is_same_origin(exchange):
                return self.login.start(exchange, form.text)  # where the browser sends its cookie along
            request = AuthorizationRequest(exchange, form, "/authorize")
        else:
            request = AuthorizationRequest(exchange, exchange.query(), "/authorize")
        try:
            grant = self.server.get_consent_grant(request)
            return self._proceed(exchange, request, grant)
        except OAuthError as error:
            return self.server.redirect_error(exchange, error)

    def _proceed(self, exchange: Exchange, request: AuthorizationRequest, grant: Any) -> Answer:
        prompts = request.prompts
        signed_in = self.login.signed_in(exchange)
        if signed_in is None or not self.login.suffices(request, *signed_in):
            if "none" in prompts:
                raise request.redirected("login_required", "The person has to sign in first.")
            return self.login.ask(exchange, request, grant, signed_in)
        session, user = signed_in
        if request.acr is not None and session.acr not in request.acr:
            raise request.redirected("unmet_authentication_requirements", "Nobody can sign in here in this way.")
        if "select_account" in prompts and len(request.params.text) <= MOST_QUERY:  # a longer one has "Not you?" only
            return self._choose_account(exchange, request, user)
        agreed = None if {"consent", "select_account"} & prompts else self._agreed_before(grant, user)
        if agreed is not None:
            user = self.login.enrolled(user)
            request.decision = Decision.of(session, user, secrets.token_bytes(32), new_number(), consent=agreed)
            answer: Answer = self.server.create_authorization_response(request, user, grant)
            return answer
        if "none" in prompts:
            raise request.redirected("consent_required", "The person has to agree first.")
        return self._consent_page(exchange, request, grant, session, user)

    def _in_a_frame(self, exchange: Exchange) -> Answer:
        """What a script or frame asked for gets no page, but may learn that it would be needed (prompt=none)."""
        if exchange.method == "GET":
            request = AuthorizationRequest(exchange, exchange.query(), "/authorize")
            if "none" in request.prompts:
                try:
                    self.server.get_consent_grant(request)
                    raise request.redirected("interaction_required", "This works in a browser window of its own only.")
                except OAuthError as error:
                    return self.server.redirect_error(exchange, error)
        refuse_unless_navigation(exchange)
        raise AssertionError("not reached: it was no navigation")

    def _choose_account(self, exchange: Exchange, request: AuthorizationRequest, user: User) -> Answer:
        """Go on as who is signed in, or as somebody else."""
        cookie, rest = self.login.cookie(exchange) or "", without_prompt(request.params, "select_account")
        return self.server.pages.render(
            exchange,
            "choose",
            leads_away=True,
            client_name=request.client.name,
            username=user.username,
            going_on=f"{exchange.url(PATH)}?{rest}",
            logout_action=exchange.url("/authorize/logout"),
            logout_csrf=self.login.sessions.form_token(cookie, "logout"),
            next=rest,
        )

    def _agreed_before(self, grant: Any, user: User) -> Consent | None:
        """The consent to the same from before; for a client that anybody can claim to be there is none."""
        client, uri = grant.request.client, grant.redirect_uri
        if client.is_public or not getattr(grant, "authenticates_client", False) or not uri.startswith("https://"):
            return None
        audience = self.server.settings.audience
        known = self.server.store.consent(user.user_id, client.number, uri, audience)
        return known if known and self.server.scopes.covers(known.scope, grant.request.agreement) else None

    # -- consent

    def _consent_page(
        self, exchange: Exchange, request: AuthorizationRequest, grant: Any, session: Session, user: User
    ) -> Answer:
        cookie = self.login.cookie(exchange) or ""
        transaction = {
            "query": request.params.text,
            "sid": session.sid,
            "person": _person(user),
            "number": new_number(),
            "seed": secrets.token_hex(32),
            "made": clock.now(),
        }
        sealed = self.server.sealer.seal("transaction", json.dumps(transaction).encode(), cookie)
        return self.server.pages.render(
            exchange,
            "consent",
            leads_away=True,
            client_name=request.client.name,
            client_uri=request.client.metadata.get("client_uri", ""),
            redirect_host=_host(grant.redirect_uri),
            on_device=redirects.is_on_device(grant.redirect_uri),
            scopes=self.server.scopes.described(request.agreement.split()),
            username=user.username,
            action=exchange.url("/authorize"),
            csrf=self.login.sessions.form_token(cookie, "consent"),
            transaction=base64.urlsafe_b64encode(sealed).decode(),
            logout_action=exchange.url("/authorize/logout"),
            logout_csrf=self.login.sessions.form_token(cookie, "logout"),
            next=request.params.text if len(request.params.text) <= MOST_CARRIED else "",
        )

    def _decide(self, exchange: Exchange, form: params.Params) -> Answer:
        """The decision of the person to whom the consent page was shown, in the browser that it was shown to."""
        refuse_unless_same_origin(exchange)
        form.refuse_repeated()
        cookie = self.login.cookie(exchange)
        if not self.login.sessions.form_is_ours(cookie, "consent", form.get("csrf", "")):
            raise wrong_form(self._again(exchange, form))
        transaction = self._transaction(exchange, cookie or "", form)
        signed_in = self.login.signed_in(exchange)
        fresh = clock.now() - transaction["made"] < TRANSACTION_SECONDS
        if signed_in is None or not fresh or not _is_of(transaction, *signed_in):
            return self.login.start(exchange, transaction["query"])  # nothing is decided; whoever it is now is asked
        request = AuthorizationRequest(exchange, params.parse(transaction["query"]), "/authorize")
        try:
            grant = self.server.get_consent_grant(request)
            if form["decision"] == "allow" and not self.login.suffices(request, *signed_in):
                # the page was open for longer than the client wants
                return self.login.start(exchange, transaction["query"])
            return self._answer(request, grant, form["decision"], signed_in, transaction)
        except OAuthError as error:
            return self.server.redirect_error(exchange, error)

    def _answer(
        self,
        request: AuthorizationRequest,
        grant: Any,
        decision: str,
        signed_in: tuple[Session, User],
        transaction: dict[str, Any],
    ) -> Answer:
        session, user = signed_in
        server, key, now = self.server, str(transaction["number"]), clock.now()
        known = {"client_id": request.client.client_id, "address": request.exchange.address}
        # one atomic count of both decisions tells whether the other one was ever taken, also of two at once
        amount = ALLOWED if decision == "allow" else DENIED
        denied, allowed = divmod(server.store.count("decision", key, TRANSACTION_SECONDS, now, amount).value, DENIED)
        if denied and allowed:
            raise OAuthError("invalid_request", Sentence("This request was answered before."), 409)
        if decision == "allow":
            seed, user = bytes.fromhex(transaction["seed"]), self.login.enrolled(user)
            request.decision = Decision.of(session, user, seed, transaction["number"], remember=True)
            answer: Answer = server.create_authorization_response(request, user, grant)
            server.events.emit("consent.allowed", **known, user_id=user.user_id, scope=request.scope)
            return answer
        server.events.emit("consent.denied", **known, user_id=user.user_id or None)
        raise grant.request.redirected("access_denied", "The person denied the request.")

    def _again(self, exchange: Exchange, form: params.Params) -> str:
        """Where the request of a consent form begins anew, as its page said; nothing is believed of it but that."""
        return self.login.again(exchange, form["next"]) if "next" in form else ""

    def _transaction(self, exchange: Exchange, cookie: str, form: params.Params) -> dict[str, Any]:
        text = form.get("transaction", "")
        try:
            data = self.server.sealer.unseal("transaction", base64.urlsafe_b64decode(text), cookie)
        except (binascii.Error, ValueError):
            data = None
        if data is None:
            raise wrong_form(self._again(exchange, form))
        transaction: dict[str, Any] = json.loads(data)
        return transaction


def install(server: AuthorizationServer) -> None:
    """Serve the endpoint and its pages, once for all features that have an authorization request."""
    if server.settings.prefix + PATH in server.endpoints:
        return
    endpoint = Authorization(server)
    server.check(check_parameters)
    server.check(lambda request, client: server.check_resource(request))
    mine = account.Account(server, endpoint.login)
    for path, handler, member in (
        (PATH, endpoint.authorize, "authorization_endpoint"),
        ("/authorize/login", endpoint.login.login, None),
        (logout.PATH, endpoint.logout, None),
        (account.PATH, mine.account, None),
        (account.PASSWORD, mine.password, None),
    ):
        server.endpoint(path, handler, member, methods="GET HEAD POST", people=True)
    server.metadata(
        authorization_response_iss_parameter_supported=True,
        prompt_values_supported=["none", "login", "consent", "select_account"],
        acr_values_supported=_kinds_of_login(server.settings),
        ui_locales_supported=list(TAGS),
    )


def _kinds_of_login(settings: Settings) -> list[str]:
    """What `acr` may be: our own logins have one, of others the routes say what they want (RFC 9470 section 7)."""
    if settings.keeps_accounts:
        return [PASSWORD_ACR]
    words = [word for rule in settings.routes for word in rule.access.words]
    return sorted({each for name, value in words if name == "acr" for each in value.split(",")})


def check_parameters(request: AuthorizationRequest, client: Client) -> None:
    """What is not supported is refused rather than ignored where ignoring it would change the meaning."""
    for name in ("request", "request_uri"):
        if name in request.params:
            raise OAuthError(f"{name}_not_supported", f"The parameter {name} is not supported.")
    if not PROMPTS.issuperset(request.prompts) or ("none" in request.prompts and len(request.prompts) > 1):
        raise OAuthError("invalid_request", "prompt must be none alone, or login, consent or select_account.")
    age = request.params.get("max_age", client.metadata.get("default_max_age"))
    if age is not None:
        if not re.fullmatch("[0-9]{1,10}", str(age)):
            raise OAuthError("invalid_request", "max_age must be a number of seconds.")
        request.max_age = int(age)


def without_prompt(query: params.Params, word: str) -> str:
    """The query without `word` among its prompts."""
    rest = " ".join(prompt for prompt in query.get("prompt", "").split() if prompt != word)
    pairs = [(name, value) for name, values in query.every.items() for value in values if name != "prompt"]
    return urlencode([*pairs, ("prompt", rest)] if rest else pairs)


def _person(user: User) -> str:
    """Who it is, also before anything is stored of them."""
    return f"{user.source}\n{normalise(user.username)}"


def _is_of(transaction: dict[str, Any], session: Session, user: User) -> bool:
    """Whether the page was shown to who is signed in now."""
    return bool(session.sid == transaction["sid"] and _person(user) == transaction.get("person"))


def _host(uri: str) -> str:
    """What a person can recognise of a redirect URI."""
    parts = urlsplit(uri)
    return parts.netloc or Sentence("the application %(scheme)s", scheme=parts.scheme)
