"""The page on which a person sees where they are signed in, and ends it."""

from __future__ import annotations

from . import clock
from .exchange import Answer, Exchange
from .login import Login
from .logout import PATH as LOGOUT
from .navigation import refuse_unless_navigation, refuse_unless_same_origin, see_other, wrong_form
from .server import AuthorizationServer

PATH = "/authorize/account"


class Account:
    """The endpoint."""

    def __init__(self, server: AuthorizationServer, login: Login) -> None:
        self.server = server
        self.login = login

    def account(self, exchange: Exchange) -> Answer:
        """GET shows the sessions, POST ends the one that its form names."""
        refuse_unless_navigation(exchange)
        signed_in = self.login.signed_in(exchange)
        if signed_in is None:
            return see_other(exchange.url("/authorize/login"))
        if exchange.method != "POST":
            return self.login.account_page(exchange, *signed_in)
        refuse_unless_same_origin(exchange)
        form, (session, user) = exchange.form(), signed_in
        form.refuse_repeated()
        if not self.login.sessions.form_is_ours(self.login.cookie(exchange), "account", form.get("csrf", "")):
            raise wrong_form()
        sid = form.get("session", "")
        if sid == session.sid:
            return see_other(exchange.url(LOGOUT))
        if self.login.sessions.end_named(user, sid, clock.now()):
            self.server.events.emit("session.ended", user_id=user.user_id, address=exchange.address)
            self.server.jobs.hint()
        return see_other(exchange.url(PATH))
