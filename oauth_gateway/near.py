"""What a process keeps near of what it learned lately. Both are read and written without a lock: each step is one operation on
a dict, and what two threads do at once costs one of them a look-up and never an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from time import monotonic
from typing import Generic, TypeVar

from .store import UNTOLD, Store

Value = TypeVar("Value")
MOST = 2048  # values in each of two generations
SECONDS = 5.0  # after which a value is read again, though nothing was told: somebody may have written by hand


class Lately(Generic[Value]):
    """Values by key in two generations of `most`: the older one goes when the younger one is full."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._young: dict[Hashable, Value] = {}
        self._old: dict[Hashable, Value] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, key: Hashable) -> Value | None:
        found = self._young.get(key)
        return found if found is not None else self._old.get(key)

    def put(self, key: Hashable, value: Value) -> None:
        if len(self._young) >= self._most:
            self._old, self._young = self._young, {}
        self._young[key] = value


class Near(Generic[Value]):
    """What a store said, believed while its epoch is the one from before the question: every change that makes less true comes
    with another epoch, and is announced before its commit. Only of a store whose epoch costs nothing (`epoch_is_near`); of any
    other one every question is asked. `keeps` says which values may be kept; none that is None is.
    """

    def __init__(self, store: Store, keeps: Callable[[Value], bool] = lambda _: True, most: int = MOST) -> None:
        self._store = store
        self._keeps = keeps
        self._kept: Lately[tuple[Callable[[], bytes], bytes, float, Value]] = Lately(most)
        self._is_near = bool(getattr(store, "epoch_is_near", False))

    def get(self, key: Hashable, load: Callable[[], Value | None]) -> Value | None:
        """The value for `key`, as `load` reads it from the store where it is not known."""
        if not self._is_near:
            return load()
        read = self._store.epoch  # another function where the database was made anew
        try:
            epoch, kept = read(), self._kept.get(key)
        except OSError:  # its file cannot be opened for the first time: the store says what is wrong
            return load()
        if kept is not None and kept[1] == epoch and kept[0] is read and monotonic() < kept[2]:
            return kept[3]
        until = monotonic() + SECONDS  # from before the question, however long the answer takes
        value = load()
        if value is not None and epoch != UNTOLD and self._keeps(value):
            self._kept.put(key, (read, epoch, until, value))
        return value


class Challenges:
    """Code challenges that came lately, to notice a client that always sends the same one."""

    def __init__(self) -> None:
        self._seen: Lately[bool] = Lately()

    def is_new(self, client: str, challenge: str) -> bool:
        """Whether this process sees it for the first time in a long while; it is seen from here on."""
        key = hash((client, challenge))
        if self._seen.get(key):
            return False
        self._seen.put(key, True)
        return True
