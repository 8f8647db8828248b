"""Requests that come with the login session of a browser instead of a token, on routes that say `session`.

A cookie goes along with requests that other pages make, so these are looked at more closely than tokens: what changes something
must come from a page of our own origin, and say so; what only reads comes from such a page, from the person, or by a link. A
person who is not signed in is led to the login page; a program gets the answer that it would get on any other route.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn
from urllib.parse import quote, urlencode, urlsplit

from . import clock
from .cookies import LONGEST_KNOWN, KnownCookies
from .errors import OAuthError, SignInRequired
from .exchange import Environ, loopback_base, session_cookie
from .fetch_metadata import is_from, may_read, navigates
from .models import Token
from .policy import SAFE, Decision
from .refusals import accepts_page
from .sentences import Sentence
from .settings import Settings
from .step_up import Judge, demands, has_acr, look_closer
from .tokens import Tokens

MOST_NEXT = 2500  # characters; encoded once more it must fit into a request line
OWN = frozenset({None, "same-origin", "none"})  # Sec-Fetch-Site of requests that no other site has caused


class BrowserSessions:
    """Finds the person behind a request that came without a token."""

    def __init__(self, settings: Settings, tokens: Tokens, judges: Mapping[str, Judge]) -> None:
        self._settings = settings
        self._tokens = tokens
        self.judges = judges
        self.cookies = KnownCookies()
        self._issuer = _Place(settings.issuer) if settings.issuer else None

    def find(self, environ: Environ, decision: Decision, header: str | None) -> tuple[Token, str]:
        """The session by our cookie in the Cookie header, as a token with the scopes that the rule names, and the rest of the
        header. Both are remembered for the whole header.

        Raises SignInRequired for a person at a browser, OAuthError for everybody else who must not pass.
        """
        here = self._here(environ)
        if header is not None and "oauth_gateway" in header:
            rest, ours = self.cookies.take_apart(header)
            value = ours.get(here.cookie)
            token = self._tokens.of_session(value, decision.session, clock.now()) if value is not None else None
            if token is not None and value is not None:
                # without an issuer the cookie's name depends on more than this header
                if here is self._issuer and len(header) <= LONGEST_KNOWN:
                    self._tokens.remember_cookies(header, value, decision.session, token, rest)
                return token, rest
        self._sign_in(environ, here, decision, OAuthError("", Sentence("A bearer token is required."), 401), {})

    def judge(self, environ: Environ, decision: Decision, token: Token) -> None:
        """Raise as `find` does for what comes from other sites, and where the rules' words ask for more."""
        here = self._here(environ)
        if not decision.safe and not is_from(environ, here.origin):
            raise OAuthError("access_denied", Sentence("This was not sent from a page of this site."), 403)
        if decision.safe and not may_read(environ, here.origin):
            sentence = Sentence("Another site may not ask for this with the session of this browser.")
            raise OAuthError("access_denied", sentence, 403)
        if decision.words:
            self._judge(environ, here, token, decision)

    def _here(self, environ: Environ) -> _Place:
        return self._issuer or _Place(loopback_base(environ))

    def _judge(self, environ: Environ, here: _Place, token: Token, decision: Decision) -> None:
        try:
            look_closer(token, decision, self.judges, environ)
        except OAuthError as refusal:
            known = [value for name, value in decision.words if name == "acr"]
            again = refusal.error == "insufficient_user_authentication" and all(has_acr(token, acr, environ) for acr in known)
            if not again:
                refusal.token = token  # whom a page tells who they are
                raise  # signing in again would change nothing
            self._sign_in(environ, here, decision, refusal, {"max_age": dict(demands(decision.words))["max_age"]})

    def _sign_in(
        self, environ: Environ, here: _Place, decision: Decision, refusal: OAuthError, asked: dict[str, str]
    ) -> NoReturn:
        """Raise for whoever it is: a person is led to the login page, with `asked` of the login."""
        safe = decision.safe and environ["REQUEST_METHOD"] in SAFE
        if not navigates(environ) or not accepts_page(environ) or not (safe or is_from(environ, here.origin)):
            raise refusal
        where = quote(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""), safe="/:@!$&'()*+,;=~", encoding="latin-1")
        query = environ.get("QUERY_STRING", "")
        back = f"{where}?{query}" if query else where
        login = f"{here.base}{self._settings.prefix}/authorize/login"
        if safe and len(back) <= MOST_NEXT:
            raise SignInRequired(refusal, f"{login}?{urlencode({'next': back, **asked})}", keeps_form=False)
        raise SignInRequired(refusal, f"{login}?{urlencode({'next': urlsplit(login).path, **asked})}", keeps_form=True)


class _Place:
    """What follows from a public base URL."""

    def __init__(self, base: str) -> None:
        parts = urlsplit(base)
        self.base = base
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.cookie, _ = session_cookie(base)
