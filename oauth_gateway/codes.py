"""Authorization codes: stored with the grant that a decision makes, the same one for a decision that is repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from . import clock
from .decision import Decision, new_grant
from .errors import OAuthError
from .models import Grant, User, public_id
from .request import AuthorizationRequest
from .sealing import new_number
from .sentences import Sentence
from .store import NewToken, Outcome

if TYPE_CHECKING:
    from .server import AuthorizationServer

SKEW = 60  # seconds by which clocks may differ
Beside = Callable[[Grant, Decision], tuple[NewToken, ...]]


def issue_code(
    server: AuthorizationServer, request: AuthorizationRequest, redirect_uri: str, person: User, beside: Beside | None = None
) -> tuple[str, Grant]:
    """The code's text and the grant, stored in one transaction with the tokens that `beside` makes.

    A decision that comes again while its code is unredeemed gives the same code; raises OAuthError 409 afterwards.
    """
    now = clock.now()
    decision = request.decision or vouched(server, request, person, now)
    text, credential = server.sealer.issue("ac", decision.number, decision.seed or None)
    grant, agreed = new_grant(server, request, decision, redirect_uri, now)
    code = NewToken(
        credential.number,
        "authorization_code",
        credential.digest,
        request.client.number,
        grant.scope,
        grant.audience,
        now,
        now + server.settings.authorization_code_lifetime,
        grant.id,
        redirect_uri=request.params.get("redirect_uri"),
        code_challenge=request.params.get("code_challenge"),
    )
    tokens = beside(grant, decision) if beside else ()
    outcome = server.store.authorize(grant, (code, *tokens), agreed)
    if outcome is Outcome.WON:
        server.after_write(now)
        _tell_what_was_issued(server, request, grant, tokens)
    elif outcome is Outcome.GONE:
        raise OAuthError("login_required", "The person signed out, or took the access back, meanwhile.")
    else:
        known = server.store.code(credential.number, credential.digest)
        lost = [new for new in tokens if server.store.token(new.number, new.digest)[0] is None]  # a JWT cannot be made again
        if known is None or known.redeemed is not None or known.expires <= now or lost:
            raise OAuthError("invalid_request", Sentence("This request was answered before."), 409)
    return text, grant


def _tell_what_was_issued(
    server: AuthorizationServer, request: AuthorizationRequest, grant: Grant, tokens: tuple[NewToken, ...]
) -> None:
    tell(server, request, "code.issued", grant)
    for new in tokens:
        tell(server, request, "token.issued", grant, token=public_id(new.number), scope=new.scope)
    challenge = request.params.get("code_challenge")
    if challenge is not None and not server.challenges.is_new(request.client.client_id, challenge):
        tell(server, request, "challenge.reused", grant)  # who always sends the same has no protection (RFC 9700 section 2.1.1)


def vouched(server: AuthorizationServer, request: AuthorizationRequest, person: Any, now: float) -> Decision:
    """The decision of somebody whom the application vouches for: a mapping may say when they signed in (`auth_time`).

    Raises OAuthError where the request wants somebody else, or a login of which nothing is known.
    """
    user = server.users.known(person, now)
    given = person.get("auth_time") if isinstance(person, Mapping) else None
    auth_time = None if given is None else float(given)
    if auth_time is not None and not 0 <= auth_time <= now + SKEW:
        raise ValueError("auth_time must be seconds since 1970, and not to come")
    if request.acr is not None:
        raise OAuthError("unmet_authentication_requirements", "Nothing is known of how the person signed in.")
    if request.subject not in (None, server.claims.subject(user.user_id, request.client)):
        raise OAuthError("login_required", "The request is for somebody else.")
    if request.max_age is not None and (auth_time is None or now - auth_time > request.max_age):
        raise OAuthError("login_required", "The person did not sign in recently.")
    return Decision(user, b"", new_number(), remember=True, auth_time=auth_time)


def tell(server: AuthorizationServer, request: AuthorizationRequest, name: str, grant: Grant, **more: object) -> None:
    """Emit an event about a grant."""
    client_id, address = request.client.client_id, request.exchange.address
    known: dict[str, Any] = {"client_id": client_id, "user_id": grant.user_id, "grant_id": public_id(grant.id), **more}
    server.events.emit(name, address=address, **known)
