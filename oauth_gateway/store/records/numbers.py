"""The feed's numbers as others see them: a position in one database's feed must mean nothing in another's.

A database may be emptied, restored or exchanged while processes are at work, and the new feed may well reach as far as the old
one. The epoch of a feed begins at random and counts its revocations, so that its upper bits tell feeds apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COUNTED = 22  # lower bits of the epoch; when they are full, everybody forgets everything once, which is harmless
APART = 40  # bits of a number


class Numbers:
    """Of every feed that this process has seen, where its numbers begin: those of the first one where they do."""

    def __init__(self) -> None:
        self._seen: list[int] = []

    def shown(self, feed: Mapping[str, Any], number: int) -> int:
        """The number of an entry of this feed, or of its head, as others see it."""
        which = int(feed["epoch"]) >> COUNTED
        if which not in self._seen:
            self._seen.append(which)  # by two threads at once: the first one counts
        return number + (self._seen.index(which) << APART)
