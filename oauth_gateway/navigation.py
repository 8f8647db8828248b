"""Pages answer navigations only: the wrapped app shares our origin, and a script injected there must drive nothing.

See `docs/security.md`; the headers are those of Fetch Metadata.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from .errors import OAuthError
from .exchange import Answer, Exchange
from .fetch_metadata import navigates
from .sentences import Sentence

_PLACE = re.compile(r"/[\x21\x23-\x5b\x5d-\x7e]*\Z")
MOST_PLACE = 4000  # characters


def is_navigation(exchange: Exchange) -> bool:
    """Whether a person opens the page, as far as the browser says; else a script, frame or image asks."""
    return navigates(exchange.environ)


def refuse_unless_navigation(exchange: Exchange) -> None:
    """Refuse what a script, frame or image asked for, where the browser says so (Fetch Metadata)."""
    if not is_navigation(exchange):
        raise OAuthError("access_denied", Sentence("This page opens in a browser window of its own only."), 403)


def is_same_origin(exchange: Exchange) -> bool:
    """Whether a form was posted from one of our own pages."""
    parts = urlsplit(exchange.base)
    origin = exchange.environ.get("HTTP_ORIGIN")
    site = exchange.environ.get("HTTP_SEC_FETCH_SITE", "same-origin")
    return origin == f"{parts.scheme}://{parts.netloc}" and site == "same-origin"


def refuse_unless_same_origin(exchange: Exchange) -> None:
    """Refuse a form that was not posted from one of our own pages."""
    if not is_same_origin(exchange):
        raise OAuthError("access_denied", Sentence("This form was not sent from this site."), 403)


def wrong_form(again: str = "") -> OAuthError:
    """The error for a form whose token is not of this browser; `again` is where the person gets a new one."""
    sentence = Sentence("This page was not meant for this browser, or it is too old.")
    return OAuthError("invalid_request", sentence, 403, again=again)


def see_other(location: str, *headers: tuple[str, str]) -> Answer:
    return Answer(303, [("Location", location), ("Cache-Control", "no-store"), *headers])


def place(text: str | None) -> str | None:
    """A path of our own origin to go to, with its query; None for anything that a browser could take for another place."""
    if text is None or len(text) > MOST_PLACE or not _PLACE.match(text) or text.startswith("//"):
        return None
    return text


def to_place(exchange: Exchange, path: str, *headers: tuple[str, str]) -> Answer:
    """Send the browser to what `place` gave: always on our own origin."""
    parts = urlsplit(exchange.base)
    return see_other(f"{parts.scheme}://{parts.netloc}{path}", *headers)
