"""RFC 9068: access tokens that resource servers elsewhere can check without a call.

Here they are worth what their row says, like opaque ones: a signature alone opens nothing, so a revoked one is refused at
once. Both kinds are accepted whichever is issued.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from . import clock
from .keys import Keys
from .models import Client, Grant, public_id
from .sealing import Credential, new_number
from .settings import Settings

TYP = "at+jwt"
_TYPS = frozenset({TYP, f"application/{TYP}"})
_NUMBER = re.compile(r"[0-9a-f]{16}\Z")


class JwtAccessTokens:
    """Writes and recognises the JWTs of one deployment."""

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self._settings = settings
        self._keys = keys

    def issue(
        self, client: Client, grant: Grant | None, scope: str, issuer: str, now: float, seconds: int, number: int | None = None
    ) -> tuple[str, Credential]:
        """A token for `seconds` and what is stored of it (section 2.2)."""
        number = new_number() if number is None else number
        claims: dict[str, Any] = {
            "iss": issuer,
            "exp": int(now) + seconds,
            "aud": grant.audience if grant else self._settings.audience,
            "sub": grant.subject if grant else client.client_id,
            "client_id": client.client_id,
            "iat": int(now),
            "jti": public_id(number),
        }
        if scope:
            claims["scope"] = scope
        if grant is not None and grant.auth_time is not None:
            claims["auth_time"] = int(grant.auth_time)
        if grant is not None and grant.acr is not None:
            claims["acr"] = grant.acr
        if grant is not None and grant.amr:
            claims["amr"] = list(grant.amr)
        text = self._keys.sign(self._settings.access_token_algorithm, TYP, claims, now)
        return text, Credential("at", number, hashlib.sha256(text.encode()).digest())

    def recognise(self, text: str) -> Credential | None:
        """The credential in an access token that we signed (section 4); whether it lives, its row says."""
        found = self._keys.verify(text, clock.now())
        if found is None:
            return None
        header, claims = found
        issuer = self._settings.issuer
        if str(header.get("typ", "")).lower() not in _TYPS or claims.get("aud") != self._settings.audience:
            return None
        if issuer is not None and claims.get("iss") != issuer:
            return None
        number = claims.get("jti")
        if not isinstance(number, str) or not _NUMBER.match(number):
            return None
        return Credential("at", int(number, 16), hashlib.sha256(text.encode()).digest(), header["kid"])
