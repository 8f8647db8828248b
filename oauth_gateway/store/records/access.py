"""What clients may do in a person's name, and taking it back."""

from __future__ import annotations

from collections.abc import Sequence

from ...models import public_id
from .. import Access
from ..kinds import Record
from ..values import client_of
from .grants import revoked
from .part import Part, changed
from .primitives import Writer

BATCH = 500  # grants that one transaction ends


class Allowed(Part):
    """The part of the store about what a person allowed."""

    def access(self, user_id: str, now: float, after: int = 0, limit: int = 100) -> Sequence[Access]:
        """A page of what clients may do in the person's name, in the order of the clients' numbers, after the one numbered
        `after`. A client is there while a consent or grant of it lives.
        """
        given: dict[int, list[Record]] = {}
        with self.records.reading() as reader:
            for kind in ("consent", "grant"):
                for record in reader.find(kind, {"user_id": user_id}):
                    expires = record.get("expires")
                    if record["client"] > after and record["revoked"] is None and (expires is None or expires > now):
                        given.setdefault(record["client"], []).append(record)
            page: list[Access] = []
            numbers = sorted(given)
            while numbers and len(page) < limit:  # clients that are gone do not make a page shorter
                wanted, numbers = numbers[: limit - len(page)], numbers[limit - len(page) :]
                clients = reader.get_many([("client", (number,)) for number in wanted])
                page += [_summary(client, given[client["number"]]) for client in clients if client is not None]
        return page

    def revoke_access(self, user_id: str, client: int | None, now: float) -> bool:
        """End all consents and grants that the person gave this client, or with None every client. Whether there were any.

        Consents end first: no grant can be based on them from there on. A client with many grants takes several transactions.
        """

        def work(writer: Writer) -> int:
            mine = [
                (kind, record)
                for kind in ("consent", "grant")
                for record in writer.find(kind, {"user_id": user_id})
                if record["revoked"] is None and client in (None, record["client"])
            ]
            for kind, record in mine[:BATCH]:
                writer.replace(kind, revoked(record, now) if kind == "grant" else changed(record, revoked=now))
            entries = [("grant", public_id(record["id"])) for kind, record in mine[:BATCH] if kind == "grant"]
            writer.announce(entries, now)
            return len(mine)

        left = found = self._write(now, work)
        while left > BATCH:
            left = self._write(now, work)
        return found > 0


def _summary(client: Record, records: Sequence[Record]) -> Access:
    """One client's living consents and grants as what they allow together."""
    scopes = {scope for record in records for scope in record["scope"].split()}
    used = max(record.get("last_used") or record["created"] for record in records)
    return Access(client_of(client), " ".join(sorted(scopes)), min(record["created"] for record in records), used)
