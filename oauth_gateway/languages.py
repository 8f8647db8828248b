"""The languages that pages speak, and which of them a person gets.

The catalogues are gettext's, made with Babel while developing (`python -m tests.catalogues`) and read here by the standard
library once, at start. Dates come from the same catalogues: Babel's own data are 30 MB for two formats.
"""

from __future__ import annotations

import gettext
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.resources import files

TAGS = ("en", "ar", "de", "es", "fr", "ja")  # the first one is what all others fall back to
_RIGHT_TO_LEFT = frozenset({"ar"})
MOST_RANGES = 50  # of an Accept-Language or ui_locales
_RANGE = re.compile(r"\s*([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*)\s*(?:;\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?\Z")


@dataclass(frozen=True, slots=True)
class Language:
    """One language: its tag (RFC 5646), its direction, and its catalogue."""

    tag: str
    gettext: Callable[[str], str] = field(repr=False)
    ngettext: Callable[[str, str, int], str] = field(repr=False)

    @property
    def rtl(self) -> bool:
        return self.tag in _RIGHT_TO_LEFT

    @property
    def direction(self) -> str:
        return "rtl" if self.rtl else "ltr"


@cache
def languages() -> dict[str, Language]:
    """All of them by tag, read once: an upgrade of the package under a running server must not take them away."""
    folder = files("oauth_gateway") / "locale"
    found = {}
    for tag in TAGS:
        catalogue: gettext.NullTranslations = gettext.NullTranslations()
        if tag != TAGS[0]:
            catalogue = gettext.GNUTranslations(io.BytesIO((folder / f"{tag}.mo").read_bytes()))
        found[tag] = Language(tag, catalogue.gettext, catalogue.ngettext)
    return found


@lru_cache(256)  # most people send one of a few headers
def language_of(ui_locales: str, accept_language: str) -> Language:
    """The language that a client asked for in the person's name (OpenID Connect Core section 3.1.2.1), else the one that their
    browser prefers (RFC 9110 section 12.5.4), else English.
    """
    for wanted in (*ui_locales.split()[:MOST_RANGES], *_preferred(accept_language)):
        found = languages().get(wanted.partition("-")[0].lower())
        if found is not None:
            return found
    return languages()[TAGS[0]]


def _preferred(accept_language: str) -> list[str]:
    """The ranges of an Accept-Language, best first, without those that are refused by q=0."""
    ranges = [_RANGE.match(item) for item in accept_language.split(",", MOST_RANGES)[:MOST_RANGES]]
    weighed = [(float(found[2] or 1), found[1]) for found in ranges if found]
    return [tag for weight, tag in sorted(weighed, key=lambda pair: -pair[0]) if weight > 0]
