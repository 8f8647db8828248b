"""What a process remembers of others' tokens, apart from its own: nothing that happens to our store ends one of these."""

from __future__ import annotations

import threading
from collections import deque
from typing import NamedTuple

from ..models import Token


class Believed(NamedTuple):
    """A token, and until when it is taken for good without another look."""

    token: Token
    until: float


class BelievedTokens:
    """At most `size`, by Authorization header; first in, first out. `hits` may be read without a lock."""

    def __init__(self, size: int) -> None:
        self.hits: dict[str, Believed] = {}
        self._size = size
        self._order: deque[str] = deque()
        self._lock = threading.Lock()  # its own: a database that hangs keeps the one of our tokens

    def add(self, header: str, found: Believed) -> None:
        with self._lock:
            if header not in self.hits:
                if len(self._order) >= self._size:
                    del self.hits[self._order.popleft()]
                self._order.append(header)
            self.hits[header] = found
