"""What the app sees of a foreign token: scopes by rule, and a person only where the issuer's entry says how.

An issuer names its clients and subjects as it likes, also as ours are named. So `prefix` is put before them all, and an entry
without one makes nobody a user here: `user_id` and `username` stay None, and `subject` means something beside `issuer` only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from ..jose import JoseRefused, date_of
from ..models import Token
from ..remembered import Alike
from ..trusted_issuers import TrustedIssuer
from ..values import SCOPE
from .judging import client_of

LONGEST_NAME = 255  # characters
MOST_SCOPES = 500
# claims that have the same few values in many tokens
_ALIKE = frozenset("iss aud azp appid client_id scope scp typ token_type token_use tid acr ver".split())  # noqa: SIM905
_alike = Alike()
Claims = Mapping[str, Any]


def token_of(text: str, claims: Claims, entry: TrustedIssuer, audience: str, expires: float) -> Token:
    """The token for the app, which ends at `expires`; raises JoseRefused where its person's name cannot be used."""
    prefix = entry.prefix or ""
    client, subject = client_of(claims, entry), str(claims.get("sub", ""))
    alone = entry.shape.acts_alone(claims)
    username = None if alone else _username(claims, entry)
    authenticated = date_of(claims, "auth_time")
    amr, acr = claims.get("amr"), claims.get("acr")
    return Token(
        id=hashlib.sha256(f"{entry.issuer}\0{text}".encode()).hexdigest()[:16],
        client_id=prefix + client,
        user_id=prefix + subject if username is not None and subject else None,
        username=username,
        subject=prefix + (subject or client),
        scopes=scopes_of(claims, entry),
        audience=audience,
        issuer=entry.issuer,
        grant_id=None,
        issued_at=date_of(claims, "iat") or 0.0,
        expires_at=expires,
        auth_time=authenticated,
        acr=acr if isinstance(acr, str) else None,
        amr=tuple(item for item in amr if isinstance(item, str)) if isinstance(amr, list) else (),
        claims=_lean(claims),
    )


def _lean(value: Any, alike: bool = False) -> Any:
    """A copy in which names, items of lists and what else is alike in many tokens is one text for them all: a process may
    remember a hundred thousand, and half of what a token's claims take is that.
    """
    if isinstance(value, Mapping):
        return {_alike.one(name): _lean(item, name in _ALIKE) for name, item in value.items()}
    if isinstance(value, list):
        return [_lean(item, True) for item in value]
    return _alike.one(value) if alike and isinstance(value, str) else value


def _username(claims: Claims, entry: TrustedIssuer) -> str | None:
    if entry.username_claim is None or entry.prefix is None:
        return None
    name = claim_of(claims, entry.username_claim)
    if name is None:
        return None
    if not isinstance(name, str) or not name or name != name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise JoseRefused(f"its {entry.username_claim} cannot be a name")
    if entry.username_claim == "email" and claims.get("email_verified") not in (True, "true"):
        raise JoseRefused("its email is not verified, so it names nobody")
    return entry.prefix + name


def scopes_of(claims: Claims, entry: TrustedIssuer) -> frozenset[str]:
    """The scopes here: the issuer's words, or what `scope_map` makes of them, which then is all that counts."""
    sources = entry.shape.scopes if entry.scope_claims is None else entry.scope_claims
    words = [word for source in sources for word in _words(claim_of(claims, source))][:MOST_SCOPES]
    if entry.scope_map is not None:
        words = [scope for word in words for scope in entry.scope_map.get(word, "").split()]
    return frozenset(word for word in words if SCOPE.match(word))


def claim_of(claims: Claims, name: str) -> Any:
    """The claim of that name, else, where the name has dots, what they lead to inside of claims; None where there is none."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _words(value: Any) -> Iterable[str]:
    """Words separated by blanks, no other space (RFC 6749 section 3.3), or a list, whose items may be anything that is text."""
    if isinstance(value, str):
        return value.split(" ")
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else ()
