"""Records in this process: what the primitives of `oauth_gateway.store.records` owe, at its shortest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from ..forks import reset_in_children
from ..store.records import KIND, Conflict, Key, Reader, Record, Records, Writer

Place = tuple[str, Key]


class MemoryRecords(Records):
    """A dict and a lock: one transaction at a time. Used wrongly it raises RuntimeError."""

    def __init__(self) -> None:
        self.records: dict[Place, Record] = {}
        self.reset()
        reset_in_children(self)

    def reset(self) -> None:
        self._lock = threading.RLock()

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        with self._lock:
            yield _Transaction(self.records)

    @contextmanager
    def writing(self, now: float) -> Iterator[Writer]:
        with self._lock:
            transaction = _Transaction(self.records)
            yield transaction
            transaction.commit()


class _Transaction(Writer):
    def __init__(self, records: dict[Place, Record]) -> None:
        self._records = records
        self._seen: set[Place] = set()
        self._written: dict[Place, Record | None] = {}
        self._told = False

    def get_many(self, wanted: Sequence[Place]) -> list[Record | None]:
        self._seen.update(wanted)
        found = [self._written.get(place, self._records.get(place)) for place in wanted]
        return [dict(record) if record is not None else None for record in found]

    def find(self, kind: str, equal: Mapping[str, object], limit: int | None = None) -> list[Record]:
        if tuple(equal) not in (*KIND[kind].unique, *KIND[kind].found) or None in equal.values():
            raise RuntimeError(f"{kind} is not looked up by {equal}")
        return self._of(kind, lambda record: all(record[column] == value for column, value in equal.items()))[:limit]

    def page(self, kind: str, after: Key | None, limit: int, by: tuple[str, ...] = ()) -> list[Record]:
        def order(record: Record) -> Key:
            return tuple(record[column] for column in by or KIND[kind].key)

        return sorted(self._of(kind, lambda record: after is None or order(record) > after), key=order)[:limit]

    def ripe(self, kind: str, until: float | None, limit: int) -> list[Record]:
        records = self._of(kind, lambda record: record["ripe"] is not None and (until is None or record["ripe"] <= until))
        return sorted(records, key=lambda record: float(record["ripe"]))[:limit]

    def _of(self, kind: str, wanted: Callable[[Record], bool]) -> list[Record]:
        places = [place for place, record in self._records.items() if place[0] == kind and wanted(record)]
        return [record for record in self.get_many(places) if record is not None]

    def insert(self, kind: str, record: Record) -> None:
        place = (kind, KIND[kind].key_of(record))
        taken = [self.find(kind, {column: record[column] for column in columns}) for columns in KIND[kind].unique]
        if self._written.get(place, self._records.get(place)) is not None or any(taken):
            raise Conflict(f"{kind} {place[1]} is there")
        self._write(place, record)

    def replace(self, kind: str, record: Record) -> None:
        self._write(self._known(kind, KIND[kind].key_of(record)), record)

    def delete(self, kind: str, key: Key) -> None:
        self._write(self._known(kind, key), None)

    def announce(self, entries: Sequence[tuple[str, str]], now: float) -> None:
        super().announce(entries, now)
        self._told = True

    def _known(self, kind: str, key: Key) -> Place:
        if (kind, key) not in self._seen:
            raise RuntimeError(f"{kind} {key} was not read before it is written")
        return kind, key

    def _write(self, place: Place, record: Record | None) -> None:
        if self._told:
            raise RuntimeError(f"{place[0]} {place[1]} is written after what it is about was announced")
        if record is not None and set(record) != {*KIND[place[0]].columns, *(["ripe"] if KIND[place[0]].ripens else [])}:
            raise RuntimeError(f"a {place[0]} has other columns than {sorted(record)}")
        self._seen.add(place)
        self._written[place] = dict(record) if record is not None else None

    def commit(self) -> None:
        for place, record in self._written.items():
            if record is None:
                del self._records[place]
            else:
                self._records[place] = record
