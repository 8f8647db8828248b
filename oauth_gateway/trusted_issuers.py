"""`trusted_issuers`: who else's tokens the gate accepts, and on what terms. One entry an issuer, a table or a line of text.

An entry says everything beforehand: the issuer's exact name, the audience, the algorithms, where scopes come from, and whether
anybody may be taken for a person. What it does not say is refused.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import values
from .issuer_profiles import PROFILES, Profile
from .jose import FOREIGN_ALGORITHMS
from .sealing import PREFIX

KINDS = ("jwt", "opaque")
LONGEST_CACHE = 300  # seconds for which an answer of introspection may be believed
# issuers of Microsoft's that are no tenant, by its ID: common, organizations, consumers, {tenantid} or a domain
_NO_TENANT = re.compile(
    r"https://(?:login\.microsoftonline\.(?:com|us)|login\.partner\.microsoftonline\.cn|sts\.windows\.net|[a-z0-9-]+\.ciamlogin\.com)"
    r"(?!/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/)"
)
_CLAIM = re.compile(r"[\x21-\x7e]{1,200}\Z")
_PREFIX = re.compile(r"[\x21-\x7e]{0,64}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedIssuer:
    """One entry; see `docs/foreign-tokens.md`. `audience` is empty where the gateway's own `resource` is meant.

    `prefix` is None where the entry names none: then nobody of this issuer is a person here, whatever a token says.
    """

    issuer: str
    profile: str = "rfc9068"
    tokens: tuple[str, ...] = ("jwt",)
    audience: tuple[str, ...] = ()
    client_ids: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = ("RS256",)
    jwks_uri: str | None = None
    introspection_endpoint: str | None = None
    introspection_cache: int = 60
    token_prefix: str = ""
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    client_key: str | None = field(default=None, repr=False)
    username_claim: str | None = None
    prefix: str | None = None
    scope_claims: tuple[str, ...] | None = None
    scope_map: Mapping[str, str] | None = None
    private_networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()

    @property
    def shape(self) -> Profile:
        return PROFILES[self.profile]


def trusted_issuers(value: Any) -> tuple[TrustedIssuer, ...]:
    """The entries in a list of tables, or in text with one entry a line; raises ValueError."""
    items = [line for line in values.lines(value) if not line.startswith("#")] if isinstance(value, str) else value
    if isinstance(items, Mapping):
        items = [items]
    if not isinstance(items, (list, tuple)):
        raise ValueError("must be a list of tables, or text with one issuer a line: issuer=https://… audience=…")
    entries = tuple(_entry(_table(item)) for item in items)
    names = [entry.issuer for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} is there twice")
    _refuse_two_homes(entries)
    return entries


def _refuse_two_homes(entries: tuple[TrustedIssuer, ...]) -> None:
    """A token is shown to the server that issued it and to no other, so its text must tell which that is."""
    asked = [entry for entry in entries if "opaque" in entry.tokens]
    for entry in asked:
        for other in asked:
            if other is not entry and other.token_prefix.startswith(entry.token_prefix):
                raise ValueError(
                    f"opaque tokens of {entry.issuer} and of {other.issuer} cannot be told apart, and neither may be shown the"
                    " other's; give each a `token_prefix`"
                )


def contradiction(entries: tuple[TrustedIssuer, ...], *, server: bool, issuer: str | None, has_audience: bool) -> str | None:
    """What in the entries does not go with the gateway's own settings, or None."""
    if not server and not entries:
        return "is needed with `server = false`: the gate has nobody else's tokens to accept"
    for entry in entries:
        if entry.issuer == issuer and server:
            return f"{entry.issuer} is this gateway itself"
        if not entry.audience and entry.shape.audience and not has_audience:
            return f"{entry.issuer}: say for whom its tokens must be: set `audience` in the entry, or `resource`"
        if server and entry.token_prefix.startswith(PREFIX):
            return f"{entry.issuer}: tokens that begin with {PREFIX} are this gateway's own, and are shown to nobody else"
    return None


def _table(item: Any) -> Mapping[str, Any]:
    if isinstance(item, Mapping):
        return item
    if not isinstance(item, str):
        raise ValueError("each issuer must be a table or a line of text: issuer=https://… audience=…")
    pairs = [word.partition("=") for word in shlex.split(item)]
    if not all(separator for _, separator, _ in pairs):
        raise ValueError("write each entry as name=value, separated by blanks, a value with blanks in quotes")
    return {name: text for name, _, text in pairs}


