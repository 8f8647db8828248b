"""SqlStore: the whole Store protocol in SQL, on SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Integer,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    case,
    delete,
    exists,
    or_,
    select,
    tuple_,
    update,
)

from . import Changes, Count, Store, migrations
from .access import Allowed
from .database import Database, Interrupted, add_row, rerun
from .grants import Grants
from .logins import Logins
from .prepared import Prepared
from .registry import Registry
from .schema import REALM, change, consent, counter, entry, feed, grant, meta, session, token
from .transfer import Transfer
from .work import Work

FEED_KEPT = 10_000  # entries; a process that slept through more of them drops its whole cache
RETENTION = 86_400  # seconds that a redeemed token or an ended grant is kept so that its replay is still recognised
WALK = 1000  # rows of the token table that one purge looks at
LAST = (1 << 63) - 1  # beyond every number
BATCH = 250  # rows that a sweep deletes at once
PAGE = 10_000  # rows that it reads at once


class SqlStore(Registry, Grants, Allowed, Logins, Work, Transfer):
    """See `oauth_gateway.store.Store`."""

    def __init__(self, database: Database, durable_tokens: bool = False) -> None:
        self.database = database
        self.durable_tokens = durable_tokens
        self.place, self.poll, self.epoch_is_near = database.place, database.poll, database.epoch_is_near
        self._cursor = 0

    @property
    def epoch(self) -> Callable[[], bytes]:
        """The database's own function, so that nothing of ours is called for every request."""
        return self.database.epoch

    @property
    def last_epoch(self) -> Callable[[], bytes]:
        return self.database.last_epoch

    # -- what this deployment is

    def prepare(self) -> None:
        """Make what is missing: database file, tables, the feed's first row."""
        self.database.check_place()
        migrations.create(self.database)
        self.check()
        with self.database.read() as connection:
            known = connection.execute(select(feed.c.head).where(feed.c.realm == REALM)).first()
        if known is None:
            with self.database.write() as connection:
                add_row(connection, feed, {"realm": REALM, "head": 0, "floor": 0, "epoch": 0})

    def migrate(self, tell: Callable[[str], None] = lambda _: None, *, contract: bool = False) -> bool:
        """Bring the schema up to date; False where it was."""
        return migrations.migrate(self.database, tell, contract=contract)

    def check(self) -> None:
        """Raise ConfigurationError where the database is not ours, or its schema not one that this code can serve on."""
        migrations.check(self.database)

    def advice(self) -> Sequence[str]:
        return self.database.advice()

    def meta(self, name: str) -> str | None:
        with self.database.read() as connection:
            return connection.execute(select(meta.c.value).where(meta.c.realm == REALM, meta.c.name == name)).scalar()

    def set_meta(self, name: str, value: str, *, replace: bool = False) -> str:
        """Record a value once, or again with `replace`; what is recorded then, whoever came first, is returned."""
        with self.database.write() as connection:
            if not add_row(connection, meta, {"realm": REALM, "name": name, "value": value}) and replace:
                known = update(meta).where(meta.c.realm == REALM, meta.c.name == name)
                connection.execute(known.values(value=value))
            query = select(meta.c.value).where(meta.c.realm == REALM, meta.c.name == name)
            return str(connection.execute(query).scalar_one())

    # -- the change feed

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
            return add_row(connection, entry, {"realm": REALM, "space": space, "key": key, "expires": expires})

    def has(self, space: str, key: str, now: float) -> bool:
        where = (entry.c.realm == REALM, entry.c.space == space, entry.c.key == key, entry.c.expires > now)
        with self.database.read() as connection:
            return connection.execute(select(entry.c.key).where(*where)).first() is not None

    def count(self, space: str, key: str, window: int, now: float, amount: int = 1) -> Count:
        """Add `amount` to a counter that starts anew `window` seconds after its first count; atomic across processes."""
        where = (counter.c.realm == REALM, counter.c.space == space, counter.c.key == key)
        with self.database.write(durable=False) as connection:
            connection.execute(delete(counter).where(*where, counter.c.expires <= now))
            first = {"realm": REALM, "space": space, "key": key, "value": max(amount, 0), "expires": now + window}
            if not add_row(connection, counter, first):
                more = update(counter).where(*where).values(value=counter.c.value + amount)
                if connection.execute(more).rowcount != 1:
                    raise Interrupted("the counter was forgotten meanwhile")
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
            for table, expired in _EXPIRED.items():
                removed += _delete(connection, table, expired.all(connection, now=now, limit=limit))
            row = _HEAD.first(connection)
            old = row.head - FEED_KEPT if row else 0
            if old > 0:
                connection.execute(update(feed).where(feed.c.realm == REALM, feed.c.floor < old).values(floor=old))
                removed += _delete(connection, change, _OLD_CHANGES.all(connection, old=old, limit=limit))
        return removed

    def sweep(self, now: float) -> Iterator[int]:
        """Delete everything that has expired, and grants and consents that nothing is left of; yields how many a batch was."""
        self._cursor, walking = 0, True
        while walking:
            removed = self.purge(now, BATCH)
            walking = removed > 0 or self._cursor != 0
            yield removed
        yield from self._sweep_grants(now)

    def _purge_tokens(self, connection: Connection, now: float, limit: int) -> int:
        """Walk the tokens by their key, a window a time: no index on the expiry, which every insert would pay for."""
        row = _WINDOW.first(connection, after=self._cursor)
        end = LAST if row is None else row.id
        dead = [row.id for row in _DEAD.all(connection, after=self._cursor, end=end, now=now, limit=limit)]
        if dead:
            connection.execute(delete(token).where(token.c.id.in_(dead)))
        self._cursor = dead[-1] if len(dead) == limit else 0 if row is None else end
        return len(dead)

    def _sweep_grants(self, now: float) -> Iterator[int]:
        """Grants of which no token is left, found by two walks: a join would need an index, which every insert would pay for,
        and last the longer the more rows there are. No grant without a token gets one again.
        """
        # a session's grants say whom to tell of its end
        whose = session.c.user_id == grant.c.user_id  # has the index
        living = exists().where(whose, session.c.sid == grant.c.session, session.c.expires > now)
        over = and_(grant.c.created < now - RETENTION, or_(grant.c.session.is_(None), ~living))
        old = array("q", (row.id for row in self._walk(select(grant.c.id, over.label("over")), grant.c.id) if row.over))
        left = bytearray(len(old))
        for row in self._walk(select(token.c.id, token.c.grant_id), token.c.id):
            if row.grant_id is not None:
                place = bisect_left(old, row.grant_id)
                if place < len(old) and old[place] == row.grant_id:
                    left[place] = True
        dead = [number for number, has_some in zip(old, left, strict=True) if not has_some]
        for start in range(0, len(dead), BATCH):
            yield self._delete_at_once(grant, grant.c.id.in_(dead[start : start + BATCH]))
        yield self._delete_at_once(consent, consent.c.revoked < now - RETENTION)

    def _delete_at_once(self, table: Table, which: ColumnElement[bool]) -> int:
        """In a transaction of its own: none is left open while whoever sweeps does something else."""
        with self.database.write() as connection:
            return connection.execute(delete(table).where(which)).rowcount

    def _walk(self, query: Select[Any], key: ColumnElement[int]) -> Iterator[Row[Any]]:
        """All rows in the order of `key`, read in pages: no statement lasts longer for more rows."""
        after = -1
        while True:
            with self.database.read() as connection:
                rows = connection.execute(query.where(key > after).order_by(key).limit(PAGE)).all()
            yield from rows
            if len(rows) < PAGE:
                return
            after = rows[-1].id

    def close(self) -> None:
        self.database.close()


