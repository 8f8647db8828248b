"""The judge: reads a ledger, and nothing else, and says what no correct gateway could have answered.

An outcome that nobody knows counts in the gateway's favour, and so does everything that may have ended a token.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .families import Families
from .ledger import FOREVER, OK, REFUSED, UNKNOWN, UNSENT, History, Operation

SETTLING = 2.0  # seconds after which a token that was refused once must be refused everywhere, whoever ended it
STATUSES = {
    "authorize": {200, 303},
    "redeem": {200, 400},
    "refresh": {200, 400},
    "machine": {200},
    "revoke": {200},
    "introspect": {200},
    "call": {200, 401},
}


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken, by a short name, with what shows it."""

    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"


@dataclass(frozen=True, slots=True)
class Report:
    """What the judge found, and how much there was to judge, so that a silent run is not taken for a good one."""

    violations: tuple[Violation, ...]
    outcomes: Counter[str]  # "KIND OUTCOME"
    faults: Counter[str]
    judged: Counter[str]  # how often a promise was put to the test
    recovery: float  # seconds after the last fault until the last request that failed
    late: float  # seconds after the answer to a revocation until the last call that was accepted began; 0 if there was none

    def names(self) -> set[str]:
        return {violation.name for violation in self.violations}

    def __str__(self) -> str:
        parts = {"requests": self.outcomes, "faults": self.faults, "judged": self.judged}
        lines = [
            f"{name}: " + ", ".join(f"{key} {count}" for key, count in sorted(found.items())) for name, found in parts.items()
        ]
        lines.append(
            f"recovered {self.recovery:.2f} s after the last fault; revoked tokens were accepted for {self.late:.3f} s"
        )
        by_name = Counter(violation.name for violation in self.violations)
        lines += [f"VIOLATED {name}: {count} times" for name, count in by_name.most_common()]
        for name in by_name:
            lines += [f"  {violation}" for violation in self.violations if violation.name == name][:8]
        return "\n".join(lines)


def judge(history: History) -> Report:
    """Hold a history against every promise."""
    families, judged = Families(history), Counter[str]()
    found = [violation for rule in RULES for violation in rule(families, judged)]
    recovery, failures = _recovery(history, families, judged)
    found += failures
    found += [Violation("a host gave up", str(event.detail)) for event in history.events if event.name == "gave up"]
    outcomes = Counter(f"{each.kind} {each.outcome}" for each in history.operations)
    faults = Counter(str(event.detail.get("fault")) for event in history.events if event.name == "fault")
    accepted = [each for each in families.by_kind["call"] if each.outcome == OK]
    late = max((each.start - families.death(str(each.subject)).at for each in accepted), default=0.0)
    return Report(tuple(found), outcomes, faults, judged, recovery, max(0.0, late))


def _codes(families: Families, judged: Counter[str]) -> Iterator[Violation]:
    """A code buys one family, and an acknowledged one buys it."""
    for code, made in families.codes.items():
        attempts = families.about("redeem", code)
        won = [each for each in attempts if each.outcome == OK]
        judged["codes redeemed once"] += len(attempts) > 1
        if len(won) > 1:
            yield Violation("code bought twice", "; ".join(map(str, won)))
        for each in attempts:
            others = [other for other in families.attempts("redeem", code) if other is not each and other.start < each.end]
            old = each.end > made.start + families.promises.code_lifetime - families.promises.slack
            if each.outcome == REFUSED and not others and not old:
                yield Violation("code lost", f"{each}; it was made by {made}")


def _refreshes(families: Families, judged: Counter[str]) -> Iterator[Violation]:
    """A refresh token has one successor, works while its family lives, and ends it when it is used again."""
    for each in families.by_kind["refresh"]:
        token = str(each.subject)
        dead = families.death_of_family(families.family.get(token, ""))
        if each.outcome == OK:
            if each.start > dead.at:
                yield Violation("revoked token accepted", f"{each}, though {dead.why} at {dead.at:.3f}")
            if families.is_reuse(each):
                yield Violation("refresh token reused", f"{each}; first: {families.winner('refresh', token)}")
            judged["refresh tokens worked"] += 1
        elif each.outcome == REFUSED:
            judged["refreshes refused"] += 1
            if not families.may_be_dead(token, each.end) and not families.may_be_reuse(each):
                yield Violation("refresh token lost", str(each))
    for token in families.refresh:
        if len(families.successors(token)) > 1:
            yield Violation("refresh token paid twice", "; ".join(map(str, families.about("refresh", token))))


def _calls(families: Families, judged: Counter[str]) -> Iterator[Violation]:
    """A token is accepted until it was revoked, and never after."""
    bound = families.promises.revocation
    for each in families.by_kind["call"]:
        token = str(each.subject)
        dead = families.death(token)
        if each.outcome == OK:
            late = each.start - dead.at
            judged["calls while the token lived"] += 1
            if late > bound + (families.promises.slack if bound else 0):
                yield Violation("revoked token accepted", f"{each}, {late:.4f} s after {dead.why}")
        elif each.outcome == REFUSED:
            judged["calls refused after a revocation"] += each.start > dead.at
            if not families.may_be_dead(token, each.end):
                yield Violation("token lost", str(each))


