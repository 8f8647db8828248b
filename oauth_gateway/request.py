"""A protocol request as Authlib sees it."""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from authlib.oauth2.rfc6749 import OAuth2Request
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload

from .errors import OAuthError
from .exchange import Exchange, Headers
from .params import Params
from .scopes import CLAIM

if TYPE_CHECKING:
    from .decision import Decision


CHALLENGE = (("WWW-Authenticate", 'Basic realm="token endpoint", charset="UTF-8"'),)


_BLANK = vars(OAuth2Request("POST", "https://localhost"))
for _ours in ("method", "uri", "headers", "payload"):
    del _BLANK[_ours]


class Payload(BasicOAuth2Payload):  # type: ignore[misc]
    """The parameters; the lists, which few ask for, are made when they are asked for."""

    def __init__(self, parameters: Params) -> None:
        self._data = parameters

    @property
    def datalist(self) -> dict[str, list[str]]:
        return {name: [value] for name, value in self._data.items()}


class AuthorizationRequest(OAuth2Request):  # type: ignore[misc]
    """A protocol request as Authlib sees it, made of strict parameters and of URLs from the issuer."""

    decision: Decision | None = None
    trusted_uri: str | None = None  # once client and redirect URI were checked
    mode = "query"  # how the answer gets there: query, fragment or form_post
    max_age: int | None = None  # seconds since the last login
    subject: str | None = None  # the only person who will do, as this client knows people
    acr: list[Any] | None = None  # the only ways of signing in that will do
    claims: frozenset[str] = frozenset()  # wanted by name, beyond what the scope brings
    _basic: Any = None  # not a cached_property, which takes a lock

    def __init__(self, exchange: Exchange, parameters: Params, path: str) -> None:
        self.__dict__.update(_BLANK)  # instead of Authlib's constructor, which looks at the URL: ours comes from the issuer
        self.method = exchange.method
        self.exchange = exchange
        self.params = parameters
        self.payload = Payload(parameters)
        self.asked: dict[str, Any] = {}  # what an OpenID request wants in its answers
        self._path = path
        exchange.ui_locales = parameters.get("ui_locales", "")

    @property
    def uri(self) -> str:
        return self.exchange.url(self._path)

    @property
    def headers(self) -> Headers:
        return self.exchange.headers

    def validated_redirect_uri(self) -> str:
        """The redirect URI of a client that may use this response type; the server has checked the rest before."""
        if self.trusted_uri is None or not self.client.check_response_type(self.params.get("response_type", "")):
            raise OAuthError("unauthorized_client", "The client may not use this grant type or response type.")
        return self.trusted_uri

    def redirected(self, error: str, description: str) -> OAuthError:
        """An error that the client is told by redirect."""
        state = self.params.get("state") if "state" not in self.params.repeated else None
        return OAuthError(error, description, redirect_uri=self.trusted_uri, state=state, mode=self.mode)

    @property
    def basic(self) -> tuple[str, str] | None:
        """client_id and secret of a Basic header, form-decoded (RFC 6749 section 2.3.1); None where there is no such header."""
        if self._basic is None:
            self._basic = self._read_basic() or ()
        return self._basic or None

    def _read_basic(self) -> tuple[str, str] | None:
        scheme, _, value = self.exchange.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            text = binascii.a2b_base64(value.strip(), strict_mode=True).decode("utf-8")
            client_id, colon, secret = text.partition(":")
            if colon:
                return _form_decoded(client_id), _form_decoded(secret)
        except (binascii.Error, ValueError):
            pass
        raise OAuthError("invalid_client", "The Basic credentials are malformed.", 401, headers=CHALLENGE)

    @property
    def prompts(self) -> frozenset[str]:
        return frozenset(self.params.get("prompt", "").split())

    @property
    def agreement(self) -> str:
        """All that a person has to agree to: the scope, and claims that are wanted by name."""
        return " ".join([*(self.scope or "").split(), *(f"{CLAIM}{name}" for name in sorted(self.claims))])

    @property
    def args(self) -> Params:
        return self.params

    @property
    def form(self) -> Params:
        return self.params


def _form_decoded(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8") if "+" in text or "%" in text else text
