"""Signing keys, and jobs that outlive a process, in SQL."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, case, delete, func, insert, or_, select, update

from ..models import Job, SigningKey
from .database import add_row
from .part import Part
from .schema import REALM, job, key
from .values import key_of, key_record

_KEY = select(key).where(key.c.realm == REALM).order_by(key.c.algorithm, key.c.generation)


class Work(Part):
    """The part of the store about what the server itself needs."""

    def signing_keys(self) -> Sequence[SigningKey]:
        """All keys, by algorithm and generation."""
        with self.database.read() as connection:
            return [key_of(row._mapping) for row in connection.execute(_KEY)]

    def add_key(self, record: SigningKey, now: float) -> bool:
        """Insert; False where another process made this generation first. Every process then reads the keys again."""
        values = {**key_record(record), "realm": REALM}
        with self.revoking(now) as (connection, entries):
            done = add_row(connection, key, values)
            if done:
                entries.append(("key", record.kid))
        return done

    def update_key(self, kid: str, now: float, **changes: float | int | bytes) -> None:
        """Change the columns that are named, unless the key is revoked: nothing brings it back. What a revoked key signed is
        forgotten everywhere.
        """
        with self.revoking(now) as (connection, entries):
            living = (key.c.realm == REALM, key.c.kid == kid, key.c.revoked.is_(None))
            if connection.execute(update(key).where(*living).values(changes)).rowcount:
                entries.append(("key", kid))

    def delete_key(self, kid: str) -> None:
        """Delete a key that nothing valid depends on any more."""
        with self.revoking(0) as (connection, _):
            connection.execute(delete(key).where(key.c.realm == REALM, key.c.kid == kid))

    def add_job(self, record: Job) -> None:
        values = {"id": record.id, "realm": REALM, "name": record.name, "payload": json.dumps(dict(record.payload))}
        with self.database.write() as connection:
            connection.execute(insert(job).values(**values, due=record.due, attempts=record.attempts))

    def take_jobs(self, now: float, lease: float, limit: int = 10) -> Sequence[Job]:
        """The jobs that are due, for this process alone until `lease`: one that dies leaves them to the others then."""
        free = (job.c.realm == REALM, job.c.due <= now, or_(job.c.lease.is_(None), job.c.lease <= now))
        query = select(job).where(*free).order_by(job.c.due).limit(limit)
        with self.database.read() as connection:
            if connection.execute(query).first() is None:  # most looks find nothing and write nothing
                return ()
        with self.database.write() as connection:
            rows = connection.execute(query.with_for_update(skip_locked=True)).all()
            taken = update(job).where(job.c.id.in_([row.id for row in rows]))
            connection.execute(taken.values(lease=lease, attempts=job.c.attempts + 1))
        return [Job(row.id, row.name, json.loads(row.payload), row.due, row.attempts + 1, lease) for row in rows]

    def next_job(self) -> float | None:
        """When there will be something to take: the earliest that is due and not leased; None where there are no jobs."""
        free = case((job.c.lease > job.c.due, job.c.lease), else_=job.c.due)
        with self.database.read() as connection:
            return connection.execute(select(func.min(free)).where(job.c.realm == REALM)).scalar()

    def postpone_job(self, record: Job, due: float) -> None:
        """Give a job that was taken back, to be tried again at `due`; nothing where the lease ran out and another took it."""
        with self.database.write() as connection:
            connection.execute(update(job).where(*_held(record)).values(due=due, lease=None))

    def finish_job(self, record: Job) -> None:
        with self.database.write() as connection:
            connection.execute(delete(job).where(*_held(record)))


def _held(record: Job) -> tuple[ColumnElement[bool], ...]:
    return job.c.id == record.id, job.c.lease == record.lease


def keys_by_generation(connection: Connection) -> None:
    """Version 3 of the schema: the table of keys, which nothing used before, with one key a generation."""
    key.drop(connection)
    key.create(connection)
