"""RecordStore: the whole Store protocol over the primitives of `Records`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence

from ... import clock
from ...errors import ConfigurationError
from .. import Changes, Count
from ..kinds import FEED_KEPT, KIND, RETENTION, Key, Record
from .access import Allowed
from .copies import Copies
from .grants import Grants
from .logins import Logins
from .numbers import Numbers
from .part import changed
from .primitives import VERSION, Records, Writer
from .registry import Registry
from .work import Work

FORM = 1  # the version of how records are kept; a column that is added needs no new one
EXPIRING = tuple(name for name, kind in KIND.items() if kind.expires)


class RecordStore(Registry, Grants, Allowed, Logins, Work, Copies):
    """See `oauth_gateway.store.Store`."""

    epoch_is_near = False

    def __init__(self, records: Records) -> None:
        self.records = records
        self.numbers = Numbers()
        self.place, self.poll = records.place, records.poll
        self.epoch = records.epoch  # no call of our own on the protected road
        self.last_epoch = records.last_epoch
        self.watch = records.watch

    # -- what this deployment is

    def prepare(self) -> None:
        """Make what is missing: the database's own, the version, the feed's first record."""
        self.records.prepare()
        self.records.check()

        def work(writer: Writer) -> None:
            feed, version = writer.get_many([("feed", ()), ("meta", (VERSION,))])
            if version is None:
                writer.insert("meta", {"name": VERSION, "value": str(FORM)})
            if feed is None:
                writer.insert("feed", {"head": 0, "floor": 0, "epoch": secrets.randbits(52)})  # see `Numbers`

        if self._get("feed") is None:
            self._write(clock.now(), work)
        self._check_version()

    def check(self) -> None:
        """Raise ConfigurationError where the database is not to be trusted, or has another version than this code."""
        self.records.check()
        self._check_version()

    def _check_version(self) -> None:
        recorded = self.meta(VERSION)
        version = int(recorded) if recorded is not None else 0
        if version > FORM:
            raise ConfigurationError(
                f"database: its records have version {version}, this code knows {FORM}; upgrade oauth-gateway"
            )
        if version < FORM:
            raise ConfigurationError(
                f"database: its records have version {version}, this code needs {FORM}; run oauth-gateway migrate"
            )

    def advice(self) -> Sequence[str]:
        return self.records.advice()

    def migrate(self, tell: Callable[[str], None] = lambda _: None, *, contract: bool = False) -> bool:
        """Bring records of an older version up to date; False where they were. There is only one version so far."""
        return False

    def meta(self, name: str) -> str | None:
        record = self._get("meta", name)
        return str(record["value"]) if record is not None else None

    def set_meta(self, name: str, value: str, *, replace: bool = False) -> str:
        """Record a value once, or again with `replace`; what is recorded then, whoever came first, is returned."""

        def work(writer: Writer) -> str:
            known = writer.get("meta", name)
            if known is None:
                writer.insert("meta", {"name": name, "value": value})
            elif replace:
                writer.replace("meta", {"name": name, "value": value})
            else:
                return str(known["value"])
            return value

        return self._write(clock.now(), work)

    # -- the change feed

    def changes(self, position: int) -> Changes:
        """What was revoked after `position`; not complete where the feed does not reach back that far."""
        with self.records.reading() as reader:
            feed = reader.get("feed")
            if feed is None:
                return Changes(0, (), False)
            head, shown = feed["head"], self.numbers.shown(feed, feed["head"])
            known = position - (shown - head)
            if not feed["floor"] <= known <= head:
                return Changes(shown, (), False)
            records = reader.page("change", (known,), head - known) if head > known else []
        entries = tuple((record["kind"], record["subject"]) for record in records)
        whole = [record["number"] for record in records] == list(range(known + 1, head + 1))  # not purged meanwhile
        return Changes(shown, entries if whole else (), whole)

    # -- insert-only keys and throttles

    def add(self, space: str, key: str, expires: float, now: float) -> bool:
        """Remember `key` until `expires`; False where it is remembered already (replay of a jti, say)."""

        def work(writer: Writer) -> bool:
            record = {"space": space, "key": key, "expires": expires, "ripe": expires}
            return _put_unless_living(writer, "entry", record, now) is None

        return self._write(now, work)

    def has(self, space: str, key: str, now: float) -> bool:
        record = self._get("entry", space, key)
        return record is not None and record["expires"] > now

    def count(self, space: str, key: str, window: int, now: float, amount: int = 1) -> Count:
        """Add `amount` to a counter that starts anew `window` seconds after its first count; atomic across processes."""

        def work(writer: Writer) -> Record:
            ends = now + window
            fresh = {"space": space, "key": key, "value": max(amount, 0), "expires": ends, "ripe": ends}
            living = _put_unless_living(writer, "counter", fresh, now)
            if living is None:
                return fresh
            living["value"] += amount
            writer.replace("counter", living)
            return living

        record = self._write(now, work)
        return Count(record["value"], max(1, round(record["expires"] - now)))

    def forget_count(self, space: str, key: str) -> None:
        def work(writer: Writer) -> None:
            if writer.get("counter", space, key) is not None:
                writer.delete("counter", (space, key))

        self._write(0, work)

    # -- housekeeping

    def purge(self, now: float, limit: int = 100) -> int:
        """Delete at most `limit` expired records a kind and say how many; called now and then after a commit."""
        return sum(self._purge(kind, now, limit) for kind in EXPIRING) + self._purge_feed(now, limit)

    def _purge(self, kind: str, now: float, limit: int) -> int:
        def work(writer: Writer) -> int:
            records = writer.ripe(kind, now, limit)
            for record in records:
                writer.delete(kind, KIND[kind].key_of(record))
            return len(records)

        return self._write(now, work)

    def _purge_feed(self, now: float, limit: int) -> int:
        feed = self._get("feed")
        if feed is None or feed["head"] - FEED_KEPT <= feed["floor"]:
            return 0

        def work(writer: Writer) -> int:
            feed = writer.get("feed")
            if feed is None:
                return 0
            first = feed["floor"] + 1
            old = [(number,) for number in range(first, min(first + limit, feed["head"] - FEED_KEPT + 1))]
            there = writer.get_many([("change", key) for key in old])
            for key in (key for key, record in zip(old, there, strict=True) if record is not None):
                writer.delete("change", key)
            writer.replace("feed", changed(feed, floor=feed["floor"] + len(old)))
            return len(old)

        return self._write(now, work)

    def sweep(self, now: float) -> Iterator[int]:
        """Delete everything that has expired, and consents that are worth nothing: how many, batch by batch."""
        while batch := self.purge(now, 1000):
            yield batch
        after: Key | None = None
        while keys := self._consents(after):
            after = keys[-1]
            if dead := self._dead_consents(keys, now):
                yield dead

    def _consents(self, after: Key | None) -> list[Key]:
        with self.records.reading() as reader:
            return [(record["id"],) for record in reader.page("consent", after, 500)]

    def _dead_consents(self, keys: list[Key], now: float) -> int:
        def work(writer: Writer) -> int:
            found = [record for record in writer.get_many([("consent", key) for key in keys]) if record is not None]
            clients = writer.get_many([("client", (record["client"],)) for record in found])
            people = writer.get_many([("user", (record["user_id"],)) for record in found])
            removed = 0
            for record, client, user in zip(found, clients, people, strict=True):
                old = record["revoked"] is not None and record["revoked"] < now - RETENTION
                if old or client is None or user is None:
                    writer.delete("consent", (record["id"],))
                    removed += 1
            return removed

        return self._write(now, work)

    def close(self) -> None:
        self.records.close()


def _put_unless_living(writer: Writer, kind: str, record: Record, now: float) -> Record | None:
    """Store the record unless the one with its key lives still, which is returned."""
    known = writer.get(kind, *KIND[kind].key_of(record))
    if known is None:
        writer.insert(kind, record)
    elif known["expires"] > now:
        return known
    else:
        writer.replace(kind, record)
    return None
