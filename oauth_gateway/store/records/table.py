"""Records of every kind as the rows of one table: what a database with tables has to give is then six statements.

The table has these columns, none of which depends on how the database compares text:

| column | type | what it is |
| --- | --- | --- |
| `key` | text of 512, primary key | names the record, in the order of its kind |
| `kind` | text of 16 | |
| `name` | text of 512 or null, unique | the values that no two records of the kind share |
| `look1`, `look2`, `look3` | text of 512 or null, an index each | what records are looked up by |
| `ripe` | double or null, an index on `kind, ripe` | when the record is to be taken up again, in seconds since 1970 |
| `body` | text | kind and record as JSON |
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from ..kinds import KIND, Key, Record
from .primitives import Writer

LONGEST = 512  # characters of a key; a longer one is cut and ends with its digest
_PAST = "g"  # after every key with the same beginning
_LOOKS = {**{name: kind.found for name, kind in KIND.items()}, "token": (("grant_id",),)}


def text_of(kind: str, values: Sequence[object]) -> str:
    """`values` as one text whose order is theirs under every collation: it differs only in the digits 0 to f."""
    text = f"{kind}:{''.join(_part(value) for value in values)}"
    if len(text) > LONGEST:
        text = text[: LONGEST - 64] + hashlib.sha256(text.encode()).hexdigest()
    return text


def _part(value: object) -> str:
    if isinstance(value, int):
        return format(value, "016x") if value >= 0 else ""
    if isinstance(value, bytes):
        return value.hex()
    return str(value).encode("utf-8", "surrogatepass").hex() + "00"


def row_of(kind: str, record: Record) -> dict[str, Any]:
    """The row of a record, by column. A token is also found by its grant: `look1`."""
    row: dict[str, Any] = dict.fromkeys(("name", "look1", "look2", "look3"))
    for columns in (*KIND[kind].unique, *_LOOKS[kind]):
        values = [record[column] for column in columns]
        row[_column(kind, columns)] = text_of(kind, values) if None not in values else None
    key = text_of(kind, KIND[kind].key_of(record))
    return {"key": key, "kind": kind, **row, "ripe": record.get("ripe"), "body": _body(kind, record)}


def _body(kind: str, record: Record) -> str:
    values = {name: value.hex() if isinstance(value, bytes) else value for name, value in record.items()}
    return json.dumps([kind, values])


def _record(body: str) -> tuple[str, Record]:
    """The record of a row, and its kind; columns that older code did not know are None."""
    kind, values = json.loads(body)
    record = KIND[kind].new(**values)
    for column in KIND[kind].binary:
        if record[column] is not None:
            record[column] = bytes.fromhex(record[column])
    return kind, record


def records_in(bodies: Sequence[str]) -> list[Record]:
    """The records of rows, as they stand there."""
    return [_record(body)[1] for body in bodies]


def _column(kind: str, columns: tuple[str, ...]) -> str:
    """Where a set of columns of a kind stands in the table."""
    if columns in KIND[kind].unique:
        return "name"
    return f"look{_LOOKS[kind].index(columns) + 1}"


class TableWriter(Writer):
    """A Writer over such a table, or with `locks` False a Reader."""

    def __init__(self, locks: bool) -> None:
        self.locks = locks

    # -- the six statements

    @abstractmethod
    def rows(self, column: str, values: Sequence[str], limit: int | None = None) -> list[str]:
        """The bodies of the rows whose `column` is one of `values`, in any order. Where the Writer `locks`, so does this."""

    @abstractmethod
    def between(self, column: str, low: str, high: str, limit: int) -> list[str]:
        """The bodies of the first rows with `low` <= `column` < `high`, in the order of `column`. It locks nothing."""

    @abstractmethod
    def due(self, kind: str, until: float | None, limit: int) -> list[str]:
        """The bodies of the first rows of a kind with `ripe` <= `until`, or not null, in the order of `ripe`; locked too."""

    @abstractmethod
    def add(self, row: Mapping[str, Any]) -> None:
        """Insert a row; raises Conflict where its `key` or `name` is taken."""

    @abstractmethod
    def put(self, row: Mapping[str, Any]) -> None:
        """Store a row in place of the one with its `key`."""

    @abstractmethod
    def drop(self, key: str) -> None:
        """Delete the row with this `key`."""

    # -- and what follows

    def complete(self, kind: str, records: list[Record]) -> list[Record]:
        """These records, all of one kind, with what stands elsewhere; those that are left out are not there."""
        return records

    def get_many(self, wanted: Sequence[tuple[str, Key]]) -> list[Record | None]:
        texts = [text_of(kind, key) for kind, key in wanted]
        if not texts:
            return []
        by_kind: dict[str, list[Record]] = {}
        for kind, record in map(_record, self.rows("key", texts)):
            by_kind.setdefault(kind, []).append(record)
        found: dict[str, Record] = {}
        for kind, records in by_kind.items():
            found.update((text_of(kind, KIND[kind].key_of(record)), record) for record in self.complete(kind, records))
        return [found.get(text) for text in texts]

    def find(self, kind: str, equal: Mapping[str, object], limit: int | None = None) -> list[Record]:
        column = _column(kind, tuple(equal))
        return self._read(kind, self.rows(column, [text_of(kind, list(equal.values()))], limit))

    def page(self, kind: str, after: Key | None, limit: int, by: tuple[str, ...] = ()) -> list[Record]:
        column, high = _column(kind, by) if by else "key", f"{kind}:{_PAST}"
        low = f"{text_of(kind, after)}0" if after is not None else f"{kind}:"
        found: list[Record] = []
        while len(found) < limit:
            records = records_in(self.between(column, low, high, limit))
            found += self.complete(kind, list(records))
            if len(records) < limit:
                break
            low = f"{text_of(kind, [records[-1][name] for name in by or KIND[kind].key])}0"  # some may have been left out
        return found[:limit]

    def ripe(self, kind: str, until: float | None, limit: int) -> list[Record]:
        return self._read(kind, self.due(kind, until, limit))

    def insert(self, kind: str, record: Record) -> None:
        self.add(row_of(kind, record))

    def replace(self, kind: str, record: Record) -> None:
        self.put(row_of(kind, record))

    def delete(self, kind: str, key: Key) -> None:
        self.drop(text_of(kind, key))

    def _read(self, kind: str, bodies: Sequence[str]) -> list[Record]:
        records = records_in(bodies)
        return self.complete(kind, records) if records else records
