"""The kinds of records: their columns, what names one, and what they are looked up by.

They are the tables of `schema`, without the realm, which is where a store keeps them, and for stores that know no tables.
Kinds that come in large numbers also have the column `ripe`: the time from which a record is to be taken up again, which is
when it may be deleted, and for a job when it may be taken. It follows from the other columns and is in no dump.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]
Key = tuple[Any, ...]

REALM = ""  # the only realm so far
RETENTION = 86_400  # seconds that a code, refresh token or grant outlives its end, so that a replay is still recognised
COPIED = "records.copy"  # in meta: this database was filled by a copy and has not been used since; it is in no dump
FEED_KEPT = 10_000  # entries; a process that slept through more of them drops its whole cache


@dataclass(frozen=True, slots=True)
class Kind:
    """`key` are the columns that name a record; `unique` others that no two share; `found` sets of columns that records are
    looked up by, each compared for equality; `listed` columns other than the key in whose order they are listed; `binary`
    the columns of bytes. Records that `ripen` have the column `ripe`, and where they `expire` they may go then.
    """

    columns: tuple[str, ...]
    key: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...] = ()
    found: tuple[tuple[str, ...], ...] = ()
    listed: tuple[tuple[str, ...], ...] = ()
    binary: frozenset[str] = frozenset()
    ripens: bool = False
    expires: bool = False

    def key_of(self, record: Mapping[str, Any]) -> Key:
        return tuple(record[column] for column in self.key)

    def new(self, **values: Any) -> Record:
        """A record with these values, and None for the other columns."""
        record: Record = dict.fromkeys(self.columns)
        if self.ripens:
            record["ripe"] = None
        record.update(values)
        return record


def _columns(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# in the order in which a copy is to be loaded
KIND: Mapping[str, Kind] = {
    "meta": Kind(_columns("name value"), ("name",)),
    "client": Kind(
        _columns("number client_id metadata secrets owner created disabled last_used"), ("number",), unique=(("client_id",),)
    ),
    "origin": Kind(_columns("origin client"), ("origin", "client"), found=(("origin",), ("client",))),
    "user": Kind(
        _columns("id source name username password claims locale created disabled"), ("id",), unique=(("source", "name"),)
    ),
    "session": Kind(
        _columns("digest sid user_id auth_time amr acr created idle_expires expires device seen"),
        ("digest",),
        found=(("sid",), ("user_id",)),
        listed=(("sid",),),
        binary=frozenset({"digest"}),
        ripens=True,
        expires=True,
    ),
    "consent": Kind(
        _columns("id user_id client redirect_uri scope audience created revoked"),
        ("id",),
        found=(("user_id", "client"), ("user_id",), ("client",)),
    ),
    "grant": Kind(
        _columns(
            "id consent_id client user_id subject session scope audience cnf auth_time acr amr claims authorization_details"
            " locale created expires revoked last_used predecessor sealed sealed_until"
        ),
        ("id",),
        found=(("user_id", "session"), ("user_id",), ("client",)),
        binary=frozenset({"sealed"}),
        ripens=True,
        expires=True,
    ),
    "token": Kind(
        _columns(
            "id kind digest client grant_id parent generation jti scope audience cnf issued expires redeemed revoked failures"
            " redirect_uri code_challenge"
        ),
        ("id",),
        binary=frozenset({"digest"}),
        ripens=True,
        expires=True,
    ),
    "entry": Kind(_columns("space key expires"), ("space", "key"), ripens=True, expires=True),
    "counter": Kind(_columns("space key value expires"), ("space", "key"), ripens=True, expires=True),
    "key": Kind(
        _columns("algorithm generation kid public sealed created active longest revoked"),
        ("algorithm", "generation"),
        found=(("kid",),),
        binary=frozenset({"sealed"}),
    ),
    "job": Kind(_columns("id name payload due attempts lease"), ("id",), ripens=True),
    "change": Kind(_columns("number kind subject at"), ("number",)),
    "feed": Kind(_columns("head floor epoch"), ()),
}

KINDS: Mapping[str, tuple[str, ...]] = {name: kind.key for name, kind in KIND.items()}


def ripe_of(kind: str, record: Mapping[str, Any]) -> float | None:
    """When a record is ripe, by its own columns; a grant lives on while its tokens and its session do."""
    if kind == "token":
        return float(record["expires"]) + (60 if record["kind"] == "access_token" else RETENTION)
    if kind == "grant":
        return float(record["expires"] or record["created"]) + RETENTION
    if kind == "job":
        return max(float(record["due"]), record["lease"] or 0)
    return float(record["expires"]) if KIND[kind].ripens else None
