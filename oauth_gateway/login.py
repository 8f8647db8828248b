"""Signing in and out: the pages, and what leads back to the request that asked for it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from . import clock, params, redirects
from .errors import OAuthError
from .exchange import Answer, Exchange
from .models import Session, User
from .navigation import refuse_unless_navigation, refuse_unless_same_origin, see_other
from .request import AuthorizationRequest
from .server import AuthorizationServer
from .sessions import Sessions, new_value, read_cookie, set_cookie

MOST_QUERY = 4000  # characters; longer request lines are refused by servers anyway
MOST_REQUEST = 16_000  # characters of a posted one; with what the pages add it stays below MOST_BODY


class Login:
    """Who is signed in at this browser, and the pages that change it."""

    def __init__(self, server: AuthorizationServer) -> None:
        self.server = server
        self.sessions = Sessions(server.settings, server.store, server.sealer)

    def cookie(self, exchange: Exchange) -> str | None:
        return read_cookie(exchange.environ.get("HTTP_COOKIE", ""), exchange.cookie[0])

    def signed_in(self, exchange: Exchange) -> tuple[Session, User] | None:
        return self.sessions.find(self.cookie(exchange), clock.now())

    def start(self, exchange: Exchange, query: str, *headers: tuple[str, str]) -> Answer:
        """Lead the browser to where the request starts again, or to the sign-in page where there is none.

        A request that is too long for an address goes along in a form: nothing is kept for somebody who is not signed in.
        """
        encoded = params.encode(query)
        if not encoded:
            return see_other(exchange.url("/authorize/login"), *headers)
        if len(encoded) <= MOST_QUERY:
            return see_other(f"{exchange.url('/authorize')}?{encoded}", *headers)
        if len(encoded) > MOST_REQUEST:
            raise OAuthError("invalid_request", f"The request is longer than {MOST_REQUEST} characters.", 413)
        fields = [(name, value) for name, values in params.parse(query).every.items() for value in values]
        grant = self._validated(exchange, query)
        return self.server.pages.render(
            "continue",
            headers=headers,
            leads_to=redirects.form_action_source(grant.redirect_uri) if grant else "",
            action=exchange.url("/authorize"),
            fields=fields,
        )

    def login(self, exchange: Exchange) -> Answer:
        """The login form; without a pending request it ends on a page that says who is signed in."""
        refuse_unless_navigation(exchange)
        if exchange.method == "POST":
            return self._log_in(exchange)
        signed_in = self.signed_in(exchange)
        if signed_in is None:
            return self.page(exchange, "")
        return self.server.pages.render(
            "account",
            username=signed_in[1].username,
            action=exchange.url("/authorize/logout"),
            csrf=self.sessions.form_token(self.cookie(exchange) or "", "logout"),
        )

    def _log_in(self, exchange: Exchange) -> Answer:
        refuse_unless_same_origin(exchange)
        form = exchange.form()
        form.refuse_repeated()
        cookie, following = self.cookie(exchange), form.get("next", "")
        if not self.sessions.form_is_ours(cookie, "login", form.get("csrf", "")):
            error = OAuthError("invalid_request", "The sign-in page was open for too long, or cookies are off.", 403)
            again = dict(self.start(exchange, following).headers).get("Location", "")
            return self.server.pages.error(error, again=again)
        now, name = clock.now(), form.get("username", "")
        try:
            user = self.server.users.log_in(name, form.get("password", ""), exchange.address, now)
        except OAuthError as error:
            return self.page(
                exchange, following, message=error.description, name=name, status=error.status, headers=error.headers
            )
        if user is None:
            return self.page(exchange, following, message="Name or password is not right.", name=name, status=400)
        value = self.sessions.start(user, cookie, now)
        self.server.events.emit("user.login", user_id=user.user_id, address=exchange.address, method="pwd")
        cookie_name, secure = exchange.cookie
        header = set_cookie(cookie_name, value, secure=secure, lifetime=self.server.settings.session_lifetime)
        # without prompt=login, which is done; whoever needs proof of it reads auth_time
        return self.start(exchange, _without_login_prompt(following), header)

    def page(
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
        cookie = self.cookie(exchange)
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
        cookie = self.cookie(exchange)
        if exchange.method != "POST":
            if self.signed_in(exchange) is not None:
                return self.login(exchange)
            return self.server.pages.render("logged_out", login_url=exchange.url("/authorize/login"))
        refuse_unless_same_origin(exchange)
        form = exchange.form()
        if not self.sessions.form_is_ours(cookie, "logout", form.get("csrf", "")):
            raise OAuthError("invalid_request", "This page was not meant for this browser, or it is too old.", 403)
        signed_in = self.signed_in(exchange)
        self.sessions.end(cookie or "", clock.now())
        if signed_in is not None:
            self.server.events.emit("user.logout", user_id=signed_in[1].user_id, address=exchange.address)
        cookie_name, secure = exchange.cookie
        gone = set_cookie(cookie_name, "", secure=secure, lifetime=0)
        if form.get("next"):
            return self.start(exchange, form["next"], gone)
        return self.server.pages.render("logged_out", headers=(gone,), login_url=exchange.url("/authorize/login"))


def _without_login_prompt(query: str) -> str:
    """The query without `login` among its prompts."""
    found = params.parse(query)
    prompts = found.get("prompt", "").split()
    if "login" not in prompts or "prompt" in found.repeated:
        return query
    rest = " ".join(word for word in prompts if word != "login")
    pairs = [(name, value) for name, values in found.every.items() for value in values if name != "prompt"]
    return urlencode([*pairs, ("prompt", rest)] if rest else pairs)
