"""Whether the claims of a foreign token make it an access token that is good here, now (RFC 9068 section 4, RFC 7662 2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..issuer_profiles import Profile
from ..jose import JoseRefused, date_of
from ..trusted_issuers import TrustedIssuer

SKEW = 60  # seconds by which the issuer's clock may differ
LONGEST_NAME = 1000  # characters of a subject or client
Claims = Mapping[str, Any]


def check_header(header: Claims, profile: Profile) -> None:
    """Raise JoseRefused for a JWT whose header says that it is of another kind."""
    typ = header.get("typ", "")
    if not isinstance(typ, str) or typ.lower() not in profile.typs:
        raise JoseRefused(f"its typ is {typ!r:.40}, which is not that of an access token in this `profile`")
    if "crit" in header:
        raise JoseRefused("its header demands an extension")


def check_kind(claims: Claims, profile: Profile) -> None:
    """Raise JoseRefused for a JWT whose claims are those of another kind."""
    for name in profile.required:
        if claims.get(name) in (None, ""):
            raise JoseRefused(f"it has no {name}")
    for group in profile.one_of:
        if all(claims.get(name) in (None, "") for name in group):
            raise JoseRefused(f"it has no {' or '.join(group)}")
    for name, value in profile.fixed.items():
        if claims.get(name) != value:
            raise JoseRefused(f"its {name} is not {value!r}")
    for name in profile.refused:
        if name in claims:
            raise JoseRefused(f"it has the claim {name}, as tokens of another kind have")


def check_claims(claims: Claims, entry: TrustedIssuer, own_audience: str, now: float, *, described: bool = False) -> float:
    """The time at which the token ends, without SKEW; raises JoseRefused where it is for others, not yet or no longer good.

    `described` are claims of an introspection answer, whose `aud` is optional.
    """
    if "cnf" in claims:
        raise JoseRefused("it is bound to a key, so it is no bearer token")
    for name in ("scope", "scp"):
        if not isinstance(claims.get(name, ""), (str, list)):
            raise JoseRefused(f"its {name} is not text")
    for name in ("sub", "client_id", "azp", "appid", "jti"):
        text = claims.get(name, "")
        if not isinstance(text, str) or not text.isprintable() or len(text) > LONGEST_NAME:
            raise JoseRefused(f"its {name} is not text that can be shown, of at most {LONGEST_NAME} characters")
    if "aud" in claims or not entry.client_ids or (entry.shape.audience and not described):
        _check_audience(claims, entry, own_audience)
    client = client_of(claims, entry)
    if entry.client_ids and client not in entry.client_ids:
        raise JoseRefused("its client is not one of `client_ids`")
    if not client and not claims.get("sub"):
        raise JoseRefused("it names neither a person nor a client")
    expires = date_of(claims, "exp")
    if expires is None:
        raise JoseRefused("it has no exp")
    if expires + SKEW <= now:
        raise JoseRefused("it has expired")
    for name in ("nbf", "iat", "auth_time"):
        if (date_of(claims, name) or 0) > now + SKEW:
            raise JoseRefused(f"its {name} is in the future")
    return expires


def client_of(claims: Claims, entry: TrustedIssuer) -> str:
    """The client that it was issued to, in the issuer's words; empty where the token does not say."""
    return next((str(claims[name]) for name in entry.shape.clients if claims.get(name)), "")


def _check_audience(claims: Claims, entry: TrustedIssuer, own: str) -> None:
    audience = claims.get("aud")
    named = [audience] if isinstance(audience, str) else audience
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise JoseRefused("it has no audience")
    if not set(named).intersection(entry.audience or (own,)):
        raise JoseRefused(f"it is for another audience: {' '.join(named)[:200]!r}")
