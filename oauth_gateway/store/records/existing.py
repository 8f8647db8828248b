"""Clients and tokens that also stand in tables which an application has had before, beside one table of records.

What those tables have no columns for is in the record; where both say something, the application's row is right: what it
registered is a client, what it changed there holds, and a row that it marked as revoked, or deleted, ends the client or token.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from ...models import Client
from ...sealing import new_number
from ..kinds import Key, Record
from ..values import client_of, client_record
from .primitives import Conflict
from .table import TableWriter, records_in, text_of

ALL = 1_000_000  # more than one grant ever has tokens
USUAL: Mapping[str, Any] = {"redirect_uris": [], "grant_types": [], "response_types": [], "scope": ""}  # every client has them


def mark_of(digest: bytes) -> str:
    """What stands where the application once kept a token's text: its SHA-256 behind a blank, which no header can carry as
    a token, so that nothing that compares the column with a bearer token takes it for one.
    """
    return f" sha256 {digest.hex()}"


class ExistingTables(TableWriter):
    """A TableWriter whose clients and tokens have rows in an application's tables. A row is a mapping by column."""

    def __init__(self, locks: bool) -> None:
        super().__init__(locks)
        self._unpaired: dict[int, str] = {}  # access tokens of this transaction that may get a refresh token, by grant

    # -- the application's clients

    @abstractmethod
    def client_rows(self, client_ids: Collection[str] | None) -> Sequence[Mapping[str, Any]]:
        """The rows of these clients, or of all: with `client_id` and the columns of `client_columns`. Where the Writer `locks`,
        so does this.
        """

    @abstractmethod
    def client_columns(self, client: Client) -> Mapping[str, Any]:
        """What the columns of its row are to hold: nothing of its secrets, whose digests the record has."""

    @abstractmethod
    def client_in(self, row: Mapping[str, Any], known: Client) -> Client:
        """`known` with what the application wrote into its row instead of `client_columns(known)`."""

    @abstractmethod
    def add_client(self, client_id: str, columns: Mapping[str, Any]) -> None: ...
    @abstractmethod
    def change_client(self, client_id: str, columns: Mapping[str, Any]) -> None: ...
    @abstractmethod
    def delete_client(self, client_id: str) -> None:
        """Delete its row, and mark the rows of its tokens as revoked."""

    # -- and its tokens; `access` and `refresh` are marks

    @abstractmethod
    def living(self, marks: Collection[str]) -> Collection[str]:
        """Those of the marks that stand in a row and are not revoked there. It locks nothing."""

    @abstractmethod
    def add_token(self, access: str, refresh: str | None, token: Record, client_id: str, username: str | None) -> None:
        """Insert the row of a token; `access` is that of the refresh token itself where this comes without an access token."""

    @abstractmethod
    def pair(self, access: str, refresh: str) -> None:
        """Write a refresh token into the row of the access token that it came with."""

    @abstractmethod
    def end_tokens(self, marks: Collection[str]) -> None:
        """Mark these as revoked, where they are not."""

    def spend(self, refresh: str) -> None:
        """Mark a refresh token as revoked that was exchanged for the next one. The access token beside it lives on: where one
        flag stands for both, do nothing.
        """
        self.end_tokens([refresh])

    # -- and what follows

    def find(self, kind: str, equal: Mapping[str, object], limit: int | None = None) -> list[Record]:
        found = super().find(kind, equal, limit)
        if kind == "client" and not found and self.adopt([str(equal["client_id"])]):
            found = super().find(kind, equal, limit)
        return found

    def adopt(self, client_ids: Collection[str] | None = None) -> bool:
        """Make records for clients that the application registered: these, or all that have none. Whether there are such
        clients, with a record now, whoever made it.
        """
        rows = {str(row["client_id"]): row for row in self.client_rows(client_ids)}
        names = [text_of("client", (client_id,)) for client_id in rows]
        known = {record["client_id"] for record in records_in(self.rows("name", names) if names else ())}
        for client_id, row in rows.items():
            if client_id not in known:
                client = self._client_in(row, Client(client_id, number=new_number()))
                self._adopt(replace(client, secrets=()))  # they stay where they are
        return bool(rows)

    def _adopt(self, client: Client) -> None:
        """The record comes last: with `locks` False each of these is committed by itself."""
        for origin in client.origins:
            super().insert("origin", {"origin": origin, "client": client.number})
        try:
            super().insert("client", client_record(client))
        except Conflict:
            if self.locks:
                raise
            for origin in client.origins:  # another process was faster
                super().delete("origin", (origin, client.number))

    def complete(self, kind: str, records: list[Record]) -> list[Record]:
        if kind == "client":
            rows = {str(row["client_id"]): row for row in self.client_rows([record["client_id"] for record in records])}
            records = [record for record in records if record["client_id"] in rows]
            for record in records:
                self._read_client(record, rows[record["client_id"]])
        elif kind == "token":
            self._read_tokens(records)
        return records

    def _read_client(self, record: Record, row: Mapping[str, Any]) -> None:
        known = client_of(record)
        if all(row[column] == value for column, value in self.client_columns(known).items()):
            return
        client = self._client_in(row, known)
        record["metadata"] = json.dumps(client.metadata)
        record["secrets"] = json.dumps([asdict(secret) for secret in client.secrets])

    def _client_in(self, row: Mapping[str, Any], known: Client) -> Client:
        client = self.client_in(row, known)
        return replace(client, metadata={**USUAL, **client.metadata})

    def _read_tokens(self, records: Sequence[Record]) -> None:
        """One that was redeemed stays known as such, so that its replay is still one."""
        open_ones = [
            (mark_of(record["digest"]), record)
            for record in records
            if record["kind"] != "authorization_code" and record["revoked"] is None and record["redeemed"] is None
        ]
        living = set(self.living([mark for mark, _ in open_ones])) if open_ones else set()
        for mark, record in open_ones:
            if mark not in living:
                record["revoked"] = record["issued"]

    def insert(self, kind: str, record: Record) -> None:
        if kind == "client":
            self._forget_deleted(record["client_id"])
        super().insert(kind, record)
        if kind == "client":
            client = client_of(record)
            self.add_client(client.client_id, self.client_columns(client))
        elif kind == "token" and record["kind"] != "authorization_code":
            self._show(record)
            if record["revoked"] is not None:  # it comes from another store
                self.end_tokens([mark_of(record["digest"])])

    def _forget_deleted(self, client_id: str) -> None:
        """Delete the record of a client whose row the application deleted: the name is free again."""
        known = records_in(self.rows("name", [text_of("client", (client_id,))]))
        if known and not self.client_rows([client_id]):
            for record in known:
                super().delete("client", (record["number"],))

    def _show(self, token: Record) -> None:
        mark, grant_id = mark_of(token["digest"]), token["grant_id"]
        is_refresh = token["kind"] == "refresh_token"
        if is_refresh and grant_id in self._unpaired:
            self.pair(self._unpaired.pop(grant_id), mark)
            return
        client = self.get("client", token["client"])
        if client is None:
            return  # and so the token is dead
        grant = self.get("grant", grant_id) if grant_id is not None else None
        user = self.get("user", grant["user_id"]) if grant is not None else None
        self.add_token(mark, mark if is_refresh else None, token, client["client_id"], user["username"] if user else None)
        if grant_id is not None and not is_refresh:
            self._unpaired[grant_id] = mark

    def replace(self, kind: str, record: Record) -> None:
        super().replace(kind, record)
        if kind == "client":
            client = client_of(record)
            self.change_client(client.client_id, self.client_columns(client))
        elif kind == "token" and record["kind"] != "authorization_code":
            if record["revoked"] is not None:
                self.end_tokens([mark_of(record["digest"])])
            elif record["redeemed"] is not None:
                self.spend(mark_of(record["digest"]))
        elif kind == "grant" and record["revoked"] is not None:
            self._end_grant(record["id"])

    def delete(self, kind: str, key: Key) -> None:
        if kind == "client" and (record := self.get(kind, *key)) is not None:
            self.delete_client(record["client_id"])
        elif kind == "grant":
            self._end_grant(key[0])
        super().delete(kind, key)

    def _end_grant(self, grant_id: object) -> None:
        """Rows of tokens stay where they are when their records are deleted: they are the application's history."""
        of_it = text_of("token", (grant_id,))
        tokens = records_in(self.between("look1", of_it, f"{of_it}g", ALL))
        if marks := [mark_of(token["digest"]) for token in tokens if token["kind"] != "authorization_code"]:
            self.end_tokens(marks)
