"""ID tokens (OpenID Connect Core section 2): what a client learns of who signed in, when and how."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

from . import clock
from .claims import Claims
from .issuing import Issue
from .keys import ID_TOKEN_SECONDS, Keys
from .models import Client
from .store import Store

DEFAULT_ALGORITHM = "RS256"


class IdTokens:
    """Makes ID tokens and recognises them again; `allowed` gives the scopes that a client may ask for."""

    def __init__(self, store: Store, keys: Keys, claims: Claims, allowed: Callable[[Client], frozenset[str]]) -> None:
        self._store = store
        self._keys = keys
        self._claims = claims
        self._allowed = allowed

    def make(self, issue: Issue, *, nonce: str | None = None, code: str | None = None) -> str:
        """The ID token that goes with an answer: bound to its access token and code where it has them (section 3.3.2.11)."""
        grant, client, now = issue.grant, issue.client, issue.now
        if grant is None or grant.user_id is None:
            raise ValueError("an ID token is about a person")
        algorithm = signing_algorithm(client, "id_token_signed_response_alg") or DEFAULT_ALGORITHM
        claims: dict[str, Any] = {
            "iss": issue.issuer,
            "sub": grant.subject,
            "aud": client.client_id,
            "exp": int(now) + ID_TOKEN_SECONDS,
            "iat": int(now),
            "auth_time": None if grant.auth_time is None else int(grant.auth_time),
            "nonce": nonce,
            "acr": grant.acr,
            "amr": list(grant.amr) or None,
            "sid": None if grant.session is None else self._claims.session(grant.session, client),
            "at_hash": _half_hash(issue.answer.get("access_token"), algorithm),
            "c_hash": _half_hash(code, algorithm),
        }
        wanted = grant.asked.get("id_token", {})
        user = self._store.user(grant.user_id) if wanted else None
        more = self._claims.asked(user, wanted, self._allowed(client)) if user else {}
        made = {**more, **{name: value for name, value in claims.items() if value is not None}}
        return self._keys.sign(algorithm, "JWT", made, now)

    def recognise(self, text: str, issuer: str) -> dict[str, Any] | None:
        """The claims of an ID token that we issued, expired or not: a hint at who is meant, never proof of it."""
        found = self._keys.verify(text, clock.now(), hint=True)
        if found is None or found[0].get("typ") != "JWT":
            return None
        claims = found[1]
        words = all(isinstance(claims.get(name), str) for name in ("sub", "aud"))
        return claims if words and "exp" in claims and claims.get("iss") == issuer else None


def signing_algorithm(client: Client, member: str) -> str | None:
    """What the client is registered for."""
    algorithm = client.metadata.get(member)
    return str(algorithm) if algorithm else None


def _half_hash(text: str | None, algorithm: str) -> str | None:
    """The left half of a hash that is as strong as the signature (section 3.1.3.6; Ed25519 hashes with SHA-512)."""
    if text is None:
        return None
    made = (hashlib.sha512 if algorithm == "EdDSA" else hashlib.sha256)(text.encode()).digest()
    return base64.urlsafe_b64encode(made[: len(made) // 2]).rstrip(b"=").decode()
