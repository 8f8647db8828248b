"""What the server itself needs to remember: signing keys, and work that is still to be done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key as stored: public as a JWK, private sealed. There is one a (`algorithm`, `generation`).

    It is published from `created` on, signs from `active` until the next generation does, and is kept until nothing that
    it signed can be valid: `longest` is the longest lifetime of that, in seconds. A `revoked` key is good for nothing.
    """

    kid: str
    algorithm: str
    generation: int
    public: Mapping[str, Any]
    sealed: bytes = field(repr=False)
    created: float
    active: float
    longest: int
    revoked: float | None = None


@dataclass(frozen=True, slots=True)
class Party:
    """A relying party of a login session: the client's number, and the person's subject as it was told."""

    client: int
    subject: str


@dataclass(frozen=True, slots=True)
class Job:
    """Work that outlives the process that thought of it; `attempts` counts those that were begun, `lease` is until when it
    belongs to whoever took it.
    """

    id: int
    name: str
    payload: Mapping[str, Any]
    due: float
    attempts: int
    lease: float | None = None
