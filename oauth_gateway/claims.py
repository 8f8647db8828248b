"""What may be told of a person: claims by scope (OpenID Connect Core section 5.4) and by name (section 5.5)."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from . import redirects
from .errors import OAuthError
from .models import Client, User
from .naming import named
from .settings import Settings
from .store import Store
from .values import RESERVED_CLAIMS

SCOPE_CLAIMS = {
    "profile": (
        "name family_name given_name middle_name nickname preferred_username profile picture website gender birthdate"
        " zoneinfo locale updated_at"
    ),
    "email": "email email_verified",
    "address": "address",
    "phone": "phone_number phone_number_verified",
}
MOST_ASKED = 50  # claims by name


class Claims:
    """The claims of one deployment's people: those stored with the account, and over them those of the setting
    `openid_claims`.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._store = store
        self._source = named("openid_claims", settings.openid_claims) if settings.openid_claims else None
        usual = {scope: words for scope, words in SCOPE_CLAIMS.items() if scope not in settings.own_scopes}
        self._by_scope = {scope: tuple(words.split()) for scope, words in {**usual, **settings.openid_scope_claims}.items()}
        self._salt: bytes | None = None

    @property
    def supported(self) -> list[str]:
        """The names that scopes bring, for the metadata."""
        return sorted({name for names in self._by_scope.values() for name in names})

    @property
    def scopes(self) -> list[str]:
        return list(self._by_scope)

    def names(self, scope: Iterable[str]) -> set[str]:
        """What these scopes bring."""
        return {name for word in scope for name in self._by_scope.get(word, ())}

    def of(self, user: User, names: Iterable[str]) -> dict[str, Any]:
        """Those of `names` that are known of the person; an empty value counts as unknown (section 5.3.2)."""
        wanted = set(names) - RESERVED_CLAIMS
        if not wanted:
            return {}
        known: dict[str, Any] = {"preferred_username": user.username, "locale": user.locale, **user.claims}
        if self._source is not None:
            told = self._source(user) or {}
            if not isinstance(told, Mapping):
                raise TypeError(f"openid_claims must give a mapping, not {type(told).__name__}")
            known.update(told)
        found = {name: value for name, value in known.items() if name in wanted and value not in (None, "", [], {})}
        for name, value in found.items():
            if not isinstance(value, (str, int, float, bool, list, dict)):
                raise TypeError(f"openid_claims: {name} is {type(value).__name__}, which JSON does not have")
        return found

    def asked(self, user: User, request: Mapping[str, Any], allowed: Iterable[str]) -> dict[str, Any]:
        """The claims that a request names one by one, of those that the scopes `allowed` to the client bring; one that is
        wanted with another value is left out (section 5.5.1).
        """
        found = self.of(user, request.keys() & self.names(allowed))
        return {name: value for name, value in found.items() if _fits(request[name], value)}

    def subject(self, user_id: str, client: Client) -> str:
        """What `client` knows the person by (section 8): the user_id, or an own one for each sector."""
        return self._pairwise(user_id, client) if client.is_pairwise else user_id

    def session(self, sid: str, client: Client) -> str:
        """What `client` knows a login session by: else clients could tell by it that they have the same person."""
        return self._pairwise(f"session {sid}", client) if client.is_pairwise else sid

    def _pairwise(self, text: str, client: Client) -> str:
        if self._salt is None:
            self._salt = bytes.fromhex(self._store.set_meta("pairwise_salt", secrets.token_hex(32)))
        made = hashlib.sha256(self._salt + f"{sector_of(client)}\n{text}".encode()).digest()
        return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def sector_of(client: Client) -> str:
    """The host that clients of one sector share (section 8.1)."""
    uri = client.metadata.get("sector_identifier_uri") or next(iter(client.redirect_uris), "")
    host = urlsplit(uri).hostname
    return client.client_id if host is None or redirects.is_loopback(uri) else host  # any app may be at 127.0.0.1


def parse_request(text: str) -> dict[str, dict[str, Any]]:
    """The `claims` parameter: what is wanted in the ID token and at the UserInfo endpoint, by name (section 5.5).

    Raises OAuthError where it is no such thing; members that nobody knows are ignored.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise OAuthError("invalid_request", "The parameter claims must be a JSON object.")
    found: dict[str, dict[str, Any]] = {}
    for place in ("id_token", "userinfo"):
        wanted = document.get(place)
        wanted = {} if wanted is None else wanted
        if not isinstance(wanted, dict) or len(wanted) > MOST_ASKED:
            raise OAuthError("invalid_request", f"{place} in the parameter claims must be an object of claims.")
        for name, how in wanted.items():
            if not (how is None or isinstance(how, dict)) or len(name) > 100:
                raise OAuthError("invalid_request", "A claim in the parameter claims must be null or an object.")
        if wanted:
            found[place] = {name: _understood(how) for name, how in wanted.items()}
    return found


def _understood(how: Any) -> dict[str, Any] | None:
    """The members that have a meaning (section 5.5.1): what else is there need not be kept."""
    if how is None:
        return None
    kept: dict[str, Any] = {"essential": True} if how.get("essential") is True else {}
    if isinstance(how.get("value"), (str, int, float, bool)):
        kept["value"] = how["value"]
    if isinstance(how.get("values"), list):
        kept["values"] = [value for value in how["values"][:MOST_ASKED] if isinstance(value, (str, int, float, bool))]
    return kept


def wanted_values(how: Any) -> list[Any] | None:
    """The values that a claim may have, or None where every one will do."""
    if not isinstance(how, dict):
        return None
    if "value" in how:
        return [how["value"]]
    return list(how["values"]) if isinstance(how.get("values"), list) else None


def _fits(how: Any, value: Any) -> bool:
    values = wanted_values(how)
    return values is None or value in values
