"""What clients may do in a person's name, and taking it back, in SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, Select, func, null, or_, select, union_all, update

from ..models import Client, public_id
from . import Access
from .part import Part
from .schema import REALM, client, consent, grant
from .values import client_of

BATCH = 500  # grants that one transaction ends


class Allowed(Part):
    """The part of the store about what a person allowed."""

    def access(self, user_id: str, now: float, after: int = 0, limit: int = 100) -> Sequence[Access]:
        """A page of what clients may do in the person's name, in the order of the clients' numbers, after the one numbered
        `after`. A client is there while a consent or grant of it lives.
        """
        living = _living(user_id, now)
        numbers = select(living.c.client).join(client, client.c.number == living.c.client).distinct()
        page = numbers.where(living.c.client > after).order_by(living.c.client).limit(limit)
        with self.database.read() as connection:
            found = [row.client for row in connection.execute(page)]
            if not found:
                return []
            clients = connection.execute(select(client).where(client.c.number.in_(found)))
            known = {row.number: client_of(row._mapping) for row in clients}
            rows = connection.execute(select(living).where(living.c.client.in_(found))).all()
        return [summary(known[number], [row for row in rows if row.client == number]) for number in found if number in known]

    def revoke_access(self, user_id: str, number: int | None, now: float) -> bool:
        """End all consents and grants that the person gave this client, or with None every client. Whether there were any.

        Consents end first: no grant can be based on them from there on. A client with many grants takes several transactions.
        """
        whose = (
            consent.c.user_id == user_id,
            consent.c.revoked.is_(None),
            *([consent.c.client == number] if number is not None else []),
        )
        with self.database.write() as connection:
            some = connection.execute(update(consent).where(*whose).values(revoked=now)).rowcount > 0
        while (done := self._revoke_grants(user_id, number, now)) > 0:
            some = True
            if done < BATCH:
                break
        return some

    def _revoke_grants(self, user_id: str, number: int | None, now: float) -> int:
        whose = (
            grant.c.user_id == user_id,
            grant.c.revoked.is_(None),
            *([grant.c.client == number] if number is not None else []),
        )
        with self.revoking(now) as (connection, entries):
            found = [row.id for row in connection.execute(select(grant.c.id).where(*whose).limit(BATCH))]
            ended = update(grant).where(grant.c.id.in_(found)).values(revoked=now, sealed=None, sealed_until=None)
            connection.execute(ended)
            entries += [("grant", public_id(each)) for each in found]
        return len(found)


def _living(user_id: str, now: float) -> Any:
    """Consents and grants that live, one row for each client and scope; what a grant was last used for is a token."""
    given = select(grant.c.client, grant.c.scope, *_times(grant.c.created, func.coalesce(grant.c.last_used, grant.c.created)))
    agreed = select(consent.c.client, consent.c.scope, *_times(consent.c.created, consent.c.created))
    queries: list[Select[Any]] = [
        query.where(table.c.realm == REALM, table.c.user_id == user_id, table.c.revoked.is_(None))
        for query, table in ((given, grant), (agreed, consent))
    ]
    queries[0] = queries[0].where(or_(grant.c.expires == null(), grant.c.expires > now))
    return union_all(*(query.group_by(*list(query.selected_columns)[:2]) for query in queries)).subquery()


def _times(since: Any, used: Any) -> tuple[Any, Any]:
    return func.min(since).label("since"), func.max(used).label("used")


def summary(who: Client, rows: Iterable[Row[Any]]) -> Access:
    """One client's living consents and grants as what they allow together."""
    found = list(rows)
    scopes = {scope for row in found for scope in row.scope.split()}
    return Access(who, " ".join(sorted(scopes)), min(row.since for row in found), max(row.used for row in found))
