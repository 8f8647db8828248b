"""Where a fault may strike: before and after every call of the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from oauth_gateway import deployment
from oauth_gateway.errors import StoreUnavailable
from oauth_gateway.store import Store

WORDS = "was made to fail"  # in whatever an operator is told of a fault
CALLS = frozenset(name for name in vars(Store) if not name.startswith("_")) - {"close"}  # closing answers nobody
READS = frozenset(
    "check advice meta client has_origin client_numbered clients user user_named users session sessions consent code token"
    " tokens changes epoch last_epoch signing_keys next_job has size dump".split()
)
BEFORE = frozenset({"before", "before reading"})
WRITES = frozenset({"before", "after"})
EDGES = BEFORE | WRITES  # to fail after a read is to fail before it, for everybody
BETWEEN = frozenset({"after", "after reading"})
Strike = Callable[[Exception], None]  # called with what the store, or its driver, would raise there


class Faults:
    """Counts points while it is armed; `struck` says where it struck, and is empty where the run was left untouched."""

    def __init__(self) -> None:
        self.struck: list[str] = []
        self.clear()

    def arm(self, n: int, strike: Strike, places: frozenset[str] = EDGES, *, lasting: bool = False) -> None:
        """Call `strike` at the n-th point that is in `places`, and with `lasting` at every later one."""
        self._n, self._places, self._lasting = n, places, lasting
        self._count, self.struck = 0, []
        self._strike = strike

    def clear(self) -> None:
        self._strike: Strike | None = None

    def point(self, place: str, what: str, error: Exception) -> None:
        """A place where a fault may strike."""
        strike = self._strike
        if strike is None or place not in self._places:
            return
        self._count += 1
        if self._count == self._n or (self._lasting and self._count > self._n):
            self.struck.append(f"{place} {what}")
            self._strike = None  # what the strike does itself is not counted
            try:
                strike(error)
            finally:
                self._strike = strike


class FaultyStore:
    """A store each of whose calls has a point before and one after it."""

    def __init__(self, store: Any, faults: Faults) -> None:
        self._store = store
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in CALLS:
            return found
        reading = " reading" if name in READS else ""

        def counted(*given: Any, **named: Any) -> Any:
            self._faults.point(f"before{reading}", name, StoreUnavailable(f"the store {WORDS}"))
            answer = found(*given, **named)
            self._faults.point(f"after{reading}", name, StoreUnavailable(f"the store {WORDS}"))
            return answer

        return counted


@contextmanager
def opened_through(wrap: Callable[[Any], Any]) -> Iterator[None]:
    """Within it whatever opens a deployment gets `wrap(store)` for its store."""
    with pytest.MonkeyPatch.context() as patch:
        open_store = deployment.open_store
        patch.setattr(deployment, "open_store", lambda *given, **named: wrap(open_store(*given, **named)))
        yield


def fail(error: Exception) -> None:
    """The store does not answer."""
    raise error
