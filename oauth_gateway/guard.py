"""Protected requests: from the environ to a token for the app, or to a refusal (RFC 6750).

This is the road that every request of the app takes, so it touches no WebOb and no template: a dict look-up for the rule, the
epoch, a dict look-up for the token. Everything unusual leaves it for a slower function.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote_plus

from . import clock
from .errors import OAuthError, StoreUnavailable
from .exchange import Environ
from .models import Token
from .policy import Decision, Policy, not_canonical
from .settings import Settings
from .tokens import Tokens

# what outsiders could set to be taken for somebody: dropped on every path before anything is judged
IDENTITY = frozenset(
    {"REMOTE_USER", "AUTH_TYPE", "oauth_gateway.token", "oauth_gateway.claims", "oauth_gateway.require"}
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
OVERRIDES = ("HTTP_X_HTTP_METHOD_OVERRIDE", "HTTP_X_METHOD_OVERRIDE", "HTTP_X_HTTP_METHOD")
UNUSUAL = IDENTITY.union(OVERRIDES)
MOST_PATHS = 8192  # remembered decisions; a flood of paths costs a few microseconds each, and a few megabytes at most
LONGEST_PATH = 300  # characters; decisions about longer ones are made anew
_CREDENTIAL = re.compile(r"[A-Za-z0-9\-._~+/]+=*\Z")
_BEARER = re.compile(r"(?:\A|,)\s*bearer(?:\s|\Z)", re.IGNORECASE)
_COOKIE = re.compile(r"(?:__Host-oauth_gateway-[0-9a-f]{8}|oauth_gateway_[0-9]{1,5})=")


class Guard:
    """Decides about the requests for the wrapped app."""

    def __init__(self, settings: Settings, tokens: Tokens) -> None:
        self._policy = Policy(settings.routes)
        self._tokens = tokens
        self._forward = settings.forward_authorization
        self._identity_headers = settings.identity_headers
        self._decisions: dict[tuple[str, str], Decision] = {}

    def admit(self, environ: Environ) -> None:
        """Make `environ` what the app may see, or raise OAuthError (or StoreUnavailable) before the app is called."""
        method = environ["REQUEST_METHOD"]
        decision = self._decisions.get((method, environ.get("PATH_INFO") or "/"))
        if decision is None:
            decision = self._decide(method, environ.get("PATH_INFO") or "/")
        if not environ.keys().isdisjoint(UNUSUAL):
            decision = self._drop_unusual(environ, decision)
        if "HTTP_COOKIE" in environ and "oauth_gateway" in environ["HTTP_COOKIE"]:
            _cut_cookies(environ)
        environ["oauth_gateway.token"] = None
        if method == "OPTIONS" and _is_preflight(environ):
            for name in ("HTTP_AUTHORIZATION", "HTTP_COOKIE", *OVERRIDES):
                environ.pop(name, None)
            return
        header = environ.get("HTTP_AUTHORIZATION")
        if decision.kind == "public":
            if header is not None and not self._forward and _BEARER.search(header):
                del environ["HTTP_AUTHORIZATION"]
            return
        query = environ.get("QUERY_STRING")
        if query and ("access_token" in query or "%" in query) and _names_a_token(query):
            raise OAuthError("invalid_request", "A token must not be sent in the query string.")
        if header is None:
            if decision.kind == "optional":
                return
            raise OAuthError("", "A bearer token is required.", 401)
        token = self._token(header)
        if not decision.scopes <= token.scopes:
            raise OAuthError(
                "insufficient_scope",
                "The token lacks a scope that is needed here.",
                403,
                cause=" ".join(sorted(decision.scopes)),
            )
        if not self._forward:
            del environ["HTTP_AUTHORIZATION"]
        environ["oauth_gateway.token"] = token
        environ["AUTH_TYPE"] = "Bearer"
        if token.username is not None:
            environ["REMOTE_USER"] = _wsgi_text(token.username)
        if self._identity_headers:
            _add_identity_headers(environ, token)

    def _token(self, header: str) -> Token:
        if header[:7] != "Bearer ":
            header = _normalised(header)
        try:
            token = self._tokens.find(header, clock.now())
        except StoreUnavailable:
            if self._tokens.could_be_ours(header):
                raise
            token = None
        if token is None:
            if not _CREDENTIAL.match(header[7:].strip(" ")):
                raise OAuthError("invalid_request", "The Authorization header is malformed.")
            raise OAuthError("invalid_token", "The token is unknown, expired or revoked.", 401)
        return token

    def _decide(self, method: str, path: str) -> Decision:
        reason = not_canonical(path)
        if reason is not None:
            raise OAuthError("invalid_request", f"The path is not canonical: {reason}.")
        decision = self._policy.decide(method, path)
        if len(path) + len(method) <= LONGEST_PATH:
            if len(self._decisions) >= MOST_PATHS:
                self._decisions.clear()
            self._decisions[method, path] = decision
        return decision

    def _drop_unusual(self, environ: Environ, decision: Decision) -> Decision:
        """Without spoofed identity; where a header names another method, that one must be allowed too."""
        for name in IDENTITY:
            environ.pop(name, None)
        for name in OVERRIDES:
            other = environ.get(name)
            if other:
                named = self._policy.decide(other.strip().upper()[:32], environ.get("PATH_INFO") or "/")
                kinds = (decision.kind, named.kind)
                kind = "token" if "token" in kinds else "optional" if "optional" in kinds else "public"
                decision = Decision(kind, decision.scopes | named.scopes, decision.rules + named.rules)
        return decision


def challenge(error: OAuthError, realm: str, resource_metadata: str | None) -> str:
    """The WWW-Authenticate value of a refusal (RFC 6750 section 3, RFC 9728 section 5.1)."""
    parts = [f'Bearer realm="{realm}"']
    if error.error:
        parts += [f'error="{error.error}"', f'error_description="{error.description}"']
    if error.error == "insufficient_scope":
        parts.append(f'scope="{error.cause}"')
    if resource_metadata:
        parts.append(f'resource_metadata="{resource_metadata}"')
    return ", ".join(parts)


def prefers_page(environ: Environ) -> bool:
    """Whether a refusal should be a page: GET or HEAD of somebody who prefers text/html to JSON."""
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return False
    quality = {"text/html": 0.0, "application/json": 0.0}
    for item in environ.get("HTTP_ACCEPT", "").split(","):
        kind, _, rest = item.strip().partition(";")
        match = re.search(r"(?:^|;)\s*q=([0-9.]+)", rest)
        try:
            q = float(match[1]) if match else 1.0
        except ValueError:
            q = 0.0
        for name in quality:
            if kind.strip() == name or (kind.strip() in ("*/*", name.split("/")[0] + "/*") and quality[name] == 0):
                quality[name] = q
    return quality["text/html"] > quality["application/json"]


def _normalised(header: str) -> str:
    """`Bearer x` for any legal spelling of it; another scheme is no bearer token at all."""
    scheme, _, credential = header.replace("\t", " ").partition(" ")
    if scheme.lower() != "bearer":
        if scheme.lower().startswith("bearer") or _BEARER.search(header):
            raise OAuthError("invalid_request", "The Authorization header is malformed.")
        raise OAuthError("", "A bearer token is required.", 401)
    return "Bearer " + credential.strip(" ")


def _names_a_token(query: str) -> bool:
    return any(unquote_plus(pair.partition("=")[0]) == "access_token" for pair in re.split("[&;]", query))


def _is_preflight(environ: Environ) -> bool:
    """A CORS preflight (Fetch standard): OPTIONS with both headers and no body."""
    return (
        "HTTP_ORIGIN" in environ
        and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
        and environ.get("CONTENT_LENGTH", "") in ("", "0")
        and "HTTP_TRANSFER_ENCODING" not in environ
    )


def _cut_cookies(environ: Environ) -> None:
    """The Cookie header without the gateway's own cookies."""
    kept = [part for part in environ["HTTP_COOKIE"].split(";") if not _COOKIE.match(part.strip())]
    if kept:
        environ["HTTP_COOKIE"] = ";".join(kept).strip()
    else:
        del environ["HTTP_COOKIE"]


def _wsgi_text(text: str) -> str:
    """Text as WSGI wants it: UTF-8 bytes read as latin-1 (PEP 3333)."""
    return text if text.isascii() else text.encode().decode("latin-1")


def _add_identity_headers(environ: Environ, token: Token) -> None:
    values: dict[str, Any] = {
        "HTTP_X_AUTH_SUBJECT": token.subject,
        "HTTP_X_AUTH_USERNAME": token.username,
        "HTTP_X_AUTH_CLIENT_ID": token.client_id,
        "HTTP_X_AUTH_SCOPE": token.get_scope(),
    }
    for name, value in values.items():
        if value is not None:
            environ[name] = quote(value, safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~")
