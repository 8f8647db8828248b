"""What a database must be able to do so that `RecordStore` is a store on it.

A record is a dict with all the columns of its kind (`oauth_gateway.store.kinds`): integers, floats, text, bytes or None, read
back equal to what was written. Its key is the tuple of its kind's key columns. Own tables need no other columns than those,
among them `ripe`, and an index for every set of columns in `unique`, `found` and `listed`, and for `ripe`. Numbers need 64
bits, times a double, and text a binary collation: it is compared and ordered by code point, never without regard to case.

A database that fails, times out or refuses raises StoreUnavailable; nothing else leaves a primitive but Conflict.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

from ...errors import StoreUnavailable
from ..kinds import KIND, Key, Record

VERSION = "records.version"  # in meta: how records are kept


class Conflict(Exception):
    """Another transaction changed what this one read or made what it inserts. Nothing was written; it is run again."""


class Reader(ABC):
    """A look at what is committed: whatever was committed before a call began is seen by it.

    Each call may see a later moment than the one before, never an earlier one. A record is the caller's to change.
    """

    @abstractmethod
    def get_many(self, wanted: Sequence[tuple[str, Key]]) -> list[Record | None]:
        """The records with these kinds and keys, in this order, None for each that is not there.

        They are read in this order or all at one moment: whoever reads the feed's head first must not find in a later
        record less than the head tells of. One round trip is worth it here: `feed` and `token` are asked for together, then
        `client` and `grant`, whenever a token is looked up.
        """

    def get(self, kind: str, *key: object) -> Record | None:
        """The record with this key."""
        return self.get_many([(kind, key)])[0]

    @abstractmethod
    def find(self, kind: str, equal: Mapping[str, object], limit: int | None = None) -> list[Record]:
        """All records whose columns equal these values, or at most `limit` of them, in any order.

        The columns are one of the sets in `unique` or `found` of the kind, and no value is None.
        """

    @abstractmethod
    def page(self, kind: str, after: Key | None, limit: int, by: tuple[str, ...] = ()) -> list[Record]:
        """At most `limit` records in ascending order of the columns `by`, one of `listed` of the kind, else of its key.

        The first is the next one greater than the tuple `after`. Integers are ordered by value, text by code point, bytes by
        value. In a `Writer` too nothing is promised but that each record was there.
        """

    @abstractmethod
    def ripe(self, kind: str, until: float | None, limit: int) -> list[Record]:
        """At most `limit` records whose column `ripe` is not after `until` (None: whenever), those first that were ripe first.

        None is never ripe, and what is returned is ripe by the very record that is returned. One that is missing here for a
        while is found late, and nothing worse.
        """

    def size(self, kind: str) -> int:
        """About how many records of a kind there are, for a progress bar."""
        count, after = 0, None
        while page := self.page(kind, after, 1000):
            count, after = count + len(page), KIND[kind].key_of(page[-1])
        return count


class Writer(Reader):
    """A transaction: all of its writes are committed at its end, or none.

    It is serializable: what `get`, `get_many`, `ripe` and `find` without a limit returned is still so when it is committed,
    or it raises Conflict. Either of these is enough:

    - Locks: every record that is read is locked exclusively until the end (`SELECT ... FOR UPDATE`, in every read of a
      Writer; on SQLite `BEGIN IMMEDIATE` instead). What was not there needs no lock, as RecordStore has both sides of every
      race read one record that there is, or insert the same key. A deadlock or serialization failure is a Conflict.
    - Comparison: at the end, in one atomic step, every record that was read, its absence, and the set of records that each
      `find` returned is compared with what is there now.

    Reads see what the transaction wrote, except that `find`, `page` and `ripe` need not see it. Only a record that the
    same transaction has read is replaced or deleted.
    """

    @abstractmethod
    def insert(self, kind: str, record: Record) -> None:
        """Add a record. Raises Conflict, here or at the end, where its key or one of its `unique` values is taken.

        It must not overwrite: two transactions that both saw nothing there must not both succeed.
        """

    @abstractmethod
    def replace(self, kind: str, record: Record) -> None:
        """Store the record in place of the one with its key."""

    @abstractmethod
    def delete(self, kind: str, key: Key) -> None:
        """Delete the record with this key."""

    def announce(self, entries: Sequence[tuple[str, str]], now: float) -> None:
        """Append `entries` (kind, subject) to the feed, and change the epoch, also where there are none.

        Called at most once, as the last thing in a transaction. Numbers are in commit order without gaps: whoever sees entry
        n + 1, or the epoch of it, also sees entry n and everything that it tells of.
        """
        write_feed(self, entries, now)


class Records(ABC):
    """A database of records. It is made before a server forks and used after it: open nothing in the constructor, and have
    `oauth_gateway.forks.reset_in_children` forget in a child what the parent opened.
    """

    place: str = "the records"  # what an operator finds it by, without a password
    poll: float = 0.1  # seconds between two calls of `watch` where revocations may reach a process a moment late
    _heard: bytes = b""

    @abstractmethod
    def reading(self) -> AbstractContextManager[Reader]:
        """A Reader, used by one thread until the end of the `with`."""

    @abstractmethod
    def writing(self, now: float) -> AbstractContextManager[Writer]:
        """A Writer: left normally it commits or raises, left by an exception it writes nothing.

        What was committed is safe when the `with` is left. Whether a commit that got no answer happened is not known: that
        raises StoreUnavailable, never Conflict, which would run it again. `now` is no later than the caller's time.
        """

    def prepare(self) -> None:  # noqa: B027 - nothing, for many
        """Make what is missing of the database's own: tables, indexes. Several processes may do it at once."""

    def check(self) -> None:  # noqa: B027 - nothing, for many
        """Raise ConfigurationError, one line that says what to do, where the database is none to trust or is not ours."""

    def advice(self) -> Sequence[str]:
        """What an operator should know of how the records are kept, for `oauth-gateway check`."""
        return ()

    def epoch(self) -> bytes:
        """The bytes that every `announce` changes; asked for on every request, so worth a road of its own."""
        with self.reading() as reader:
            feed = reader.get("feed")
        if feed is None:
            raise StoreUnavailable(f"{self.place}: there is no database of ours, or no longer")
        return b"%d" % feed["epoch"]

    def last_epoch(self) -> bytes:
        """The epoch as this process last heard of it, without a look at the database: by `watch`, or sooner by push."""
        return self._heard

    def watch(self) -> bool:
        """Look at the epoch, and at whether the database is still the same: whether something changed since the last look."""
        epoch = self.epoch()
        changed = epoch != self._heard
        self._heard = epoch
        return changed

    def close(self) -> None:  # noqa: B027 - nothing, for many
        """Let go of all connections; the next use opens others."""


def write_feed(writer: Writer, entries: Sequence[tuple[str, str]], now: float) -> None:
    """`Writer.announce` with the other primitives: the record of the feed's head orders those who append."""
    feed = writer.get("feed")
    if feed is None:
        return  # not prepared
    for kind, subject in entries:
        feed["head"] += 1
        writer.insert("change", KIND["change"].new(number=feed["head"], kind=kind, subject=subject, at=now))
    feed["epoch"] += 1
    writer.replace("feed", feed)
