"""Settings: four doors give a mapping each, one gate checks it, and what comes out is frozen.

Keywords win over `OAUTH_GATEWAY_*` variables, these over a TOML file; PasteDeploy's strings come in as keywords. A bad value
is refused with one line that names the setting, the value and what is allowed; secrets are never echoed.
"""

from __future__ import annotations

import configparser
import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import authentication, brand, policy, trusted_issuers, values
from .errors import ConfigurationError
from .trusted_issuers import TrustedIssuer

ENVIRONMENT_PREFIX = "OAUTH_GATEWAY_"
DEFAULT_FILE = "oauth_gateway.toml"  # where the command line looks
LOOPBACK = "loopback"  # audience and realm where no issuer is set


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What was asked for; see `docs/settings.md`. Durations are whole seconds, None where there is no limit."""

    issuer: str | None = None
    resource: str | None = None
    database: Any = "sqlite:///oauth_gateway.db"  # or a store
    secret: tuple[bytes, ...] = field(default=(), repr=False)
    prefix: str = ""
    routes: tuple[policy.Rule, ...] = ()
    scopes: Mapping[str, str] = field(default_factory=dict)
    default_scope: str | None = None
    scope_implies: Mapping[str, str] = field(default_factory=dict)
    server: bool = True
    trusted_issuers: tuple[TrustedIssuer, ...] = ()
    features: tuple[str, ...] = values.DEFAULT_FEATURES
    access_token_format: str = "opaque"
    access_token_algorithm: str = "RS256"
    access_token_lifetime: int = 3600
    refresh_token_lifetime: int = 30 * 86400
    grant_lifetime: int | None = None
    authorization_code_lifetime: int = 60
    session_lifetime: int = 14 * 86400
    refresh_token_reuse_grace: int = 10
    authenticate: Callable[..., Any] | str = authentication.BUILTIN
    login_url: str | None = None
    signing_keys: tuple[str, ...] = field(default=(), repr=False)
    signing_key_lifetime: int = 90 * 86400
    openid_claims: Callable[..., Any] | str | None = None
    openid_scope_claims: Mapping[str, str] = field(default_factory=dict)
    fetch_private_networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    trusted_proxies: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    forward_authorization: bool = False
    identity_headers: bool = False
    revocation: int | None = None  # None is strict
    cache_size: int = 100_000
    durable_tokens: bool = False
    templates: str | None = None
    brand: Mapping[str, str] = field(default_factory=dict)
    events: tuple[Callable[..., Any] | str, ...] = ()
    origin: str = field(default="code and environment", compare=False)  # where they were read, for people

    @property
    def audience(self) -> str:
        """The identifier of the protected app: what every token is issued for and what the guard compares."""
        return self.resource or self.issuer or LOOPBACK

    @property
    def keeps_accounts(self) -> bool:
        """Whether people sign in with us, and not with the server or the application."""
        return self.authenticate == authentication.BUILTIN

    @property
    def signs(self) -> bool:
        """Whether there must be signing keys."""
        return self.server and ("openid" in self.features or self.access_token_format == "jwt")

    @property
    def own_scopes(self) -> frozenset[str]:
        """Scopes of the app, whatever OpenID means by their names; none where `scopes` lists `openid` and so its others too."""
        return frozenset() if "openid" in self.scopes else frozenset(self.scopes) - {"offline_access"}

    @property
    def issuer_path(self) -> str:
        """The path of the issuer without a slash at its end; empty at a host's root."""
        return urlsplit(self.issuer).path.rstrip("/") if self.issuer else ""


def load(
    keywords: Mapping[str, Any] | None = None,
    *,
    file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings of all doors together; raises ConfigurationError for an unknown name or a bad value."""
    given: dict[str, Any] = {}
    if file is not None:
        given.update(read_ini(Path(file)) if Path(file).suffix == ".ini" else read_toml(Path(file)))
    given.update(read_environment(os.environ if environ is None else environ))
    given.update(keywords or {})
    settings = gate(given)
    return settings if file is None else replace(settings, origin=str(Path(file).resolve()))


def read_ini(path: Path) -> dict[str, Any]:
    """The section of a PasteDeploy file that uses `egg:oauth-gateway`, for the command line."""
    parser = configparser.ConfigParser(defaults={"here": str(path.parent.resolve())})
    try:
        parser.read_string(path.read_text("utf-8"), str(path))
        sections = [dict(parser[name]) for name in parser.sections() if "oauth-gateway" in parser[name].get("use", "")]
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from None
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: is not a PasteDeploy file ({str(error).splitlines()[0]})") from None
    if len(sections) != 1:
        raise ConfigurationError(f"{path}: must have one section with `use = egg:oauth-gateway`; it has {len(sections)}")
    found = {name: value for name, value in sections[0].items() if name not in ("use", "here", *parser.defaults())}
    return {**found, **anchored(found.get("database"), path.parent)}


def read_toml(path: Path) -> dict[str, Any]:
    """The `[oauth_gateway]` table of a file; a relative database file is relative to the file that names it."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: is not TOML ({error})") from None
    table = document.get("oauth_gateway")
    if not isinstance(table, dict):
        near = next((name for name in document if name.replace("-", "_").lower() == "oauth_gateway"), None)
        hint = f"; [{near}] must be written so" if near else ""
        raise ConfigurationError(f"{path}: has no [oauth_gateway] table{hint}")
    return {**table, **anchored(table.get("database"), path.parent)}


