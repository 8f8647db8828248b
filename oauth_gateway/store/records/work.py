"""Signing keys, and jobs that outlive a process."""

from __future__ import annotations

from collections.abc import Sequence

from ...models import Job, SigningKey
from ..kinds import KIND, Record
from ..values import job_of, job_record, key_of, key_record, ripened
from .part import Part, changed
from .primitives import Writer

PAGE = 100


class Work(Part):
    """The part of the store about what the server itself needs."""

    def signing_keys(self) -> Sequence[SigningKey]:
        """All keys, by algorithm and generation."""
        with self.records.reading() as reader:
            records = page = reader.page("key", None, PAGE)
            while len(page) == PAGE:
                page = reader.page("key", KIND["key"].key_of(page[-1]), PAGE)
                records = [*records, *page]
        return [key_of(record) for record in records]

    def add_key(self, key: SigningKey, now: float) -> bool:
        """Insert; False where another process made this generation first. Every process then reads the keys again."""

        def work(writer: Writer) -> bool:
            free = writer.get("key", key.algorithm, key.generation) is None
            if free:
                writer.insert("key", key_record(key))
            writer.announce([("key", key.kid)] if free else (), now)
            return free

        return self._write(now, work)

    def update_key(self, kid: str, now: float, **changes: float | int | bytes) -> None:
        """Change the columns that are named, unless the key is revoked: nothing brings it back. What a revoked key signed is
        forgotten everywhere.
        """

        def work(writer: Writer) -> None:
            living = [record for record in writer.find("key", {"kid": kid}) if record["revoked"] is None]
            for record in living:
                writer.replace("key", changed(record, **changes))
            writer.announce([("key", kid)] if living else (), now)

        self._write(now, work)

    def delete_key(self, kid: str) -> None:
        """Delete a key that nothing valid depends on any more."""

        def work(writer: Writer) -> None:
            for record in writer.find("key", {"kid": kid}):
                writer.delete("key", (record["algorithm"], record["generation"]))
            writer.announce((), 0)

        self._write(0, work)

    def add_job(self, job: Job) -> None:
        record = job_record(job)
        self._write(0, lambda writer: writer.insert("job", record.copy()))

    def take_jobs(self, now: float, lease: float, limit: int = 10) -> Sequence[Job]:
        """The jobs that are due, for this process alone until `lease`: one that dies leaves them to the others then."""
        with self.records.reading() as reader:
            if not reader.ripe("job", now, 1):  # most looks find nothing and write nothing
                return ()

        def work(writer: Writer) -> list[Record]:
            taken = writer.ripe("job", now, limit)
            for record in taken:
                writer.replace("job", ripened("job", changed(record, lease=lease, attempts=record["attempts"] + 1)))
            return taken

        return tuple(job_of(record) for record in self._write(now, work))

    def next_job(self) -> float | None:
        """When there will be something to take: the earliest that is due and not leased; None where there are no jobs."""
        with self.records.reading() as reader:
            first = reader.ripe("job", None, 1)
        return float(first[0]["ripe"]) if first else None

    def postpone_job(self, job: Job, due: float) -> None:
        """Give a job that was taken back, to be tried again at `due`; nothing where the lease ran out and another took it."""

        def work(writer: Writer) -> None:
            record = writer.get("job", job.id)
            if record is not None and record["lease"] == job.lease:
                writer.replace("job", ripened("job", changed(record, due=due, lease=None)))

        self._write(0, work)

    def finish_job(self, job: Job) -> None:
        def work(writer: Writer) -> None:
            record = writer.get("job", job.id)
            if record is not None and record["lease"] == job.lease:
                writer.delete("job", (job.id,))

        self._write(0, work)
