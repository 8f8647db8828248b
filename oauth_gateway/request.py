"""A protocol request as Authlib sees it, and what a person decided about it."""

from __future__ import annotations

from dataclasses import dataclass, field

from authlib.oauth2.rfc6749 import OAuth2Request
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload

from .exchange import Exchange
from .models import User
from .params import Params


class AuthorizationRequest(OAuth2Request):  # type: ignore[misc]
    """A protocol request as Authlib sees it, made of strict parameters and of URLs from the issuer."""

    def __init__(self, exchange: Exchange, parameters: Params, path: str) -> None:
        authorization = exchange.environ.get("HTTP_AUTHORIZATION")
        super().__init__(exchange.method, exchange.url(path), headers={"Authorization": authorization})
        self.exchange = exchange
        self.params = parameters
        self.payload = BasicOAuth2Payload(parameters)
        self.decision: Decision | None = None

    @property
    def args(self) -> Params:
        return self.params

    @property
    def form(self) -> Params:
        return self.params


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided and how they had logged in; `seed` makes a repeated decision the same decision."""

    user: User
    seed: bytes = field(repr=False)
    number: int
    remember: bool
    session: str | None = None
    auth_time: float | None = None
    amr: tuple[str, ...] = ()