def _introspections(families: Families, judged: Counter[str]) -> Iterator[Violation]:
    """What introspection says is so at that moment."""
    for each in families.by_kind["introspect"]:
        if each.outcome != OK:
            continue
        token = str(each.subject)
        active, dead = each.detail.get("active"), families.death(token)
        judged[f"introspections that said {active}"] += 1
        if active is True and each.start > dead.at:
            yield Violation("introspection too late", f"{each}, though {dead.why} at {dead.at:.3f}")
        elif active is True and token in families.refresh and families.was_redeemed(token, each.start):
            yield Violation("introspection too late", f"{each}: it was exchanged before")
        elif active is False and not families.may_be_dead(token, each.end) and not families.may_be_redeemed(token, each.end):
            yield Violation("token lost", f"{each} said that it is not active")
        elif not isinstance(active, bool):
            yield Violation("unexpected answer", str(each))


def _no_way_back(families: Families, judged: Counter[str]) -> Iterator[Violation]:
    """What was refused once stays refused, also where nobody was told of the revocation."""
    refused: dict[str, Operation] = {}
    looks = [each for kind in ("call", "introspect") for each in families.by_kind[kind] if each.subject in families.access]
    for each in sorted(looks, key=lambda look: look.end):
        said = each.detail.get("active") if each.kind == "introspect" else each.outcome == OK
        if each.outcome == REFUSED or (each.outcome == OK and said is False):
            refused.setdefault(str(each.subject), each)
    for each in looks:
        first = refused.get(str(each.subject))
        if first is None or each.outcome != OK or each.detail.get("active") is False:
            continue
        judged["accepted tokens that were refused at some time"] += 1
        if each.start > first.end + max(SETTLING, families.promises.revocation + families.promises.slack):
            yield Violation("revocation undone", f"{each}; it was refused before: {first}")


def _answers(families: Families, judged: Counter[str]) -> Iterator[Violation]:
    """Every answer is one that the documents allow; 503 says when to ask again; nothing is handed out twice."""
    sources: dict[str, set[tuple[str, str | None]]] = defaultdict(set)
    for kind, operations in families.by_kind.items():
        for each in operations:
            judged["answers"] += each.status is not None
            if each.status not in {None, 503, *STATUSES[kind]} or each.outcome not in (OK, REFUSED, UNKNOWN, UNSENT):
                yield Violation("unexpected answer", str(each))
            elif each.status == 503 and not str(each.detail.get("retry_after", "")).isdigit():
                yield Violation("503 without Retry-After", str(each))
            elif each.outcome == REFUSED and kind in ("redeem", "refresh") and each.detail.get("error") != "invalid_grant":
                yield Violation("unexpected answer", f"{each}: {each.detail.get('error')}")
            elif kind in ("redeem", "refresh", "machine") and each.outcome == OK and "access_token" not in each.gave:
                yield Violation("unexpected answer", f"{each}: no token")
            if kind == "authorize" and each.detail.get("asked_to_sign_in") and each.detail.get("signed_in"):
                yield Violation("session lost", str(each))
            for token in each.gave.values():
                sources[token].add((kind, each.subject if kind == "refresh" else each.id))
    for token, several in sources.items():
        if len(several) > 1:
            yield Violation("token handed out twice", f"{token}: {several}")


def _recovery(history: History, families: Families, judged: Counter[str]) -> tuple[float, list[Violation]]:
    """After the last fault every kind of request succeeds at every host within the promised time, and goes on to."""
    healed = max((event.at for event in history.events if event.name == "healed"), default=0.0)
    after = [each for each in history.operations if each.start > healed]
    failed = [each for each in after if each.outcome in (UNKNOWN, UNSENT) and each.end != FOREVER]
    recovery = max((each.start - healed for each in failed), default=0.0) if healed else 0.0
    late = [each for each in after if each.start > healed + families.promises.recovery]
    found = [Violation("not recovered", str(each)) for each in late if each.outcome in (UNKNOWN, UNSENT)]
    for host in range(families.promises.hosts):
        kinds = {each.kind for each in late if each.outcome == OK and each.host == host}
        judged["kinds of requests that worked in the end"] += len(kinds)
        missing = sorted(STATUSES.keys() - kinds)
        if missing:
            found.append(Violation("not recovered", f"none of these succeeded at host {host} in the end: {missing}"))
    return recovery, found


RULES: tuple[Callable[[Families, Counter[str]], Iterator[Violation]], ...] = (
    _codes,
    _refreshes,
    _calls,
    _introspections,
    _no_way_back,
    _answers,
)
