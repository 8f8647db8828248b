"""What a forked child must not share with its parent: whatever resets itself is reset there."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Resettable(Protocol):
    """`reset` forgets threads, locks and what they guard: in a child, threads of the parent would never give them back."""

    def reset(self) -> None: ...


_every: weakref.WeakSet[Resettable] = weakref.WeakSet()


def reset_in_children(one: Resettable) -> None:
    """Have `one.reset()` called in every process that is forked from this one."""
    _every.add(one)


def _reset_all() -> None:
    for one in list(_every):
        one.reset()


os.register_at_fork(after_in_child=_reset_all)
