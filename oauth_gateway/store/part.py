"""What every part of the SQL store stands on: the database, and how a revocation is made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from sqlalchemy import Connection, insert, select, update

from ..sealing import new_number
from .database import Database
from .schema import REALM, change, feed

Entries: TypeAlias = list[tuple[str, str]]


class Part:
    """Has the `database` of the whole store."""

    database: Database

    @contextmanager
    def revoking(self, now: float) -> Iterator[tuple[Connection, Entries]]:
        """A transaction whose `entries` enter the feed as it commits, and after which the epoch is another one.

        The feed's row is locked first: numbers are in commit order, and revocations wait here and not for one another's rows.
        """
        with self.database.write() as connection:
            entries: Entries = []
            head = connection.execute(select(feed.c.head).where(feed.c.realm == REALM).with_for_update()).scalar() or 0
            yield connection, entries
            after = {"head": feed.c.head + len(entries), "epoch": new_number()}
            connection.execute(update(feed).where(feed.c.realm == REALM).values(after))
            rows = [
                {"realm": REALM, "number": number, "kind": kind, "subject": subject, "at": now}
                for number, (kind, subject) in enumerate(entries, head + 1)
            ]
            if rows:
                connection.execute(insert(change), rows)
            self.database.announce(connection)
        self.database.new_epoch()
