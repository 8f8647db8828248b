"""What a forked child must not share with its parent: whatever resets itself is reset there."""

from __future__ import annotations

import os
import sys
import weakref
from typing import Protocol


class Resettable(Protocol):
    """`reset` forgets threads, locks and what they guard: in a child, threads of the parent would never give them back."""

    def reset(self) -> None: ...


_settled = False
_every: weakref.WeakSet[Resettable] = weakref.WeakSet()


def reset_in_children(one: Resettable) -> None:
    """Have `one.reset()` called in every process that is forked from this one."""
    _every.add(one)


def settle() -> None:
    """Called with requests, for the first of a process: what an app that is preloaded made before gevent's worker patched the
    process is made anew. A lock from before stops every greenlet when one waits for it.
    """
    global _settled
    if not _settled:
        _settled = True
        gevent = sys.modules.get("gevent.monkey")
        if gevent is not None and gevent.is_module_patched("threading"):
            _reset_all()


def _in_child() -> None:
    global _settled
    _settled = False
    _reset_all()


def _reset_all() -> None:
    for one in list(_every):
        one.reset()


os.register_at_fork(after_in_child=_in_child)
