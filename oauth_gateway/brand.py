"""The operator's colour and logo on the pages: read at start, and made to contrast as WCAG 2.2 asks (AA) by day and by night.

A colour is never refused. Text stands on it in black or white, whichever contrasts more (one of them always does). Where the
colour itself hardly differs from the page, a deeper or brighter tone of it draws edges, focus rings and links.
"""

from __future__ import annotations

import base64
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import values
from .errors import ConfigurationError

COLOUR = "#1f5fbf"
MOST_LOGO_BYTES = 12 * 1024  # as text a third more, and a page is to stay below 30 KiB
CARDS = {"light": "#ffffff", "dark": "#171c22"}  # what pages are written on, as in style.css
EDGE, TEXT = 3.0, 4.5  # contrast: success criteria 1.4.11 and 1.4.3


def checked(value: Any) -> dict[str, str]:
    """The setting: a name, or `name`, `colour` and `logo`; raises ValueError with what is allowed."""
    found = {"name": value} if isinstance(value, str) and ": " not in value else values.mapping(value)
    unknown = sorted(set(found) - {"name", "colour", "logo"})
    if unknown:
        raise ValueError(f"{unknown[0]!r} is unknown; allowed are name, colour and logo")
    if "colour" in found and not re.fullmatch(r"#[0-9a-fA-F]{6}", found["colour"]):
        raise ValueError("colour must be written as #rrggbb")
    if "logo" in found and not Path(found["logo"]).is_file():
        raise ValueError("logo must be the path of a PNG, JPEG or SVG file")
    return found


@dataclass(frozen=True, slots=True)
class Tones:
    """The tones of one colour on one card: of filled things, of what is written on them, of edges, and of links."""

    fill: str
    on_fill: str
    edge: str
    link: str

    def declarations(self) -> str:
        return f"--fill:{self.fill};--on-fill:{self.on_fill};--edge:{self.edge};--link:{self.link}"


def tones(colour: str, card: str) -> Tones:
    """What becomes of `colour` (#rrggbb) on `card`."""
    black, white = "#000000", "#ffffff"
    on_fill = white if contrast(white, colour) >= contrast(black, colour) else black
    return Tones(colour, on_fill, _toned(colour, card, EDGE), _toned(colour, card, TEXT))


def style(source: str, colour: str) -> str:
    """The style sheet with the tones of `colour` in their places."""
    for scheme, card in CARDS.items():
        source = source.replace(f"BRAND-{scheme.upper()}", tones(colour, card).declarations())
    return source.strip()


def advice(colour: str) -> list[str]:
    """What the operator should know of a colour that cannot be used everywhere as it is."""
    found = []
    for scheme, card in CARDS.items():
        edge, ratio = tones(colour, card).edge, contrast(colour, card)
        if edge != colour:
            found.append(f"colour {colour} has a contrast of {ratio:.1f} to the {scheme} page, below 3: edges there are {edge}")
    return found


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, from 1 to 21 (WCAG 2.2)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def data_uri(path: str) -> str:
    """The logo as an address that needs no request; raises ConfigurationError for what is no small picture."""
    data = Path(path).read_bytes()
    kind = mimetypes.guess_type(path)[0]
    if len(data) > MOST_LOGO_BYTES or kind not in ("image/png", "image/jpeg", "image/svg+xml"):
        raise ConfigurationError(f"brand: logo {path} must be a PNG, JPEG or SVG of at most {MOST_LOGO_BYTES} bytes")
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _toned(colour: str, card: str, least: float) -> str:
    """The tone nearest to `colour` that contrasts enough: towards black on a light card, towards white on a dark one."""
    end = 0 if _luminance(card) > 0.5 else 255
    channels = _channels(colour)
    for step in range(65):
        mixed = [round(c + (end - c) * step / 64) for c in channels]
        tone = "#{:02x}{:02x}{:02x}".format(*mixed)
        if contrast(tone, card) >= least:
            return colour if step == 0 else tone
    raise AssertionError("not reached: black on light and white on dark contrast enough")


def _channels(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def _luminance(colour: str) -> float:
    shares = (c / 255 for c in _channels(colour))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
