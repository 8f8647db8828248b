"""Protected requests: from the environ to a token for the app, or to a refusal (RFC 6750).

This is the road that every request of the app takes, so it touches no WebOb and no template: a dict look-up for the rule, the
epoch, a dict look-up for the token. Everything unusual leaves it for a slower function.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import quote, unquote_plus

from . import clock
from .browser_sessions import OWN, BrowserSessions
from .cookies import leave
from .cors import is_preflight
from .errors import OAuthError, StepUpRequired, StoreUnavailable
from .exchange import Answer, Environ
from .models import LACKS_SCOPE, Token
from .policy import OVERRIDES, Decision, Policy, combine, not_canonical
from .refusals import Refusals
from .remembered import Alike
from .sentences import Sentence
from .settings import Settings
from .step_up import look_closer
from .tokens import Tokens

Place = tuple[str, str, str]  # method, SCRIPT_NAME, PATH_INFO

# what outsiders could set to be taken for somebody: dropped on every path before anything is judged
IDENTITY = frozenset(
    {"REMOTE_USER", "AUTH_TYPE", "oauth_gateway.token", "oauth_gateway.claims", "oauth_gateway.require", "oauth_gateway.refuse"}
    | {
        "HTTP_" + name
        for name in (
            "REMOTE_USER",
            "X_REMOTE_USER",
            "X_FORWARDED_USER",
            "X_FORWARDED_EMAIL",
            "X_AUTH_REQUEST_USER",
            "X_AUTH_REQUEST_EMAIL",
            "X_AUTH_REQUEST_GROUPS",
            "X_AUTH_REQUEST_PREFERRED_USERNAME",
            "X_AUTH_REQUEST_ACCESS_TOKEN",
            "X_AUTH_SUBJECT",
            "X_AUTH_USERNAME",
            "X_AUTH_CLIENT_ID",
            "X_AUTH_SCOPE",
            "X_FORWARDED_CLIENT_CERT",
            "X_SSL_CLIENT_CERT",
            "X_CLIENT_DN",
            "SSL_CLIENT_VERIFY",
        )
    }
)
UNUSUAL = IDENTITY.union(OVERRIDES)
MOST_PATHS = 8192  # remembered decisions; a flood of paths costs a few microseconds each, and a few megabytes at most
NEEDS_TOKEN = Sentence("A bearer token is required.")
LONGEST_PATH = 300  # characters; decisions about longer ones are made anew
_CREDENTIAL = re.compile(r"[A-Za-z0-9\-._~+/]+=*\Z")
_BEARER = re.compile(r"(?:\A|,)\s*bearer(?:\s|\Z)", re.IGNORECASE)


class Guard:
    """Decides about the requests for the wrapped app."""

    def __init__(self, settings: Settings, tokens: Tokens, refusals: Refusals, browsers: BrowserSessions) -> None:
        self._policy = Policy(settings.routes)
        self._tokens = tokens
        self._refusals = refusals
        self._browsers = browsers
        self._judges = browsers.judges
        self._cookies = browsers.cookies
        self._forward = settings.forward_authorization
        self._identity_headers = settings.identity_headers
        self._unprefixed = {entry.issuer for entry in settings.trusted_issuers if entry.prefix is None}
        self.known: dict[Place, Decision] = {}
        self._alike = Alike()  # of a thousand paths most are decided alike

    def decide(self, place: Place) -> Decision:
        """What a request to `place` (method, SCRIPT_NAME, PATH_INFO) needs; raises OAuthError for a path that could mean two
        things. The answer is remembered in `known`.
        """
        method, _, path = place
        path = path or "/"
        reason = not_canonical(path)
        if reason is not None:
            raise OAuthError("invalid_request", Sentence("The path is not canonical: %(reason)s.", reason=reason))
        decision = self._answering(self._policy.decide(method, path))
        if len(path) + len(method) <= LONGEST_PATH:
            if len(self.known) >= MOST_PATHS:
                self.known.clear()
            self.known[place] = decision = self._alike.one(decision)
        return decision

    def admit(self, environ: Environ, decision: Decision) -> None:
        """Make `environ` what the app may see, or raise OAuthError (or StoreUnavailable) before the app is called."""
        if not UNUSUAL.isdisjoint(environ):
            decision = self._drop_unusual(environ, decision)
        header, cookies = environ.get("HTTP_AUTHORIZATION"), environ.get("HTTP_COOKIE")
        by_session = header is None and decision.session
        if cookies is not None and not by_session and "oauth_gateway" in cookies:
            leave(environ, self._cookies.take_apart(cookies).rest)
        if decision.may_be_open and self._admit_anybody(environ, decision, header):
            return
        if query := environ.get("QUERY_STRING"):
            _refuse_tokens(query)
        if by_session:
            known = self._tokens.of_cookies(by_session + cookies, clock.now()) if cookies is not None else None
            token, rest = known or self._browsers.find(environ, decision, cookies)
            if rest:
                environ["HTTP_COOKIE"] = rest
            else:
                del environ["HTTP_COOKIE"]
            if decision.words or not decision.safe or "HTTP_ORIGIN" in environ or environ.get("HTTP_SEC_FETCH_SITE") not in OWN:
                self._browsers.judge(environ, decision, token)
        elif header is None:
            raise OAuthError("", NEEDS_TOKEN, 401)
        else:
            try:
                found = self._tokens.find(header, clock.now())
            except StoreUnavailable:
                found = None  # the slower look tells garbage from what could be a token
            token = found if found is not None else self._token(header)
            if decision.wanted and not decision.wanted <= token.scopes:
                self._look_closer(environ, token, decision)
            if not self._forward:
                del environ["HTTP_AUTHORIZATION"]
        environ["AUTH_TYPE"] = "Session" if by_session else "Bearer"
        environ["oauth_gateway.token"] = token
        environ["oauth_gateway.require"] = token.require
        environ["oauth_gateway.refuse"] = decision.refuse
        if (name := token.username) is not None:
            environ["REMOTE_USER"] = name if name.isascii() else name.encode().decode("latin-1")  # as PEP 3333 has UTF-8
        if self._identity_headers:
            _add_identity_headers(environ, token, named=token.issuer not in self._unprefixed)

    def _look_closer(self, environ: Environ, token: Token, decision: Decision) -> None:
        if not decision.scopes <= token.scopes:
            raise _lacks_scope(token, decision)
        look_closer(token, decision, self._judges, environ)

    def _admit_anybody(self, environ: Environ, decision: Decision, header: str | None) -> bool:
        """Whether it needs no token: then it is made what the app may see."""
        require = _require_a_token
        if is_preflight(environ):  # it brings none either, nor anything else that the app could take for somebody's
            for name in ("HTTP_AUTHORIZATION", "HTTP_COOKIE", *OVERRIDES):
                environ.pop(name, None)
        elif decision.kind == "public":
            require = _require_in_vain
            if header is not None and not self._forward and _BEARER.search(header):
                del environ["HTTP_AUTHORIZATION"]
        elif decision.kind != "optional" or header is not None or _names_a_token(environ.get("QUERY_STRING", "")):
            return False
        environ["oauth_gateway.token"] = None
        environ["oauth_gateway.require"] = require
        environ["oauth_gateway.refuse"] = decision.refuse
        return True

    def _step_up(self, decision: Decision, environ: Environ, error: StepUpRequired) -> Answer:
        """The answer to what the app demanded: it names that together with what the rule asks for already."""
        scope = " ".join(sorted(decision.scopes.union(error.scope.split())))
        refusal = OAuthError(error.error, error.description, error.status, scope=scope)
        refusal.token = error.token
        return self._refusals.answer(environ, refusal)

    def _token(self, header: str) -> Token:
        header = _normalised(header)
        try:
            token = self._tokens.find(header, clock.now())
        except StoreUnavailable:
            token = self._tokens.of_others(header, clock.now())
            if token is None and self._tokens.could_be_ours(header):
                raise
        if token is None:
            if not _CREDENTIAL.match(header[7:].strip(" ")):
                raise OAuthError("invalid_request", Sentence("The Authorization header is malformed."))
            raise OAuthError("invalid_token", Sentence("The token is unknown, expired or revoked."), 401)
        return token

    def _drop_unusual(self, environ: Environ, decision: Decision) -> Decision:
        """Without spoofed identity; where a header names another method, that one must be allowed too."""
        for name in IDENTITY:
            environ.pop(name, None)
        for name in OVERRIDES:
            other = environ.get(name)
            if other:
                named = self._policy.decide(other.strip().upper()[:32], environ.get("PATH_INFO") or "/")
                safe, may_be_open = decision.safe and named.safe, decision.may_be_open
                decision = self._answering(combine(decision.rules + named.rules, safe=safe, may_be_open=may_be_open))
        return decision

    def _answering(self, decision: Decision) -> Decision:
        return replace(decision, refuse=partial(self._step_up, decision))


def _lacks_scope(token: Token, decision: Decision) -> OAuthError:
    refusal = OAuthError("insufficient_scope", LACKS_SCOPE, 403, scope=" ".join(sorted(decision.scopes)))
    refusal.token = token
    return refusal


def _require_a_token(*scopes: str) -> None:
    """`environ["oauth_gateway.require"]` of a request that came without a token."""
    raise StepUpRequired("", NEEDS_TOKEN, 401, scopes)


def _require_in_vain(*scopes: str) -> None:
    """The same where nobody looks at tokens: asking for one would never end."""
    raise RuntimeError("oauth_gateway.require: the rule of this path is `public`; make it `optional` or `token`")


def _normalised(header: str) -> str:
    """`Bearer x` for any legal spelling of it; another scheme is no bearer token at all."""
    scheme, _, credential = header.replace("\t", " ").partition(" ")
    if scheme.lower() != "bearer":
        if scheme.lower().startswith("bearer") or _BEARER.search(header):
            raise OAuthError("invalid_request", Sentence("The Authorization header is malformed."))
        raise OAuthError("", NEEDS_TOKEN, 401)
    return "Bearer " + credential.strip(" ")


def _refuse_tokens(query: str) -> None:
    if _names_a_token(query):
        raise OAuthError("invalid_request", Sentence("A token must not be sent in the query string."))


def _names_a_token(query: str) -> bool:
    if "access_token" not in query and "%" not in query:
        return False
    return any(unquote_plus(pair.partition("=")[0]) == "access_token" for pair in re.split("[&;]", query))


def _add_identity_headers(environ: Environ, token: Token, *, named: bool) -> None:
    """`named` is False where subject and client are another issuer's words, which no prefix keeps apart from ours."""
    values: dict[str, Any] = {
        "HTTP_X_AUTH_SUBJECT": token.subject if named else None,
        "HTTP_X_AUTH_USERNAME": token.username,
        "HTTP_X_AUTH_CLIENT_ID": token.client_id if named else None,
        "HTTP_X_AUTH_SCOPE": token.get_scope(),
    }
    for name, value in values.items():
        if value is not None:
            environ[name] = quote(value, safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~")
