"""Looks and transactions in Redis: what is read is compared with what is there by the script that writes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

from ...errors import StoreUnavailable
from ..kinds import FEED_KEPT, KIND, Key, Record
from ..records import Conflict, Writer
from .layout import Layout, after_all, decode, encode, last_part, text_of
from .link import Link, packed

NET = 86_400  # seconds that Redis itself keeps what is ripe: it is a net under `purge`, which also tidies the indexes
LOOKS, LEAST = 10, 100  # pages of names, and names on a page, in one search for records that are ripe
SCRIPT = files(__package__).joinpath("commit.lua").read_bytes()
DIGEST = hashlib.sha1(SCRIPT, usedforsecurity=False).hexdigest()


class Transaction(Writer):
    """A Reader where nothing is written."""

    def __init__(self, link: Link, layout: Layout, now: float = 0) -> None:
        self._link = link
        self._layout = layout
        self._now = now
        self._read: dict[bytes, bytes | None] = {}  # of every key that was read, the value
        self._records: dict[bytes, Record] = {}  # what these values are
        self._sets: dict[bytes, list[bytes]] = {}  # of every index that was read, the members
        self._lost: list[tuple[bytes, bytes]] = []  # members of indexes whose records are no more
        self._hinted: set[bytes] = set()
        self._written: dict[tuple[str, Key], Record | None] = {}
        self._told: tuple[Sequence[tuple[str, str]], float] | None = None

    # -- reading

    def get_many(self, wanted: Sequence[tuple[str, Key]]) -> list[Record | None]:
        names = {place: self._layout.record(*place) for place in wanted if place not in self._written}
        self._fetch(names.values())
        found: list[Record | None] = []
        for place in wanted:
            if place in self._written:
                record = self._written[place]
                found.append(dict(record) if record is not None else None)
            else:
                record = self._record(place[0], names[place])
                found.append(dict(record) if record is not None else None)
        return found

    def _fetch(self, names: Any) -> None:
        """Read these keys, and with them what will probably be asked for next."""
        missing = list(dict.fromkeys(name for name in names if name not in self._read))
        if missing:
            missing += [name for name in self._hinted if name not in self._read and name not in missing]
            (values,) = self._link.ask(packed("MGET", *missing))
            self._read.update(zip(missing, values, strict=True))

    def _record(self, kind: str, name: bytes) -> Record | None:
        """What was read; not for callers to change."""
        record, value = self._records.get(name), self._read.get(name)
        if record is None and value is not None:
            record, hint = decode(kind, value)
            self._records[name] = record
            if hint is not None:
                self._hinted.add(self._layout.record("user", (hint,)))
        return record

    def _named(self, kind: str, members: Sequence[bytes]) -> list[Record | None]:
        """The records that members of an index name."""
        names = [self._layout.named(kind, member) for member in members]
        self._fetch(names)
        found = []
        for name in names:
            record = self._record(kind, name)
            written = self._written.get((kind, KIND[kind].key_of(record)), record) if record is not None else None
            found.append(dict(written) if written is not None else None)
        return found

    def find(self, kind: str, equal: Mapping[str, object], limit: int | None = None) -> list[Record]:
        if tuple(equal) in KIND[kind].unique:
            name = self._layout.unique(kind, equal)
            self._fetch([name])
            member = self._read[name]
            members = [member] if member is not None else []
        else:
            name = self._layout.index(kind, equal)
            (members,) = self._link.ask(packed("ZRANGE", name, 0, -1 if limit is None else limit - 1))
            if limit is None:
                self._sets[name] = members
        found = self._named(kind, members)
        if name in self._sets:
            self._lost += [(name, member) for member, record in zip(members, found, strict=True) if record is None]
        return [record for record in found if record is not None and all(record[name] == equal[name] for name in equal)]

    def page(self, kind: str, after: Key | None, limit: int, by: tuple[str, ...] = ()) -> list[Record]:
        if kind == "change":
            return self._changes(after, limit)
        start = b"-" if after is None else b"[" + after_all(after) if by else b"(" + text_of(after)
        found: list[Record] = []
        while len(found) < limit:
            order = packed("ZRANGEBYLEX", self._layout.order(kind, by), start, "+", "LIMIT", 0, limit - len(found))
            (members,) = self._link.ask(order)
            if not members:
                break
            records = self._named(kind, [last_part(member) if by else member for member in members])
            found += [record for record in records if record is not None]
            start = b"(" + members[-1]
        return found

    def _changes(self, after: Key | None, limit: int) -> list[Record]:
        start = f"({after[0]}" if after else "-inf"
        (members,) = self._link.ask(packed("ZRANGEBYSCORE", self._layout.changes, start, "+inf", "LIMIT", 0, limit))
        found = []
        for member in members:
            number, _, rest = member.partition(b" ")
            kind, subject, at = json.loads(rest)
            found.append({"number": int(number), "kind": kind, "subject": subject, "at": at})
        return found

    def ripe(self, kind: str, until: float | None, limit: int) -> list[Record]:
        name, order = self._layout.ripe(kind), self._layout.order(kind)
        most = "+inf" if until is None else repr(float(until))
        found: list[Record] = []
        start = 0
        for _ in range(LOOKS):
            (members,) = self._link.ask(packed("ZRANGEBYSCORE", name, "-inf", most, "LIMIT", start, max(limit, LEAST)))
            records = self._named(kind, members)
            for member, record in zip(members, records, strict=True):
                if record is None:
                    self._lost += [(name, member), (order, member)]
                elif until is None or record["ripe"] <= until:  # another may have taken it up since the index was read
                    found.append(record)
            start += len(members)
            if not members or len(found) >= limit:
                break
        return found[:limit]

    def size(self, kind: str) -> int:
        name = self._layout.changes if kind == "change" else self._layout.order(kind)
        return int(self._link.ask(packed("ZCARD", name))[0])

    # -- writing

    def insert(self, kind: str, record: Record) -> None:
        place = (kind, KIND[kind].key_of(record))
        if place in self._written and self._written[place] is not None:
            raise Conflict(f"{kind} {place[1]} is there")
        self._written[place] = dict(record)

    def replace(self, kind: str, record: Record) -> None:
        self._written[kind, KIND[kind].key_of(record)] = dict(record)

    def delete(self, kind: str, key: Key) -> None:
        self._written[kind, key] = None

    def announce(self, entries: Sequence[tuple[str, str]], now: float) -> None:
        self._told = (entries, now)

    @property
    def has_told(self) -> bool:
        """Whether there is something that other processes must hear of."""
        return self._told is not None

    def commit(self) -> None:
        """Compare and write in one step; raises Conflict, or StoreUnavailable also where nobody knows whether it happened."""
        if not self._written and not self._lost and self._told is None:
            return  # no two of our reads decide something together without a write
        making = self._written.get(("feed", ())) is not None and self._read.get(self._layout.feed) is None
        steps = Steps(self._layout, making, self._now)
        inserted = {self._layout.record(*place) for place, record in self._written.items() if record is not None}
        for name, value in self._read.items():
            if value is not None:
                steps.add("e", name, value)
            elif name not in inserted:
                steps.add("a", name)
        for name, members in self._sets.items():
            steps.add("m", name, b",".join(members))
        for place, record in self._written.items():
            self._compare(steps, place, record)
        for place, record in self._written.items():
            self._write(steps, place, record)
        for name, member in self._lost:
            steps.add("r", name, member)
        if self._told is not None:
            steps.announce(*self._told)
        self._run(steps)

    def _old(self, place: tuple[str, Key]) -> Record | None:
        return self._record(place[0], self._layout.record(*place))

    def _compare(self, steps: Steps, place: tuple[str, Key], record: Record | None) -> None:
        """What is inserted, and what must be its alone, is not there yet."""
        kind, old = place[0], self._old(place)
        if old is None and record is None:
            raise RuntimeError(f"{kind} {place[1]} was not read before it is deleted")
        if old is not None or record is None:
            return
        if KIND[kind].expires:
            steps.add("l", self._layout.record(*place), steps.number(self._layout.ripe(kind)), text_of(place[1]))
        else:
            steps.add("a", self._layout.record(*place))
        for name in self._layout.uniques(kind, record):
            steps.add("a", name)

    def _write(self, steps: Steps, place: tuple[str, Key], record: Record | None) -> None:
        kind, name, old = place[0], self._layout.record(*place), self._old(place)
        left = self._left(kind, record)
        before = {(entry.name, entry.member): entry for entry in self._layout.entries(kind, old)} if old else {}
        if record is None:
            steps.add("d", name)
            for unique in self._layout.uniques(kind, old or {}):
                steps.add("d", unique)
        else:
            steps.add("s", name, encode(kind, record, self._hint(kind, record)), left)
            longer = old is None or old.get("ripe") != record.get("ripe")
            for entry in self._layout.entries(kind, record):
                known = before.pop((entry.name, entry.member), None)
                if known is None or known.score != entry.score or (entry.fades and longer):
                    steps.add("z", entry.name, repr(float(entry.score)), entry.member, left if entry.fades else 0)
            if old is None:
                for unique, member in self._layout.uniques(kind, record).items():
                    steps.add("s", unique, member, 0)
        for entry in before.values():
            steps.add("r", entry.name, entry.member)

    def _left(self, kind: str, record: Record | None) -> int:
        """Milliseconds until Redis itself may delete the record, by the caller's clock, which need not be the server's."""
        if record is None or not KIND[kind].expires:
            return 0
        return max(1000, int((record["ripe"] - self._now + NET) * 1000))

    def _hint(self, kind: str, record: Record) -> str | None:
        """Whose a token is."""
        if kind != "token" or record["grant_id"] is None:
            return None
        place = ("grant", (record["grant_id"],))
        grant = self._written.get(place) or self._old(place)
        return grant["user_id"] if grant is not None else None

    def _run(self, steps: Steps) -> None:
        try:
            answer = self._link.change(steps.command("EVALSHA", DIGEST))
        except NoScriptError:  # after a restart, or the first time
            answer = self._link.change(steps.command("EVAL", SCRIPT))
        if answer == b"CONFLICT":
            raise Conflict("another transaction came first")
        if answer == b"NONE":
            raise StoreUnavailable("Redis holds no database of ours, or no longer")
        if answer == b"LOST":
            raise StoreUnavailable("Redis lost a record before its time; its maxmemory-policy must be noeviction")


class Steps:
    """The keys and arguments of the script; see there."""

    def __init__(self, layout: Layout, making: bool, now: float) -> None:
        self._layout = layout
        self._keys: dict[bytes, int] = {}
        self.number(layout.feed)
        self._arguments: list[Any] = [int(making), repr(float(now))]

    def number(self, name: bytes) -> int:
        """The place of a key among the keys."""
        return self._keys.setdefault(name, len(self._keys) + 1)

    def add(self, letter: str, name: bytes, *values: Any) -> None:
        self._arguments += (letter, self.number(name), *values)

    def announce(self, entries: Sequence[tuple[str, str]], now: float) -> None:
        layout = self._layout
        texts = [json.dumps([kind, subject, now], separators=(",", ":")) for kind, subject in entries]
        self.add("h", layout.feed, self.number(layout.changes), layout.channel, FEED_KEPT, len(texts), *texts)

    def command(self, *how: Any) -> bytes:
        return packed(*how, len(self._keys), *self._keys, *self._arguments)
