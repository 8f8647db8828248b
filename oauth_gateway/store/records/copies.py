"""Records as they go from one store to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ... import clock
from ..kinds import KIND, REALM, Record, ripe_of
from .grants import extend
from .part import Part
from .primitives import Writer

OWN = "records."  # what begins so in meta is about this database and no other
BATCH = 200  # records that one transaction stores


class Copies(Part):
    """The part of the store that `oauth-gateway copy` uses."""

    def size(self, kind: str) -> int:
        """About how many records of a kind there are."""
        if kind in ("feed", "meta"):
            return len(self.dump(kind))
        with self.records.reading() as reader:
            return reader.size(kind)

    def dump(self, kind: str, after: Sequence[Any] | None = None, limit: int = 1000) -> Sequence[dict[str, Any]]:
        """At most `limit` records of a kind with the columns of its table, in the order of their keys, after this one."""
        start = tuple(after) if after is not None else None
        if kind == "feed":
            feed = self._get("feed")
            return [{"realm": REALM, **feed}] if feed is not None and start is None else []
        while True:
            with self.records.reading() as reader:
                page = reader.page(kind, start, limit)
            found = [_dumped(kind, record) for record in page if not _is_own(kind, record)]
            if found or not page:
                return found
            start = KIND[kind].key_of(page[-1])

    def load(self, kind: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Insert records or replace those with their keys; kinds are loaded in the order of `KINDS`.

        Of the feed only its head is kept: no process may go on from a position in another feed. Its entries are not loaded.
        """
        if kind == "change":
            return
        if kind == "feed":
            for given in records:
                self._write(clock.now(), lambda writer, given=given: _load_feed(writer, given))  # type: ignore[misc]
            return
        mine = [_loaded(kind, given) for given in records if not _is_own(kind, given)]
        for start in range(0, len(mine), BATCH):
            batch = mine[start : start + BATCH]
            self._write(clock.now(), lambda writer, batch=batch: _load(writer, kind, batch))  # type: ignore[misc]

    def unload(self, kind: str, keys: Sequence[Sequence[Any]]) -> None:
        """Delete the records with these keys, of those that are in a dump."""

        def work(writer: Writer) -> None:
            there = writer.get_many([(kind, key) for key in batch])
            for key, record in zip(batch, there, strict=True):
                if record is not None and not _is_own(kind, record):
                    writer.delete(kind, key)

        for start in range(0, len(keys), BATCH):
            batch = [tuple(key) for key in keys[start : start + BATCH]]
            self._write(clock.now(), work)


def _is_own(kind: str, record: Mapping[str, Any]) -> bool:
    return kind == "meta" and str(record["name"]).startswith(OWN)


def _dumped(kind: str, record: Record) -> dict[str, Any]:
    return {"realm": REALM, **{column: record[column] for column in KIND[kind].columns}}


def _loaded(kind: str, given: Mapping[str, Any]) -> Record:
    record = KIND[kind].new(**{column: given[column] for column in KIND[kind].columns if column in given})
    if KIND[kind].ripens:
        record["ripe"] = ripe_of(kind, record)
    return record


def _load(writer: Writer, kind: str, records: Sequence[Record]) -> None:
    known = writer.get_many([(kind, KIND[kind].key_of(record)) for record in records])
    for given, there in zip(records, known, strict=True):
        record = dict(given)  # it may be run again
        if kind == "grant":
            record["ripe"] = max([record["ripe"], *([there["ripe"]] if there else []), *_ends_of_session(writer, record)])
        if there is None:
            writer.insert(kind, record)
        else:
            writer.replace(kind, record)
    if kind == "token":
        _keep_grants(writer, records)


def _ends_of_session(writer: Writer, grant: Record) -> list[float]:
    if grant["session"] is None:
        return []
    return [session["expires"] for session in writer.find("session", {"sid": grant["session"]})]


def _keep_grants(writer: Writer, tokens: Sequence[Record]) -> None:
    """Keep the grants of tokens as long as these."""
    until: dict[int, float] = {}
    for token in tokens:
        if token["grant_id"] is not None:
            until[token["grant_id"]] = max(token["ripe"], until.get(token["grant_id"], 0))
    grants = writer.get_many([("grant", (number,)) for number in until])
    for grant in grants:
        if grant is not None and (longer := extend(grant, until[grant["id"]])) is not None:
            writer.replace("grant", longer)


def _load_feed(writer: Writer, given: Mapping[str, Any]) -> None:
    feed = writer.get("feed")
    if feed is None:
        return  # not prepared
    feed["head"] = feed["floor"] = max(feed["head"], int(given["head"]))
    writer.replace("feed", feed)
    writer.announce((), clock.now())
