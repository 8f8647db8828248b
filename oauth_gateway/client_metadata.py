"""What a client may be registered with (RFC 7591 section 2 and the OpenID registrations), a line a member.

The command line makes its options of the same lines. Every refusal is a ConfigurationError that names the member, its value
and what is allowed.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from . import fetch, jose, redirects
from .errors import ConfigurationError
from .jose import ALGORITHMS, JoseRefused
from .sentences import TAG
from .settings import Settings

GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials", "implicit", "password")
RESPONSE_TYPES = ("code", "token", "code id_token", "code token", "code id_token token")
PUBLIC = "none"
SECRET_METHODS = ("client_secret_basic", "client_secret_post", "client_secret_jwt")
AUTH_METHODS = (*SECRET_METHODS, "private_key_jwt", PUBLIC)
_URI = re.compile(r"(?:urn|https):[\x21-\x7e]{1,200}\Z")
_JOINERS = frozenset("\u200c\u200d\u200e\u200f")  # invisible, and part of how some scripts are written
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+\Z")
Check = Callable[["Settings", str, Any], None]


@dataclass(frozen=True, slots=True)
class Member:
    """One member: `kind` is text, list, flag, number or document; `check` raises ConfigurationError; `option` on the command
    line is its name, in the singular where it may be repeated.
    """

    kind: str
    help: str
    check: Check
    metavar: str = "TEXT"


def refuse(name: str, value: Any, why: str) -> ConfigurationError:
    return ConfigurationError(f"{name}: {value!r} {why}")


def _name(settings: Settings, name: str, value: Any) -> None:
    kinds = {unicodedata.category(c) for c in value if c not in _JOINERS}
    if {"Cc", "Cf", "Cs", "Zl", "Zp"} & kinds or (value and not value.strip()) or len(value) > 200:
        raise ConfigurationError(f"{name}: must be at most 200 visible characters")


def _redirects(settings: Settings, name: str, value: Any) -> None:
    for uri in value:
        reason = redirects.refuse_reason(uri)
        if reason:
            raise refuse(name, uri, f"cannot be registered: {reason}")


def _origins(settings: Settings, name: str, value: Any) -> None:
    for origin in value:
        if not redirects.is_origin(origin):
            raise refuse(name, origin, "is not an origin such as https://app.example.com")


def _scope(settings: Settings, name: str, value: Any) -> None:
    from .scopes import ScopePolicy

    every = ScopePolicy(settings).every
    for scope in value.split():
        if not _SCOPE.match(scope):
            raise refuse(name, scope, "is not a scope")
        if settings.scopes and scope not in every:
            raise refuse(name, scope, f"is not one of {', '.join(every)}")


def _one_of(*allowed: str, own: bool = False) -> Check:
    def check(settings: Settings, name: str, value: Any) -> None:
        for item in value if isinstance(value, list) else [value]:
            if item not in allowed and not (own and _URI.match(str(item))):
                more = ", and URIs of own ones" if own else ""
                raise refuse(name, item, f"is unknown; allowed are {', '.join(allowed)}{more}")

    return check


def _fetched(settings: Settings, name: str, value: Any) -> None:
    """An address that the server itself will call."""
    reason = fetch.refuse_reason(value, allowed=settings.fetch_private_networks)
    if reason:
        raise refuse(name, value, f"will not be called: {reason}")


def _opened(settings: Settings, name: str, value: Any) -> None:
    """An address that browsers are sent to."""
    reason = redirects.refuse_reason(value)
    if reason or not value.startswith(("https://", "http://")):
        raise refuse(name, value, f"cannot be registered: {reason or 'it is not a web address'}")


def _seconds(settings: Settings, name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**10:
        raise refuse(name, value, "must be a number of seconds")


def _flag(settings: Settings, name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise refuse(name, value, "must be true or false")


def _jwks(settings: Settings, name: str, value: Any) -> None:
    keys = value.get("keys") if isinstance(value, Mapping) else None
    if not isinstance(keys, list) or not keys or len(json.dumps(value)) > 32_768:
        raise ConfigurationError(f'{name}: must be a JWK Set, {{"keys": [...]}} with public keys, of at most 32768 bytes')
    for number, key in enumerate(keys, 1):
        try:
            jose.load_public(key)
        except JoseRefused as error:
            raise ConfigurationError(f"{name}: key {number} is {error}") from None


MEMBERS: dict[str, Member] = {
    "client_name": Member("text", "shown to people on the consent page", _name, "NAME"),
    "redirect_uris": Member("list", "where people are sent back to", _redirects, "URI"),
    "grant_types": Member("list", f"of {', '.join(GRANT_TYPES)}", _one_of(*GRANT_TYPES, own=True), "TYPE"),
    "response_types": Member("list", "what goes with the grant types if not given", _one_of(*RESPONSE_TYPES), "TYPE"),
    "scope": Member("text", "what the client may ask for; all of `scopes` if not given", _scope, '"A B"'),
    "token_endpoint_auth_method": Member(
        "text",
        "client_secret_basic (default), client_secret_post, client_secret_jwt, private_key_jwt, or none for an app that cannot"
        " keep a secret",
        _one_of(*AUTH_METHODS, own=True),
        "METHOD",
    ),
    "token_endpoint_auth_signing_alg": Member(
        "text", "the only algorithm of its client assertions", _one_of(*ALGORITHMS, "HS256"), "ALG"
    ),
    "jwks": Member("document", "its public keys: a JWK Set, or file:PATH", _jwks, "JSON"),
    "jwks_uri": Member("text", "where its public keys are", _fetched, "URL"),
    "id_token_signed_response_alg": Member("text", "RS256 (default), PS256, ES256 or EdDSA", _one_of(*ALGORITHMS), "ALG"),
    "userinfo_signed_response_alg": Member("text", "UserInfo as a signed JWT", _one_of(*ALGORITHMS), "ALG"),
    "subject_type": Member(
        "text", "public (default), or pairwise: people are known to it by an own id", _one_of("public", "pairwise"), "TYPE"
    ),
    "sector_identifier_uri": Member("text", "the list of redirect URIs of clients that share pairwise ids", _fetched, "URL"),
    "default_max_age": Member("number", "seconds after which people sign in again for it", _seconds, "SECONDS"),
    "post_logout_redirect_uris": Member("list", "where people may be sent after signing out", _redirects, "URI"),
    "backchannel_logout_uri": Member("text", "where it is told that somebody signed out", _fetched, "URL"),
    "frontchannel_logout_uri": Member("text", "the same, opened in the person's browser", _opened, "URL"),
    "allowed_origins": Member(
        "list", "whose scripts may read our answers (CORS); the origins of the redirect URIs if not given", _origins, "ORIGIN"
    ),
    "may_introspect": Member("flag", "a resource server: it may ask what any access token is worth (RFC 7662)", _flag),
    "may_omit_pkce": Member("flag", "an old OpenID client that cannot send a code_challenge", _flag),
}


def is_member(name: str) -> bool:
    """Whether a client may have this member: the name alone comes in several languages (RFC 7591 section 2.2)."""
    base, _, tag = name.partition("#")
    return name in MEMBERS or (base == "client_name" and TAG.fullmatch(tag) is not None)


def check_metadata(metadata: Mapping[str, Any], settings: Settings, had: Sequence[str] = ()) -> None:
    """Refuse metadata that cannot work or would be unsafe; grant types that the client `had` may stay."""
    for name, value in metadata.items():
        MEMBERS[name.partition("#")[0]].check(settings, name, value)
    _check_grants(metadata, settings, had)
    _check_authentication(metadata)
    hosts = {urlsplit(uri).hostname for uri in metadata["redirect_uris"]}
    if len(hosts) > 1 and metadata.get("subject_type") == "pairwise" and "sector_identifier_uri" not in metadata:
        raise ConfigurationError("sector_identifier_uri: is needed for pairwise ids where redirect URIs have several hosts")
    told, origins = metadata.get("frontchannel_logout_uri"), {redirects.origin_of(uri) for uri in metadata["redirect_uris"]}
    if told and redirects.origin_of(told) not in origins:  # OpenID Connect Front-Channel Logout section 2
        raise refuse("frontchannel_logout_uri", told, "must have scheme, host and port of a redirect URI")
    if metadata["token_endpoint_auth_method"] != PUBLIC and metadata.get("allowed_origins"):
        raise ConfigurationError("allowed_origins: are for the scripts of public clients; a script cannot keep a secret")


def _check_grants(metadata: Mapping[str, Any], settings: Settings, had: Sequence[str]) -> None:
    grants, kinds = metadata["grant_types"], metadata["response_types"]
    for grant in grants:
        if grant in ("implicit", "password") and grant not in (*settings.features, *had):
            raise ConfigurationError(f"grant_types: {grant} is switched off; add it to `features` if you cannot do without")
    if not metadata["redirect_uris"] and not {"authorization_code", "implicit"}.isdisjoint(grants):
        raise ConfigurationError("redirect_uris: authorization_code and implicit need at least one redirect URI")
    if any("code" in kind.split() for kind in kinds) and "authorization_code" not in grants:
        raise ConfigurationError("response_types: code needs the grant type authorization_code")
    if any(" " in kind for kind in kinds) and "hybrid" not in (*settings.features, *(["hybrid"] if had else [])):
        raise ConfigurationError("response_types: hybrid is switched off; add it to `features` if you cannot do without")


def _check_authentication(metadata: Mapping[str, Any]) -> None:
    method = metadata["token_endpoint_auth_method"]
    if method == PUBLIC and "client_credentials" in metadata["grant_types"]:
        raise ConfigurationError("grant_types: a public client cannot have client_credentials; give it a secret")
    if method == PUBLIC and metadata.get("may_introspect"):
        raise ConfigurationError("may_introspect: a public client cannot show who asks; give it a secret")
    if method == PUBLIC and metadata.get("may_omit_pkce"):
        raise ConfigurationError("may_omit_pkce: is not for public clients; nothing else protects their codes")
    if "jwks" in metadata and "jwks_uri" in metadata:
        raise ConfigurationError("jwks: and jwks_uri exclude each other")
    if method == "private_key_jwt" and not {"jwks", "jwks_uri"} & metadata.keys():
        raise ConfigurationError("token_endpoint_auth_method: private_key_jwt needs jwks or jwks_uri")
    algorithm = metadata.get("token_endpoint_auth_signing_alg")
    if (
        algorithm
        and method in ("private_key_jwt", "client_secret_jwt")
        and (method == "client_secret_jwt") != (algorithm == "HS256")
    ):
        raise ConfigurationError(f"token_endpoint_auth_signing_alg: {algorithm} does not go with {method}")


def usual_response_types(grants: Sequence[str]) -> list[str]:
    """The response types that go with grant types (RFC 7591 section 2.1)."""
    return [kind for grant, kind in (("authorization_code", "code"), ("implicit", "token")) if grant in grants]
