"""Gateways with a fault, by name: the judge must find each of them, or it is worth nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from sqlalchemy import text

from oauth_gateway.features.introspection import IntrospectionEndpoint
from oauth_gateway.store.grants import Grants
from oauth_gateway.tokens import Tokens


def forget_revocations() -> None:
    """Revocations are answered, and nothing is done."""
    Grants.revoke_token = lambda self, number, now: True  # type: ignore[method-assign]
    Grants.revoke_grant = lambda self, grant_id, now: None  # type: ignore[method-assign]


def revoke_late() -> None:
    """Revocations are stored, and the gates are not told: they look once a second."""
    look = Tokens._look

    def deaf(self: Tokens, now: float) -> None:
        look(self, now)
        self._epoch = lambda: self._applied  # type: ignore[assignment, return-value]

    Tokens._look = deaf  # type: ignore[method-assign]


def never_look() -> None:
    """What a worker remembers is good for ever."""
    follow = Tokens._follow

    def once(self: Tokens, now: float) -> None:
        if self._applied is None:
            follow(self, now)

    Tokens._follow = once  # type: ignore[method-assign]


def pay_twice() -> None:
    """Codes and refresh tokens can be used again and again."""
    redeem = Grants.redeem

    def again(self: Grants, number: int, *given: Any) -> Any:
        with self.database.write() as connection:
            connection.execute(text("UPDATE oauth_token SET redeemed = NULL WHERE id = :id"), {"id": number})
        return redeem(self, number, *given)

    Grants.redeem = again  # type: ignore[method-assign, assignment]


def lose_tokens() -> None:
    """One token in five is answered and not stored."""
    issue, turns = Grants.issue, itertools.count()
    Grants.issue = lambda self, new: issue(self, new) if next(turns) % 5 else None  # type: ignore[method-assign]


def undo_revocations() -> None:
    """One revocation in three brings back what was revoked before, as a database would that lost its last commits."""
    revoke, turns = Grants.revoke_grant, itertools.count(1)

    def undone(self: Grants, grant_id: int, now: float) -> None:
        revoke(self, grant_id, now)
        if next(turns) % 3 == 0:
            with self.database.write() as connection:
                connection.execute(text("UPDATE oauth_grant SET revoked = NULL"))

    Grants.revoke_grant = undone  # type: ignore[method-assign]


def break_down() -> None:
    """A question in ten ends in an exception."""
    create, turns = IntrospectionEndpoint.create_introspection_payload, itertools.count(1)

    def sometimes(self: IntrospectionEndpoint, token: Any) -> Any:
        if next(turns) % 10 == 0:
            raise RuntimeError("broken on purpose")
        return create(self, token)

    IntrospectionEndpoint.create_introspection_payload = sometimes  # type: ignore[method-assign]


FAULTS: dict[str, Callable[[], None]] = {
    "forget revocations": forget_revocations,
    "revoke late": revoke_late,
    "never look": never_look,
    "pay twice": pay_twice,
    "lose tokens": lose_tokens,
    "undo revocations": undo_revocations,
    "break down": break_down,
}
