"""Signing out: by the person, or by a relying party for them (OpenID Connect RP-Initiated Logout 1.0).

Nobody is signed out, and no browser is sent anywhere, on the word of a stranger: without an ID token of the session the
person is asked, and only a registered address is gone to. Relying parties that want to be told by the browser are (OpenID
Connect Front-Channel Logout 1.0); the others are told behind it (`backchannel_logout`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from . import clock, params, redirects
from .errors import OAuthError
from .exchange import Answer, Exchange
from .login import MOST_QUERY, Login
from .models import Client, Session, User
from .navigation import refuse_unless_navigation, refuse_unless_same_origin, see_other, wrong_form
from .sentences import Sentence
from .server import AuthorizationServer
from .sessions import set_cookie
from .store import Ended

log = logging.getLogger("oauth_gateway")
PATH = "/authorize/logout"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A checked request: who asks, the claims of its ID token, and where the browser goes afterwards."""

    client: Client | None = None
    hint: dict[str, Any] | None = None
    goes_to: str | None = None


class Logout:
    """The endpoint and its pages."""

    def __init__(self, server: AuthorizationServer, login: Login) -> None:
        self.server = server
        self.login = login

    def logout(self, exchange: Exchange) -> Answer:
        """GET asks, or signs out at once whose ID token says so; POST is the answer, or the same as a GET."""
        refuse_unless_navigation(exchange)
        if exchange.method == "POST":
            form = exchange.form()
            if "csrf" in form:
                return self._confirmed(exchange, form)
            query = params.encode(form.text)
            if len(query) > MOST_QUERY:
                raise OAuthError(
                    "invalid_request", Sentence("The request is longer than %(most)s characters.", most=MOST_QUERY), 413
                )
            return see_other(f"{exchange.url(PATH)}?{query}")  # where the browser sends its cookie along
        asked = exchange.query()
        wanted = self._wanted(exchange, asked)
        signed_in = self.login.signed_in(exchange)
        if signed_in is None:
            return self._leave(exchange, wanted if wanted.hint else Wanted(), None)
        if exchange.method == "GET" and self._is_of_this_session(wanted, *signed_in):
            return self._end(exchange, wanted)
        return self._ask(exchange, asked, wanted, signed_in[1])

    def _wanted(self, exchange: Exchange, query: params.Params) -> Wanted:
        """Section 2; raises OAuthError for a page where anything about the request is not right."""
        exchange.ui_locales = query.get("ui_locales", "")
        query.refuse_repeated()
        hint, client_id, text = None, query.get("client_id"), query.get("id_token_hint")
        if text is not None:
            hint = self.server.id_tokens.recognise(text, exchange.base)
            if hint is None:  # too old, or not ours: as good as none, and whoever sent it is not gone back to
                log.info("id_token_hint of a logout is not an ID token that was issued here")
                return Wanted()
            if client_id not in (None, hint["aud"]):
                raise OAuthError("invalid_request", Sentence("id_token_hint is not one of this client."))
            client_id = hint["aud"]
        client = self.server.query_client(client_id) if client_id is not None else None
        if client is None and client_id is not None and hint is None:
            raise OAuthError("invalid_request", Sentence("This client is not known here."))
        asked = query.get("post_logout_redirect_uri")
        if asked is None or client is None:  # an address that nobody stands for is not gone to
            return Wanted(client, hint)
        registered = client.metadata.get("post_logout_redirect_uris", ())
        if not redirects.matches(registered, asked):
            why = redirects.difference(registered, asked)
            cause = f"client {client_id}: post_logout_redirect_uri {asked[:200]!r} is not registered: {why}"
            sentence = Sentence("The post_logout_redirect_uri is not registered for this client.")
            raise OAuthError("invalid_request", sentence, cause=cause)
        state = urlencode({"state": query["state"]}) if "state" in query else ""
        goes_to = f"{asked}{'&' if '?' in asked else '?'}{state}" if state else asked
        return Wanted(client, hint, goes_to)

    def _is_of_this_session(self, wanted: Wanted, session: Session, user: User) -> bool:
        """Whether the ID token is of this person and this login: one of another browser's is no reason to end this one."""
        if wanted.hint is None or wanted.client is None:
            return False
        claims = self.server.claims
        person, sid = claims.subject(user.user_id, wanted.client), claims.session(session.sid, wanted.client)
        return bool(wanted.hint["sub"] == person and wanted.hint.get("sid", sid) == sid)

    def _ask(self, exchange: Exchange, query: params.Params, wanted: Wanted, user: User) -> Answer:
        return self.server.pages.render(
            exchange,
            "logout",
            leads_away=wanted.goes_to is not None,
            client_name=wanted.client.name if wanted.client else "",
            username=user.username,
            action=exchange.url(PATH),
            csrf=self.login.sessions.form_token(self.login.cookie(exchange) or "", "logout"),
            request=query.text,
        )

    def _confirmed(self, exchange: Exchange, form: params.Params) -> Answer:
        refuse_unless_same_origin(exchange)
        form.refuse_repeated()
        if not self.login.sessions.form_is_ours(self.login.cookie(exchange), "logout", form["csrf"]):
            raise wrong_form(exchange.url(PATH))
        wanted = self._wanted(exchange, params.parse(form.get("request", "")))
        return self._end(exchange, wanted, form.get("next", ""), everywhere="everywhere" in form)

    def _end(self, exchange: Exchange, wanted: Wanted, following: str = "", *, everywhere: bool = False) -> Answer:
        signed_in = self.login.signed_in(exchange)
        if signed_in is not None and everywhere:
            ended = self.login.end_all(exchange, *signed_in)
        else:
            ended = self.login.sessions.end(self.login.cookie(exchange) or "", clock.now())
        if signed_in is not None:
            client_id = wanted.client.client_id if wanted.client else None
            known = {"user_id": signed_in[1].user_id, "client_id": client_id, "address": exchange.address}
            self.server.events.emit("user.logout", **known)
        if ended is not None:
            self.server.jobs.hint()
        return self._leave(exchange, wanted, ended, following)

    def _leave(self, exchange: Exchange, wanted: Wanted, ended: Ended | None, following: str = "") -> Answer:
        """Where the browser goes: past the relying parties that want to see it, to the client, or nowhere."""
        cookie_name, secure = exchange.cookie
        gone = set_cookie(cookie_name, "", secure=secure, lifetime=0)
        if following:
            answer = self.login.start(exchange, following, gone)
        elif wanted.goes_to:
            answer = see_other(wanted.goes_to, gone)
        else:
            answer = self.server.pages.render(
                exchange, "logged_out", headers=(gone,), login_url=exchange.url("/authorize/login")
            )
        return self.login.past_parties(exchange, ended, answer, "" if following else exchange.url(PATH))
