"""What a process remembers of others' tokens, apart from its own: nothing that happens to our store ends one of these."""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic
from typing import NamedTuple

from ..models import Token

WEIGHT = 2500  # characters of text and claims that a token may have on the average; each takes about two bytes


class Believed(NamedTuple):
    """A token, and until when it is taken for good without another look."""

    token: Token
    until: float


class BelievedTokens:
    """At most `size`, by Authorization header, and fewer where they are long; first in, first out.

    `hits` may be read without a lock, as every request does: so it has bare tuples of a token, its `until`
    and the same by a clock that nobody sets: `now` stands still after a step back.
    """

    def __init__(self, size: int) -> None:
        self.hits: dict[str, tuple[Token, float, float]] = {}
        self._size = size
        self._left = size * WEIGHT
        self._order: deque[tuple[str, int]] = deque()
        self._lock = threading.Lock()  # its own: a database that hangs keeps the one of our tokens

    def add(self, header: str, found: Believed, now: float) -> None:
        known = (found.token, found.until, monotonic() + found.until - now)
        weight = len(header) + len(repr(found.token.claims))
        with self._lock:
            if header not in self.hits:
                while self._order and (len(self._order) >= self._size or self._left < weight):
                    self._drop_oldest()
                self._order.append((header, weight))
                self._left -= weight
            self.hits[header] = known

    def _drop_oldest(self) -> None:
        header, weight = self._order.popleft()
        self._left += weight
        del self.hits[header]
