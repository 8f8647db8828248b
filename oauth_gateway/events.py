"""What happened, by name: one line a thing in the log `oauth_gateway.events`, and a call to each subscriber.

No field ever holds a secret: tokens and codes appear as their public ids only.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

log = logging.getLogger("oauth_gateway.events")
Subscriber = Callable[[str, dict[str, object]], None]


class Events:
    """The events of one gateway; a subscriber that fails is logged and changes nothing."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        """Have `subscriber(name, fields)` called for every event, in the thread where it happened."""
        self._subscribers.append(subscriber)

    def emit(self, name: str, **fields: object) -> None:
        """Tell that `name` (such as `token.issued`) happened."""
        if log.isEnabledFor(logging.INFO):
            # JSON strings, so that no value can start a line of its own
            log.info("%s %s", name, " ".join(f"{key}={json.dumps(value, default=str)}" for key, value in fields.items()))
        for subscriber in self._subscribers:
            try:
                subscriber(name, fields)
            except Exception:
                log.exception("a subscriber failed on %s", name)
