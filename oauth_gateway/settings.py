"""Settings: four doors give a mapping each, one gate checks it, and what comes out is frozen.

Keywords win over `OAUTH_GATEWAY_*` variables, these over a TOML file; PasteDeploy's strings come in as keywords. A bad value
is refused with one line that names the setting, the value and what is allowed; secrets are never echoed.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import policy
from .errors import ConfigurationError

ENVIRONMENT_PREFIX = "OAUTH_GATEWAY_"
LOOPBACK = "loopback"  # audience and realm where no issuer is set
DEFAULT_FEATURES = ("authorization_code", "refresh_token", "client_credentials", "revocation", "metadata")
FEATURES = DEFAULT_FEATURES
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST = 100 * 365 * 86400  # seconds
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+\Z")
_TRUE = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What was asked for; see `docs/settings.md`. Durations are whole seconds, None where there is no limit."""

    issuer: str | None = None
    resource: str | None = None
    database: str = "sqlite:///oauth_gateway.db"
    secret: tuple[bytes, ...] = field(default=(), repr=False)
    prefix: str = ""
    routes: tuple[policy.Rule, ...] = ()
    scopes: Mapping[str, str] = field(default_factory=dict)
    default_scope: str | None = None
    features: tuple[str, ...] = DEFAULT_FEATURES
    access_token_lifetime: int = 3600
    refresh_token_lifetime: int = 30 * 86400
    grant_lifetime: int | None = None
    authorization_code_lifetime: int = 60
    session_lifetime: int = 14 * 86400
    refresh_token_reuse_grace: int = 10
    trusted_proxies: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    forward_authorization: bool = False
    identity_headers: bool = False
    revocation: int | None = None  # None is strict
    cache_size: int = 100_000
    templates: str | None = None
    brand: Mapping[str, str] = field(default_factory=dict)

    @property
    def audience(self) -> str:
        """The identifier of the protected app: what every token is issued for and what the guard compares."""
        return self.resource or self.issuer or LOOPBACK

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
    values: dict[str, Any] = {}
    if file is not None:
        values.update(read_toml(Path(file)))
    values.update(read_environment(os.environ if environ is None else environ))
    values.update(keywords or {})
    return gate(values)


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
        raise ConfigurationError(f"{path}: has no [oauth_gateway] table")
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


def gate(values: Mapping[str, Any]) -> Settings:
    """Every value checked and turned into its type; text and Python values are both accepted."""
    checked: dict[str, Any] = {}
    for name, value in values.items():
        check = _CHECKS.get(name)
        if check is None:
            raise ConfigurationError(f"{name}: there is no such setting; settings are {', '.join(_CHECKS)}")
        if value is None:
            continue
        try:
            checked[name] = check(value)
        except (ValueError, TypeError) as error:
            shown = "(not shown)" if name in ("secret", "database") else repr(value)
            raise ConfigurationError(f"{name} = {shown}: {error}") from None
    settings = Settings(**checked)
    if settings.default_scope and settings.scopes:
        unknown = sorted(set(settings.default_scope.split()) - set(settings.scopes))
        if unknown:
            raise ConfigurationError(f"default_scope = {settings.default_scope!r}: {unknown[0]} is not one of `scopes`")
    return settings


# -- one function a kind of value; each raises ValueError with what is allowed -----------------------------------------


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be text")
    return value.strip()


def _lines(value: Any) -> list[str]:
    if isinstance(value, str):
        return [line.strip() for line in value.splitlines() if line.strip()]
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return [item.strip() for item in value if item.strip()]
    raise ValueError("must be a list of text, or text with one item a line")


def _words(value: Any) -> list[str]:
    return [word for line in _lines(value) for word in line.replace(",", " ").split()]


def _mapping(value: Any) -> dict[str, str]:
    if isinstance(value, Mapping):
        if not all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
            raise ValueError("must map text to text")
        return dict(value)
    found: dict[str, str] = {}
    for line in _lines(value):
        name, _, text = line.partition(": ")
        found[name.strip()] = text.strip()
    return found


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _TRUE:
        return _TRUE[value.strip().lower()]
    raise ValueError("must be true or false")


def _duration(value: Any) -> int:
    match = re.fullmatch(r"\s*([0-9]{1,10})\s*([smhd]?)\s*", value) if isinstance(value, str) else None
    seconds = int(match[1]) * _UNITS[match[2] or "s"] if match else value
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 < seconds <= LONGEST:
        raise ValueError('must be a duration of at most 100 years: seconds, or text such as "90s", "10m", "1h" or "30d"')
    return seconds


def _grace(value: Any) -> int:
    return 0 if value == 0 or value in ("0", "0s") else _duration(value)


def _revocation(value: Any) -> int | None:
    return None if value == "strict" else _duration(value)


def _count(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,9}\s*", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("must be a whole number of at least 1")
    return value


