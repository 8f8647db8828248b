"""What every part of the SQL store stands on: the database, and how a revocation is made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from sqlalchemy import Connection, bindparam, insert, select, update

from ..sealing import new_number
from .database import Database
from .prepared import Prepared
from .schema import REALM, change, feed

Entries: TypeAlias = list[tuple[str, str]]
_HEAD = Prepared(select(feed.c.head).where(feed.c.realm == REALM).with_for_update())
_MOVE = Prepared(update(feed).where(feed.c.realm == REALM).values(head=feed.c.head + bindparam("more"), epoch=bindparam("new")))
_ENTER = Prepared(insert(change).values(realm=REALM, **{name: bindparam(name) for name in ("number", "kind", "subject", "at")}))


class Part:
    """Has the `database` of the whole store; `durable_tokens` says that a token for a client itself waits for the disk too."""

    database: Database
    durable_tokens: bool = False

    @contextmanager
    def revoking(self, now: float) -> Iterator[tuple[Connection, Entries]]:
        """A transaction whose `entries` enter the feed as it commits, and after which the epoch is another one.

        The feed's row is locked first: numbers are in commit order, and revocations wait here and not for one another's rows.
        """
        with self.database.write() as connection:
            entries: Entries = []
            row = _HEAD.first(connection)
            yield connection, entries
            _MOVE.run(connection, more=len(entries), new=new_number())
            for number, (kind, subject) in enumerate(entries, (row.head if row else 0) + 1):
                _ENTER.run(connection, number=number, kind=kind, subject=subject, at=now)
            self.database.announce(connection)
        self.database.new_epoch()
