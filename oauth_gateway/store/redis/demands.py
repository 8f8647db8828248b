"""What is demanded of the server before it is trusted with who may do what."""

from __future__ import annotations

from redis.exceptions import NoPermissionError, ResponseError

from ...errors import ConfigurationError, StoreUnavailable
from .link import Link, packed

OLDEST = (6, 0)
FORGETS = "with another one it forgets what was used and revoked"
LOSES = "without it a power loss brings back what was revoked, or set `revocation` to a duration"


def demand(link: Link, strict: bool) -> list[str]:
    """Raise ConfigurationError, one line that says what to do, where the server may forget what it must not.

    With `strict` a setting that cannot be read is refused like a wrong one; without it what might be lost is advice, which is
    returned, as services often let nobody read their settings.
    """
    told = information(link)
    version = told.get("redis_version", "")
    if version and tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise ConfigurationError(f"database: Redis {version} is too old; use {OLDEST[0]}.{OLDEST[1]} or newer")
    policy = told.get("maxmemory_policy") or _setting(link, "maxmemory-policy")
    kept = _setting(link, "appendonly") or {"0": "no", "1": "yes"}.get(told.get("aof_enabled", ""))
    found = [(_wrong("maxmemory-policy", policy, "noeviction", FORGETS), strict or policy is not None)]
    found.append((_wrong("appendonly", kept, "yes", LOSES), strict))
    if strict:
        found.append((_wrong("appendfsync", _setting(link, "appendfsync"), "always", LOSES), True))
    for line, binding in found:
        if line and binding:
            raise ConfigurationError(f"database: {line}")
    return [line for line, _ in found if line]


def information(link: Link, *section: str) -> dict[str, str]:
    """What INFO says, empty where it is not permitted."""
    text = _permitted(link, packed("INFO", *section))
    lines = text.decode(errors="replace").splitlines() if isinstance(text, bytes) else []
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _setting(link: Link, name: str) -> str | None:
    """A setting of the server; None where CONFIG is not permitted."""
    pair = _permitted(link, packed("CONFIG", "GET", name))
    return pair[1].decode() if isinstance(pair, list) and len(pair) == 2 else None


def _permitted(link: Link, command: bytes) -> object:
    try:
        return link.ask(command)[0]
    except StoreUnavailable as error:
        cause = error.__cause__
        unknown = type(cause) is ResponseError and not str(cause).split(" ", 1)[0].isupper()  # without a code of its own
        if unknown or isinstance(cause, NoPermissionError):
            return None
        raise


def _wrong(name: str, value: str | None, wanted: str, why: str) -> str:
    if value == wanted:
        return ""
    found = f"is {value!r}" if value is not None else "cannot be read (CONFIG GET is not permitted)"
    return f"Redis's {name} {found} and must be {wanted!r}: {why}"
