"""For tests of the gateway and of users' own stores: a clock to set, calls that race, and the contract of every store."""

from .contract import StoreContract
from .tools import NOW, Clock, frozen_time, race

__all__ = ["NOW", "Clock", "StoreContract", "frozen_time", "race"]
