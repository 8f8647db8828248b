"""Client authentication: `client_secret_basic`, `client_secret_post` and `none` (RFC 6749 section 2.3), and by assertions.

Exactly one mechanism a request, and every failure reads the same, so that nobody learns which client_ids exist.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from authlib.oauth2 import OAuth2Error

from . import client_assertions, clock, jose
from .errors import OAuthError
from .models import Client, Secret
from .request import CHALLENGE

if TYPE_CHECKING:
    from .request import AuthorizationRequest
    from .server import AuthorizationServer

WINDOW = 15 * 60  # seconds
MOST_FAILURES = 50  # from one address for one client_id in the window
QueryClient = Callable[[str], Client | None]


def by_basic(query_client: QueryClient, request: AuthorizationRequest) -> Client | None:
    return _with_secret(query_client, *request.basic) if request.basic else None


def by_post(query_client: QueryClient, request: AuthorizationRequest) -> Client | None:
    return _with_secret(query_client, request.params.get("client_id", ""), request.params.get("client_secret", ""))


def by_nothing(query_client: QueryClient, request: AuthorizationRequest) -> Client | None:
    return query_client(request.params.get("client_id", ""))


def _with_secret(query_client: QueryClient, client_id: str, secret: str) -> Client | None:
    client = query_client(client_id)
    good = (client or NOBODY).check_client_secret(secret)  # the same work for a client that does not exist
    return client if good else None


NOBODY = Client("", secrets=(Secret("0" * 64, 0),))
BUILT_IN = frozenset({"client_secret_basic", "client_secret_post", "none", *client_assertions.METHODS})
METHODS: dict[str, Callable[[QueryClient, Any], Client | None]] = {
    "client_secret_basic": by_basic,
    "client_secret_post": by_post,
    "none": by_nothing,
}


def authenticate(
    server: AuthorizationServer, ask: Callable[..., Client], request: AuthorizationRequest, methods: Any, endpoint: str
) -> Client:
    """The client by the request's own mechanism; `ask` is Authlib's registry, `methods` what the endpoint allows or None."""
    client = _by_own_method(server, ask, request, methods, endpoint)
    mechanism = _mechanism(request, endpoint, client)
    if client is not None:
        return client
    try:
        if methods is None or mechanism in methods:
            client = ask(request, [mechanism], endpoint)
            return client
    except OAuth2Error:
        pass
    raise _refused(server, request, mechanism)


def _by_own_method(
    server: AuthorizationServer, ask: Callable[..., Client], request: AuthorizationRequest, methods: Any, endpoint: str
) -> Client | None:
    """The client by a method that was registered beside the built-in ones."""
    for method in server.own_auth_methods:
        if methods is None or method in methods:
            try:
                return ask(request, [method], endpoint)
            except OAuth2Error:
                continue
    return None


def _mechanism(request: AuthorizationRequest, endpoint: str, own: Client | None) -> str:
    """The one mechanism that the request uses; more than one is an error (RFC 6749 section 2.3). The client of an
    `own` method counts too.
    """
    header = request.exchange.environ.get("HTTP_AUTHORIZATION")
    credentials = request.basic
    named = request.params.get("client_id")
    used = ("client_secret" in request.params) + ("client_assertion" in request.params)
    if own is not None and (not used or credentials is not None):
        used += 1  # else the one parameter is what it used
    by_header = credentials is not None or (header and named and own is None)
    if used + bool(by_header) > 1 or (by_header and credentials is None):
        raise OAuthError("invalid_request", "More than one way of client authentication was used.")
    if own is not None:
        if named not in (None, own.client_id):
            raise OAuthError("invalid_request", "client_id is not that of the client that authenticated.")
        return "own"
    if credentials is not None:
        if named is not None and named != credentials[0]:
            raise OAuthError("invalid_request", "client_id differs from the one in the Basic header.")
        return "client_secret_basic"
    if header:
        raise OAuthError("invalid_client", "This Authorization scheme authenticates no client.", 401, headers=CHALLENGE)
    if "client_assertion" in request.params:
        return _by_assertion(request, named)
    if named is None and endpoint != "token":
        raise OAuthError("invalid_client", "Client authentication is missing.", 401, headers=CHALLENGE)
    if named is None:
        raise OAuthError("invalid_request", "The parameter client_id or a Basic header is missing.")
    return "client_secret_post" if "client_secret" in request.params else "none"


def _by_assertion(request: AuthorizationRequest, named: str | None) -> str:
    """Which of the two kinds of assertion it is: an HMAC or a signature. Whose, and whether it is good, is found out later."""
    if named not in (None, client_assertions.client_id_of(request)):
        raise OAuthError("invalid_client", "client_id is not that of the assertion.", 401, headers=CHALLENGE)
    try:
        header, _ = jose.peek(request.params["client_assertion"])
    except jose.JoseRefused:
        header = {}
    return "client_secret_jwt" if str(header.get("alg", "")).startswith("HS") else "private_key_jwt"


def _refused(server: AuthorizationServer, request: AuthorizationRequest, mechanism: str) -> OAuthError:
    """The refusal, which tells the outside nothing of the cause; guessing is counted.

    The right secret still gets in afterwards: one of 256 random bits is not guessed, and nobody locks a client out.
    """
    client_id = request.basic[0] if request.basic else request.params.get("client_id", "")
    client_id = client_id or client_assertions.client_id_of(request)
    address = request.exchange.address
    server.events.emit("client.refused", client_id=client_id[:200], address=address, method=mechanism)
    key = server.sealer.mac("throttle", f"{client_id}\n{address}")
    failures = server.store.count("client", key, WINDOW, clock.now())
    if failures.value > MOST_FAILURES:
        retry = (("Retry-After", str(failures.remaining)),)
        return OAuthError("slow_down", "Too many failed attempts.", 429, headers=retry)
    cause = request.exchange.cause or _cause(server, client_id, mechanism)
    return OAuthError("invalid_client", "Client authentication failed.", 401, headers=CHALLENGE, cause=cause)


def _cause(server: AuthorizationServer, client_id: str, mechanism: str) -> str:
    """For the operator's log only."""
    client = server.store.client(client_id) if len(client_id) <= 2048 else None
    if client is None:
        return f"client {client_id[:200]!r} does not exist"
    if client.disabled is not None:
        return f"client {client_id!r} is disabled"
    if client.auth_method != mechanism:
        return f"client {client_id!r} used {mechanism} but is registered for {client.auth_method}"
    return f"client {client_id!r} sent a wrong secret, or this endpoint does not take {mechanism}"
