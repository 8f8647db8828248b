"""Making the tokens of one answer: the JSON for the client, the rows for the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .models import Client, Grant
from .sealing import Sealer
from .settings import Settings
from .store import NewToken


@dataclass(frozen=True, slots=True)
class Minted:
    """Tokens made but not yet stored: the answer for the client and the rows for the store."""

    answer: dict[str, Any] = field(repr=False)
    rows: tuple[NewToken, ...]


class Unsaved(dict[str, Any]):
    """An answer that a grant of Authlib's own making carries from `generate_token` to `save_token`."""

    def __init__(self, minted: Minted, family: Grant | None) -> None:
        super().__init__(minted.answer)
        self.minted = minted
        self.family = family

    def __repr__(self) -> str:
        return "Unsaved(…)"


def mint(
    settings: Settings,
    sealer: Sealer,
    client: Client,
    scope: str,
    now: float,
    *,
    grant: Grant | None = None,
    refresh: bool = False,
    refresh_scope: str | None = None,
    parent: int | None = None,
    generation: int = 0,
) -> Minted:
    """An access token for `scope` and with `refresh` a refresh token, for `refresh_scope` where it differs; not stored yet.

    No access token outlives its grant.
    """
    lifetime = settings.access_token_lifetime
    if grant is not None and grant.expires is not None:
        lifetime = max(1, min(lifetime, int(grant.expires - now)))
    audience, family = (grant.audience, grant.id) if grant else (settings.audience, None)

    def row(kind: str, short: str, words: str, seconds: int, *lineage: int | None) -> tuple[str, NewToken]:
        text, credential = sealer.issue(short)
        number, digest = credential.number, credential.digest
        end = now + seconds
        return text, NewToken(number, kind, digest, client.number, words, audience, now, end, family, *lineage)  # type: ignore[arg-type]

    text, access = row("access_token", "at", scope, lifetime)
    answer: dict[str, Any] = {"access_token": text, "token_type": "Bearer", "expires_in": lifetime}
    rows = [access]
    if refresh:
        words = scope if refresh_scope is None else refresh_scope
        answer["refresh_token"], kept = row("refresh_token", "rt", words, settings.refresh_token_lifetime, parent, generation)
        rows.append(kept)
    if scope:
        answer["scope"] = scope
    return Minted(answer, tuple(rows))
