"""Clients and people in SQL."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlalchemy import Connection, and_, bindparam, delete, insert, select, update

from ..models import Client, User
from .database import add_row
from .logins import end_sessions
from .part import Part
from .prepared import Prepared
from .schema import REALM, client, consent, grant, origin, session, user
from .values import changes_of_client, changes_of_user, client_of, user_of

_CLIENT_ID = re.compile(r"[\x20-\x7e]+\Z")  # RFC 6749 appendix A.1
_CLIENT = select(client).where(client.c.realm == REALM)
_USER = select(user).where(user.c.realm == REALM)
_CLIENT_WITH_ID = Prepared(_CLIENT.where(client.c.client_id == bindparam("client_id")))
_CLIENT_NUMBERED = Prepared(_CLIENT.where(client.c.number == bindparam("number")))
_USER_WITH_ID = Prepared(_USER.where(user.c.id == bindparam("user_id")))
_USER_NAMED = Prepared(_USER.where(user.c.source == bindparam("source"), user.c.name == bindparam("name")))


class Registry(Part):
    """The part of the store about who there is."""

    def client(self, client_id: str) -> Client | None:
        if not _CLIENT_ID.match(client_id):
            return None  # not every engine could compare it
        with self.database.read() as connection:
            row = _CLIENT_WITH_ID.first(connection, client_id=client_id)
        return client_of(row._asdict()) if row and row.client_id == client_id else None

    def client_numbered(self, number: int) -> Client | None:
        with self.database.read() as connection:
            row = _CLIENT_NUMBERED.first(connection, number=number)
        return client_of(row._asdict()) if row else None

    def clients(self, after: int = 0, limit: int = 100) -> Sequence[Client]:
        """A page of clients in the order of their registration, after the one numbered `after`."""
        query = _CLIENT.where(client.c.number > after).order_by(client.c.number).limit(limit)
        with self.database.read() as connection:
            return [client_of(row._mapping) for row in connection.execute(query)]

    def add_client(self, record: Client) -> bool:
        """Insert; False where the client_id is taken."""
        values = {**changes_of_client(record), "number": record.number, "realm": REALM, "client_id": record.client_id}
        with self.database.write() as connection:
            done = add_row(connection, client, values)
            if done:
                store_origins(connection, record)
            return done

    def update_client(self, record: Client, now: float) -> bool:
        """Replace what may change; processes forget what they know of the client's tokens."""
        with self.revoking(now) as (connection, entries):
            done = connection.execute(update(client).where(client.c.number == record.number).values(changes_of_client(record)))
            if done.rowcount:
                store_origins(connection, record)
                entries.append(("client", record.client_id))
        return done.rowcount == 1

    def delete_client(self, client_id: str, now: float) -> bool:
        """Delete the client, its consents and grants; its tokens die with it."""
        with self.revoking(now) as (connection, entries):
            number = connection.execute(
                select(client.c.number).where(client.c.realm == REALM, client.c.client_id == client_id)
            ).scalar()
            if number is not None:
                connection.execute(delete(client).where(client.c.number == number))
                connection.execute(delete(origin).where(origin.c.client == number))
                connection.execute(delete(consent).where(consent.c.client == number))
                connection.execute(delete(grant).where(grant.c.client == number))
                entries.append(("client", client_id))
        return number is not None

    def has_origin(self, text: str) -> bool:
        """Whether an enabled public client has the web origin `text`."""
        query = select(origin.c.client).join(client, client.c.number == origin.c.client)
        with self.database.read() as connection:
            where = (origin.c.realm == REALM, origin.c.origin == text, client.c.disabled.is_(None))
            return connection.execute(query.where(*where)).first() is not None

    def user(self, user_id: str) -> User | None:
        with self.database.read() as connection:
            row = _USER_WITH_ID.first(connection, user_id=user_id)
        return user_of(row._asdict()) if row else None

    def user_named(self, source: str, name: str) -> User | None:
        """The person whom `source` knows under the normalised `name`."""
        if "\0" in name:
            return None
        with self.database.read() as connection:
            row = _USER_NAMED.first(connection, source=source, name=name)
        return user_of(row._asdict()) if row and row.name == name else None  # MySQL forgives a blank at the end

    def users(self, after: str = "", limit: int = 100) -> Sequence[User]:
        """A page of people in the order of their ids, after `after`."""
        with self.database.read() as connection:
            rows = connection.execute(_USER.where(user.c.id > after).order_by(user.c.id).limit(limit))
            return [user_of(row._mapping) for row in rows]

    def add_user(self, record: User, name: str) -> bool:
        """Insert; False where the source has the normalised `name` already."""
        values = {**changes_of_user(record), "id": record.user_id, "realm": REALM, "source": record.source, "name": name}
        with self.database.write() as connection:
            return add_row(connection, user, values)

    def update_user(
        self, record: User, now: float, *, revoke: bool, known: User | None = None, keeping: str | None = None
    ) -> bool:
        """Replace what may change; with `revoke` also end the person's sessions, but for the one named `keeping`, and forget
        their tokens. False, and nothing happens, where there is no such person, or none as `known` has them.
        """
        with self.revoking(now) as (connection, entries):
            row = connection.execute(_USER.where(user.c.id == record.user_id).with_for_update()).first()
            if row is None or known not in (None, user_of(row._mapping)):
                return False
            connection.execute(update(user).where(user.c.id == record.user_id).values(changes_of_user(record)))
            if revoke:
                others = (session.c.user_id == record.user_id, *([session.c.sid != keeping] if keeping else []))
                ended = end_sessions(connection, and_(*others), now)
                entries += [("user", record.user_id), *ended.entries]
        return True

    def delete_user(self, user_id: str, now: float) -> bool:
        """Delete the person with sessions, consents and grants."""
        with self.revoking(now) as (connection, entries):
            end_sessions(connection, session.c.user_id == user_id, now)
            done = connection.execute(delete(user).where(user.c.id == user_id))
            if done.rowcount:
                for table in (consent, grant):
                    connection.execute(delete(table).where(table.c.user_id == user_id))
                entries.append(("user", user_id))
        return done.rowcount == 1


def store_origins(connection: Connection, record: Client) -> None:
    """Replace the client's web origins."""
    connection.execute(delete(origin).where(origin.c.client == record.number))
    for text in record.origins:
        connection.execute(insert(origin).values(realm=REALM, origin=text, client=record.number))


def every_origin(connection: Connection) -> None:
    """Version 2 of the schema: the origins of the clients that there are."""
    for row in connection.execute(select(client)).all():
        store_origins(connection, client_of(row._mapping))