def anchored(database: object, folder: Path) -> dict[str, str]:
    """The `database` entry with a relative SQLite file made relative to `folder`; empty where there is nothing to do."""
    match = re.match(r"sqlite:///(?!/)(.+)", database) if isinstance(database, str) else None
    return {"database": f"sqlite:///{folder.resolve() / match[1]}"} if match else {}


def read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """The `OAUTH_GATEWAY_*` variables, save OAUTH_GATEWAY_CONFIG, which names a file for the command line."""
    start = len(ENVIRONMENT_PREFIX)
    return {
        name[start:].lower(): value
        for name, value in environ.items()
        if name.startswith(ENVIRONMENT_PREFIX) and name != ENVIRONMENT_PREFIX + "CONFIG"
    }


def gate(given: Mapping[str, Any]) -> Settings:
    """Every value checked and turned into its type; text and Python values are both accepted."""
    checked: dict[str, Any] = {}
    for name, value in given.items():
        check = _CHECKS.get(name)
        if check is None:
            near = difflib.get_close_matches(name, _CHECKS, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; settings are {', '.join(_CHECKS)}"
            raise ConfigurationError(f"{name}: there is no such setting{hint}")
        if value is None:
            continue
        try:
            checked[name] = check(value)
        except (ValueError, TypeError) as error:
            hidden = name in ("secret", "signing_keys", "trusted_issuers") or (name == "database" and "@" in str(value))
            shown = "(not shown)" if hidden else repr(value)
            raise ConfigurationError(f"{name} = {shown}: {error}") from None
    if not checked.get("server", True):  # the public base URL has no other name then
        checked.setdefault("issuer", checked.get("resource", "").rstrip("/") or None)
    settings = Settings(**checked)
    reason = trusted_issuers.contradiction(
        settings.trusted_issuers,
        server=settings.server,
        issuer=settings.issuer,
        has_audience=settings.audience != LOOPBACK,
    )
    if reason:
        raise ConfigurationError(f"trusted_issuers: {reason}")
    implied = " ".join(f"{name} {words}" for name, words in settings.scope_implies.items())
    for name, scopes in (("default_scope", settings.default_scope or ""), ("scope_implies", implied)):
        unknown = sorted(set(scopes.split()) - set(settings.scopes))
        if unknown and settings.scopes:
            raise ConfigurationError(f"{name}: {unknown[0]} is not one of `scopes`, which are {', '.join(settings.scopes)}")
    _check_people(settings)
    return settings


def _check_people(settings: Settings) -> None:
    """What must fit together about how people sign in."""
    if settings.login_url is not None and settings.keeps_accounts:
        raise ConfigurationError(
            f"login_url = {settings.login_url!r}: is where `authenticate` finds people signed in; with authenticate = builtin"
            " they sign in at /authorize/login"
        )
    for rule in settings.routes:
        if rule.access.kind == "session" and not settings.keeps_accounts:
            raise ConfigurationError(
                f"route {rule.text!r}: session is for logins with us; where people sign in elsewhere, make the path public and"
                " let the application look at its own session"
            )
    if "password" in settings.features and not settings.keeps_accounts:
        raise ConfigurationError("features: password is for the built-in accounts; it needs authenticate = builtin")


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "issuer": values.issuer,
    "resource": values.absolute_uri,
    "database": values.database,
    "secret": values.secret,
    "prefix": values.prefix,
    "routes": values.routes,
    "scopes": values.scopes,
    "default_scope": values.default_scope,
    "scope_implies": values.scope_implies,
    "server": values.flag,
    "trusted_issuers": trusted_issuers.trusted_issuers,
    "features": values.features,
    "access_token_format": values.token_format,
    "access_token_algorithm": values.algorithm,
    "access_token_lifetime": values.duration,
    "refresh_token_lifetime": values.duration,
    "grant_lifetime": values.duration,
    "authorization_code_lifetime": values.duration,
    "session_lifetime": values.duration,
    "refresh_token_reuse_grace": values.grace,
    "authenticate": authentication.authenticate,
    "login_url": authentication.login_url,
    "signing_keys": values.signing_keys,
    "signing_key_lifetime": values.key_lifetime,
    "openid_claims": values.named_callable,
    "openid_scope_claims": values.scope_claims,
    "fetch_private_networks": values.networks,
    "trusted_proxies": values.networks,
    "forward_authorization": values.flag,
    "identity_headers": values.flag,
    "revocation": values.revocation,
    "cache_size": values.count,
    "durable_tokens": values.flag,
    "templates": values.folder,
    "brand": brand.checked,
    "events": values.events,
}
