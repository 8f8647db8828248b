"""What a ledger tells about codes and the families of tokens that they bought: when one is dead for sure, when it may be.

All times are intervals: a request that was sent at `start` and answered at `end` happened in between; one without an answer
may have happened or not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .ledger import FOREVER, OK, REFUSED, UNSENT, History, Operation

LINGERING = 1.0  # seconds for which a request may go on after its connection was lost, in a process that is ending


@dataclass(frozen=True, slots=True)
class Promises:
    """What the deployment promised, in seconds: the ledger's `setup`."""

    grace: float = 10.0  # in which a refresh may be repeated
    revocation: float = 0.0  # for how long after its answer a revoked token may be accepted
    code_lifetime: float = 60.0
    recovery: float = 4.0  # after the last fault
    slack: float = 0.5  # for clocks and rounding, where a duration of the server's is compared
    hosts: int = 1

    @classmethod
    def of(cls, setup: Mapping[str, Any]) -> Promises:
        return cls(**{name: setup[name] for name in cls.__dataclass_fields__ if name in setup})


@dataclass(frozen=True, slots=True)
class Death:
    """When a token or family was ended, known to its client, and by what."""

    at: float = FOREVER
    why: str = ""


class Families:
    """The tokens of a history by their families."""

    def __init__(self, history: History) -> None:
        self.promises = Promises.of(history.setup())
        self.by_kind: dict[str, list[Operation]] = defaultdict(list)
        self._about: dict[tuple[str, str], list[Operation]] = defaultdict(list)
        self.family: dict[str, str] = {}  # of an access or refresh token: its code
        self.access: set[str] = set()
        self.refresh: set[str] = set()
        self._members: dict[str, list[str]] = defaultdict(list)  # refresh tokens of a code
        self.codes: dict[str, Operation] = {}
        for operation in history.operations:
            self.by_kind[operation.kind].append(operation)
            if operation.subject is not None:
                self._about[operation.kind, operation.subject].append(operation)
        for operation in sorted(history.operations, key=lambda each: each.end):
            self._learn(operation)
        self._deaths: dict[str, Death] = {}
        self._threats: dict[str, list[Operation]] = {}

    def _learn(self, operation: Operation) -> None:
        if "code" in operation.gave:
            self.codes[operation.gave["code"]] = operation
        source = operation.subject or ""
        code = source if operation.kind == "redeem" else self.family.get(source)
        for name, token in operation.gave.items():
            if name == "code":
                continue
            (self.access if name == "access_token" else self.refresh).add(token)
            if code is not None:
                self.family[token] = code
            if name == "refresh_token" and code is not None:
                self._members[code].append(token)

    def about(self, kind: str, subject: str) -> list[Operation]:
        """The requests of a kind that presented a code or token, by their start."""
        return self._about.get((kind, subject), [])

    def attempts(self, kind: str, subject: str) -> list[Operation]:
        """Those that may have happened."""
        return [each for each in self.about(kind, subject) if each.outcome != UNSENT]

    def winner(self, kind: str, subject: str) -> Operation | None:
        """The first that was told of success."""
        return min((each for each in self.about(kind, subject) if each.outcome == OK), key=lambda each: each.end, default=None)

    def successors(self, token: str) -> set[str]:
        """The refresh tokens that `token` was exchanged for: one, if all is well."""
        return {each.gave["refresh_token"] for each in self.about("refresh", token) if "refresh_token" in each.gave}

    # -- for sure

    def death(self, token: str) -> Death:
        """From when on an access or refresh token must be refused everywhere."""
        found = self.death_of_family(self.family[token]) if token in self.family else Death()
        for each in self.about("revoke", token):
            if each.outcome == OK and each.end < found.at:
                found = Death(each.end, f"revoked by {each.id}")
        return found

    def death_of_family(self, code: str) -> Death:
        if code not in self._deaths:
            self._deaths[code] = min(self._ends(code), key=lambda death: death.at, default=Death())
        return self._deaths[code]

    def _ends(self, code: str) -> Iterator[Death]:
        won = self.winner("redeem", code)
        for each in self.about("redeem", code):
            if won is not None and each is not won and each.outcome == REFUSED:
                yield Death(max(each.end, won.end), f"its code was replayed by {each.id}")
        for token in self._members.get(code, ()):
            for each in self.about("revoke", token):
                if each.outcome == OK:
                    yield Death(each.end, f"its refresh token {token} was revoked by {each.id}")
            for each in self.about("refresh", token):
                if each.outcome == REFUSED and self.is_reuse(each):
                    yield Death(each.end, f"its refresh token {token} was used again by {each.id}")

    def is_reuse(self, operation: Operation) -> bool:
        """Whether a refresh was for sure one that must not be answered: the token was redeemed before, and its grace is over or
        its successor was used.
        """
        token = str(operation.subject)
        first = self.winner("refresh", token)
        if first is None or first is operation or first.end >= operation.start:
            return False
        if operation.start > first.end + self.promises.grace + self.promises.slack:
            return True
        uses = (self.winner("refresh", successor) for successor in self.successors(token))
        return any(use is not None and use.end < operation.start for use in uses)

    def was_redeemed(self, token: str, before: float) -> bool:
        """Whether a refresh token had been exchanged before a moment, for sure."""
        return any(each.outcome == OK and each.end < before for each in self.about("refresh", token))

    # -- perhaps

    def may_be_dead(self, token: str, before: float) -> bool:
        """Whether something may have ended a token before a moment."""
        code = self.family.get(token)
        threats = [*self.about("revoke", token), *(self.threats(code) if code is not None else ())]
        return any(each.start < before and each.outcome != UNSENT for each in threats)

    def threats(self, code: str) -> list[Operation]:
        """The requests that may have ended a family, whatever was answered."""
        if code not in self._threats:
            self._threats[code] = list(self._possible_ends(code))
        return self._threats[code]

    def _possible_ends(self, code: str) -> Iterator[Operation]:
        won = self.winner("redeem", code)
        for each in self.attempts("redeem", code):
            if won is None or (each is not won and latest(each) >= won.start):
                yield each
        for token in self._members.get(code, ()):
            yield from self.attempts("revoke", token)
            for each in self.attempts("refresh", token):
                if self.may_be_reuse(each):
                    yield each

    def may_be_reuse(self, operation: Operation) -> bool:
        """Whether a refresh may have been judged as reuse: another may have come first, and the grace or its end decide."""
        token = str(operation.subject)
        others = [each for each in self.attempts("refresh", token) if each is not operation and each.start < latest(operation)]
        if not others:
            return False
        if latest(operation) > min(each.start for each in others) + self.promises.grace - self.promises.slack:
            return True
        uses = (use for successor in self.successors(token) for use in self.attempts("refresh", successor))
        return any(use.start < latest(operation) for use in uses)

    def may_be_redeemed(self, token: str, before: float) -> bool:
        """Whether a refresh token may have been exchanged before a moment."""
        return any(each.start < before for each in self.attempts("refresh", token))


def latest(operation: Operation) -> float:
    """The last moment in which the server may have decided about a request."""
    if operation.answered:
        return operation.end
    if operation.detail.get("why") == "timeout":
        return FOREVER  # the server may be at it still
    return operation.end + LINGERING
