"""For tests of the gateway and of users' own stores: a clock to set, calls that race, the contract of every store, and
records in memory.
"""

from .contract import StoreContract
from .memory import MemoryRecords
from .tools import NOW, Clock, frozen_time, race

__all__ = ["NOW", "Clock", "MemoryRecords", "StoreContract", "frozen_time", "race"]
