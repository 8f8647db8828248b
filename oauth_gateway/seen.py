"""When login sessions were seen last, for the account page: noted behind the answers, many at once, not for each request."""

from __future__ import annotations

import logging
import threading

from .errors import StoreUnavailable
from .forks import reset_in_children
from .store import Store

log = logging.getLogger("oauth_gateway")
BATCH_SECONDS = 5.0  # for which sessions gather until they are written
MOST = 100  # in one transaction


class Seen:
    """The notes of one process. What dies with it unwritten is noted a few minutes later."""

    def __init__(self, store: Store) -> None:
        self._store = store
        reset_in_children(self)
        self.reset()

    def reset(self) -> None:
        """Nothing noted and no thread: at first and in a forked child."""
        self._lock = threading.Lock()
        self._noted: dict[bytes, float] = {}
        self._thread: threading.Thread | None = None

    def add(self, digest: bytes, now: float) -> None:
        """The session with this digest of its cookie is in use."""
        with self._lock:
            self._noted[digest] = now
            if self._thread is None:
                self.start()

    def start(self) -> None:
        """Have what is noted written soon; called with the lock."""
        thread = threading.Thread(target=self._run, name="oauth_gateway seen", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no request fails for a note
            log.warning("when sessions were seen is not noted: %s", error)
            return
        self._thread = thread

    def write(self) -> None:
        """Write what is noted; raises StoreUnavailable, and then it is forgotten."""
        with self._lock:
            noted, self._noted = sorted(self._noted.items()), {}
        for start in range(0, len(noted), MOST):
            self._store.see_sessions(noted[start : start + MOST])

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            pause.wait(BATCH_SECONDS)
            try:
                self.write()
            except StoreUnavailable as error:
                log.warning("when sessions were seen is not noted: %s", error)
            except Exception:
                log.exception("when sessions were seen is not noted")
            with self._lock:
                if not self._noted:
                    self._thread = None
                    return
