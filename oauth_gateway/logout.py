"""Signing out: by the person, or by a relying party for them (OpenID Connect RP-Initiated Logout 1.0).

Nobody is signed out, and no browser is sent anywhere, on the word of a stranger: without an ID token of the session the
person is asked, and only a registered address is gone to. Relying parties that want to be told by the browser are (OpenID
Connect Front-Channel Logout 1.0); the others are told behind it (`backchannel_logout`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from . import clock, params, redirects
from .errors import OAuthError
from .exchange import Answer, Exchange
from .login import MOST_QUERY, Login
from .models import Client, Session, User
from .navigation import refuse_unless_navigation, refuse_unless_same_origin, see_other
from .server import AuthorizationServer
from .sessions import set_cookie
from .store import Ended

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
                raise OAuthError("invalid_request", f"The request is longer than {MOST_QUERY} characters.", 413)
            return see_other(f"{exchange.url(PATH)}?{query}")  # where the browser sends its cookie along
        asked = exchange.query()
        wanted = self._wanted(exchange, asked)
        signed_in = self.login.signed_in(exchange)
        if signed_in is None:
            return self._leave(exchange, wanted if wanted.hint else Wanted(), None)
        if self._is_of_this_session(wanted, *signed_in):
            return self._end(exchange, wanted)
        return self._ask(exchange, asked, wanted, signed_in[1])

    def _wanted(self, exchange: Exchange, query: params.Params) -> Wanted:
        """Section 2; raises OAuthError for a page where anything about the request is not right."""
        query.refuse_repeated()
        hint, client_id, text = None, query.get("client_id"), query.get("id_token_hint")
        if text is not None:
            hint = self.server.id_tokens.recognise(text, exchange.base)
            if hint is None:
                raise OAuthError("invalid_request", "id_token_hint is not an ID token that was issued here.")
            if client_id not in (None, hint["aud"]):
                raise OAuthError("invalid_request", "id_token_hint is not one of this client.")
            client_id = hint["aud"]
        client = self.server.query_client(client_id) if client_id is not None else None
        if client_id is not None and client is None:
            raise OAuthError("invalid_request", "This client is not known here.")
        asked = query.get("post_logout_redirect_uri")
        if asked is None or client is None:  # an address that nobody stands for is not gone to
            return Wanted(client, hint)
        registered = client.metadata.get("post_logout_redirect_uris", ())
        if not redirects.matches(registered, asked):
            why = redirects.difference(registered, asked)
            cause = f"client {client_id}: post_logout_redirect_uri {asked[:200]!r} is not registered: {why}"
            raise OAuthError("invalid_request", "The post_logout_redirect_uri is not registered for this client.", cause=cause)
        state = urlencode({"state": query["state"]}) if "state" in query else ""
        goes_to = f"{asked}{'&' if '?' in asked else '?'}{state}" if state else asked
        return Wanted(client, hint, goes_to)

    def _is_of_this_session(self, wanted: Wanted, session: Session, user: User) -> bool:
        if wanted.hint is None or wanted.client is None:
            return False
        same_person: bool = wanted.hint["sub"] == self.server.claims.subject(user.user_id, wanted.client)
        return same_person

    def _ask(self, exchange: Exchange, query: params.Params, wanted: Wanted, user: User) -> Answer:
        return self.server.pages.render(
            "logout",
            leads_to=redirects.form_action_source(wanted.goes_to) if wanted.goes_to else "",
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
            raise OAuthError("invalid_request", "This page was not meant for this browser, or it is too old.", 403)
        wanted = self._wanted(exchange, params.parse(form.get("request", "")))
        return self._end(exchange, wanted, form.get("next", ""))

    def _end(self, exchange: Exchange, wanted: Wanted, following: str = "") -> Answer:
        signed_in = self.login.signed_in(exchange)
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
            return self.login.start(exchange, following, gone)
        frames = self._frames(exchange, ended) if ended else []
        if frames:
            goes_to = wanted.goes_to or exchange.url(PATH)
            return self.server.pages.render("signing_out", headers=(gone,), frames=frames, goes_to=goes_to)
        if wanted.goes_to:
            return see_other(wanted.goes_to, gone)
        return self.server.pages.render("logged_out", headers=(gone,), login_url=exchange.url("/authorize/login"))

    def _frames(self, exchange: Exchange, ended: Ended) -> list[str]:
        """The addresses that tell relying parties within the browser (Front-Channel Logout section 3)."""
        found = []
        for party in ended.parties:
            client = self.server.store.client_numbered(party.client)
            uri = client.metadata.get("frontchannel_logout_uri") if client and client.disabled is None else None
            if uri:
                query = urlencode({"iss": exchange.base, "sid": ended.session.sid})
                found.append(f"{uri}{'&' if '?' in uri else '?'}{query}")
        return found
