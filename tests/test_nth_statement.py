"""The same loop inside of the store: the n-th statement that it sends to its database fails (A090, A094)."""

from __future__ import annotations

from .faults.drivers import cut
from .faults.flows import ENDS, FEW, TOKENS, WRITING
from .faults.points import BEFORE
from .faults.scenes import Mode
from .faults.stage import Open, heard, its_time, on_engines, opened, quickly, run, scene  # noqa: F401

FAILS = Mode("fails", statements=True)
NO_DISK = Mode("has no disk", places=BEFORE, lasting=True, statements=True)
CUT = Mode("is cut", cut, places=BEFORE, statements=True)
KILLED = Mode("is killed", kills=True, statements=True)


@on_engines("a code, signed in", *TOKENS, *ENDS, "a key revoked", also=WRITING, postgresql=FEW, mysql=FEW, redis=FEW)
def test_a_statement_that_fails(scene: Open, flow: str) -> None:  # noqa: F811
    run(scene, flow, FAILS)


@on_engines(*FEW, also=WRITING)
def test_a_disk_that_is_away_from_the_nth_statement_on(scene: Open, flow: str) -> None:  # noqa: F811
    run(scene, flow, NO_DISK)


@on_engines(postgresql=FEW, mysql=FEW[:2])
def test_a_connection_that_is_cut_before_the_nth_statement(scene: Open, flow: str) -> None:  # noqa: F811
    run(scene, flow, CUT)


@on_engines(*FEW[:4], also=WRITING)
def test_a_process_that_is_killed_at_the_nth_statement(scene: Open, flow: str) -> None:  # noqa: F811
    run(scene, flow, KILLED)
