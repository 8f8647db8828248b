"""What browsers say of a request by themselves: Fetch Metadata and Origin (W3C Fetch Metadata Request Headers)."""

from __future__ import annotations

from typing import Any

Environ = dict[str, Any]


def navigates(environ: Environ) -> bool:
    """Whether a person opens the page, as far as the browser says; else a script, frame or image asks."""
    destination, mode = environ.get("HTTP_SEC_FETCH_DEST", "document"), environ.get("HTTP_SEC_FETCH_MODE", "navigate")
    return bool(destination == "document" and mode == "navigate")


def is_from(environ: Environ, origin: str) -> bool:
    """Whether a page of `origin` sent it: one of Origin and Sec-Fetch-Site must say so, and none otherwise."""
    named, site = environ.get("HTTP_ORIGIN"), environ.get("HTTP_SEC_FETCH_SITE")
    if named is None and site is None:
        return False
    return named in (None, origin) and site in (None, "same-origin")


def may_read(environ: Environ, origin: str) -> bool:
    """Whether a request that changes nothing comes from a page of `origin`, from the person, or by a link anywhere."""
    if environ.get("HTTP_ORIGIN", origin) != origin:
        return False
    site = environ.get("HTTP_SEC_FETCH_SITE")
    return site in (None, "same-origin", "none") or navigates(environ)
