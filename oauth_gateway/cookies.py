"""Cookie headers taken apart: what the app may see of them, and what is ours."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

_OURS = re.compile(r"(?:__Host-oauth_gateway-[0-9a-f]{8}|oauth_gateway_[0-9]{1,5})=")
_VALUE = re.compile(r"[A-Za-z0-9_-]{43}\Z")
MOST_KNOWN = 4096  # headers that are remembered: a browser sends the same again and again
LONGEST_KNOWN = 1000  # characters


class Cookies(NamedTuple):
    """`rest` is the header without our own cookies, empty where nothing is left; `ours` the others by name, well-formed ones
    that came once.
    """

    rest: str
    ours: dict[str, str]


def take_apart(header: str) -> Cookies:
    """The cookies of one header."""
    kept: list[str] = []
    ours: dict[str, list[str]] = {}
    for part in header.split(";"):
        text = part.strip()
        if _OURS.match(text):
            name, _, value = text.partition("=")
            ours.setdefault(name, []).append(value.strip())
        else:
            kept.append(part)
    good = {name: values[0] for name, values in ours.items() if len(values) == 1 and _VALUE.match(values[0])}
    return Cookies(";".join(kept).strip(), good)


def leave(environ: dict[str, Any], rest: str) -> None:
    """Have the app see no more than `rest` of the header."""
    if rest:
        environ["HTTP_COOKIE"] = rest
    else:
        del environ["HTTP_COOKIE"]


class KnownCookies:
    """The same, remembered. Threads may do a header twice, which changes nothing."""

    def __init__(self) -> None:
        self._known: dict[str, Cookies] = {}

    def take_apart(self, header: str) -> Cookies:
        """As the function does."""
        if (known := self._known.get(header)) is not None:
            return known
        made = take_apart(header)
        if len(header) <= LONGEST_KNOWN:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[header] = made
        return made
