"""What the tests of the n-th call stand on: deployments that several of them use, and time that goes on between them."""

from __future__ import annotations

import functools
import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oauth_gateway import cli, jose
from oauth_gateway import clock as source
from oauth_gateway.testing import NOW, Clock

from ..conftest import ENGINES
from ..engines import FRESH
from .drivers import sqlite_driver
from .flows import FLOWS
from .heard import Heard
from .scenes import Mode, Scene


@pytest.fixture(autouse=True, scope="module")
def quickly() -> Iterator[None]:
    """No power is lost here; many commands have one parser, many key generations four keys, each of which is opened once."""
    with pytest.MonkeyPatch.context() as patch, sqlite_driver():
        patch.setattr(cli, "parser", functools.cache(cli.parser))
        made: dict[str, itertools.cycle[jose.Key]] = {}
        opened: dict[str, jose.Key] = {}
        generate, load = jose.generate, jose.load

        def generated(algorithm: str) -> jose.Key:
            if algorithm not in made:
                made[algorithm] = itertools.cycle([generate(algorithm) for _ in range(4)])
            return next(made[algorithm])

        def loaded(data: Any) -> jose.Key:
            name = data if isinstance(data, bytes) else json.dumps(data, sort_keys=True)
            if name not in opened:
                opened[name] = load(data)
            return opened[name]

        patch.setattr(jose, "generate", generated)
        patch.setattr(jose, "load", loaded)
        yield


@pytest.fixture(scope="module")
def heard() -> Iterator[Heard]:
    with pytest.MonkeyPatch.context() as patch:
        yield Heard(patch)


EVERYTHING = os.environ.get("GATEWAY_NTH_CALL") == "all"  # every flow on every engine: minutes
Open = Callable[..., Scene]
OLD = 300  # revocations, all of which every process that begins reads
clock = Clock(NOW)  # goes on from test to test, as the deployments do


@pytest.fixture(scope="module")
def opened() -> Iterator[dict[str, Scene]]:
    """By engine and settings."""
    found: dict[str, Scene] = {}
    yield found
    for each in found.values():
        each.close()


@pytest.fixture
def scene(request: pytest.FixtureRequest, heard: Heard, opened: dict[str, Scene], tmp_path: Path) -> Open:
    """Gives a deployment with these settings on one engine, which several tests use one after the other."""

    def scene(**more: Any) -> Scene:
        name = f"{request.param} {json.dumps(more)}"
        if name in opened and opened[name].age > OLD:
            opened.pop(name).close()
        if name not in opened:
            url = f"sqlite:///{tmp_path}/{len(opened)}.db" if request.param == "sqlite" else FRESH[request.param]()
            opened[name] = Scene(url, clock, tmp_path, heard, **more)
        return opened[name]

    return scene


@pytest.fixture(autouse=True)
def its_time() -> Iterator[None]:
    source.replace_source(clock)
    yield
    source.replace_source(None)


def on_engines(*flows: str, also: Iterable[str] = (), **others: tuple[str, ...]) -> pytest.MarkDecorator:
    """Run a test with `flows` on SQLite and with those of `others` on other engines; `also` are those that everything has."""
    chosen = {"sqlite": flows, **others}
    if EVERYTHING:
        chosen = {engine: tuple(dict.fromkeys([*chosen.get(engine, ()), *_possible(engine, also)])) for engine in ENGINES}
    runs = [(engine, flow) for engine in ENGINES for flow in chosen.get(engine, ())]
    return pytest.mark.parametrize(("scene", "flow"), runs, indirect=["scene"])


def _possible(engine: str, flows: Iterable[str]) -> list[str]:
    """A server's database is emptied for the next deployment, so that there is one at a time."""
    return [flow for flow in flows if engine == "sqlite" or not FLOWS[flow].settings]


def run(scene: Open, flow: str, mode: Mode) -> None:
    struck = scene(**FLOWS[flow].settings).loop(FLOWS[flow], mode)
    print(f"{flow}, {mode.name}: {len(struck)} times", dict(Counter(struck)))
    assert struck, "nothing was struck"
