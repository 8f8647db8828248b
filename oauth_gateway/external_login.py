"""Signing in with somebody else: the application's own session, or REMOTE_USER of the server or an outer middleware.

No login session of ours is kept: who is at the browser is asked anew at every request. Whoever is not signed in is sent to
`login_url` and comes back to /authorize/login, which knows from a marker in its address that we sent them: nobody is sent twice
by itself, so there is no loop. A login counts as new only where it is told when it was (OpenID Connect Core 3.1.2.1: who
cannot have the person sign in again answers with an error).
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from . import authentication, clock, params
from .authentication import REMOTE_USER, Vouched
from .cookies import take_apart
from .errors import OAuthError
from .exchange import Answer, Environ, Exchange
from .login import OTHER_ACCOUNT, Login, hint_of, is_recent, settled
from .models import Session, User
from .naming import named
from .navigation import refuse_unless_navigation, refuse_unless_same_origin, see_other, wrong_form
from .request import AuthorizationRequest
from .sentences import Sentence
from .server import AuthorizationServer
from .sessions import new_value, read_cookie, set_cookie
from .users import APPLICATION, checked_claims

log = logging.getLogger("oauth_gateway")
PATH = "/authorize/login"
SENT = "signed_in_since"  # the marker: when the browser was sent away, and a checksum
SENT_SECONDS = 3600  # for which it is good
MOST_AWAY = 1500  # characters of a request that goes along; encoded once more it must fit into a request line
Stranger = tuple[Session, User]


class ExternalLogin(Login):
    """Who is signed in at this browser, as the server or the application says."""

    def __init__(self, server: AuthorizationServer) -> None:
        super().__init__(server)
        setting = server.settings.authenticate
        self._tell: Callable[..., Any] | None = None if setting == REMOTE_USER else named("authenticate", setting)
        self._source = REMOTE_USER if setting == REMOTE_USER else APPLICATION

    def cookie(self, exchange: Exchange) -> str:
        """A random value that only this browser has: forms are bound to it. It is set where there is none."""
        name, secure = exchange.cookie
        value = read_cookie(exchange.environ.get("HTTP_COOKIE", ""), name)
        if value is None:
            made = [header[1].partition("=")[2].partition(";")[0] for header in exchange.cookies]
            value = made[0] if made else new_value()
            if not made:
                exchange.cookies.append(set_cookie(name, value, secure=secure, lifetime=None))
        return value

    def signed_in(self, exchange: Exchange) -> Stranger | None:
        """Raises OAuthError 500 where what is told cannot be understood, 403 for somebody who is disabled."""
        now = clock.now()
        try:
            told = authentication.vouched(self._told(exchange), now)
            if told is None:
                return None
            user = self.server.users.vouched_for(self._source, told.name)
            if told.claims is not None:
                user = replace(user, claims=checked_claims(told.claims))
        except ValueError as error:
            log.error("authenticate = %s %s", self.server.settings.authenticate, error)
            raise _failed() from None
        return _session(told, user, now), user

    def _told(self, exchange: Exchange) -> Any:
        if self._tell is None:
            return authentication.remote_user(exchange.remote_user)
        try:
            return self._tell(_without_body(exchange))
        except Exception:
            log.exception("authenticate = %s failed; nobody is taken to be signed in", self.server.settings.authenticate)
            raise _failed() from None

    def enrolled(self, user: User) -> User:
        return self.server.users.enrol(user, clock.now())

    def suffices(self, request: AuthorizationRequest, session: Session, user: User) -> bool:
        """As for our own logins; and worth a visit to the login page where another kind of login is asked for."""
        asked = request.acr or request.params.get("acr_values", "").split()
        can_ask = "none" not in request.prompts and self.server.settings.login_url is not None
        return super().suffices(request, session, user) and not (can_ask and asked and session.acr not in asked)

    # -- away and back

    def ask(self, exchange: Exchange, request: AuthorizationRequest, grant: Any, signed_in: Stranger | None) -> Answer:
        if signed_in is not None and self.server.settings.login_url is None:
            raise request.redirected("login_required", "There is no page here on which to sign in again.")
        acr_values = " ".join(map(str, request.acr or ())) or request.params.get("acr_values", "")
        return self.away(exchange, request.params.text, grant=grant, again=signed_in is not None, acr_values=acr_values)

    def away(self, exchange: Exchange, query: str, *, grant: Any = None, again: bool = False, acr_values: str = "") -> Answer:
        """Send the browser to `login_url`, from where it comes back to the request; `again`: also who is signed in."""
        if self.server.settings.login_url is None:
            return self._nobody(exchange, "", Sentence("The server does not say who you are."))
        if len(params.encode(query)) <= MOST_AWAY:
            return see_other(self._address(exchange, query, again=again, acr_values=acr_values))
        return self._nobody(
            exchange, query, Sentence("Sign in in a new window, come back to this one, and continue."), grant=grant
        )

    def _address(self, exchange: Exchange, query: str, *, again: bool = False, acr_values: str = "") -> str:
        """The login page's, with where to come back to: a path where it is on our own origin."""
        since, encoded = int(clock.now()), params.encode(query)
        marker = urlencode({SENT: f"{since}.{self._checksum(since, encoded)}"})
        back = f"{exchange.url(PATH)}?{encoded}{'&' if encoded else ''}{marker}"
        ours, setting = urlsplit(exchange.base), str(self.server.settings.login_url)
        theirs = urlsplit(setting)
        if not theirs.scheme:
            setting = f"{ours.scheme}://{ours.netloc}{setting}"
        if not theirs.scheme or (theirs.scheme, theirs.netloc) == (ours.scheme, ours.netloc):
            back = back.removeprefix(f"{ours.scheme}://{ours.netloc}")
        wishes = {"prompt": "login" if again else "", "acr_values": acr_values, "login_hint": hint_of(params.parse(query))}
        asked = urlencode({name: value for name, value in wishes.items() if value})
        more = f"&{asked}" if asked else ""
        return f"{setting}{'&' if theirs.query else '?'}next={quote(back, safe='/')}{more}"

    def _checksum(self, since: int, encoded: str) -> str:
        return self.server.sealer.mac("sent to sign in", f"{since}\n{encoded}")

    def login(self, exchange: Exchange) -> Answer:
        """Where the browser comes back to, and where a person may begin without any request."""
        refuse_unless_navigation(exchange)
        if exchange.method == "POST":
            raise OAuthError(
                "invalid_request",
                Sentence("There are no accounts here to sign in with."),
                405,
                headers=(("Allow", "GET, HEAD"),),
            )
        query, since = self._returned(exchange)
        signed_in = self.signed_in(exchange)
        if signed_in is None:
            if since is None:
                return self.away(exchange, query)
            return self._nobody(exchange, query, Sentence("You are not signed in yet."))
        if not query:
            return see_other(exchange.url("/authorize/account"))
        return self.start(exchange, query) if since is None else self._go_on(exchange, query, since, *signed_in)

    def _returned(self, exchange: Exchange) -> tuple[str, int | None]:
        """The request, and when we sent the browser away for it; None where we did not, or long ago."""
        pairs = parse_qsl(exchange.query().text, keep_blank_values=True)
        query = params.encode(urlencode([pair for pair in pairs if pair[0] != SENT]))
        match = re.fullmatch(r"([0-9]{1,12})\.([A-Za-z0-9_-]{43})", dict(pairs).get(SENT, ""))
        if match is None or not self.server.sealer.verify("sent to sign in", f"{match[1]}\n{query}", match[2]):
            return query, None
        return query, int(match[1]) if clock.now() - int(match[1]) < SENT_SECONDS else None

    def _go_on(self, exchange: Exchange, query: str, since: int, session: Session, user: User) -> Answer:
        """On with the request as far as the login does for it; what it still lacks, another visit would not bring."""
        grant = self._validated(exchange, query)
        if grant is None:
            return self.start(exchange, query)  # which says what is wrong with it
        request: AuthorizationRequest = grant.request
        if not self.is_meant(request, user):
            return self._nobody(exchange, query, OTHER_ACCOUNT, grant=grant, again=True)
        is_new = session.auth_time is not None and session.auth_time >= since
        is_old = request.max_age is not None and not is_recent(session, request.max_age)
        try:
            if ("login" in request.prompts or is_old) and not is_new:
                raise request.redirected("login_required", "Nothing is known of a new login of the person.")
            if request.acr is not None and session.acr not in request.acr:
                raise request.redirected("unmet_authentication_requirements", "The person did not sign in in this way.")
        except OAuthError as error:
            return self.server.redirect_error(exchange, error)
        return self.start(exchange, without(settled(query, request.client), "acr_values"))

    def _nobody(
        self, exchange: Exchange, query: str, message: str, *, grant: Any = None, again: bool = False, status: int = 403
    ) -> Answer:
        """A page with a link to the login page: following it is the person's decision and so never a loop."""
        grant = grant or (self._validated(exchange, query) if query else None)
        is_long = len(params.encode(query)) > MOST_AWAY
        has_page = self.server.settings.login_url is not None
        fields = [(name, value) for name, values in params.parse(query).every.items() for value in values] if is_long else []
        return self.server.pages.render(
            exchange,
            "sign_in",
            status,
            leads_away=True,
            client_name=grant.request.client.name if grant else "",
            message=message,
            login_url=self._address(exchange, "" if is_long else query, again=again) if has_page else "",
            action=exchange.url("/authorize"),
            fields=fields,
        )

    def logout(self, exchange: Exchange) -> Answer:
        """There is no session of ours to end; whoever is somebody else signs in as who they are."""
        refuse_unless_navigation(exchange)
        if exchange.method == "POST":
            refuse_unless_same_origin(exchange)
            form = exchange.form()
            form.refuse_repeated()
            if not self.sessions.form_is_ours(self.cookie(exchange), "logout", form.get("csrf", "")):
                raise wrong_form(exchange.url("/authorize/logout"))
            if form.get("next"):
                # not a redirect: the policy of the page with the form would not let it lead to just anywhere
                return self._nobody(exchange, form["next"], Sentence("You come back here afterwards."), again=True, status=200)
        return self.server.pages.render(exchange, "sign_out_there")


def _failed() -> OAuthError:
    """A new one each time: one that is raised again keeps the frames of every time, and what is in them."""
    return OAuthError("server_error", Sentence("Something went wrong here."), 500)


def _session(told: Vouched, user: User, now: float) -> Session:
    """What is known of the login, in the form that our own have; nothing of it is stored."""
    return Session(b"", "", user.user_id, told.auth_time, now, now, told.amr, told.acr)


def _without_body(exchange: Exchange) -> Environ:
    """What the callable sees: the request without identity headers, cookies of ours and a body, which is ours to read."""
    environ = dict(exchange.environ)
    environ.update({"wsgi.input": io.BytesIO(b""), "CONTENT_LENGTH": "0", "REQUEST_METHOD": "GET"})
    if exchange.remote_user is not None:
        environ["REMOTE_USER"] = exchange.remote_user
    if "HTTP_COOKIE" in environ:
        environ["HTTP_COOKIE"] = take_apart(environ["HTTP_COOKIE"]).rest
    return environ


def without(query: str, name: str) -> str:
    """The query without a parameter."""
    return urlencode([pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != name])
