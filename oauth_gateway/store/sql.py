"""SqlStore: the whole Store protocol in SQL, so far on SQLite."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, delete, insert, literal_column, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from ..errors import ConfigurationError
from . import Changes, Count
from .grants import Grants
from .logins import Logins
from .registry import Registry, every_origin
from .schema import REALM, VERSION, change, consent, counter, entry, feed, grant, meta, session, token
from .sqlite import Database
from .work import Work, keys_by_generation

FEED_KEPT = 10_000  # entries; a process that slept through more of them drops its whole cache
ROWID: ColumnElement[int] = literal_column("rowid")
RETENTION = 86_400  # seconds that a redeemed token or an ended grant is kept so that its replay is still recognised
WALK = 1000  # rows of the token table that one purge looks at


class SqlStore(Registry, Grants, Logins, Work):
    """See `oauth_gateway.store.Store`; `url` is `sqlite:///FILE` or `sqlite://`."""

    def __init__(self, url: str) -> None:
        file = url.removeprefix("sqlite://").removeprefix("/")
        self.path = Path(file).resolve() if file else None  # one file, one epoch, whatever links lead to it
        self.database = Database(self.path)
        self.epoch: Callable[[], bytes] = self.database.epoch  # no call of our own on the protected road
        self._cursor = 0

    # -- what this deployment is

    def prepare(self) -> None:
        """Make what is missing: file, tables, the feed's first row."""
        if self.path is not None and not self.path.parent.is_dir():
            raise ConfigurationError(f"database: the folder {self.path.parent} does not exist; create it first")
        if self.path is not None and not os.access(self.path.parent, os.W_OK):
            raise ConfigurationError(
                f"database: the folder {self.path.parent} is not writable; SQLite keeps files beside {self.path.name}"
            )
        if self.path is None or not self.path.is_dir():
            self.database.create()
        self.check()
        with self.database.read() as connection:
            known = connection.execute(select(feed.c.head).where(feed.c.realm == REALM)).first()
        if known is None:
            with self.database.write() as connection:
                connection.execute(upsert(feed).values(realm=REALM, head=0, floor=0).on_conflict_do_nothing())

    def migrate(self) -> bool:
        """Bring the schema up to date; False where it was."""
        return self.database.migrate({2: every_origin, 3: keys_by_generation})

    def check(self) -> None:
        """Raise ConfigurationError where the file is no database of ours, or of another version than this code."""
        if self.path is not None and self.path.is_dir():
            raise ConfigurationError(f"database: {self.path} is a folder; name a file")
        version = self.database.version()
        if version > VERSION:
            raise ConfigurationError(
                f"database: its schema has version {version}, this code knows {VERSION}; upgrade oauth-gateway"
            )
        with self.database.read() as connection:
            if version and not self.database.is_ours(connection):
                raise ConfigurationError(f"database: {self.path} is another program's SQLite file; name another file")
        if version < VERSION:
            raise ConfigurationError(
                f"database: its schema has version {version}, this code needs {VERSION}; run oauth-gateway migrate"
            )

    def meta(self, name: str) -> str | None:
        with self.database.read() as connection:
            return connection.execute(select(meta.c.value).where(meta.c.realm == REALM, meta.c.name == name)).scalar()

    def set_meta(self, name: str, value: str, *, replace: bool = False) -> str:
        """Record a value once, or again with `replace`; what is recorded then, whoever came first, is returned."""
        statement = upsert(meta).values(realm=REALM, name=name, value=value)
        with self.database.write() as connection:
            if replace:
                keys = [meta.c.realm, meta.c.name]
                connection.execute(statement.on_conflict_do_update(index_elements=keys, set_={"value": value}))
            else:
                connection.execute(statement.on_conflict_do_nothing())
            query = select(meta.c.value).where(meta.c.realm == REALM, meta.c.name == name)
            return str(connection.execute(query).scalar_one())

    # -- the change feed

    def _feed(self, connection: Connection, entries: Sequence[tuple[str, str]], now: float) -> None:
        connection.execute(update(feed).where(feed.c.realm == REALM).values(head=feed.c.head + len(entries)))
        head = connection.execute(select(feed.c.head).where(feed.c.realm == REALM)).scalar_one()
        first = head - len(entries) + 1
        for number, (kind, subject) in enumerate(entries, first):
            connection.execute(insert(change).values(realm=REALM, number=number, kind=kind, subject=subject, at=now))

    def changes(self, position: int) -> Changes:
        """What was revoked after `position`; not complete where the feed no longer reaches back that far."""
        query = (
            select(feed.c.head, feed.c.floor, change.c.number, change.c.kind, change.c.subject)
            .join_from(feed, change, (change.c.realm == feed.c.realm) & (change.c.number > position), isouter=True)
            .where(feed.c.realm == REALM)
            .order_by(change.c.number)
        )
        with self.database.read() as connection:
            rows = connection.execute(query).all()
        if not rows:
            return Changes(0, (), False)
        head, floor = rows[0].head, rows[0].floor
        entries = tuple((row.kind, row.subject) for row in rows if row.number is not None)
        return Changes(head, entries, floor <= position <= head)

    def watch(self) -> bool:
        return self.database.watch()

    # -- insert-only keys and throttles

    def add(self, space: str, key: str, expires: float, now: float) -> bool:
        """Remember `key` until `expires`; False where it is remembered already (replay of a jti, say)."""
        where = (entry.c.realm == REALM, entry.c.space == space, entry.c.key == key)
        with self.database.write() as connection:
            connection.execute(delete(entry).where(*where, entry.c.expires <= now))
            statement = upsert(entry).values(realm=REALM, space=space, key=key, expires=expires)
            return connection.execute(statement.on_conflict_do_nothing()).rowcount == 1

    def has(self, space: str, key: str, now: float) -> bool:
        where = (entry.c.realm == REALM, entry.c.space == space, entry.c.key == key, entry.c.expires > now)
        with self.database.read() as connection:
            return connection.execute(select(entry.c.key).where(*where)).first() is not None

    def count(self, space: str, key: str, window: int, now: float, amount: int = 1) -> Count:
        """Add `amount` to a counter that starts anew `window` seconds after its first count; atomic across processes."""
        where = (counter.c.realm == REALM, counter.c.space == space, counter.c.key == key)
        with self.database.write(durable=False) as connection:
            connection.execute(delete(counter).where(*where, counter.c.expires <= now))
            keys = [counter.c.realm, counter.c.space, counter.c.key]
            first = upsert(counter).values(realm=REALM, space=space, key=key, value=max(amount, 0), expires=now + window)
            connection.execute(first.on_conflict_do_update(index_elements=keys, set_={"value": counter.c.value + amount}))
            row = connection.execute(select(counter.c.value, counter.c.expires).where(*where)).one()
        return Count(row.value, max(1, round(row.expires - now)))

    def forget_count(self, space: str, key: str) -> None:
        with self.database.write(durable=False) as connection:
            connection.execute(delete(counter).where(counter.c.realm == REALM, counter.c.space == space, counter.c.key == key))

    # -- housekeeping

    def purge(self, now: float, limit: int = 100) -> int:
        """Delete at most about `limit` expired rows a table and say how many; called now and then after a commit."""
        with self.database.write(durable=False) as connection:
            removed = self._purge_tokens(connection, now, limit)
            for table in (session, entry, counter):
                rows = select(ROWID).select_from(table).where(table.c.expires <= now).limit(limit)
                removed += connection.execute(delete(table).where(ROWID.in_(rows))).rowcount
            head = connection.execute(select(feed.c.head).where(feed.c.realm == REALM)).scalar() or 0
            old = head - FEED_KEPT
            if old > 0:
                connection.execute(update(feed).where(feed.c.realm == REALM, feed.c.floor < old).values(floor=old))
                oldest = change.c.number <= old
                rows = select(change.c.number).where(change.c.realm == REALM, oldest).limit(limit)
                removed += connection.execute(delete(change).where(change.c.number.in_(rows))).rowcount
        return removed

    def _purge_tokens(self, connection: Connection, now: float, limit: int) -> int:
        """Walk the tokens by their key, a window a time: no index on the expiry, which every insert would pay for."""
        query = select(token.c.id, token.c.kind, token.c.expires, token.c.grant_id).where(token.c.id > self._cursor)
        rows = connection.execute(query.order_by(token.c.id).limit(WALK)).all()
        dead = [row.id for row in rows if row.expires + _kept(row.kind) <= now][:limit]
        if dead:
            connection.execute(delete(token).where(token.c.id.in_(dead)))
        self._cursor = rows[-1].id if len(rows) == WALK and len(dead) < limit else dead[-1] if len(dead) == limit else 0
        return len(dead)

    @property
    def walked(self) -> bool:
        """Whether the purge has reached the end of the tokens and starts at their beginning next."""
        return self._cursor == 0

    def purge_grants(self, now: float, limit: int = 100) -> int:
        """Delete grants without a single token left, and revoked consents; for `oauth-gateway purge`."""
        with self.database.write() as connection:
            alive = select(token.c.grant_id).where(token.c.grant_id.is_not(None))
            # a session's grants say whom to tell of its end
            over = or_(grant.c.session.is_(None), grant.c.session.not_in(select(session.c.sid).where(session.c.expires > now)))
            old = select(grant.c.id).where(grant.c.created < now - RETENTION, grant.c.id.not_in(alive), over).limit(limit)
            removed = connection.execute(delete(grant).where(grant.c.id.in_(old))).rowcount
            return removed + connection.execute(delete(consent).where(consent.c.revoked < now - RETENTION)).rowcount

    def close(self) -> None:
        self.database.close()


def _kept(kind: str) -> int:
    """Seconds a token outlives its expiry: a replayed code or refresh token must still be recognised."""
    return 60 if kind == "access_token" else RETENTION
