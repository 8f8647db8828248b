"""For load balancers: whether this process lives, and whether its store can commit. Nothing else is told to anybody.

Neither needs a token and neither is the app's. A flood of questions reaches the store once a second.
"""

from __future__ import annotations

import logging
import threading
import time

from .. import clock
from ..errors import OAuthError, StoreUnavailable
from ..exchange import Answer, Exchange, json_answer
from ..forks import reset_in_children
from ..server import AuthorizationServer
from ..store import Store

log = logging.getLogger("oauth_gateway")
VALID_SECONDS = 1.0  # for which an answer of the store is repeated


class Readiness:
    """Asks the store to commit something, at most once in VALID_SECONDS."""

    def __init__(self, store: Store) -> None:
        self._store = store
        reset_in_children(self)
        self.reset()

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._ready = False
        self._until = 0.0

    def ask(self) -> bool:
        with self._lock:  # whoever waits here gets the answer that another one waits for
            if time.monotonic() >= self._until:
                try:
                    self._store.count("health", "ready", 3600, clock.now())
                    self._ready = True
                except StoreUnavailable as error:
                    log.error("not ready: %s", error)
                    self._ready = False
                self._until = time.monotonic() + VALID_SECONDS
            return self._ready


def install(server: AuthorizationServer) -> None:
    readiness = Readiness(server.store)

    def live(exchange: Exchange) -> Answer:
        return json_answer(200, {"status": "live"})

    def ready(exchange: Exchange) -> Answer:
        if not readiness.ask():
            raise OAuthError("temporarily_unavailable", "", 503, headers=(("Retry-After", "1"),))
        return json_answer(200, {"status": "ready"})

    server.endpoint("/token/health/live", live, methods="GET HEAD", always=True)
    server.endpoint("/token/health/ready", ready, methods="GET HEAD")
