"""The ledger: what every client asked and was told, in JSON lines that are only ever appended.

A line is written before a request is sent and another after its answer, each by one write(2), so a killed client loses none.
Times are CLOCK_MONOTONIC, which all processes of a machine share. Tokens and codes are there as digests.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# how an operation ended
OK = "ok"
REFUSED = "refused"  # a 4xx: the server says no
UNKNOWN = "unknown"  # it was sent, and may or may not have happened: no answer, or a 5xx
UNSENT = "unsent"  # nobody took the connection: it did not happen

FOREVER = math.inf


@dataclass(frozen=True, slots=True)
class Operation:
    """One request and its answer. `end` is when the client knew how it ended, FOREVER where it never did."""

    id: str
    kind: str  # authorize, redeem, refresh, revoke, call, introspect, machine
    start: float
    host: int = 0
    end: float = FOREVER
    outcome: str = UNKNOWN
    status: int | None = None  # None where there was no HTTP answer
    subject: str | None = None  # the digest of the code or token that was presented
    gave: Mapping[str, str] = field(default_factory=dict)  # digests: code, access_token, refresh_token
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def answered(self) -> bool:
        """Whether the server finished with it: nothing of it happens after `end`."""
        return self.status is not None

    def __str__(self) -> str:
        ended = "never answered" if self.end == FOREVER else f"{self.outcome} ({self.status or self.detail.get('why')})"
        token = f" {self.subject}" if self.subject else ""
        return f"{self.id} {self.kind}{token} at host {self.host}: {self.start:.3f} - {self.end:.3f} {ended}"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that is no request: `setup`, `fault`, `healed`, `gave up`, `sweep`."""

    name: str
    at: float
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class History:
    """A whole ledger: operations by their start, events by their time."""

    operations: tuple[Operation, ...]
    events: tuple[Event, ...]

    def setup(self) -> Mapping[str, Any]:
        """What the deployment promised: see `Rules` in the checker."""
        return next((event.detail for event in self.events if event.name == "setup"), {})


class Ledger:
    """One process's part of the ledger, `NAME.jsonl` in `folder`; any thread may write."""

    def __init__(self, folder: Path, name: str) -> None:
        self._name = name
        self._numbers = itertools.count()
        self._file = os.open(folder / f"{name}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def ask(self, kind: str, host: int, subject: str | None = None, **detail: Any) -> str:
        """Write down that a request is about to be sent; gives its id."""
        known = f"{self._name}-{next(self._numbers)}"
        self._write({"id": known, "at": time.monotonic(), "kind": kind, "host": host, "subject": subject, "detail": detail})
        return known

    def answer(self, known: str, outcome: str, status: int | None, gave: Mapping[str, str], **detail: Any) -> None:
        """Write down how the request `known` ended."""
        entry = {"id": known, "at": time.monotonic(), "outcome": outcome, "status": status, "gave": gave, "detail": detail}
        self._write(entry)

    def event(self, event: str, **detail: Any) -> float:
        """Write down something else; gives its time."""
        at = time.monotonic()
        self._write({"event": event, "at": at, "detail": detail})
        return at

    def close(self) -> None:
        os.close(self._file)

    def _write(self, entry: Mapping[str, Any]) -> None:
        os.write(self._file, json.dumps(entry, separators=(",", ":")).encode() + b"\n")


def digest(text: str) -> str:
    """How the ledger names a code or token."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read(folder: Path) -> History:
    """All that is in the ledger's files; the last line of one may be torn where its writer was killed."""
    entries: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.jsonl")):
        *lines, torn = path.read_bytes().split(b"\n")
        entries += [json.loads(line) for line in lines]
        if torn:
            entries.append(_whole(torn))
    return of_entries(entry for entry in entries if entry)


def _whole(line: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except ValueError:
        return {}


def of_entries(entries: Iterable[Mapping[str, Any]]) -> History:
    """The history that ledger entries tell."""
    asked, ended, events = {}, {}, []
    for entry in entries:
        if "event" in entry:
            events.append(Event(entry["event"], entry["at"], entry["detail"]))
        elif "kind" in entry:
            asked[entry["id"]] = entry
        else:
            ended[entry["id"]] = entry
    operations = [_operation(entry, ended.get(known)) for known, entry in asked.items()]
    return History(
        tuple(sorted(operations, key=lambda operation: operation.start)), tuple(sorted(events, key=lambda event: event.at))
    )


def _operation(asked: Mapping[str, Any], ended: Mapping[str, Any] | None) -> Operation:
    known: dict[str, Any] = {name: asked[name] for name in ("id", "kind", "host", "subject")}
    if ended is None:
        return Operation(start=asked["at"], detail=asked["detail"], **known)
    told = {name: ended[name] for name in ("outcome", "status", "gave")}
    return Operation(start=asked["at"], end=ended["at"], detail={**asked["detail"], **ended["detail"]}, **known, **told)
