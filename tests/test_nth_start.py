"""The first start of a deployment with the n-th call or statement that fails (A090, A101); see `test_nth_call`."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from pathlib import Path

import pytest

from oauth_gateway import deployment

from .conftest import ENGINES
from .engines import FRESH
from .faults import beginnings
from .faults.points import BEFORE, BETWEEN, WRITES
from .faults.scenes import Mode
from .faults.stage import EVERYTHING, its_time, quickly  # noqa: F401

RAISES, FAILS = Mode("raises"), Mode("fails", places=BEFORE, statements=True)
AWAY = Mode("is away", places=BEFORE, lasting=True)
KILLED = Mode("is killed", places=WRITES, kills=True)
KILLED_INSIDE = Mode("is killed inside", places=BETWEEN, kills=True, statements=True)
MEANWHILE = Mode("another one starts", places=BETWEEN, acts=lambda case: None)
MODES = {"sqlite": (RAISES, KILLED_INSIDE, MEANWHILE), "redis": (FAILS,)}
if EVERYTHING:
    MODES = dict.fromkeys(ENGINES, (RAISES, AWAY, FAILS, MEANWHILE)) | {
        "sqlite": (RAISES, AWAY, FAILS, MEANWHILE, KILLED, KILLED_INSIDE)
    }
RUNS = [(engine, mode) for engine in ENGINES for mode in MODES.get(engine, ())]


@pytest.mark.parametrize(("engine", "mode"), RUNS, ids=lambda value: getattr(value, "name", value))
def test_a_first_start_that_is_struck(engine: str, mode: Mode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "LOOK_SECONDS", 0.0)  # between two looks at a database that was away
    numbers = itertools.count()
    fresh = functools.partial(FRESH[engine], keep_tables=False) if engine in FRESH else None
    struck = beginnings.loop(fresh or (lambda: f"sqlite:///{tmp_path}/{next(numbers)}.db"), mode)
    print(f"a first start on {engine}, {mode.name}: {len(struck)} times", dict(Counter(struck)))
    assert struck, "nothing was struck"