def _absolute_uri(value: Any) -> str:
    text = _text(value)
    parts = urlsplit(text)
    loopback = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
    if (parts.scheme != "https" and not loopback) or not parts.hostname or "@" in parts.netloc:
        raise ValueError("must be an https URL such as https://api.example.com (http on loopback only)")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError("must have a port between 1 and 65535, or none")
    if "?" in text or "#" in text:
        raise ValueError("must have neither a query nor a fragment")
    if not re.fullmatch(r"[A-Za-z0-9\-._~:/\[\]%]+", text) or policy.not_canonical(parts.path or "/"):
        raise ValueError("must be a plain URL without empty or dot segments")
    return text


def _issuer(value: Any) -> str:
    text = _absolute_uri(value)
    if text.endswith("/"):
        raise ValueError(f"must be written without the slash at its end: {text.rstrip('/')}")
    return text


def _prefix(value: Any) -> str:
    if value == "":
        return ""
    text = _text(value)
    if not re.fullmatch(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+", text):
        raise ValueError("must be a path such as /oauth, without a slash at its end")
    return text


def _database(value: Any) -> str:
    text = _text(value)
    if text == "sqlite://" or re.match(r"sqlite:///.", text):
        return text
    raise ValueError("must be sqlite:///FILE, or sqlite:// for a database in memory")


def _secret(value: Any) -> tuple[bytes, ...]:
    if not isinstance(value, (str, bytes, list, tuple)):
        raise ValueError("must be text, bytes, or a list of such")
    items = value.splitlines() if isinstance(value, str) else [value] if isinstance(value, bytes) else list(value)
    secrets: list[bytes] = []
    for item in items:
        if isinstance(item, str) and item.startswith("file:"):
            try:
                item = Path(item[5:]).read_bytes().strip()
            except OSError as error:
                raise ValueError(f"the file cannot be read ({error.strerror})") from None
        raw = item.encode() if isinstance(item, str) else item
        if not isinstance(raw, bytes) or len(raw) < 32:
            raise ValueError("must be at least 32 bytes, a list of such (oldest to newest), or file:PATH")
        secrets.append(raw)
    if not secrets:
        raise ValueError("must not be an empty list")
    return tuple(secrets)


def _scopes(value: Any) -> dict[str, str]:
    found = _mapping(value) if isinstance(value, (str, Mapping)) else dict.fromkeys(_lines(value), "")
    for name in found:
        if not _SCOPE.match(name):
            raise ValueError(f"{name!r} is not a scope: visible ASCII without blanks, quotes and backslashes")
    return found


def _default_scope(value: Any) -> str:
    words = _words(value)
    if not all(_SCOPE.match(word) for word in words):
        raise ValueError("must be scopes separated by blanks")
    return " ".join(words)


def _features(value: Any) -> tuple[str, ...]:
    asked: list[str] = []
    for word in _words(value):
        asked.extend(DEFAULT_FEATURES if word == "default" else [word])
    for word in asked:
        if word not in FEATURES:
            raise ValueError(f"there is no feature {word!r}; features are default, {', '.join(FEATURES)}")
    return tuple(name for name in FEATURES if name in asked)


def _routes(value: Any) -> tuple[policy.Rule, ...]:
    return tuple(policy.parse_rule(line) for line in _lines(value) if not line.startswith("#"))


def _networks(value: Any) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(word) for word in _words(value))


def _folder(value: Any) -> str:
    path = Path(_text(os.fspath(value)))
    if not path.is_dir():
        raise ValueError("must be an existing folder")
    return str(path)


def _brand(value: Any) -> dict[str, str]:
    brand = {"name": value} if isinstance(value, str) and ": " not in value else _mapping(value)
    unknown = sorted(set(brand) - {"name", "colour", "logo"})
    if unknown:
        raise ValueError(f"{unknown[0]!r} is unknown; allowed are name, colour and logo")
    if "colour" in brand and not re.fullmatch(r"#[0-9a-fA-F]{6}", brand["colour"]):
        raise ValueError("colour must be written as #rrggbb")
    if "logo" in brand and not Path(brand["logo"]).is_file():
        raise ValueError("logo must be the path of a PNG, JPEG or SVG file")
    return brand


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "issuer": _issuer,
    "resource": _absolute_uri,
    "database": _database,
    "secret": _secret,
    "prefix": _prefix,
    "routes": _routes,
    "scopes": _scopes,
    "default_scope": _default_scope,
    "features": _features,
    "access_token_lifetime": _duration,
    "refresh_token_lifetime": _duration,
    "grant_lifetime": _duration,
    "authorization_code_lifetime": _duration,
    "session_lifetime": _duration,
    "refresh_token_reuse_grace": _grace,
    "trusted_proxies": _networks,
    "forward_authorization": _flag,
    "identity_headers": _flag,
    "revocation": _revocation,
    "cache_size": _count,
    "templates": _folder,
    "brand": _brand,
}
