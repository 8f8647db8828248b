"""Signing in and out: the pages, and what leads back to the request that asked for it."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

from . import clock, params, redirects
from .errors import OAuthError
from .exchange import Answer, Exchange
from .models import Client, Session, User
from .navigation import refuse_unless_navigation, refuse_unless_same_origin, see_other
from .request import AuthorizationRequest
from .sentences import Moment, Sentence
from .server import AuthorizationServer
from .sessions import Sessions, new_value, read_cookie, set_cookie
from .store import Ended

MOST_QUERY = 4000  # characters; longer request lines are refused by servers anyway
SETTLED = 300  # seconds for which a login counts as done for the request that asked for it
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
            raise OAuthError(
                "invalid_request", Sentence("The request is longer than %(most)s characters.", most=MOST_REQUEST), 413
            )
        fields = [(name, value) for name, values in params.parse(query).every.items() for value in values]
        grant = self._validated(exchange, query)
        return self.server.pages.render(
            exchange,
            "continue",
            headers=headers,
            leads_to=redirects.form_action_source(grant.redirect_uri) if grant else "",
            action=exchange.url("/authorize"),
            fields=fields,
        )

    def again(self, exchange: Exchange, query: str) -> str:
        """The address at which the request starts again; empty where it is too long for one."""
        return dict(self.start(exchange, query).headers).get("Location", "")

    def login(self, exchange: Exchange) -> Answer:
        """The login form; without a pending request it ends on a page that says who is signed in."""
        refuse_unless_navigation(exchange)
        if exchange.method == "POST":
            return self._log_in(exchange)
        signed_in = self.signed_in(exchange)
        return self.page(exchange, "") if signed_in is None else self.account_page(exchange, *signed_in)

    def _log_in(self, exchange: Exchange) -> Answer:
        refuse_unless_same_origin(exchange)
        form = exchange.form()
        form.refuse_repeated()
        cookie, following = self.cookie(exchange), form.get("next", "")
        if not self.sessions.form_is_ours(cookie, "login", form.get("csrf", "")):
            error = OAuthError("invalid_request", Sentence("The sign-in page was open for too long, or cookies are off."), 403)
            return self.server.pages.error(exchange, error, again=self.again(exchange, following))
        now, name = clock.now(), form.get("username", "")
        try:
            user = self.server.users.log_in(name, form.get("password", ""), exchange.address, now)
        except OAuthError as error:
            return self.page(
                exchange, following, message=error.description, name=name, status=error.status, headers=error.headers
            )
        if user is None:
            return self.page(exchange, following, message=Sentence("Name or password is not right."), name=name, status=400)
        value, ended = self.sessions.start(user, cookie, now)
        if ended is not None:
            self.server.events.emit("session.ended", user_id=ended.session.user_id, address=exchange.address)
            self.server.jobs.hint()
        self.server.events.emit("user.login", user_id=user.user_id, address=exchange.address, method="pwd")
        cookie_name, secure = exchange.cookie
        header = set_cookie(cookie_name, value, secure=secure, lifetime=self.server.settings.session_lifetime)
        grant = self._validated(exchange, following) if following else None
        # what asked for this login is done; whoever needs proof of it reads auth_time
        asked = settled(following, grant.request.client if grant else None) if following else ""
        return self.past_parties(exchange, ended, self.start(exchange, asked, header))

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
            exchange,
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

    def past_parties(self, exchange: Exchange, ended: Ended | None, answer: Answer, last: str = "") -> Answer:
        """The answer, or a page that tells the relying parties of a session that has ended, within the browser, and goes on
        where the answer leads, or to `last` (OpenID Connect Front-Channel Logout section 3).
        """
        frames = []
        for party in ended.parties if ended else ():
            client = self.server.store.client_numbered(party.client)
            uri = client.metadata.get("frontchannel_logout_uri") if client and client.disabled is None else None
            if ended and client and uri:
                query = urlencode({"iss": exchange.base, "sid": self.server.claims.session(ended.session.sid, client)})
                frames.append(f"{uri}{'&' if '?' in uri else '?'}{query}")
        goes_to = dict(answer.headers).get("Location", last)
        if not frames or not goes_to:
            return answer
        cookies = tuple(header for header in answer.headers if header[0] == "Set-Cookie")
        return self.server.pages.render(exchange, "signing_out", headers=cookies, frames=frames, goes_to=goes_to)

    def account_page(self, exchange: Exchange, session: Session, user: User) -> Answer:
        """Who is signed in here, and where else they are."""
        cookie, now = self.cookie(exchange) or "", clock.now()
        sessions = [
            {
                "sid": each.sid,
                "since": Moment(each.created),
                "signed_in": Moment(each.auth_time),
                "here": each.sid == session.sid,
            }
            for each in self.sessions.of(user, now)
        ]
        return self.server.pages.render(
            exchange,
            "account",
            username=user.username,
            action=exchange.url("/authorize/logout"),
            csrf=self.sessions.form_token(cookie, "logout"),
            sessions=sessions,
            session_action=exchange.url("/authorize/account"),
            session_csrf=self.sessions.form_token(cookie, "account"),
        )


def settled(query: str, client: Client | None) -> str:
    """The query of a request for which its person has just signed in: `login` is no longer among its prompts, and the login
    is recent enough for a while.
    """
    found = params.parse(query)
    if found.repeated:
        return query
    prompts = [word for word in found.get("prompt", "").split() if word != "login"]
    usual = client.metadata.get("default_max_age") if client else None
    age = found.get("max_age", "" if usual is None else str(usual))
    changed = {"prompt": " ".join(prompts), "max_age": str(max(int(age), SETTLED)) if re.fullmatch("[0-9]{1,10}", age) else age}
    pairs = [(name, value) for name, values in found.every.items() for value in values if name not in changed]
    return urlencode([*pairs, *((name, value) for name, value in changed.items() if value)])
