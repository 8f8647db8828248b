"""Registering clients, and their secrets."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .client_metadata import MEMBERS, PUBLIC, SECRET_METHODS, check_metadata, is_member, usual_response_types
from .errors import ConfigurationError
from .events import Events
from .fetch import Fetcher, FetchError, strict_json
from .models import Client, Secret, digest
from .scopes import ScopePolicy
from .sealing import Sealer, new_number
from .settings import Settings
from .store import Store

_MAY_BE_EMPTY = ("client_name", "scope")


class Clients:
    """The clients of one deployment; every error is a ConfigurationError that names the member and what is allowed."""

    def __init__(self, settings: Settings, store: Store, events: Events, sealer: Sealer) -> None:
        self._settings = settings
        self._store = store
        self._events = events
        self._sealer = sealer

    def create(self, *, now: float, **given: Any) -> tuple[Client, str | None]:
        """A new client with the members of `client_metadata.MEMBERS` that are given, and its secret, which is shown this once;
        None where it needs none.
        """
        unknown = {name for name in given if not is_member(name)}
        if unknown:
            raise ConfigurationError(f"{min(unknown)}: there is no such member; members are {', '.join(MEMBERS)}")
        members = {name: value for name, value in given.items() if value is not None}
        uris = list(members.get("redirect_uris", ()))
        grants = list(members.get("grant_types", ()))
        grants = grants or (["authorization_code", "refresh_token"] if uris else ["client_credentials"])
        metadata: dict[str, Any] = {
            "client_name": "",
            "response_types": usual_response_types(grants),
            "scope": self._usual_scope(grants),
            "token_endpoint_auth_method": "private_key_jwt" if {"jwks", "jwks_uri"} & members.keys() else "client_secret_basic",
            **members,
            "redirect_uris": uris,
            "grant_types": grants,
        }
        self._check(metadata)
        client = Client(secrets.token_hex(12), metadata, (), now, number=new_number())
        secret = None
        if metadata["token_endpoint_auth_method"] not in (PUBLIC, "private_key_jwt"):
            client, secret = self._with_secret(client, now)
        self._store.add_client(client)
        self._events.emit("client.created", client_id=client.client_id)
        return client, secret

    def _usual_scope(self, grants: list[str]) -> str:
        """All scopes; those that say who somebody is for clients that sign people in."""
        identity = ScopePolicy(self._settings).identity if "authorization_code" in grants else {}
        return " ".join({**self._settings.scopes, **identity})

    def find(self, client_id: str) -> Client:
        client = self._store.client(client_id)
        if client is None:
            raise ConfigurationError(f"client {client_id!r}: there is no such client")
        return client

    def update(self, client: Client, changes: Mapping[str, Any], now: float) -> Client:
        """With the members in `changes` replaced, or removed where they are empty text; processes forget what they know."""
        metadata = {**client.metadata, **changes}
        metadata = {name: value for name, value in metadata.items() if value != "" or name in _MAY_BE_EMPTY}
        if "response_types" not in changes and "grant_types" in changes:
            metadata["response_types"] = usual_response_types(metadata["grant_types"])
        for name, other in (("jwks", "jwks_uri"), ("jwks_uri", "jwks")):
            if name in changes and other not in changes:
                metadata.pop(other, None)
        self._check(metadata, had=client.metadata["grant_types"])
        changed = replace(client, metadata=metadata)
        if metadata["token_endpoint_auth_method"] == "client_secret_jwt" and not any(s.sealed for s in client.secrets):
            changed = replace(changed, secrets=())  # what is kept of the old one cannot check a signature
        self._store.update_client(changed, now)
        self._events.emit("client.updated", client_id=client.client_id)
        return changed

    def rotate_secret(self, client: Client, now: float) -> str:
        """A new secret in place of all old ones; shown this once."""
        if client.auth_method not in SECRET_METHODS and (client.is_public or client.auth_method == "private_key_jwt"):
            raise ConfigurationError(f"client {client.client_id!r}: uses {client.auth_method} and has no secret")
        changed, secret = self._with_secret(client, now)
        self._store.update_client(changed, now)
        self._events.emit("client.secret_rotated", client_id=client.client_id)
        return secret

    def _with_secret(self, client: Client, now: float) -> tuple[Client, str]:
        """A digest of it is kept; where it is the key of signatures (client_secret_jwt) also itself, sealed."""
        secret = secrets.token_urlsafe(32)
        sealed = None
        if client.auth_method == "client_secret_jwt":
            made = self._sealer.seal("client secret", secret.encode(), client.client_id)
            sealed = base64.b64encode(made).decode()
        return replace(client, secrets=(Secret(digest(secret).hex(), now, sealed=sealed),)), secret

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

    def _check(self, metadata: Mapping[str, Any], had: list[str] | None = None) -> None:
        check_metadata(metadata, self._settings, had or ())
        uri = metadata.get("sector_identifier_uri")
        if uri is None:
            return
        try:
            document = Fetcher(self._settings.fetch_private_networks).read(uri, strict_json)
        except FetchError as error:
            raise ConfigurationError(f"sector_identifier_uri: {uri} cannot be read: {error}") from None
        listed = document if isinstance(document, list) else []
        missing = [redirect for redirect in metadata["redirect_uris"] if redirect not in listed]
        if missing:  # OpenID Connect Registration section 5
            raise ConfigurationError(f"sector_identifier_uri: {uri} does not list {missing[0]}")
