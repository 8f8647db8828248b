"""`oauth-gateway check` on trusted issuers: each is asked for what the gate will need of it, and weak entries are named."""

from __future__ import annotations

from collections.abc import Iterator

from .. import clock
from ..errors import ConfigurationError
from ..fetch import FetchError
from ..foreign import ForeignTokens
from ..settings import Settings
from ..trusted_issuers import TrustedIssuer


def check_trusted_issuers(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Findings as (level, subject, sentence)."""
    try:
        foreign = ForeignTokens(settings.trusted_issuers, settings.audience, own=settings.server)
    except ConfigurationError as error:
        yield "error", "trusted", str(error)
        return
    for issuer in foreign.issuers:
        try:
            found = " and ".join(issuer.probe(clock.now()))
            yield "ok", "trusted", f"{issuer.entry.issuer} ({issuer.entry.profile}): {found}"
        except FetchError as error:
            yield "error", "trusted", f"{issuer.entry.issuer}: {error}"
        yield from _check_entry(issuer.entry, settings)


def _check_entry(entry: TrustedIssuer, settings: Settings) -> Iterator[tuple[str, str, str]]:
    if entry.prefix == "" and settings.server:
        yield "warning", "trusted", f"{entry.issuer}: with an empty `prefix` its people can have the names of yours"
    if entry.username_claim is not None and entry.prefix is not None:
        for other in settings.trusted_issuers:
            if other is not entry and other.prefix is not None and other.prefix.startswith(entry.prefix):
                text = f"{entry.issuer} and {other.issuer}: their people's names are not kept apart by `prefix`"
                yield "warning", "trusted", text
    if entry.username_claim in ("email", "upn", "unique_name", "preferred_username"):
        text = f"{entry.issuer}: {entry.username_claim} may be changed there, and given to another person; `sub` never is"
        yield "warning", "trusted", text
    if entry.scope_claims and entry.scope_map is None and set(entry.scope_claims) - {"scope", "scp"}:
        text = f"{entry.issuer}: whatever {' '.join(entry.scope_claims)} say is a scope here; see `scope_map`"
        yield "warning", "trusted", text
    if "opaque" in entry.tokens and not entry.token_prefix:
        text = f"{entry.issuer} is asked about every unknown text; with a `token_prefix` about its own only"
        yield "warning", "trusted", text
