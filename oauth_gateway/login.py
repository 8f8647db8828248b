"""Signing in and out: the pages, and what leads back to the request that asked for it."""

from __future__ import annotations

import base64
import re
from typing import Any
from urllib.parse import urlencode, urlsplit

from . import clock, params
from .devices import device_of
from .errors import OAuthError
from .exchange import Answer, Exchange
from .models import Client, Session, User
from .navigation import place, refuse_unless_navigation, refuse_unless_same_origin, see_other, to_place
from .request import AuthorizationRequest
from .sentences import Sentence
from .server import AuthorizationServer
from .sessions import Sessions, new_value, read_cookie, set_cookie
from .store import Ended

MOST_QUERY = 4000  # characters; longer request lines are refused by servers anyway
SETTLED = 300  # seconds for which a login counts as done for the request that asked for it
OTHER_ACCOUNT = Sentence("The application asks for another account than the one that is signed in.")
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

    def suffices(self, request: AuthorizationRequest, session: Session, user: User) -> bool:
        """Whether the login that there is will do: not where it is to be a new one, is too old, or somebody else is meant."""
        if "login" in request.prompts or not self.is_meant(request, user):
            return False
        return request.max_age is None or is_recent(session, request.max_age)

    def is_meant(self, request: AuthorizationRequest, user: User) -> bool:
        return request.subject in (None, self.server.claims.subject(user.user_id, request.client))

    def ask(
        self, exchange: Exchange, request: AuthorizationRequest, grant: Any, signed_in: tuple[Session, User] | None
    ) -> Answer:
        """Have the person sign in for a validated request, for which who is signed in, if anybody, will not do."""
        other = signed_in is not None and not self.is_meant(request, signed_in[1])
        return self.page(exchange, request.params.text, grant=grant, message=OTHER_ACCOUNT if other else "")

    def enrolled(self, user: User) -> User:
        """The person as stored, now that something is going to be stored of them."""
        return user

    def start(self, exchange: Exchange, query: str, *headers: tuple[str, str]) -> Answer:
        """Lead the browser to where the request starts again, or to a page of the app, or to the sign-in page where there is
        neither.

        A request that is too long for an address goes along in a form: nothing is kept for somebody who is not signed in.
        """
        if query.startswith("/"):
            path = place(query)
            return see_other(exchange.url("/authorize/login"), *headers) if path is None else to_place(exchange, path, *headers)
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
        return self.server.pages.render(
            exchange,
            "continue",
            headers=headers,
            leads_away=True,
            action=exchange.url("/authorize"),
            fields=fields,
        )

    def again(self, exchange: Exchange, query: str) -> str:
        """The address at which the request starts again; empty where it is too long for one."""
        return dict(self.start(exchange, query).headers).get("Location", "")

    def login(self, exchange: Exchange) -> Answer:
        """The login form; it leads back to a page of the app (`next`), or ends on a page that says who is signed in. `max_age`
        wants a login of the last seconds.
        """
        refuse_unless_navigation(exchange)
        if exchange.method == "POST":
            return self._log_in(exchange)
        query, signed_in = exchange.query(), self.signed_in(exchange)
        query.refuse_repeated()
        following, age = place(query.get("next")), query.get("max_age", "")
        request = "" if following else query.get("request", "")
        if signed_in is None:
            name = self._failed(exchange, query.get("failed", ""))
            return (
                self.page(exchange, following or request) if name is None else self._wrong(exchange, following or request, name)
            )
        if request and not request.startswith("/"):
            return self.start(exchange, request)
        if re.fullmatch("[0-9]{1,10}", age) and not is_recent(signed_in[0], int(age)):
            return self.page(
                exchange, following or "", message=Sentence("Please sign in again to go on."), name=signed_in[1].username
            )
        if following in (None, urlsplit(exchange.url("/authorize/login")).path):
            return see_other(exchange.url("/authorize/account"))
        # not by itself: whoever is signed in here and not there, as with a cookie for that path only, would be sent in a circle
        return self.server.pages.render(exchange, "go_on", username=signed_in[1].username, going_on=following)

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
            device = device_of(exchange.environ.get("HTTP_USER_AGENT", ""))
            started = self.sessions.start(user, cookie, now, device) if user is not None else None
        except OAuthError as error:
            return self.page(
                exchange, following, message=error.description, name=name, status=error.status, headers=error.headers
            )
        if user is None or started is None:
            return self._again(exchange, following, name)
        value, ended = started
        if ended is not None:
            self.server.events.emit("session.ended", user_id=ended.session.user_id, address=exchange.address)
            self.server.jobs.hint()
        self.server.events.emit("user.login", user_id=user.user_id, address=exchange.address, method="pwd")
        cookie_name, secure = exchange.cookie
        header = set_cookie(cookie_name, value, secure=secure, lifetime=self.server.settings.session_lifetime)
        request = "" if following.startswith("/") else following
        grant = self._validated(exchange, request) if request else None
        # what asked for this login is done; whoever needs proof of it reads auth_time
        asked = settled(request, grant.request.client if grant else None) if request else following
        return self.past_parties(exchange, ended, self.start(exchange, asked, header))

    def _again(self, exchange: Exchange, following: str, name: str) -> Answer:
        """To the form once more, by a redirect where the address can hold it: so that the back button finds a page to show.
        Only this browser can read the name, which may be a password in the wrong field.
        """
        sealed = self.server.sealer.seal("failed login", name[:255].encode(), self.cookie(exchange) or "")
        query = {
            "failed": base64.urlsafe_b64encode(sealed).decode(),
            "next" if following.startswith("/") else "request": following,
        }
        address = f"{exchange.url('/authorize/login')}?{urlencode({name: value for name, value in query.items() if value})}"
        return see_other(address) if len(address) <= MOST_QUERY else self._wrong(exchange, following, name)

    def _failed(self, exchange: Exchange, text: str) -> str | None:
        """The name that was not let in at this browser; None where there was none."""
        try:
            sealed = base64.urlsafe_b64decode(text.encode("ascii"))
            name = self.server.sealer.unseal("failed login", sealed, self.cookie(exchange) or "")
        except ValueError:
            return None
        return None if name is None else name.decode()

    def _wrong(self, exchange: Exchange, following: str, name: str) -> Answer:
        return self.page(exchange, following, message=Sentence("Name or password is not right."), name=name, status=400)

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
        if grant is None and query and not query.startswith("/"):
            grant = self._validated(exchange, query)
        return self.server.pages.render(
            exchange,
            "login",
            status,
            headers=headers,
            leads_away=bool(query),
            client_name=grant.request.client.name if grant else "",
            message=message,
            username=name or (hint_of(grant.request.params) if grant else ""),
            action=exchange.url("/authorize/login"),
            csrf=self.sessions.form_token(cookie, "login"),
            next=query,
        )

    def _validated(self, exchange: Exchange, query: str) -> Any:
        try:
            return self.server.get_consent_grant(AuthorizationRequest(exchange, params.parse(query), "/authorize"))
        except OAuthError:
            return None  # /authorize will say so after the login

    def end_all(self, exchange: Exchange, session: Session, user: User, *, keeping: str | None = None) -> Ended | None:
        """Sign the person out everywhere, or everywhere but in the session named `keeping`; what ended at this browser."""
        here = None
        for ended in self.sessions.end_all(user, clock.now(), keeping):
            if ended.session.sid == session.sid:
                here = ended
            else:
                self.server.events.emit("session.ended", user_id=user.user_id, address=exchange.address)
        self.server.jobs.hint()
        return here

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


def hint_of(request: params.Params) -> str:
    """The name that a client would fill in (OpenID Connect Core section 3.1.2.1): as long as a name may be."""
    return request.get("login_hint", "")[:255]


def is_recent(session: Session, max_age: int) -> bool:
    """Whether the person is known to have signed in less than `max_age` seconds ago."""
    return session.auth_time is not None and clock.now() - session.auth_time <= max_age


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
