"""Login sessions in SQL, and what ends with them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, insert, or_, select, update

from ..models import Party, Session, public_id
from ..sealing import new_number
from . import Ended
from .part import Part
from .prepared import Prepared
from .schema import REALM, feed, grant, job, session
from .values import session_of

_SESSION = select(session).where(session.c.realm == REALM)
_OLDER = or_(session.c.seen.is_(None), session.c.seen < bindparam("now"))  # another process may have been there since
_SEE = Prepared(update(session).where(session.c.digest == bindparam("which"), _OLDER).values(seen=bindparam("now")))
_LIVING = Prepared(_SESSION.where(session.c.digest == bindparam("digest"), session.c.expires > bindparam("now")))


@dataclass(frozen=True, slots=True)
class _Effects:
    """What ending sessions did: each of them with its relying parties, and the entries for the feed."""

    ended: list[Ended]
    entries: list[tuple[str, str]]


class Logins(Part):
    """The part of the store about who is signed in."""

    def add_session(self, record: Session, replacing: bytes | None = None) -> bool:
        """Insert; `replacing` is the digest of the same session's cookie before its person signed in again: False where that
        session has ended. The old cookie is a revocation, for processes remember what it was good for.
        """
        values = {**asdict(record), "amr": " ".join(record.amr), "realm": REALM}
        if replacing is None:
            with self.database.write() as connection:
                # a revocation in hand ends first: it has not seen this session, nor the caller what it changed
                connection.execute(select(feed.c.head).where(feed.c.realm == REALM).with_for_update(read=True))
                connection.execute(insert(session).values(values))
            return True
        with self.revoking(max(record.created, record.auth_time or 0)) as (connection, entries):
            old = delete(session).where(session.c.digest == replacing, session.c.sid == record.sid)
            done = connection.execute(old).rowcount == 1
            if done:
                connection.execute(insert(session).values(values))
                entries.append(("session", record.sid))
        return done

    def session(self, digest: bytes, now: float) -> Session | None:
        """The living session whose cookie has this digest."""
        with self.database.read() as connection:
            row = _LIVING.first(connection, digest=digest, now=now)
        return session_of(row._asdict()) if row else None

    def sessions(self, user_id: str | None = None, after: str = "", limit: int = 100) -> Sequence[Session]:
        """A page of sessions in the order of their sids, after `after`; of one person where `user_id` is given."""
        query = _SESSION.where(session.c.sid > after).order_by(session.c.sid).limit(limit)
        if user_id is not None:
            query = query.where(session.c.user_id == user_id)
        with self.database.read() as connection:
            return [session_of(row._mapping) for row in connection.execute(query)]

    def see_sessions(self, seen: Sequence[tuple[bytes, float]]) -> None:
        """Note that the sessions with these digests were seen then; nothing of a session that has ended."""
        with self.database.write(durable=False) as connection:
            for digest, now in seen:
                _SEE.run(connection, which=digest, now=now)

    def end_session(
        self, now: float, *, digest: bytes | None = None, sid: str | None = None, user_id: str | None = None
    ) -> Ended | None:
        """End the session with this cookie or name, if it is that of `user_id` where one is given. With it go the grants that
        were given in it for its own time only, and a job for each relying party is left. None where there was none.
        """
        which = session.c.digest == digest if digest is not None else session.c.sid == sid
        if user_id is not None:
            which = and_(which, session.c.user_id == user_id)
        with self.revoking(now) as (connection, entries):
            done = end_sessions(connection, which, now)
            entries += done.entries
        return done.ended[0] if done.ended else None

    def end_sessions_of(self, user_id: str, now: float, keeping: str | None = None) -> Sequence[Ended]:
        """End all sessions of a person, but for the one named `keeping`, as `end_session` does: all at once, or none."""
        others = (session.c.user_id == user_id, *([session.c.sid != keeping] if keeping else []))
        with self.revoking(now) as (connection, entries):
            done = end_sessions(connection, and_(*others), now)
            entries += done.entries
        return done.ended


def end_sessions(connection: Connection, which: ColumnElement[bool], now: float) -> _Effects:
    """Within a transaction: delete sessions, revoke their grants without offline access (OpenID Connect Back-Channel Logout
    section 2.7), leave a job for each relying party.
    """
    found = [session_of(row._mapping) for row in connection.execute(_SESSION.where(which).with_for_update()).all()]
    entries: list[tuple[str, str]] = []
    done: list[Ended] = []
    for each in found:
        of_it = (grant.c.user_id == each.user_id, grant.c.session == each.sid)
        rows = connection.execute(
            select(grant.c.id, grant.c.client, grant.c.subject, grant.c.scope, grant.c.revoked).where(*of_it)
        )
        known = [row for row in rows.all() if "openid" in row.scope.split()]
        dying = [row.id for row in known if row.revoked is None and "offline_access" not in row.scope.split()]
        connection.execute(update(grant).where(grant.c.id.in_(dying)).values(revoked=now, sealed=None, sealed_until=None))
        entries += [("session", each.sid), *(("grant", public_id(number)) for number in dying)]
        parties = sorted({(row.client, row.subject) for row in known})
        for number, subject in parties:
            payload = json.dumps({"client": number, "subject": subject, "sid": each.sid})
            values = {"id": new_number(), "realm": REALM, "name": "backchannel_logout", "payload": payload}
            connection.execute(insert(job).values(**values, due=now, attempts=0))
        done.append(Ended(each, tuple(Party(number, subject) for number, subject in parties)))
    connection.execute(delete(session).where(which))
    return _Effects(done, entries)