def _entry(table: Mapping[str, Any]) -> TrustedIssuer:
    checked: dict[str, Any] = {}
    for name, value in table.items():
        if name not in _CHECKS:
            raise ValueError(f"{name!r} is unknown in an entry; allowed are {', '.join(_CHECKS)}")
        if value is None:
            continue
        try:
            checked[name] = _CHECKS[name](value)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{name} of {table.get('issuer', 'an entry')}: {error}") from None
    if "issuer" not in checked:
        raise ValueError("each entry needs an `issuer`")
    entry = TrustedIssuer(**checked)
    reason = _own_contradiction(entry)
    if reason:
        raise ValueError(f"{entry.issuer}: {reason}")
    return entry


def _own_contradiction(entry: TrustedIssuer) -> str | None:
    asks = "opaque" in entry.tokens
    if entry.prefix is not None and entry.username_claim is None:
        return "`prefix` needs `username_claim`, the claim that names people"
    if entry.username_claim is not None and entry.prefix is None:
        return "`username_claim` needs a `prefix`, which keeps its people apart from yours; an empty one must be written, too"
    if asks and (entry.client_id is None or (entry.client_secret is None) == (entry.client_key is None)):
        return "opaque tokens need `client_id` with either `client_secret` or `client_key`, to ask the issuer about them"
    if not asks and (entry.client_id or entry.client_secret or entry.client_key or entry.token_prefix):
        return "`client_id`, `client_secret`, `client_key` and `token_prefix` are for `tokens` with opaque"
    if not entry.shape.audience and not entry.client_ids:
        return f"its tokens have no audience: name the clients that may come, as `client_ids`, for the profile {entry.profile}"
    if entry.profile == "google" and not entry.audience:
        return "name the OAuth client IDs that ID tokens are issued for, as `audience`"
    return None


def _issuer(value: Any) -> str:
    if isinstance(value, str) and _NO_TENANT.match(value):
        raise ValueError(
            "must name one tenant by its ID, as `iss` does: https://login.microsoftonline.com/TENANT-ID/v2.0; make each tenant"
            " whose tokens you accept an entry of its own, all others are refused"
        )
    return values.absolute_uri(value)


def _choice(allowed: tuple[str, ...]) -> Callable[[Any], tuple[str, ...]]:
    def check(value: Any) -> tuple[str, ...]:
        found = tuple(dict.fromkeys(values.words(value)))
        if not found or not set(found) <= set(allowed):
            raise ValueError(f"must be of {', '.join(allowed)}")
        return found

    return check


def _profile(value: Any) -> str:
    if value not in PROFILES:
        raise ValueError(f"must be one of {', '.join(PROFILES)}")
    return str(value)


def _texts(value: Any) -> tuple[str, ...]:
    found = tuple(values.words(value))
    if not found:
        raise ValueError("must not be empty")
    return found


def _claim(value: Any) -> str:
    text = values.plain(value)
    if not _CLAIM.match(text):
        raise ValueError("must be the name of a claim")
    return text


def _prefix(value: Any) -> str:
    if not isinstance(value, str) or not _PREFIX.match(value):
        raise ValueError("must be at most 64 visible ASCII characters")
    return value


def _token_prefix(value: Any) -> str:
    text = values.plain(value)
    if not re.fullmatch(r"[A-Za-z0-9._~+/-]{1,64}", text):
        raise ValueError("must be the characters with which its tokens begin")
    return text


def _document(value: Any) -> str:
    """Text, a JWK as a table, or what is in file:PATH."""
    return values.signing_keys(value)[0]


def _secret(value: Any) -> str:
    found = values.from_file(value)
    text = found.decode() if isinstance(found, bytes) else found
    return values.plain(text)


def _cache(value: Any) -> int:
    seconds = values.duration(value)
    if seconds > LONGEST_CACHE:
        raise ValueError(f"must be at most {LONGEST_CACHE}s: for so long a token that was revoked there is accepted here")
    return seconds


def _scope_map(value: Any) -> dict[str, str]:
    found = values.mapping(value.replace(";", "\n") if isinstance(value, str) else value)
    for word, scopes in found.items():
        values.default_scope(scopes)
        if not word or not scopes.split():
            raise ValueError(f"{word!r}: write a word of the issuer's and our scopes, for example 'api-admin: read write'")
    return found


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "issuer": _issuer,
    "profile": _profile,
    "tokens": _choice(KINDS),
    "audience": _texts,
    "client_ids": _texts,
    "algorithms": _choice(FOREIGN_ALGORITHMS),
    "jwks_uri": values.absolute_uri,
    "introspection_endpoint": values.absolute_uri,
    "introspection_cache": _cache,
    "token_prefix": _token_prefix,
    "client_id": values.plain,
    "client_secret": _secret,
    "client_key": _document,
    "username_claim": _claim,
    "prefix": _prefix,
    "scope_claims": lambda value: tuple(values.words(value)),
    "scope_map": _scope_map,
    "private_networks": values.networks,
}
