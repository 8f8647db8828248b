"""Revocations by push: one thread a process, which hears the new epoch when its revocation is committed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from .link import Link

log = logging.getLogger("oauth_gateway")
SILENCE = 10.0  # seconds after which it asks whether the server is still there
PAUSE = 0.5  # seconds before it connects again


class Listener:
    """Calls `hear` with every epoch that is published, and with `look()` whenever it has connected: it may have missed some."""

    def __init__(self, link: Link, channel: bytes, look: Callable[[], bytes], hear: Callable[[bytes], None]) -> None:
        self._link = link
        self._channel = channel
        self._look = look
        self._hear = hear
        self._stopped = threading.Event()
        self._connection: Any = None
        threading.Thread(target=self._run, name="oauth_gateway revocations", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()
        connection = self._connection
        if connection is not None:
            connection.disconnect()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen()
            except Exception as error:  # whatever it is: without the thread revocations would only be late, unseen
                if not self._stopped.is_set():
                    log.warning("revocations are not heard at once: %s", error)
            self._stopped.wait(PAUSE)

    def _listen(self) -> None:
        connection = self._connection = self._link.connection()
        try:
            connection.connect()
            connection.send_command("SUBSCRIBE", self._channel)
            connection.read_response()
            self._hear(self._look())
            while not self._stopped.is_set():
                if not connection.can_read(SILENCE):
                    connection.send_command("PING")  # its answer, or a time-out, is what is read next
                answer = connection.read_response()
                if answer[0] == b"message":
                    self._hear(answer[2])
        finally:
            connection.disconnect()
