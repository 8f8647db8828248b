"""The loop of `test_nth_call` notices what it is there to notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from oauth_gateway.testing import Clock

from .faults import invariants
from .faults.broken import NOTICED, Broken
from .faults.flows import FLOWS
from .faults.heard import Heard
from .faults.scenes import Mode, Scene
from .faults.stage import heard, its_time, quickly  # noqa: F401


@pytest.mark.parametrize("broken", NOTICED)
def test_a_store_that_is_broken_on_purpose_is_noticed(
    broken: type[Broken],
    clock: Clock,
    tmp_path: Path,
    heard: Heard,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(invariants, "PATIENCE", 2.0)
    flow, words = NOTICED[broken]
    scene = Scene(f"sqlite:///{tmp_path}/g.db", clock, tmp_path, heard, broken)
    with pytest.raises(AssertionError, match=words) as found:
        scene.loop(FLOWS[flow], Mode("raises"))
    print(f"{broken.__name__}: {found.value}")
