"""CORS for the scripts of public clients (Fetch standard section 3.2): by registered origin, and never with cookies.

The authorization endpoint has none (RFC 9700 section 2.6); the well-known documents are readable from everywhere, and so are
the refusals of a gate without a server: nobody registers there, and they say what these documents say.
"""

from __future__ import annotations

import logging

from .errors import StoreUnavailable
from .exchange import Answer, Environ
from .models import Client
from .redirects import is_origin
from .store import Store

log = logging.getLogger("oauth_gateway")


class Cors:
    """Says which origins' scripts may read an answer: with `everywhere` all."""

    def __init__(self, store: Store, *, everywhere: bool = False) -> None:
        self._store = store
        self._everywhere = everywhere

    def headers(self, environ: Environ, client: Client | None = None) -> list[tuple[str, str]]:
        """What an answer carries besides `Vary: Origin`: nothing for callers that are no scripts of registered clients.

        With `client` its own origins count, else those of every public client.
        """
        origin = environ.get("HTTP_ORIGIN")
        if origin is None or not (self._everywhere or self._is_registered(origin, client)):
            return []
        return [
            ("Access-Control-Allow-Origin", "*" if self._everywhere else origin),
            ("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After"),
        ]

    def preflight(self, environ: Environ, methods: frozenset[str]) -> Answer:
        """The answer to the question that a browser asks before a script's request."""
        allowed = self.headers(environ)
        if allowed:
            allowed += [
                ("Access-Control-Allow-Methods", ", ".join(sorted(methods))),
                ("Access-Control-Allow-Headers", "Authorization, Content-Type"),
                ("Access-Control-Max-Age", "600"),
            ]
        return Answer(204, [*allowed, ("Vary", "Origin"), ("Cache-Control", "no-store")])

    def _is_registered(self, origin: str, client: Client | None) -> bool:
        if client is not None:
            return origin in client.origins
        if not is_origin(origin):
            return False
        try:
            return self._store.has_origin(origin)
        except StoreUnavailable as error:
            log.warning("the origin of a script could not be looked up: %s", error)
            return False


def is_preflight(environ: Environ) -> bool:
    """A CORS preflight: OPTIONS with both headers and no body."""
    return (
        environ["REQUEST_METHOD"] == "OPTIONS"
        and "HTTP_ORIGIN" in environ
        and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
        and environ.get("CONTENT_LENGTH", "") in ("", "0")
        and "HTTP_TRANSFER_ENCODING" not in environ
    )
