"""Records as they go from one store to another, in SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, String, delete, func, insert, select, tuple_

from .kinds import COPIED, KIND
from .part import Part
from .schema import REALM, change, feed, metadata

LOCAL = ("schema", "oldest code", COPIED)  # what meta says of this database and no other


class Transfer(Part):
    """The part of the store that `oauth-gateway copy` uses. A kind is a table's name without `oauth_`."""

    def size(self, kind: str) -> int:
        """How many records of a kind there are."""
        table = metadata.tables[f"oauth_{kind}"]
        with self.database.read() as connection:
            return int(connection.execute(select(func.count()).select_from(table).where(*_copied(kind))).scalar_one())

    def dump(self, kind: str, after: Sequence[Any] | None = None, limit: int = 1000) -> Sequence[dict[str, Any]]:
        """At most `limit` records of a kind, in the binary order of their keys, after the one with this key."""
        table = metadata.tables[f"oauth_{kind}"]
        keys = [self._binary(table.c[name]) for name in KIND[kind].key]
        query = select(table).where(*_copied(kind)).order_by(*keys).limit(limit)
        if after is not None:
            if not keys:
                return []
            query = query.where(keys[0] > after[0] if len(keys) == 1 else tuple_(*keys) > tuple_(*after))
        with self.database.read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def load(self, kind: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Insert records or replace those with their keys, in one transaction. Of the feed only its head is kept: no process
        may go on from a position in another feed, and the entries before it are not loaded.
        """
        if kind == "change" or not records:
            return
        table = metadata.tables[f"oauth_{kind}"]
        if kind == "feed":
            return self._load_feed(records[0])
        names = set(table.columns.keys())
        rows = [{name: value for name, value in record.items() if name in names} | {"realm": REALM} for record in records]
        with self.database.write() as connection:
            _delete(connection, kind, [KIND[kind].key_of(record) for record in records])
            connection.execute(insert(table), rows)

    def unload(self, kind: str, keys: Sequence[Sequence[Any]]) -> None:
        """Delete the records with these keys."""
        with self.database.write() as connection:
            _delete(connection, kind, keys)

    def _load_feed(self, given: Mapping[str, Any]) -> None:
        with self.revoking(0) as (connection, _):
            here = connection.execute(select(feed.c.head).where(feed.c.realm == REALM)).scalar_one()
            head = max(here, given["head"])
            connection.execute(delete(change).where(change.c.realm == REALM))
            connection.execute(feed.update().where(feed.c.realm == REALM).values(head=head, floor=head))

    def _binary(self, column: Column[Any]) -> ColumnElement[Any]:
        """For comparing in the order of its bytes, which is the same on every engine."""
        collation = self.database.binary_collation
        return column.collate(collation) if collation and isinstance(column.type, String) else column


def _delete(connection: Connection, kind: str, keys: Sequence[Sequence[Any]]) -> None:
    table = metadata.tables[f"oauth_{kind}"]
    columns = [table.c[name] for name in KIND[kind].key]
    if not columns or not keys:
        return
    one = len(columns) == 1
    which = columns[0].in_([key[0] for key in keys]) if one else tuple_(*columns).in_([tuple(key) for key in keys])
    connection.execute(delete(table).where(which, *_copied(kind)))


def _copied(kind: str) -> list[ColumnElement[bool]]:
    table = metadata.tables[f"oauth_{kind}"]
    own = [table.c.name.not_in(LOCAL)] if kind == "meta" else []
    return [table.c.realm == REALM, *own]
