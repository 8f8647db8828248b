"""People, their login sessions and what they agreed to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SEEN_SECONDS = 300  # between two notes of when a session was seen: a request costs no write


@dataclass(frozen=True, slots=True)
class User:
    """A person: `user_id` is random and never given again, `source` says who vouches for the name."""

    user_id: str
    username: str
    source: str = "builtin"
    password: str | None = field(default=None, repr=False)
    created: float = 0
    disabled: float | None = None
    claims: dict[str, Any] = field(default_factory=dict)
    locale: str | None = None

    def get_user_id(self) -> str:
        return self.user_id


@dataclass(frozen=True, slots=True)
class Session:
    """A login session; `digest` is of the cookie's value, `sid` its public name, `device` what the person knows the browser
    by, such as "Firefox on Linux". `seen` is when it was noticed last, some minutes late, or None.

    Of people whom somebody else vouches for nothing is stored: `sid` is then empty, and `auth_time` None where nobody says.
    """

    digest: bytes = field(repr=False)
    sid: str
    user_id: str
    auth_time: float | None
    created: float
    expires: float
    amr: tuple[str, ...] = ()
    acr: str | None = None
    device: str = ""
    seen: float | None = None

    @property
    def noted_next(self) -> float:
        """From when on it is worth storing that it was seen."""
        return (self.seen or self.auth_time or self.created) + SEEN_SECONDS


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person agreed to: this client, redirect URI and audience may have these scopes."""

    id: int
    user_id: str
    client: int
    redirect_uri: str
    audience: str
    scope: str
    created: float
