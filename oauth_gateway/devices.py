"""What a person knows a browser by, told from its User-Agent: enough to recognise one's own, too little to follow anybody.

Of the header itself nothing is kept.
"""

from __future__ import annotations

MOST = 1000  # characters that are looked at
# the first that fits: browsers name those that they descend from, too
_BROWSERS = (
    ("Edge", ("Edg/", "EdgA/", "EdgiOS/")),
    ("Opera", ("OPR/", "OPT/", "Opera")),
    ("Samsung Internet", ("SamsungBrowser/",)),
    ("Vivaldi", ("Vivaldi/",)),
    ("DuckDuckGo", ("DuckDuckGo/", "Ddg/")),
    ("Firefox", ("Firefox/", "FxiOS/")),
    ("Chromium", ("Chromium/",)),
    ("Chrome", ("Chrome/", "CriOS/", "HeadlessChrome/")),
    ("Safari", ("Safari/",)),
)
_SYSTEMS = (
    ("Windows", ("Windows",)),
    ("iPhone", ("iPhone",)),
    ("iPad", ("iPad",)),
    ("Android", ("Android",)),
    ("ChromeOS", ("CrOS",)),
    ("macOS", ("Macintosh", "Mac OS X")),
    ("Linux", ("Linux", "X11")),
)


def device_of(user_agent: str) -> str:
    """Such as "Firefox on Linux", one of the two where the other is not known, or nothing."""
    looked_at = user_agent[:MOST]
    found = [_first(names, looked_at) for names in (_BROWSERS, _SYSTEMS)]
    return " on ".join(name for name in found if name)


def _first(names: tuple[tuple[str, tuple[str, ...]], ...], text: str) -> str:
    return next((name for name, marks in names if any(mark in text for mark in marks)), "")
