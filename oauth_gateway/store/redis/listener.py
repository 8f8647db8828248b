"""Hearing of revocations by push, on a connection of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .link import Link

LOOK_SECONDS = 1.0  # between two looks at whether to end
SILENCE = 10.0  # seconds after which it asks whether the server is still there


def listen(link: Link, channel: bytes, heard: Callable[[], None], closed: threading.Event) -> None:
    """Call `heard` for everything that is published, and once at the beginning, until `closed` is set.

    Raises what redis-py does where the connection is lost, for `pulse` to begin again.
    """
    connection = link.connection()
    try:
        connection.connect()
        connection.send_command("SUBSCRIBE", channel)
        connection.read_response()
        heard()  # there may have been something before
        spoken = time.monotonic()
        while not closed.is_set():
            if connection.can_read(LOOK_SECONDS):
                answer = connection.read_response()
                spoken = time.monotonic()
                if answer[0] == b"message":
                    heard()
            elif time.monotonic() - spoken > SILENCE:
                connection.send_command("PING")
                connection.read_response()  # or a time-out
                spoken = time.monotonic()
    finally:
        connection.disconnect()
