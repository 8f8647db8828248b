"""Login sessions, and what ends with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...models import Job, Party, Session, public_id
from ...sealing import new_number
from .. import Ended
from ..kinds import Record
from ..values import job_record, session_of, session_record
from .grants import extend, revoked
from .part import Part, changed
from .primitives import Writer


@dataclass(slots=True)
class _Effects:
    """What ending sessions did: each of them with its relying parties, and the entries for the feed."""

    ended: list[Ended] = field(default_factory=list)
    entries: list[tuple[str, str]] = field(default_factory=list)


class Logins(Part):
    """The part of the store about who is signed in."""

    def add_session(self, session: Session, replacing: bytes | None = None) -> bool:
        """Insert; `replacing` is the digest of the same session's cookie before its person signed in again: False where that
        session has ended. The old cookie is a revocation, for processes remember what it was good for.
        """
        now = max(session.created, session.auth_time or 0)

        def work(writer: Writer) -> bool:
            writer.get("user", session.user_id)  # a revocation in hand ends first: it has not seen this session
            if replacing is not None:
                old = writer.get("session", replacing)
                if old is None or old["sid"] != session.sid:
                    return False
                writer.delete("session", (replacing,))
                for grant in writer.find("grant", {"user_id": session.user_id, "session": session.sid}):
                    if (longer := extend(grant, session.expires)) is not None:  # it says whom to tell of the end
                        writer.replace("grant", longer)
            writer.insert("session", session_record(session))
            if replacing is not None:
                writer.announce([("session", session.sid)], now)
            return True

        return self._write(now, work)

    def session(self, digest: bytes, now: float) -> Session | None:
        """The living session whose cookie has this digest."""
        record = self._get("session", digest)
        return session_of(record) if record is not None and record["expires"] > now else None

    def sessions(self, user_id: str | None = None, after: str = "", limit: int = 100) -> Sequence[Session]:
        """A page of sessions in the order of their sids, after `after`; of one person where `user_id` is given."""
        with self.records.reading() as reader:
            if user_id is None:
                return [session_of(record) for record in reader.page("session", (after,), limit, ("sid",))]
            mine = [record for record in reader.find("session", {"user_id": user_id}) if record["sid"] > after]
        return [session_of(record) for record in sorted(mine, key=lambda record: str(record["sid"]))[:limit]]

    def see_sessions(self, seen: Sequence[tuple[bytes, float]]) -> None:
        """Note that the sessions with these digests were seen then; nothing of a session that has ended."""

        def work(writer: Writer) -> None:
            found = writer.get_many([("session", (digest,)) for digest, _ in seen])
            for record, (_, now) in zip(found, seen, strict=True):
                if record is not None and (record["seen"] or 0) < now:
                    writer.replace("session", changed(record, seen=now))

        self._write(min(now for _, now in seen), work)

    def end_session(
        self, now: float, *, digest: bytes | None = None, sid: str | None = None, user_id: str | None = None
    ) -> Ended | None:
        """End the session with this cookie or name, if it is that of `user_id` where one is given. With it go the grants that
        were given in it for its own time only, and a job for each relying party is left. None where there was none.
        """

        def work(writer: Writer) -> _Effects:
            if digest is not None:
                found = [record] if (record := writer.get("session", digest)) is not None else []
            else:
                found = writer.find("session", {"sid": sid}) if sid is not None else []
            mine = [record for record in found if user_id is None or record["user_id"] == user_id]
            done = end_sessions(writer, mine, now)
            writer.announce(done.entries, now)
            return done

        done = self._write(now, work)
        return done.ended[0] if done.ended else None

    def end_sessions_of(self, user_id: str, now: float, keeping: str | None = None) -> Sequence[Ended]:
        """End all sessions of a person, but for the one named `keeping`, as `end_session` does: all at once, or none."""

        def work(writer: Writer) -> list[Ended]:
            others = [each for each in writer.find("session", {"user_id": user_id}) if each["sid"] != keeping]
            done = end_sessions(writer, others, now)
            writer.announce(done.entries, now)
            return done.ended

        return self._write(now, work)


def end_sessions(writer: Writer, sessions: Sequence[Record], now: float) -> _Effects:
    """Within a transaction: delete sessions, revoke their grants without offline access (OpenID Connect Back-Channel Logout
    section 2.7), leave a job for each relying party.
    """
    done = _Effects()
    for session in sessions:
        writer.delete("session", (session["digest"],))
        done.entries.append(("session", session["sid"]))
        of_it = writer.find("grant", {"user_id": session["user_id"], "session": session["sid"]})
        known = [grant for grant in of_it if "openid" in grant["scope"].split()]
        parties = sorted({(grant["client"], grant["subject"]) for grant in known})
        for grant in known:
            if grant["revoked"] is None and "offline_access" not in grant["scope"].split():
                writer.replace("grant", revoked(grant, now))
                done.entries.append(("grant", public_id(grant["id"])))
        for client, subject in parties:
            payload = {"client": client, "subject": subject, "sid": session["sid"]}
            writer.insert("job", job_record(Job(new_number(), "backchannel_logout", payload, now, 0)))
        done.ended.append(Ended(session_of(session), tuple(Party(client, subject) for client, subject in parties)))
    return done
