"""One request on the protocol road and the answer to it, between WSGI and the endpoints."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import webob
from webob.headers import EnvironHeaders

from . import params, policy
from .errors import OAuthError, StoreUnavailable
from .languages import Language, language_of
from .models import Client
from .sentences import Sentence
from .settings import LOOPBACK, Settings

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
MOST_LANGUAGES = 500  # characters that are looked at; what is chosen is remembered by them
NO_STORE = [("Cache-Control", "no-store"), ("Pragma", "no-cache")]


def _encoder() -> Callable[[Any], str]:
    """JSON's own encoder, made once: its `encode` makes another for every document, which takes longer than encoding."""
    usual = json.JSONEncoder(separators=(",", ":"))
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # not CPython
        return usual.encode
    chunks_of = make(None, usual.default, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, True)
    return lambda document: "".join(chunks_of(document, 0))


_to_json = _encoder()
_STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class Answer:
    """A finished response: `status` code, header list, body bytes. It is a WSGI application."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes = b"") -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(_STATUS[self.status], self._complete())
        return [b""] if environ.get("REQUEST_METHOD") == "HEAD" else [self.body]

    def as_response(self) -> webob.Response:
        """The same as a WebOb response, for those who call the server without the middleware."""
        response = webob.Response(status=_STATUS[self.status], body=self.body)
        response.headerlist = self._complete()
        return response

    def _complete(self) -> list[tuple[str, str]]:
        if self.status == 204:
            return self.headers
        kind = [] if self.body else [("Content-Type", "text/plain; charset=utf-8")]
        return [*self.headers, *kind, ("Content-Length", str(len(self.body)))]


def json_answer(status: int, document: Any, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """A JSON document that must not be stored by caches."""
    body = _to_json(document).encode()
    return Answer(status, [("Content-Type", "application/json"), *NO_STORE, *headers], body)


def error_answer(error: OAuthError) -> Answer:
    """The one place where an OAuthError becomes JSON over HTTP (RFC 6749 section 5.2)."""
    document = {"error": error.error}
    if error.description:
        document["error_description"] = error.description
    return json_answer(error.status, document, error.headers)


def unavailable(error: StoreUnavailable) -> OAuthError:
    """503: nothing was decided, and when to ask again."""
    retry = (("Retry-After", str(error.retry_after)),)
    return OAuthError("temporarily_unavailable", Sentence("Please try again in a moment."), 503, headers=retry)


def redirect_answer(uri: str, members: dict[str, Any], mode: str = "query") -> Answer:
    """Send the browser to a client's redirect URI with `members` in its query or fragment (RFC 6749 sections 4.1.2, 4.2.2)."""
    encoded = urlencode(members, quote_via=quote)
    location = f"{uri}#{encoded}" if mode == "fragment" else f"{uri}{'&' if '?' in uri else '?'}{encoded}"
    headers = [("Location", location), ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-store")]
    return Answer(303, headers)  # 303, so that a posted form is never posted on (RFC 9700 section 4.12)


class Headers(EnvironHeaders):  # type: ignore[misc]
    """A request's headers. There are some: counting them, as their truth is else told, takes longer than all look-ups."""

    def __bool__(self) -> bool:
        return True


class Exchange:
    """A request on the protocol road: `base` is the public base URL, `url(path)` an endpoint's address.

    `remote_user` is the REMOTE_USER of the server or of an outer middleware, which is no longer in the environ; `cookies` are
    Set-Cookie headers that go with whatever is answered.
    """

    def __init__(self, environ: Environ, settings: Settings, remote_user: str | None = None) -> None:
        self.environ = environ
        self.settings = settings
        self.remote_user = remote_user
        self.cookies: list[tuple[str, str]] = []
        self.method: str = environ["REQUEST_METHOD"]
        self.base = settings.issuer or loopback_base(environ)
        self.client: Client | None = None  # once it has authenticated
        self.cause = ""  # why it could not, for the log
        self.ui_locales = ""  # the languages that the authorization or logout request names
        # answers the same words again, where they always mean the same
        self.decided: Callable[[Exchange], Answer] | None = None
        self._text: str | None = None

    @property
    def request(self) -> webob.Request:
        """The same as a WebOb request, for views of one's own."""
        return webob.Request(self.environ)

    @property
    def headers(self) -> Headers:
        return Headers(self.environ)

    def url(self, path: str) -> str:
        """The absolute URL of one of our endpoints."""
        return f"{self.base}{self.settings.prefix}{path}"

    @property
    def resource(self) -> str:
        """The protected app's identifier as clients see it."""
        return self.base if self.settings.audience == LOOPBACK else self.settings.audience

    @property
    def realm(self) -> str:
        return self.settings.audience

    @property
    def language(self) -> Language:
        """The language of the person at this browser."""
        accepted = self.environ.get("HTTP_ACCEPT_LANGUAGE", "")
        return language_of(self.ui_locales[:MOST_LANGUAGES], accepted[:MOST_LANGUAGES])

    @property
    def address(self) -> str:
        return client_address(self.environ, self.settings)

    @property
    def cookie(self) -> tuple[str, bool]:
        """The session cookie's name, and whether it is Secure."""
        return session_cookie(self.base)

    def query(self) -> params.Params:
        return params.read_query(self.environ)

    def form(self) -> params.Params:
        return params.parse(self.text())

    def text(self) -> str:
        """The form as it came; it is read once."""
        if self._text is None:
            self._text = params.read_form(self.environ)
        return self._text


def session_cookie(base: str) -> tuple[str, bool]:
    """The session cookie's name at a public base URL, and whether it is Secure; loopback hosts share cookies among ports."""
    parts = urlsplit(base)
    if parts.scheme == "https":
        return f"__Host-oauth_gateway-{hashlib.sha256(base.encode()).hexdigest()[:8]}", True
    return f"oauth_gateway_{parts.port or 80}", False


def client_address(environ: Environ, settings: Settings) -> str:
    """The client's address; behind a trusted proxy the last one that such a proxy did not add itself."""
    address = str(environ.get("REMOTE_ADDR") or "")
    if not settings.trusted_proxies:
        return address[:64]
    claimed = str(environ.get("HTTP_X_FORWARDED_FOR", "")).split(",")
    while claimed and _is_trusted(address, settings):
        nearer = claimed.pop().strip()
        if not nearer:
            break
        address = nearer
    return address[:64]


def _is_trusted(address: str, settings: Settings) -> bool:
    try:
        parsed = ipaddress.ip_address(address or "127.0.0.1")  # a unix socket has no address
    except ValueError:
        return False
    return any(parsed in network for network in settings.trusted_proxies)


def loopback_base(environ: Environ) -> str:
    """The base URL where no issuer is set; the gateway has checked that Host is this machine."""
    mount = str(environ.get("SCRIPT_NAME", ""))
    if policy.not_canonical(mount or "/"):
        mount = ""
    return f"http://{environ.get('HTTP_HOST') or '127.0.0.1'}{quote(mount, encoding='latin-1')}"
