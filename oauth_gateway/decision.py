"""What a person decided about an authorization request, and the grant that comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .models import Consent, Grant, Session, User
from .request import AuthorizationRequest

if TYPE_CHECKING:
    from .server import AuthorizationServer


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
    acr: str | None = None
    consent: Consent | None = None  # that covers it, where it was remembered and nobody was asked

    @classmethod
    def of(
        cls, session: Session, user: User, seed: bytes, number: int, *, remember: bool = False, consent: Consent | None = None
    ) -> Decision:
        """The decision of `user` in their login session."""
        sid, when = session.sid or None, session.auth_time
        return cls(user, seed, number, remember, sid, when, session.amr, session.acr, consent)


def new_grant(
    server: AuthorizationServer, request: AuthorizationRequest, decision: Decision, redirect_uri: str, now: float
) -> tuple[Grant, Consent | None]:
    """The grant of a decision, not stored yet, and the consent to be remembered where none covers it."""
    client, user_id, audience = request.client, decision.user.user_id, server.settings.audience
    scope = request.scope or ""
    agreed = None
    known = decision.consent or server.store.consent(user_id, client.number, redirect_uri, audience)
    consent_id = known.id if known else None
    if decision.remember and not (known and server.scopes.covers(known.scope, request.agreement)):
        consent_id = decision.number
        agreed = Consent(consent_id, user_id, client.number, redirect_uri, audience, request.agreement, now)
    grant = Grant(
        decision.number,
        client.number,
        user_id,
        server.claims.subject(user_id, client),
        scope,
        audience,
        now,
        server.ends(now),
        consent_id,
        decision.session,
        decision.auth_time,
        decision.amr,
        decision.acr,
        asked=request.asked,
    )
    return grant, agreed
