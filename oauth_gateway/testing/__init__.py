"""For tests of the gateway and of users' own stores: a clock to set, calls that race, the contract of every store, and
records in memory. A name is loaded when it is first used.
"""

from typing import TYPE_CHECKING

from ..later import later
from .tools import NOW, Clock, frozen_time, race

if TYPE_CHECKING:
    from .contract import StoreContract
    from .memory import MemoryRecords
else:  # a type checker would take any name for one that is here
    __getattr__, __dir__ = later(__name__, {"MemoryRecords": ".memory", "StoreContract": ".contract"})

__all__ = ["NOW", "Clock", "MemoryRecords", "StoreContract", "frozen_time", "race"]
