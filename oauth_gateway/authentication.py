"""Who says who people are: the built-in accounts, the server with REMOTE_USER, or a callable of the application's.

What the last two say is taken as it is or not at all: what is not understood stops the request, it never makes somebody else of
a person. `docs/login.md` has it for people.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from . import values

BUILTIN = "builtin"
REMOTE_USER = "remote_user"
SKEW = 60  # seconds by which another machine's clock may be ahead
MEMBERS = frozenset({"name", "auth_time", "amr", "acr", "claims"})
_WORD = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}\Z")  # what stands in a challenge, and in the store separated by blanks


@dataclass(frozen=True, slots=True)
class Vouched:
    """What is said of the person at the browser; None where nothing is said of it.

    `auth_time` is when they signed in, in seconds since 1970, `amr` how (RFC 8176), `acr` what that is worth.
    """

    name: str
    auth_time: float | None = None
    amr: tuple[str, ...] = ()
    acr: str | None = None
    claims: dict[str, Any] | None = None


def vouched(value: Any, now: float) -> Vouched | None:
    """What a callable gave: a name, a mapping with `name`, or nothing for nobody. Raises ValueError for anything else."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return Vouched(value)
    if not isinstance(value, Mapping):
        raise ValueError(f"gave {type(value).__name__}, and may give a name, a mapping with `name`, or None")
    unknown = set(value) - MEMBERS
    if unknown:
        raise ValueError(f"gave the member {min(map(str, unknown))!r}, and may give {', '.join(sorted(MEMBERS))}")
    name = value.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"gave a `name` that is {type(name).__name__}, and must give text")
    claims = value.get("claims")
    if claims is not None and not isinstance(claims, Mapping):
        raise ValueError(f"gave `claims` that are {type(claims).__name__}, and may give a mapping")
    acr = value.get("acr")
    if acr is not None and not _is_word(acr):
        raise ValueError("gave an `acr` that is not one word of ASCII")
    known = None if claims is None else dict(claims)
    return Vouched(name, _auth_time(value.get("auth_time"), now), _methods(value.get("amr")), acr, known)


def _auth_time(value: Any, now: float) -> float | None:
    if value is None:
        return None
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not 0 <= value <= now + SKEW:
        raise ValueError("gave an `auth_time` that is not seconds since 1970, or is to come")
    return min(float(value), now)


def _methods(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)) or not all(map(_is_word, value)) or len(" ".join(value)) > 255:
        raise ValueError("gave an `amr` that is not a list of words such as ['pwd', 'otp']")
    return tuple(value)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and _WORD.match(value) is not None


def remote_user(text: str | None) -> str | None:
    """REMOTE_USER as text: WSGI has its bytes as latin-1 (PEP 3333). Raises ValueError where they are not UTF-8."""
    try:
        return None if text is None else text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        raise ValueError("REMOTE_USER is not UTF-8") from None


# -- the settings


def authenticate(value: Any) -> Callable[..., Any] | str:
    if value in (BUILTIN, REMOTE_USER):
        return str(value)
    try:
        return values.named_callable(value)  # type: ignore[no-any-return]
    except ValueError:
        raise ValueError("must be builtin, remote_user, or MODULE:NAME of a callable that takes the WSGI environ") from None


def login_url(value: Any) -> str:
    """A path as the browser sees it, or a URL; without a fragment, and without `next`, which is ours to give."""
    text = values.plain(value)
    parts = urlsplit(text)
    local = text.startswith("/") and not text.startswith("//")
    if not local:
        values.absolute_uri(text.partition("?")[0])
    if not re.fullmatch(r"[\x21-\x7e]+", text) or "\\" in text or "#" in text:
        raise ValueError("must be a path such as /login, or a URL, without blanks, backslashes and a fragment")
    if re.search(r"(?:\A|&)next=", parts.query):
        raise ValueError("must not have a parameter next: it is added")
    return text
