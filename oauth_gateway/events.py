"""What happened, by name (`docs/events.md` lists the names): one line a thing in the log, and a call to each subscriber.

No field ever holds a secret: tokens and codes appear as their public ids only.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from typing import Any

from . import clock
from .naming import named

log = logging.getLogger("oauth_gateway.events")  # whoever listens to `oauth_gateway` hears it too
Event = dict[str, Any]
Subscriber = Callable[[Event], object]


class Events:
    """The events of one gateway; a subscriber that fails is logged and changes nothing."""

    def __init__(self, subscribers: Iterable[Subscriber] = ()) -> None:
        self._subscribers = list(subscribers)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Have `subscriber(event)` called for every event, in the thread where it happened.

        An event is a dict of its own with `name`, `time`, `client_id`, `user_id`, `grant_id` and `address` (None where there
        is none), and what `docs/events.md` says beside its name.
        """
        self._subscribers.append(subscriber)

    def are_heard(self) -> bool:
        """Whether anybody listens: where what is told takes longer to find than to tell."""
        return bool(self._subscribers) or log.isEnabledFor(logging.INFO)

    def emit(
        self,
        name: str,
        *,
        client_id: str | None = None,
        user_id: str | None = None,
        grant_id: str | None = None,
        address: str | None = None,
        **more: object,
    ) -> None:
        """Tell that `name` (such as `token.issued`) happened."""
        if not self.are_heard():
            return
        tells = log.isEnabledFor(logging.INFO)
        event: Event = {
            "name": name,
            "time": clock.now(),
            "client_id": client_id,
            "user_id": user_id,
            "grant_id": grant_id,
            "address": address,
            **more,
        }
        if tells:
            # JSON strings, so that no value can start a line of its own
            told = [f"{key}={json.dumps(value, default=str)}" for key, value in event.items() if value is not None]
            log.info("%s %s", name, " ".join(told[2:]), extra={"event": event})  # the record has the time itself
        for subscriber in self._subscribers:
            try:
                subscriber(dict(event))
            except Exception:
                log.exception("a subscriber failed on %s", name)


def subscribers(items: Iterable[Subscriber | str]) -> list[Subscriber]:
    """The callables of the setting `events`; raises ConfigurationError where a MODULE:NAME names none."""
    return [named("events", item) for item in items]
