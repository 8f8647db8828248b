"""Client authentication: `client_secret_basic`, `client_secret_post` and `none` (RFC 6749 section 2.3).

Exactly one mechanism a request, and every failure reads the same, so that nobody learns which client_ids exist.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from authlib.oauth2 import OAuth2Error

from . import clock
from .errors import OAuthError
from .models import Client

if TYPE_CHECKING:
    from .request import AuthorizationRequest
    from .server import AuthorizationServer

WINDOW = 15 * 60  # seconds
MOST_FAILURES = 50  # from one address for one client_id in the window
QueryClient = Callable[[str], Client | None]


def basic_credentials(header: str | None) -> tuple[str, str] | None:
    """client_id and secret of a Basic header, form-decoded (RFC 6749 section 2.3.1); None where it is no such header."""
    scheme, _, value = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(value.strip(), validate=True).decode("utf-8")
        client_id, colon, secret = text.partition(":")
        if colon:
            return _form_decoded(client_id), _form_decoded(secret)
    except (binascii.Error, ValueError):
        pass
    raise OAuthError("invalid_client", "The Basic credentials are malformed.", 401, headers=_challenge())


def _form_decoded(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8")


def by_basic(query_client: QueryClient, request: AuthorizationRequest) -> Client | None:
    credentials = basic_credentials(request.headers.get("Authorization"))
    return _with_secret(query_client, *credentials) if credentials else None


def by_post(query_client: QueryClient, request: AuthorizationRequest) -> Client | None:
    return _with_secret(query_client, request.params.get("client_id", ""), request.params.get("client_secret", ""))


def by_nothing(query_client: QueryClient, request: AuthorizationRequest) -> Client | None:
    return query_client(request.params.get("client_id", ""))


def _with_secret(query_client: QueryClient, client_id: str, secret: str) -> Client | None:
    client = query_client(client_id)
    if client is None:
        return None
    return client if client.check_client_secret(secret) else None


METHODS: dict[str, Callable[[QueryClient, Any], Client | None]] = {
    "client_secret_basic": by_basic,
    "client_secret_post": by_post,
    "none": by_nothing,
}


def _mechanism(request: AuthorizationRequest) -> str:
    """The one mechanism that the request uses; more than one is an error (RFC 6749 section 2.3)."""
    credentials = basic_credentials(request.headers.get("Authorization"))
    named = request.params.get("client_id")
    if credentials is None:
        if named is None:
            raise OAuthError("invalid_request", "The parameter client_id or a Basic header is missing.")
        if "client_secret" in request.params and "client_assertion" in request.params:
            raise OAuthError("invalid_request", "More than one way of client authentication was used.")
        return "client_secret_post" if "client_secret" in request.params else "none"
    if "client_secret" in request.params or "client_assertion" in request.params:
        raise OAuthError("invalid_request", "More than one way of client authentication was used.")
    if named is not None and named != credentials[0]:
        raise OAuthError("invalid_request", "client_id differs from the one in the Basic header.")
    return "client_secret_basic"


def authenticate(server: AuthorizationServer, ask: Callable[..., Client], request: AuthorizationRequest) -> Client:
    """The client by the request's own mechanism; `ask` is Authlib's registry of methods."""
    mechanism = _mechanism(request)
    try:
        client: Client = ask(request, [mechanism], "token")
        return client
    except OAuth2Error:
        pass
    credentials = basic_credentials(request.headers.get("Authorization"))
    client_id = credentials[0] if credentials else request.params.get("client_id", "")
    address = request.exchange.address
    server.events.emit("client.refused", client_id=client_id[:200], address=address, method=mechanism)
    key = server.sealer.mac("throttle", f"{client_id}\n{address}")
    failures = server.store.count("client", key, WINDOW, clock.now())
    if failures.value > MOST_FAILURES:
        retry = (("Retry-After", str(failures.remaining)),)
        raise OAuthError("slow_down", "Too many failed attempts.", 429, headers=retry)
    raise OAuthError(
        "invalid_client",
        "Client authentication failed.",
        401,
        headers=_challenge(),
        cause=_cause(server, client_id, mechanism),
    )


def _cause(server: AuthorizationServer, client_id: str, mechanism: str) -> str:
    """For the operator's log only."""
    client = server.store.client(client_id) if len(client_id) <= 2048 else None
    if client is None:
        return f"client {client_id[:200]!r} does not exist"
    if client.disabled is not None:
        return f"client {client_id!r} is disabled"
    if client.auth_method != mechanism:
        return f"client {client_id!r} used {mechanism} but is registered for {client.auth_method}"
    return f"client {client_id!r} sent a wrong secret"


def _challenge() -> tuple[tuple[str, str], ...]:
    return (("WWW-Authenticate", 'Basic realm="token endpoint", charset="UTF-8"'),)