def _keys(table: Table, which: ColumnElement[bool]) -> Prepared:
    """The keys of rows to be deleted; of none that another transaction has just in hand."""
    query = select(*table.primary_key.columns).where(which).limit(bindparam("limit", type_=Integer))
    return Prepared(query.with_for_update(skip_locked=True))


_NOW = bindparam("now", type_=Double)
_HEAD = Prepared(select(feed.c.head).where(feed.c.realm == REALM))
_EXPIRED = {table: _keys(table, table.c.expires <= _NOW) for table in (session, entry, counter)}
_OLD_CHANGES = _keys(change, and_(change.c.realm == REALM, change.c.number <= bindparam("old")))
_AFTER = select(token.c.id).where(token.c.id > bindparam("after")).order_by(token.c.id)
_WINDOW = Prepared(_AFTER.offset(WALK - 1).limit(1))
# a replayed code or refresh token must still be recognised
_KEPT = case((token.c.kind == "access_token", 60), else_=RETENTION)
_DEAD = Prepared(
    _AFTER.where(token.c.id <= bindparam("end"), token.c.expires <= _NOW - _KEPT).limit(bindparam("limit", type_=Integer))
)


def _delete(connection: Connection, table: Table, found: Sequence[Any]) -> int:
    """Delete the rows with the keys `found`."""
    keys = list(table.primary_key.columns)
    if not found:
        return 0
    if len(keys) == 1:
        return connection.execute(delete(table).where(keys[0].in_([row[0] for row in found]))).rowcount
    return connection.execute(delete(table).where(tuple_(*keys).in_([tuple(row) for row in found]))).rowcount


for _name in [name for name in dir(Store) if not name.startswith("_")]:
    if callable(_method := getattr(SqlStore, _name)) and _name != "sweep":
        setattr(SqlStore, _name, rerun(_method))
