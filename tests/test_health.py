"""`features = "default health"`: for load balancers (CHECKS A104)."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_gateway.errors import StoreUnavailable
from oauth_gateway.features import health
from oauth_gateway.testing import Clock

from .conftest import make_world, send


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that answers are repeated by."""
    moment = [0.0]
    monkeypatch.setattr(health.time, "monotonic", lambda: moment[0])
    return moment


def test_it_is_off_by_default(clock: Clock) -> None:
    world = make_world("sqlite://", clock)
    for path in ("/token/health/live", "/token/health/ready", "/token/health"):
        assert send(world.gateway, "GET", path).status_code == 404
        assert world.app.calls == 0


def test_live_says_nothing_of_the_store_and_ready_whether_it_commits(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, quick: list[float]
) -> None:
    world = make_world("sqlite://", clock, features="default health", prefix="/oauth")
    live, ready = "/oauth/token/health/live", "/oauth/token/health/ready"
    quick[0] = 10.0
    for path, status in ((live, "live"), (ready, "ready")):
        answer = send(world.gateway, "GET", path)
        assert answer.status_code == 200 and answer.json == {"status": status}, "and nothing else"
        assert answer.headers["Cache-Control"] == "no-store"
        assert send(world.gateway, "HEAD", path).body == b""
        assert send(world.gateway, "POST", path, {"a": "b"}).status_code == 405

    def away(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("postgresql://secret-host is away")

    monkeypatch.setattr(world.gateway.store, "count", away)
    assert send(world.gateway, "GET", ready).status_code == 200, "an answer holds for a second"
    quick[0] += 1
    answer = send(world.gateway, "GET", ready)
    assert answer.status_code == 503 and answer.headers["Retry-After"] == "1" and "host" not in answer.text
    assert send(world.gateway, "GET", live).status_code == 200


def test_a_flood_of_questions_reaches_the_store_once_a_second(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, quick: list[float]
) -> None:
    world = make_world("sqlite://", clock, features="default health")
    asked, count = [0], world.gateway.store.count

    def counted(*given: Any, **named: Any) -> Any:
        asked[0] += 1
        return count(*given, **named)

    monkeypatch.setattr(world.gateway.store, "count", counted)
    for second in range(3):
        quick[0] = 100.0 + second
        for _ in range(50):
            assert send(world.gateway, "GET", "/token/health/ready").status_code == 200
    assert asked == [3]


def test_they_are_no_way_around_anything(clock: Clock) -> None:
    world = make_world("sqlite://", clock, features="default health", routes=["* /** public"])
    for path in (
        "/token/health/live/",
        "/token/health/live/../../x",
        "/token/health//live",
        "/token/health/ready;x",
        "/token/health/x",
    ):
        assert send(world.gateway, "GET", path).status_code in (400, 404), path
    assert world.app.calls == 0
    outside = make_world("sqlite://", clock, features="default health", issuer=None, base="http://127.0.0.1:8000")
    assert send(outside.gateway, "GET", "/token/health/ready", base="http://evil.test").status_code == 421
