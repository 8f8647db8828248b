"""Redirect URIs: which may be registered, and whether a requested one is a registered one.

Matching is string equality (RFC 9700 section 2.1); only the port of a loopback URI may differ (RFC 8252 section 7.3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlsplit

_LEGAL = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()+,;=%]+\Z")
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\Z|\[[0-9a-f:]+\]\Z")
_LOOPBACK = re.compile(r"(http://(?:127\.0\.0\.1|localhost|\[::1\]))(?::([0-9]{1,5}))?((?:[/?].*)?)\Z", re.DOTALL)
_PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+\Z")
_OURS = frozenset({"code", "state", "error", "error_description", "error_uri", "iss", "id_token", "response"})


def refuse_reason(uri: str) -> str | None:
    """Why `uri` cannot be registered as a redirect URI, or None where it can."""
    if len(uri) > 2048:
        return "it is longer than 2048 characters"
    if "*" in uri:
        return "it has a wildcard; redirect URIs match exactly"
    if not _LEGAL.match(uri):
        return "it is empty or holds a character that must not stand in a URI"
    if "#" in uri:
        return "it has a fragment"
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return "it is not a URI"
    if any(name.partition("[")[0] in _OURS for name, _ in parse_qsl(parts.query.replace(";", "&"), keep_blank_values=True)):
        return "its query already names a parameter of the answer (code, state, error, iss, …)"
    if re.search(r"(?:/|%2f)(?:\.|%2e){1,2}(?:/|%2f|\Z)", parts.path, re.IGNORECASE):
        return "it has a dot segment"
    if parts.scheme in ("http", "https"):
        return _refuse_web(uri, port)
    if ":" not in uri or not _PRIVATE_SCHEME.match(uri.partition(":")[0]):
        return "its scheme is neither https nor a private-use scheme with a dot, such as com.example.app"
    return None


def _refuse_web(uri: str, port: int | None) -> str | None:
    if not uri.startswith(("http://", "https://")):
        return "its scheme must be written in lower case and be followed by //"
    scheme, _, rest = uri.partition("://")
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    if "@" in authority:
        return "it has a user name"
    host, colon, digits = authority.rpartition(":") if re.search(r":[0-9]*\Z", authority) else (authority, "", "")
    if (colon and not digits) or port == 0 or not _HOST.match(host):
        return "its host must be a lower-case name or address, without a wildcard, and its port a number"
    if scheme == "http" and not _LOOPBACK.match(uri):
        return "http is allowed for 127.0.0.1, [::1] and localhost only; use https"
    return None


def matches(registered: Iterable[str], requested: str) -> bool:
    """Whether `requested` is one of the `registered` URIs."""
    registered = tuple(registered)
    if requested in registered:
        return True
    loopback = _LOOPBACK.match(requested)
    if loopback is None or not _port_is_legal(loopback[2]):
        return False
    for uri in registered:
        candidate = _LOOPBACK.match(uri)
        if candidate and candidate[1] == loopback[1] and candidate[3] == loopback[3]:
            return True
    return False


def difference(registered: Iterable[str], requested: str) -> str:
    """For the operator's log: which part of `requested` differs from the nearest registered URI."""
    best = "no redirect URI is registered"
    fewest = 99
    for uri in registered:
        try:
            ours, theirs = urlsplit(uri), urlsplit(requested)
        except ValueError:
            return "it is not a URI"
        names = ("scheme", "host or port", "path", "query", "fragment")
        parts = [name for name, a, b in zip(names, ours, theirs, strict=True) if a != b]
        if len(parts) < fewest:
            verb = "differ" if len(parts) > 1 else "differs"
            fewest, best = len(parts), f"its {' and '.join(parts) or 'spelling'} {verb} from {uri}"
    return best


def is_loopback(uri: str) -> bool:
    return _LOOPBACK.match(uri) is not None


def is_on_device(uri: str) -> bool:
    """Whether a registered URI leads to a program on the person's own device (RFC 8252 section 7): any of them could answer."""
    return is_loopback(uri) or origin_of(uri) is None


def origin_of(uri: str) -> str | None:
    """The web origin of a registered http or https URI; None for other schemes."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") else None


def is_origin(text: str) -> bool:
    """Whether `text` is a web origin whose scripts may be clients: https, or http on loopback, and nothing behind it."""
    scheme, _, rest = text.partition("://")
    web = scheme in ("http", "https") and len(text) <= 255 and not {"/", "?"} & set(rest)
    return web and refuse_reason(text) is None


def source_expression(uri: str) -> str:
    """What lets a page load `uri` (CSP3 section 2.3.1): an origin, or a scheme."""
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https") and not parts.netloc.startswith("["):
        return f"{parts.scheme}://{parts.netloc}"
    return f"{parts.scheme}:"  # CSP has no syntax for IPv6 hosts or private-use URIs


def _port_is_legal(port: str | None) -> bool:
    return port is None or 0 < int(port) < 65536
