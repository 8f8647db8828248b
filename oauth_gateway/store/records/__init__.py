"""A whole store over a few primitives, for databases and tables that are not ours.

Subclass `Records`, whose docstrings say what each primitive owes, and `RecordStore(YourRecords(...))` is a `Store`. Whoever
wins, what enters the feed and when it is told stands here once. `oauth_gateway.testing.MemoryRecords` is the shortest
complete example, `StoreContract` says whether yours behaves.
"""

from __future__ import annotations

from ..kinds import KIND, KINDS, Key, Kind, Record
from .existing import ExistingTables, mark_of
from .primitives import Conflict, Reader, Records, Writer, write_feed
from .store import RecordStore
from .table import TableWriter

__all__ = [
    "KIND",
    "KINDS",
    "Conflict",
    "ExistingTables",
    "Key",
    "Kind",
    "Reader",
    "Record",
    "RecordStore",
    "Records",
    "TableWriter",
    "Writer",
    "mark_of",
    "write_feed",
]
