"""Registering clients: what their metadata may say (RFC 7591 section 2), and their secrets."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from . import redirects
from .errors import ConfigurationError
from .events import Events
from .models import Client, Secret, digest
from .sealing import new_number
from .settings import Settings
from .store import Store

GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials", "implicit", "password")
PUBLIC = "none"
AUTH_METHODS = ("client_secret_basic", "client_secret_post", PUBLIC)
_URI = re.compile(r"(?:urn|https):[\x21-\x7e]{1,200}\Z")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+\Z")


class Clients:
    """The clients of one deployment; every error is a ConfigurationError that names the member and what is allowed."""

    def __init__(self, settings: Settings, store: Store, events: Events) -> None:
        self._settings = settings
        self._store = store
        self._events = events

    def create(
        self,
        *,
        now: float,
        client_name: str = "",
        redirect_uris: Iterable[str] = (),
        grant_types: Iterable[str] = (),
        scope: str | None = None,
        token_endpoint_auth_method: str | None = None,
        allowed_origins: Iterable[str] | None = None,
        may_introspect: bool = False,
    ) -> tuple[Client, str | None]:
        """A new client and its secret, which is shown this once; None for a public client."""
        uris = list(redirect_uris)
        grants = list(grant_types) or (["authorization_code", "refresh_token"] if uris else ["client_credentials"])
        metadata: dict[str, Any] = {
            "client_name": client_name,
            "redirect_uris": uris,
            "grant_types": grants,
            "response_types": _response_types(grants),
            "scope": " ".join(self._settings.scopes) if scope is None else scope,
            "token_endpoint_auth_method": token_endpoint_auth_method or "client_secret_basic",
        }
        if allowed_origins is not None:
            metadata["allowed_origins"] = list(allowed_origins)
        if may_introspect:
            metadata["may_introspect"] = True
        self.check(metadata)
        secret = None if token_endpoint_auth_method == PUBLIC else secrets.token_urlsafe(32)
        stored = (Secret(digest(secret).hex(), now),) if secret else ()
        client = Client(secrets.token_hex(12), metadata, stored, now, number=new_number())
        self._store.add_client(client)
        self._events.emit("client.created", client_id=client.client_id)
        return client, secret

    def find(self, client_id: str) -> Client:
        client = self._store.client(client_id)
        if client is None:
            raise ConfigurationError(f"client {client_id!r}: there is no such client")
        return client

    def update(self, client: Client, changes: Mapping[str, Any], now: float) -> Client:
        """With the members in `changes` replaced; processes forget what they remember of it."""
        metadata = {**client.metadata, **changes}
        metadata["response_types"] = _response_types(metadata["grant_types"])
        self.check(metadata, had=client.metadata["grant_types"])
        changed = replace(client, metadata=metadata)
        self._store.update_client(changed, now)
        self._events.emit("client.updated", client_id=client.client_id)
        return changed

    def rotate_secret(self, client: Client, now: float) -> str:
        """A new secret in place of all old ones; shown this once."""
        if client.is_public:
            raise ConfigurationError(f"client {client.client_id!r}: is public and has no secret")
        secret = secrets.token_urlsafe(32)
        self._store.update_client(replace(client, secrets=(Secret(digest(secret).hex(), now),)), now)
        self._events.emit("client.secret_rotated", client_id=client.client_id)
        return secret

    def set_disabled(self, client: Client, disabled: bool, now: float) -> Client:
        """Refuse the client and its tokens from now on, or accept them again."""
        changed = replace(client, disabled=now if disabled else None)
        self._store.update_client(changed, now)
        self._events.emit("client.disabled" if disabled else "client.enabled", client_id=client.client_id)
        return changed

    def delete(self, client_id: str, now: float) -> None:
        if not self._store.delete_client(client_id, now):
            raise ConfigurationError(f"client {client_id!r}: there is no such client")
        self._events.emit("client.deleted", client_id=client_id)

    def check(self, metadata: Mapping[str, Any], had: Iterable[str] = ()) -> None:
        """Refuse metadata that cannot work or would be unsafe; grant types that the client `had` may stay."""
        self._check_grants(metadata, had)
        for uri in metadata["redirect_uris"]:
            reason = redirects.refuse_reason(uri)
            if reason:
                raise ConfigurationError(f"redirect_uris: {uri!r} cannot be registered: {reason}")
        for origin in metadata.get("allowed_origins", ()):
            if not redirects.is_origin(origin):
                raise ConfigurationError(f"allowed_origins: {origin!r} is not an origin such as https://app.example.com")
        for scope in metadata["scope"].split():
            if not _SCOPE.match(scope):
                raise ConfigurationError(f"scope: {scope!r} is not a scope")
            if self._settings.scopes and scope not in self._settings.scopes:
                raise ConfigurationError(f"scope: {scope!r} is not one of {', '.join(self._settings.scopes)}")
        if any(ord(c) < 32 for c in metadata["client_name"]) or len(metadata["client_name"]) > 200:
            raise ConfigurationError("client_name: must be at most 200 visible characters")

    def _check_grants(self, metadata: Mapping[str, Any], had: Iterable[str]) -> None:
        """How the client may get tokens, and how it shows who it is; both may be URIs of a deployment's own parts."""
        grants, method = metadata["grant_types"], metadata["token_endpoint_auth_method"]
        for grant in grants:
            if grant not in GRANT_TYPES and not _URI.match(grant):
                raise ConfigurationError(
                    f"grant_types: {grant!r} is unknown; allowed are {', '.join(GRANT_TYPES)}, and URIs of own ones"
                )
            if grant in ("implicit", "password") and grant not in (*self._settings.features, *had):
                raise ConfigurationError(f"grant_types: {grant} is switched off; add it to `features` if you cannot do without")
        if method not in AUTH_METHODS and not _URI.match(method):
            allowed = ", ".join(AUTH_METHODS)
            raise ConfigurationError(
                f"token_endpoint_auth_method: {method!r} is unknown; allowed are {allowed}, and URIs of own ones"
            )
        if method == PUBLIC and "client_credentials" in grants:
            raise ConfigurationError("grant_types: a public client cannot have client_credentials; give it a secret")
        if method == PUBLIC and metadata.get("may_introspect"):
            raise ConfigurationError("may_introspect: a public client cannot show who asks; give it a secret")
        if method != PUBLIC and metadata.get("allowed_origins"):
            raise ConfigurationError("allowed_origins: are for the scripts of public clients; a script cannot keep a secret")
        if not metadata["redirect_uris"] and not {"authorization_code", "implicit"}.isdisjoint(grants):
            raise ConfigurationError("redirect_uris: authorization_code and implicit need at least one redirect URI")


def _response_types(grants: Iterable[str]) -> list[str]:
    """The response types that go with grant types (RFC 7591 section 2.1)."""
    return [kind for grant, kind in (("authorization_code", "code"), ("implicit", "token")) if grant in grants]
