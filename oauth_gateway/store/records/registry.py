"""Clients and people."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from ...errors import StoreUnavailable
from ...models import Client, User
from ..kinds import KIND
from ..values import changes_of_client, changes_of_user, client_of, client_record, user_of, user_record
from .logins import end_sessions
from .part import Part, changed
from .primitives import Writer

log = logging.getLogger("oauth_gateway")
BATCH = 200  # records that one transaction deletes


class Registry(Part):
    """The part of the store about who there is."""

    def client(self, client_id: str) -> Client | None:
        with self.records.reading() as reader:
            found = reader.find("client", {"client_id": client_id})
        return client_of(found[0]) if found else None

    def client_numbered(self, number: int) -> Client | None:
        record = self._get("client", number)
        return client_of(record) if record else None

    def clients(self, after: int = 0, limit: int = 100) -> Sequence[Client]:
        """A page of clients in the order of their registration, after the one numbered `after`."""
        with self.records.reading() as reader:
            return [client_of(record) for record in reader.page("client", (after,), limit)]

    def add_client(self, client: Client) -> bool:
        """Insert; False where the client_id is taken."""

        def work(writer: Writer) -> bool:
            if writer.find("client", {"client_id": client.client_id}):
                return False
            writer.insert("client", client_record(client))
            for text in client.origins:
                writer.insert("origin", {"origin": text, "client": client.number})
            return True

        return self._write(client.created, work)

    def update_client(self, client: Client, now: float) -> bool:
        """Replace what may change; processes forget what they know of the client's tokens."""

        def work(writer: Writer) -> bool:
            record = writer.get("client", client.number)
            if record is None:
                writer.announce((), now)
                return False
            writer.replace("client", changed(record, **changes_of_client(client)))
            _store_origins(writer, client.number, client.origins)
            writer.announce([("client", client.client_id)], now)
            return True

        return self._write(now, work)

    def delete_client(self, client_id: str, now: float) -> bool:
        """Delete the client, and with it its tokens; then its consents and grants, which are worth nothing without it."""

        def work(writer: Writer) -> int | None:
            found = writer.find("client", {"client_id": client_id})
            if not found:
                writer.announce((), now)
                return None
            number = int(found[0]["number"])
            writer.delete("client", (number,))
            _store_origins(writer, number, frozenset())
            writer.announce([("client", client_id)], now)
            return number

        number = self._write(now, work)
        if number is not None:
            self._forget({"client": number}, now)
        return number is not None

    def has_origin(self, text: str) -> bool:
        """Whether an enabled public client has the web origin `text`."""
        with self.records.reading() as reader:
            found = reader.find("origin", {"origin": text})
            clients = reader.get_many([("client", (record["client"],)) for record in found]) if found else []
        return any(client is not None and client["disabled"] is None for client in clients)

    def user(self, user_id: str) -> User | None:
        record = self._get("user", user_id)
        return user_of(record) if record else None

    def user_named(self, source: str, name: str) -> User | None:
        """The person whom `source` knows under the normalised `name`."""
        with self.records.reading() as reader:
            found = reader.find("user", {"source": source, "name": name})
        return user_of(found[0]) if found else None

    def users(self, after: str = "", limit: int = 100) -> Sequence[User]:
        """A page of people in the order of their ids, after `after`."""
        with self.records.reading() as reader:
            return [user_of(record) for record in reader.page("user", (after,), limit)]

    def add_user(self, user: User, name: str) -> bool:
        """Insert; False where the source has the normalised `name` already, or the id is taken."""

        def work(writer: Writer) -> bool:
            if writer.find("user", {"source": user.source, "name": name}) or writer.get("user", user.user_id):
                return False
            writer.insert("user", user_record(user, name))
            return True

        return self._write(user.created, work)

    def update_user(
        self, user: User, now: float, *, revoke: bool, known: User | None = None, keeping: str | None = None
    ) -> bool:
        """Replace what may change; with `revoke` also end the person's sessions, but for the one named `keeping`, and forget
        their tokens. False, and nothing happens, where there is no such person, or none as `known` has them.
        """

        def work(writer: Writer) -> bool:
            record, entries = writer.get("user", user.user_id), []
            if record is None or known not in (None, user_of(record)):
                writer.announce((), now)
                return False
            writer.replace("user", changed(record, **changes_of_user(user)))
            if revoke:
                others = [each for each in writer.find("session", {"user_id": user.user_id}) if each["sid"] != keeping]
                entries = [("user", user.user_id), *end_sessions(writer, others, now).entries]
            writer.announce(entries, now)
            return True

        return self._write(now, work)

    def delete_user(self, user_id: str, now: float) -> bool:
        """Delete the person with their sessions; then consents and grants, which are worth nothing without them."""

        def work(writer: Writer) -> bool:
            known = writer.get("user", user_id) is not None
            end_sessions(writer, writer.find("session", {"user_id": user_id}), now)
            if known:
                writer.delete("user", (user_id,))
            writer.announce([("user", user_id)] if known else (), now)
            return known

        known = self._write(now, work)
        if known:
            self._forget({"user_id": user_id}, now)
        return known

    def _forget(self, whose: Mapping[str, object], now: float) -> None:
        """Delete consents and grants of a client or person that is gone: any number of them, so in batches.

        They are dead already; where this fails, `sweep` does it.
        """

        def work(writer: Writer) -> bool:
            found = [(kind, record) for kind in ("consent", "grant") for record in writer.find(kind, whose, BATCH)]
            for kind, record in found:
                writer.delete(kind, KIND[kind].key_of(record))
            return not found

        try:
            while not self._write(now, work):
                pass
        except StoreUnavailable as error:
            log.warning("consents and grants that are worth nothing any more were not deleted: %s", error)


def _store_origins(writer: Writer, client: int, origins: frozenset[str]) -> None:
    """Replace the client's web origins."""
    known = {record["origin"] for record in writer.find("origin", {"client": client})}
    for text in known - origins:
        writer.delete("origin", (text, client))
    for text in origins - known:
        writer.insert("origin", {"origin": text, "client": client})
