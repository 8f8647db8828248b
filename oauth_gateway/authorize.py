"""The authorization endpoint as people meet it: login, consent, decision, logout.

The request is checked before anybody logs in and again at every step; the only thing carried between the steps is its
query string, so a page that was left open simply starts over. Pages answer navigations only (see `docs/security.md`): the
wrapped app shares our origin, and a script injected there must not be able to drive consent.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from typing import Any
from urllib.parse import urlencode, urlsplit

from . import clock, params, redirects
from .errors import OAuthError
from .exchange import Answer, Exchange
from .models import Session, User
from .request import AuthorizationRequest, Decision
from .sealing import new_number
from .server import AuthorizationServer
from .sessions import Sessions, new_value, read_cookie, set_cookie

TRANSACTION_SECONDS = 3600  # how long a consent page may stay open
MOST_QUERY = 4000  # characters; longer request lines are refused by servers anyway


class Authorization:
    """The pages below /authorize."""

    def __init__(self, server: AuthorizationServer) -> None:
        self.server = server
        self.sessions = Sessions(server.settings, server.store, server.sealer)

    def install(self) -> None:
        endpoint = self.server.endpoint
        endpoint("/authorize", self.authorize, "authorization_endpoint", methods="GET HEAD POST", people=True)
        endpoint("/authorize/login", self.login, methods="GET HEAD POST", people=True)
        endpoint("/authorize/logout", self.logout, methods="GET HEAD POST", people=True)

    # -- /authorize

    def authorize(self, exchange: Exchange) -> Answer:
        """GET shows login or consent; POST with `decision` decides, POST without it is the same request as a GET."""
        refuse_unless_navigation(exchange)
        if exchange.method == "POST":
            form = exchange.form()
            if "decision" in form:
                return self._decide(exchange, form)
            return see_other(self._start(exchange, form.text))
        query = exchange.query()
        request = AuthorizationRequest(exchange, query, "/authorize")
        try:
            grant = self.server.get_consent_grant(request)
            return self._proceed(exchange, request, grant)
        except OAuthError as error:
            return self.server.redirect_error(exchange, error)

    def _proceed(self, exchange: Exchange, request: AuthorizationRequest, grant: Any) -> Answer:
        prompts = request.params.get("prompt", "").split()
        signed_in = self._signed_in(exchange)
        if signed_in is None or "login" in prompts:
            if "none" in prompts:
                raise _redirected(grant, "login_required", "Nobody is signed in.")
            return self._login_page(exchange, request.params.text, grant=grant)
        session, user = signed_in
        if "consent" not in prompts and self._agreed_before(grant, user):
            request.decision = self._decision(session, user, secrets.token_bytes(32), new_number(), remember=False)
            answer: Answer = self.server.create_authorization_response(request, user, grant)
            return answer
        if "none" in prompts:
            raise _redirected(grant, "consent_required", "The person has to agree first.")
        return self._consent_page(exchange, request, grant, session, user)

    def _agreed_before(self, grant: Any, user: User) -> bool:
        """Whether the same was agreed to before; a client that anybody can claim to be is always asked."""
        client, uri = grant.request.client, grant.redirect_uri
        if client.is_public or not uri.startswith("https://"):
            return False
        audience = self.server.settings.audience
        known = self.server.store.consent(user.user_id, client.number, uri, audience)
        return known is not None and set(known.scope.split()).issuperset((grant.request.scope or "").split())

    # -- consent

    def _consent_page(
        self, exchange: Exchange, request: AuthorizationRequest, grant: Any, session: Session, user: User
    ) -> Answer:
        cookie = self._cookie(exchange) or ""
        transaction = {
            "query": request.params.text,
            "sid": session.sid,
            "number": new_number(),
            "seed": secrets.token_hex(32),
            "made": clock.now(),
        }
        sealed = self.server.sealer.seal("transaction", json.dumps(transaction).encode(), cookie)
        descriptions = self.server.settings.scopes
        scopes = [{"name": s, "description": descriptions.get(s, "")} for s in (request.scope or "").split()]
        return self.server.pages.render(
            "consent",
            leads_to=redirects.form_action_source(grant.redirect_uri),
            client_name=request.client.name,
            client_uri=request.client.metadata.get("client_uri", ""),
            redirect_host=_host(grant.redirect_uri),
            scopes=scopes,
            username=user.username,
            action=exchange.url("/authorize"),
            csrf=self.sessions.form_token(cookie, "consent"),
            transaction=base64.urlsafe_b64encode(sealed).decode(),
            logout_action=exchange.url("/authorize/logout"),
            logout_csrf=self.sessions.form_token(cookie, "logout"),
            next=request.params.text,
        )

    def _decide(self, exchange: Exchange, form: params.Params) -> Answer:
        """The decision of the person to whom the consent page was shown, in the browser that it was shown to."""
        refuse_unless_same_origin(exchange)
        form.refuse_repeated()
        cookie = self._cookie(exchange)
        if not self.sessions.form_is_ours(cookie, "consent", form.get("csrf", "")):
            raise OAuthError("invalid_request", "This page was not meant for this browser, or it is too old.", 403)
        transaction = self._transaction(cookie or "", form.get("transaction", ""))
        signed_in = self._signed_in(exchange)
        fresh = clock.now() - transaction["made"] < TRANSACTION_SECONDS
        if signed_in is None or signed_in[0].sid != transaction["sid"] or not fresh:
            return see_other(self._start(exchange, transaction["query"]))
        request = AuthorizationRequest(exchange, params.parse(transaction["query"]), "/authorize")
        try:
            grant = self.server.get_consent_grant(request)
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
        client_id = request.client.client_id
        kind = "allowed" if decision == "allow" else "denied"
        ends = now + TRANSACTION_SECONDS
        if server.store.add("decided", key, ends, now):  # one of two decisions at once is the first
            server.store.add(kind, key, ends, now)
        elif not server.store.has(kind, key, now):
            raise OAuthError("invalid_request", "This request was answered before.", 409)
        if decision == "allow":
            seed = bytes.fromhex(transaction["seed"])
            request.decision = self._decision(session, user, seed, transaction["number"], remember=True)
            answer: Answer = server.create_authorization_response(request, user, grant)
            server.events.emit("consent.allowed", client_id=client_id, user_id=user.user_id, scope=request.scope)
            return answer
        server.events.emit("consent.denied", client_id=client_id, user_id=user.user_id)
        raise _redirected(grant, "access_denied", "The person denied the request.")

    def _transaction(self, cookie: str, text: str) -> dict[str, Any]:
        try:
            data = self.server.sealer.unseal("transaction", base64.urlsafe_b64decode(text), cookie)
        except (binascii.Error, ValueError):
            data = None
        if data is None:
            raise OAuthError("invalid_request", "This page was not meant for this browser, or it is too old.", 403)
        transaction: dict[str, Any] = json.loads(data)
        return transaction

    def _decision(self, session: Session, user: User, seed: bytes, number: int, *, remember: bool) -> Decision:
        return Decision(user, seed, number, remember, session.sid, session.auth_time, session.amr)

    # -- login and logout

    def login(self, exchange: Exchange) -> Answer:
        """The login form; without a pending request it ends on a page that says who is signed in."""
        refuse_unless_navigation(exchange)
        if exchange.method == "POST":
            return self._log_in(exchange)
        signed_in = self._signed_in(exchange)
        if signed_in is None:
            return self._login_page(exchange, "")
        return self.server.pages.render(
            "account",
            username=signed_in[1].username,
            action=exchange.url("/authorize/logout"),
            csrf=self.sessions.form_token(self._cookie(exchange) or "", "logout"),
        )

    def _log_in(self, exchange: Exchange) -> Answer:
        refuse_unless_same_origin(exchange)
        form = exchange.form()
        form.refuse_repeated()
        cookie, following = self._cookie(exchange), form.get("next", "")
        if not self.sessions.form_is_ours(cookie, "login", form.get("csrf", "")):
            error = OAuthError("invalid_request", "The sign-in page was open for too long, or cookies are off.", 403)
            return self.server.pages.error(error, again=self._start(exchange, following))
        now, name = clock.now(), form.get("username", "")
        # without prompt=login, which is about to be done; whoever needs proof of it reads auth_time
        target = self._start(exchange, _without_login_prompt(following))
        try:
            user = self.server.users.log_in(name, form.get("password", ""), exchange.address, now)
        except OAuthError as error:
            return self._login_page(
                exchange, following, message=error.description, name=name, status=error.status, headers=error.headers
            )
        if user is None:
            return self._login_page(exchange, following, message="Name or password is not right.", name=name, status=400)
        value = self.sessions.start(user, cookie, now)
        self.server.events.emit("user.login", user_id=user.user_id, address=exchange.address)
        cookie_name, secure = exchange.cookie
        header = set_cookie(cookie_name, value, secure=secure, lifetime=self.server.settings.session_lifetime)
        return see_other(target, header)

    def _login_page(
        self,
        exchange: Exchange,
        query: str,
        *,
        grant: Any = None,
        message: str = "",
        name: str = "",
        status: int = 200,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Answer:
        cookie = self._cookie(exchange)
        if cookie is None:
            cookie_name, secure = exchange.cookie
            cookie = new_value()
            headers = (*headers, set_cookie(cookie_name, cookie, secure=secure, lifetime=None))
        if grant is None and query:
            grant = self._validated(exchange, query)
        return self.server.pages.render(
            "login",
            status,
            headers=headers,
            leads_to=redirects.form_action_source(grant.redirect_uri) if grant else "",
            client_name=grant.request.client.name if grant else "",
            message=message,
            username=name or (grant.request.params.get("login_hint", "")[:255] if grant else ""),
            action=exchange.url("/authorize/login"),
            csrf=self.sessions.form_token(cookie, "login"),
            next=query,
        )

    def _validated(self, exchange: Exchange, query: str) -> Any:
        try:
            return self.server.get_consent_grant(AuthorizationRequest(exchange, params.parse(query), "/authorize"))
        except OAuthError:
            return None  # /authorize will say so after the login

    def logout(self, exchange: Exchange) -> Answer:
        """GET asks, POST ends the session."""
        refuse_unless_navigation(exchange)
        cookie = self._cookie(exchange)
        if exchange.method != "POST":
            if self._signed_in(exchange) is not None:
                return self.login(exchange)
            return self.server.pages.render("logged_out", login_url=exchange.url("/authorize/login"))
        refuse_unless_same_origin(exchange)
        form = exchange.form()
        if not self.sessions.form_is_ours(cookie, "logout", form.get("csrf", "")):
            raise OAuthError("invalid_request", "This page was not meant for this browser, or it is too old.", 403)
        signed_in = self._signed_in(exchange)
        self.sessions.end(cookie or "", clock.now())
        if signed_in is not None:
            self.server.events.emit("user.logout", user_id=signed_in[1].user_id)
        cookie_name, secure = exchange.cookie
        gone = set_cookie(cookie_name, "", secure=secure, lifetime=0)
        if form.get("next"):
            return see_other(self._start(exchange, form["next"]), gone)
        return self.server.pages.render("logged_out", headers=(gone,), login_url=exchange.url("/authorize/login"))

    # -- small things

    def _cookie(self, exchange: Exchange) -> str | None:
        return read_cookie(exchange.environ.get("HTTP_COOKIE", ""), exchange.cookie[0])

    def _signed_in(self, exchange: Exchange) -> tuple[Session, User] | None:
        return self.sessions.find(self._cookie(exchange), clock.now())

    def _start(self, exchange: Exchange, query: str) -> str:
        """The address at which the request starts again, or the sign-in page where there is none."""
        encoded = params.encode(query)
        if not encoded:
            return exchange.url("/authorize/login")
        if len(encoded) > MOST_QUERY:
            raise OAuthError("invalid_request", f"The request is longer than {MOST_QUERY} characters.", 413)
        return f"{exchange.url('/authorize')}?{encoded}"


def refuse_unless_navigation(exchange: Exchange) -> None:
    """Refuse what a script, frame or image asked for, where the browser says so (Fetch Metadata)."""
    destination = exchange.environ.get("HTTP_SEC_FETCH_DEST", "document")
    mode = exchange.environ.get("HTTP_SEC_FETCH_MODE", "navigate")
    if destination != "document" or mode != "navigate":
        raise OAuthError("access_denied", "This page opens in a browser window of its own only.", 403)


def refuse_unless_same_origin(exchange: Exchange) -> None:
    """Refuse a form that was not posted from one of our own pages."""
    parts = urlsplit(exchange.base)
    origin = exchange.environ.get("HTTP_ORIGIN")
    site = exchange.environ.get("HTTP_SEC_FETCH_SITE", "same-origin")
    if origin != f"{parts.scheme}://{parts.netloc}" or site != "same-origin":
        raise OAuthError("access_denied", "This form was not sent from this site.", 403)


def see_other(location: str, *headers: tuple[str, str]) -> Answer:
    return Answer(303, [("Location", location), ("Cache-Control", "no-store"), *headers])


def _redirected(grant: Any, error: str, description: str) -> OAuthError:
    state = grant.request.params.get("state")
    return OAuthError(error, description, redirect_uri=grant.redirect_uri, state=state)


def _without_login_prompt(query: str) -> str:
    """The query without `login` among its prompts."""
    found = params.parse(query)
    prompts = found.get("prompt", "").split()
    if "login" not in prompts or "prompt" in found.repeated:
        return query
    rest = " ".join(word for word in prompts if word != "login")
    pairs = [(name, value) for name, values in found.every.items() for value in values if name != "prompt"]
    return urlencode([*pairs, ("prompt", rest)] if rest else pairs)


def _host(uri: str) -> str:
    """What a person can recognise of a redirect URI."""
    parts = urlsplit(uri)
    return parts.netloc or f"the application {parts.scheme}"
