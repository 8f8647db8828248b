"""Servers die while clients write down what they were told; a judge reads that (CHECKS A090, A091, A097).

The judge is judged first: ledgers made by hand with each kind of violation, and gateways that are broken on purpose. The runs
are short here; `HISTORY_SECONDS=600 pytest tests/test_history.py` or `python -m tests.history` takes longer ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from .history.__main__ import DATABASES, Run, run
from .history.broken import FAULTS
from .history.checker import Report, judge
from .history.ledger import UNKNOWN, Ledger, digest, read
from .history.stories import INNOCENT, VIOLATIONS
from .services import ENGINES

TRIES = 4
LONG = "HISTORY_SECONDS" in os.environ
SECONDS = float(os.environ.get("HISTORY_SECONDS", "9"))
LOOK = max(3.0, SECONDS / 10)


@pytest.mark.parametrize("case", VIOLATIONS)
def test_the_judge_finds_a_violation(case: str) -> None:
    name, story = VIOLATIONS[case]
    report = judge(story.history())
    assert name in report.names(), str(report)


@pytest.mark.parametrize("case", INNOCENT)
def test_the_judge_accuses_nobody_of_what_may_happen(case: str) -> None:
    report = judge(INNOCENT[case].history())
    assert not report.violations, str(report)


def test_every_name_of_a_violation_has_a_case() -> None:
    source = (Path(__file__).parent / "history" / "checker.py").read_text()
    names = {part.partition('"')[0] for part in source.split('Violation("')[1:]}
    assert names == {name for name, _ in VIOLATIONS.values()}


def test_a_ledger_reads_back_as_it_was_written_and_a_torn_line_is_no_answer(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "one")
    first, second = ledger.ask("call", 1, digest("a")), ledger.ask("revoke", 0, digest("b"))
    ledger.answer(first, "ok", 200, {}, worker="7")
    ledger.event("fault", fault="none")
    ledger.close()
    with (tmp_path / "one.jsonl").open("ab") as file:
        file.write(b'{"id":"' + second.encode() + b'","at":1.0,"outc')
    history = read(tmp_path)
    told, never = history.operations
    assert (told.kind, told.host, told.outcome, told.detail["worker"]) == ("call", 1, "ok", "7") and told.start < told.end
    assert (never.kind, never.subject, never.outcome, never.end) == ("revoke", digest("b"), UNKNOWN, float("inf"))
    assert [event.name for event in history.events] == ["fault"]


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("forget revocations", "revoked token accepted"),
        ("revoke late", "revoked token accepted"),
        ("pay twice", "code bought twice"),
        ("lose tokens", "token lost"),
        ("undo revocations", "introspection too late"),
        ("break down", "unexpected answer"),
    ],
)
def test_a_gateway_that_is_broken_on_purpose_is_found_out(fault: str, found: str, tmp_path: Path) -> None:
    assert fault in FAULTS
    report = tried(Run(requests=1000, look=1, broken=fault), tmp_path, lambda report: found in report.names())
    assert found in report.names(), str(report)


def tried(what: Run, folder: Path, found: Callable[[Report], bool]) -> Report:
    """The report of the first of a few runs in which it is found: chance decides which token is asked for where."""
    for number in range(TRIES):
        (folder / f"try{number}").mkdir()
        report = run(what, folder / f"try{number}")
        if found(report):
            break
    return report


def test_a_gateway_that_may_be_late_is_found_out_when_it_is_too_late(tmp_path: Path) -> None:
    """`revocation = "2s"`: late is allowed, for ever is not."""
    for name in ("late", "never"):
        (tmp_path / name).mkdir()
    what = Run(requests=1000, look=1, broken="revoke late", revocation="2s")
    late = tried(what, tmp_path / "late", lambda report: report.late > 0 and not report.violations)
    assert not late.violations and 0 < late.late < 2.5, str(late)
    what = Run(requests=1000, look=3, broken="never look", revocation="2s")
    never = tried(what, tmp_path / "never", lambda report: "revoked token accepted" in report.names())
    assert "revoked token accepted" in never.names(), str(never)


@pytest.mark.parametrize("database", DATABASES)
def test_no_promise_is_broken_while_servers_die(database: str, tmp_path: Path) -> None:
    """A090, A091, A095, A097, A098"""
    report = run(Run(database=database, seconds=SECONDS, look=LOOK), tmp_path)
    assert not report.violations, str(report)
    assert_that_enough_was_judged(report)
    assert report.late == 0


@pytest.mark.parametrize("database", ENGINES if LONG else ["postgresql"])
def test_a_host_that_is_cut_off_trusts_what_it_remembers_for_no_longer_than_promised(database: str, tmp_path: Path) -> None:
    """`revocation = "2s"`: the other host revokes meanwhile. With HISTORY_SECONDS on every engine and with every fault."""
    faults = () if LONG else ("cut a host off from the database", "drop what a host and the database say")
    report = run(Run(database=database, seconds=SECONDS / 2, look=LOOK, revocation="2s", faults=faults), tmp_path)
    assert not report.violations, str(report)
    assert_that_enough_was_judged(report)


def assert_that_enough_was_judged(report: Report) -> None:
    """No run in which nothing happened is taken for a good one."""
    judged = report.judged
    assert report.faults.total() >= 2, str(report)
    assert judged["calls refused after a revocation"] > 50 and judged["calls while the token lived"] > 50, str(report)
    assert judged["refresh tokens worked"] > 20 and judged["codes redeemed once"] > 2, str(report)
