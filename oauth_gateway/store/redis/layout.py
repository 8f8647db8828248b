"""How records lie in Redis: the names of keys, all in one slot of a cluster, and the text of values."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..kinds import KIND, Key, Record

HINT = "~user"  # in a token, whose grant's it is: so that it is fetched with the grant


@dataclass(frozen=True, slots=True)
class Entry:
    """A member of a sorted set that leads to a record; `fades`: the set expires once nothing in it can be alive."""

    name: bytes
    score: float
    member: bytes
    fades: bool = False


class Layout:
    """Names begin with `{tag}:`, and what is in braces decides the slot."""

    def __init__(self, tag: str, database: int) -> None:
        self.prefix = b"{%s}:" % tag.encode()
        self.changes = self.prefix + b"change"
        self.feed = self.record("feed", ())
        self.channel = b"%srevocations:%d" % (self.prefix, database)  # channels are not those of one database

    def record(self, kind: str, key: Key) -> bytes:
        return self.named(kind, text_of(key))

    def named(self, kind: str, member: bytes) -> bytes:
        """The record that a member of an index names."""
        return b"%s%s:%s" % (self.prefix, kind.encode(), member)

    def unique(self, kind: str, equal: Mapping[str, object]) -> bytes:
        """A key whose value names the only record with these values."""
        return b"%sunique:%s:%s:%s" % (self.prefix, kind.encode(), ",".join(equal).encode(), text_of(tuple(equal.values())))

    def index(self, kind: str, equal: Mapping[str, object]) -> bytes:
        """A sorted set that names the records with these values."""
        return b"%sindex:%s:%s:%s" % (self.prefix, kind.encode(), ",".join(equal).encode(), text_of(tuple(equal.values())))

    def order(self, kind: str, by: tuple[str, ...] = ()) -> bytes:
        """A sorted set of all records of a kind, in the order of their keys or of other columns."""
        return b"%sorder:%s:%s" % (self.prefix, kind.encode(), ",".join(by).encode())

    def ripe(self, kind: str) -> bytes:
        """A sorted set of the records of a kind by when they are ripe."""
        return b"%sripe:%s" % (self.prefix, kind.encode())

    def uniques(self, kind: str, record: Record) -> dict[bytes, bytes]:
        """The keys that name this record alone."""
        member = text_of(KIND[kind].key_of(record))
        return {self.unique(kind, _some(record, columns)): member for columns in KIND[kind].unique}

    def entries(self, kind: str, record: Record) -> Iterator[Entry]:
        """Where the record stands in sorted sets."""
        spec = KIND[kind]
        member = text_of(spec.key_of(record))
        if spec.key:
            yield Entry(self.order(kind), 0, member)
        for by in spec.listed:
            yield Entry(self.order(kind, by), 0, text_of((*_some(record, by).values(), member.decode("utf-8"))))
        for columns in spec.found:
            equal = _some(record, columns)
            if None not in equal.values():
                yield Entry(self.index(kind, equal), 0, member, fades=spec.expires)
        if record.get("ripe") is not None:
            yield Entry(self.ripe(kind), record["ripe"], member)


def _some(record: Record, columns: tuple[str, ...]) -> dict[str, object]:
    return {column: record[column] for column in columns}


def text_of(key: Key) -> bytes:
    """A key as bytes that sort as the key does, and that no other key has."""
    parts = [_part(value) for value in key]
    return b"".join([part.replace(b"\0", b"\0\xff") + b"\0\0" for part in parts[:-1]] + parts[-1:])


def after_all(key: Key) -> bytes:
    """What sorts after every text of a longer key that begins with this one, and before all that follow."""
    return b"".join(_part(value).replace(b"\0", b"\0\xff") + b"\0\1" for value in key)


def last_part(text: bytes) -> bytes:
    """The last value in the text of a key."""
    return text.rsplit(b"\0\0", 1)[-1]


def _part(value: object) -> bytes:
    if isinstance(value, int):
        return b"%016x" % value
    if isinstance(value, bytes):
        return value.hex().encode()
    return str(value).encode()


def encode(kind: str, record: Record, hint: str | None = None) -> bytes:
    """The value of a record's key."""
    values: dict[str, Any] = {column: value for column, value in record.items() if value is not None}
    for column in KIND[kind].binary:
        if column in values:
            values[column] = base64.b64encode(values[column]).decode()
    if hint is not None:
        values[HINT] = hint
    return json.dumps(values, separators=(",", ":")).encode()


def decode(kind: str, value: bytes) -> tuple[Record, str | None]:
    """The record, and its hint. Columns that newer code has written are kept, also when this code writes the record again."""
    record = KIND[kind].new(**json.loads(value))
    hint = record.pop(HINT, None)
    for column in KIND[kind].binary:
        if record[column] is not None:
            record[column] = base64.b64decode(record[column])
    return record, hint
