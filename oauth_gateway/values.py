"""What each setting may be: one function a kind of value, for text and for Python values.

Each gives the checked value, or raises ValueError with what is allowed.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import policy
from .jose import ALGORITHMS
from .sentences import TAG, Worded

DEFAULT_FEATURES = (
    "authorization_code",
    "refresh_token",
    "client_credentials",
    "revocation",
    "introspection",
    "openid",
    "metadata",
)
FEATURES = (*DEFAULT_FEATURES[:-1], "hybrid", "implicit", "password", "health", "metadata")
LONGEST = 100 * 365 * 86400  # seconds
RESERVED_CLAIMS = frozenset(  # about a login or a token, never about a person
    "iss sub aud exp iat nbf jti nonce auth_time acr amr azp sid at_hash c_hash s_hash events cnf client_id scope".split()  # noqa: SIM905
)
SHORTEST_KEY_LIFETIME = 3600  # seconds
NAMED = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_DATABASE = re.compile(r"sqlite:///.|(?:postgresql|mysql)://[^/?#]*/[^/?#]+(?:\?|\Z)|rediss?://.")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+\Z")
_HOST = re.compile(
    r"(?:(?:[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?|\[[0-9a-f:]+\])(?::[0-9]{1,5})?"
)
_TRUE = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def plain(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be text")
    return value.strip()


def lines(value: Any) -> list[str]:
    if isinstance(value, str):
        return [line.strip() for line in value.splitlines() if line.strip()]
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
        return [item.strip() for item in value if item.strip()]
    raise ValueError("must be a list of text, or text with one item a line")


def words(value: Any) -> list[str]:
    return [word for line in lines(value) for word in line.replace(",", " ").split()]


def mapping(value: Any) -> dict[str, str]:
    if isinstance(value, Mapping):
        if not all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
            raise ValueError("must map text to text")
        return dict(value)
    found: dict[str, str] = {}
    for line in lines(value):
        name, _, text = line.partition(": ")
        found[name.strip()] = text.strip()
    return found


def flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in _TRUE:
        return _TRUE[value.strip().lower()]
    raise ValueError("must be true or false")


def duration(value: Any) -> int:
    match = re.fullmatch(r"\s*([0-9]{1,10})\s*([smhd]?)\s*", value) if isinstance(value, str) else None
    seconds = int(match[1]) * _UNITS[match[2] or "s"] if match else value
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 < seconds <= LONGEST:
        raise ValueError('must be a duration of at most 100 years: seconds, or text such as "90s", "10m", "1h" or "30d"')
    return seconds


def grace(value: Any) -> int:
    return 0 if value == 0 or value in ("0", "0s") else duration(value)


def revocation(value: Any) -> int | None:
    return None if value == "strict" else duration(value)


def count(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,9}\s*", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("must be a whole number of at least 1")
    return value


def absolute_uri(value: Any) -> str:
    text = plain(value)
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
    if not _HOST.fullmatch(parts.netloc.partition("@")[2] or parts.netloc):
        raise ValueError("must name a host in lower case such as api.example.com, 127.0.0.1 or [::1]")
    if "?" in text or "#" in text:
        raise ValueError("must have neither a query nor a fragment")
    if not re.fullmatch(r"[A-Za-z0-9\-._~:/\[\]%]+", text) or policy.not_canonical(parts.path or "/"):
        raise ValueError("must be a plain URL without empty or dot segments")
    return text


def issuer(value: Any) -> str:
    text = absolute_uri(value)
    if text.endswith("/"):
        raise ValueError(f"must be written without the slash at its end: {text.rstrip('/')}")
    return text


def prefix(value: Any) -> str:
    if value == "":
        return ""
    text = plain(value)
    if not re.fullmatch(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+", text):
        raise ValueError("must be a path such as /oauth, without a slash at its end")
    return text


def database(value: Any) -> Any:
    if hasattr(value, "redeem"):  # a store
        return value
    text = plain(value)
    if text == "sqlite://" or _DATABASE.match(text) or NAMED.fullmatch(text):
        return text
    raise ValueError(
        "must be sqlite:///FILE, sqlite:// for memory, postgresql://USER@HOST/NAME, mysql://USER@HOST/NAME,"
        " redis://HOST/NUMBER,"
        " or MODULE:NAME of your own store"
    )


def from_file(item: Any) -> Any:
    """The bytes of the file where `item` is written as file:PATH, else `item` as it is."""
    if not isinstance(item, str) or not item.startswith("file:"):
        return item
    try:
        return Path(item[5:]).read_bytes().strip()
    except OSError as error:
        raise ValueError(f"the file {item[5:]} cannot be read ({error.strerror})") from None


def secret(value: Any) -> tuple[bytes, ...]:
    if not isinstance(value, (str, bytes, list, tuple)):
        raise ValueError("must be text, bytes, or a list of such")
    items = value.splitlines() if isinstance(value, str) else [value] if isinstance(value, bytes) else list(value)
    secrets: list[bytes] = []
    for item in items:
        item = from_file(item)
        raw = item.encode() if isinstance(item, str) else item
        if not isinstance(raw, bytes) or len(raw) < 32:
            raise ValueError("must be at least 32 bytes, a list of such (oldest to newest), or file:PATH")
        secrets.append(raw)
    if not secrets:
        raise ValueError("must not be an empty list")
    return tuple(secrets)


def scope_claims(value: Any) -> dict[str, str]:
    found = mapping(value)
    for scope, names in found.items():
        if not SCOPE.match(scope) or not names.split() or RESERVED_CLAIMS.intersection(names.split()):
            raise ValueError(f"{scope!r}: write a scope and claims of a person, for example 'groups: groups roles'")
    return found


def signing_keys(value: Any) -> tuple[str, ...]:
    """Documents that each hold keys; what is in them is looked at where they are used."""
    if isinstance(value, str) and all(line.startswith("file:") for line in lines(value)):
        value = lines(value)
    items = list(value) if isinstance(value, (list, tuple)) else [value]
    found = [json.dumps(item) if isinstance(item, Mapping) else from_file(item) for item in items]
    try:
        texts = [item.decode("ascii") if isinstance(item, bytes) else item for item in found]
    except UnicodeDecodeError:
        texts = []
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError("must be a private JWK, a JWK Set or PEM, a list of such (oldest to newest), or file:PATH")
    return tuple(texts)


def key_lifetime(value: Any) -> int:
    seconds = duration(value)
    if seconds < SHORTEST_KEY_LIFETIME:
        raise ValueError("must be at least 1h: a key is published before it signs")
    return seconds


def token_format(value: Any) -> str:
    if value not in ("opaque", "jwt"):
        raise ValueError("must be opaque or jwt")
    return str(value)


def algorithm(value: Any) -> str:
    if value not in ALGORITHMS:
        raise ValueError(f"must be one of {', '.join(ALGORITHMS)}")
    return str(value)


def named_callable(value: Any) -> Any:
    if not callable(value) and not (isinstance(value, str) and NAMED.fullmatch(value)):
        raise ValueError("must be a callable, or written as MODULE:NAME")
    return value


def scopes(value: Any) -> dict[str, str]:
    if isinstance(value, Mapping):
        value = {name: worded(text) if isinstance(text, Mapping) else text for name, text in value.items()}
    found = mapping(value) if isinstance(value, (str, Mapping)) else dict.fromkeys(lines(value), "")
    for name in found:
        if not SCOPE.match(name):
            raise ValueError(f"{name!r} is not a scope: visible ASCII without blanks, quotes and backslashes")
    return found


def worded(value: Any) -> Worded:
    """A text in several languages, by tag; the English one, else the first, is for all others."""
    texts = mapping(value)
    if not texts or not all(TAG.fullmatch(tag) for tag in texts):
        raise ValueError('a description must be text, or texts by language such as {en = "Read", de = "Lesen"}')
    return Worded(texts.get("en", next(iter(texts.values()))), texts)


def default_scope(value: Any) -> str:
    found = words(value)
    if not all(SCOPE.match(word) for word in found):
        raise ValueError("must be scopes separated by blanks")
    return " ".join(found)


def scope_implies(value: Any) -> dict[str, str]:
    if isinstance(value, Mapping):
        value = {name: " ".join(words(implied)) for name, implied in value.items()}
    found = mapping(value)
    for name, implied in found.items():
        if not implied.split() or not all(SCOPE.match(word) for word in (name, *implied.split())):
            raise ValueError(f"{name!r}: write a scope and what it implies, for example 'write: read'")
    return found


def events(value: Any) -> tuple[Callable[..., Any] | str, ...]:
    items = [value] if callable(value) else lines(value) if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)):
        raise ValueError("must be callables, or MODULE:NAME of such, one a line")
    for item in items:
        if not callable(item) and not (isinstance(item, str) and NAMED.fullmatch(item)):
            raise ValueError(f"{item!r} is neither a callable nor written as MODULE:NAME")
    return tuple(items)


def features(value: Any) -> tuple[str, ...]:
    asked: list[str] = []
    for word in words(value):
        asked.extend(DEFAULT_FEATURES if word == "default" else [word])
    for word in asked:
        if word not in FEATURES:
            raise ValueError(f"there is no feature {word!r}; features are default, {', '.join(FEATURES)}")
    return tuple(name for name in FEATURES if name in asked)


def routes(value: Any) -> tuple[policy.Rule, ...]:
    return tuple(policy.parse_rule(line) for line in lines(value) if not line.startswith("#"))


def networks(value: Any) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(ipaddress.ip_network(word) for word in words(value))


def folder(value: Any) -> str:
    path = Path(plain(os.fspath(value)))
    if not path.is_dir():
        raise ValueError("must be an existing folder")
    return str(path)
