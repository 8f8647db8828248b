"""The own database is away: what others issued needs nothing of it, and what could be ours is never let through."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from oauth_gateway import OAuthGateway
from oauth_gateway.errors import StoreUnavailable
from oauth_gateway.sealing import Sealer
from oauth_gateway.testing import Clock

from .conftest import RecordingApp, World, make_world
from .issuers import AUDIENCE, Issuer, entry, issuer
from .test_foreign_introspection import TEXT, asking
from .test_foreign_jwts import call

BOTH = {"tokens": "jwt opaque"}


@pytest.fixture
def other() -> Iterator[Issuer]:
    with issuer() as made:
        yield made


def away(*_: Any, **__: Any) -> Any:
    raise StoreUnavailable("away")


def take_away(world: World, *names: str) -> None:
    """Methods of the store, or all that the gate calls."""
    store: Any = world.gateway.store
    taken = dict.fromkeys(names or ("watch", "epoch", "last_epoch", "changes", "token", "signing_keys"), staticmethod(away))
    store.__class__ = type("Away", (type(store),), taken)
    if "epoch" in taken:
        world.gateway.guard._tokens._epoch = away


CASES = [("everything", None), ("everything", "5s"), ("watch", None), ("watch", "5s"), ("epoch", None), ("token", None)]


@pytest.mark.parametrize(("what", "revocation"), CASES)
def test_what_others_issued_passes_while_the_own_database_is_away(
    what: str, revocation: str | None, other: Issuer, clock: Clock
) -> None:
    """Seen before or not, a JWT or one that its issuer is asked about; our own gets 503, garbage what it always gets"""
    world = make_world("sqlite://", clock, trusted_issuers=[asking(other, **BOTH)], revocation=revocation)
    mine, unseen = world.tokens()["access_token"], world.tokens()["access_token"]
    seen = other.token(clock)
    other.describe(clock, TEXT)
    assert [world.call(text).status_code for text in (mine, seen, TEXT)] == [200] * 3
    take_away(world, *() if what == "everything" else (what,))
    other.describe(clock, TEXT + "2")
    for seconds in (0, 2, 30, 200):
        clock.advance(seconds)
        assert [world.call(text).status_code for text in (seen, TEXT, TEXT + "2")] == [200] * 3, seconds
        assert world.call(other.token(clock, jti=f"j{seconds}")).status_code == 200
        assert world.app.environ["oauth_gateway.token"].issuer == other.name
        if seconds >= 30:
            assert world.call(unseen).status_code == 503
        assert world.call(other.token(clock, aud="https://elsewhere.example")).status_code == 401
        assert world.call("stranger-" + TEXT).status_code == 401 and world.call("!").status_code == 400
    assert world.call(mine).status_code == (200 if what == "token" else 503)
    asked = other.asked[other.introspection]
    for _ in range(5):
        assert world.call(TEXT).status_code == world.call(TEXT + "2").status_code == 200
    assert other.asked[other.introspection] == asked, "it is remembered meanwhile"


def test_it_does_not_wait_for_a_database_that_hangs(other: Issuer, clock: Clock) -> None:
    """While another thread waits for it with a token of ours"""
    world = make_world("sqlite://", clock, trusted_issuers=[asking(other, **BOTH)])
    mine = world.tokens()["access_token"]
    assert world.call(other.token(clock)).status_code == 200
    hangs, reached = threading.Event(), threading.Event()

    def hang() -> bool:
        reached.set()
        hangs.wait(10)
        raise StoreUnavailable("away")

    clock.advance(2)
    world.gateway.store.watch = hang  # type: ignore[method-assign]
    waiting = threading.Thread(target=world.call, args=(mine,))
    waiting.start()
    assert reached.wait(5)
    began = time.monotonic()
    other.describe(clock, TEXT)
    assert [world.call(text).status_code for text in (other.token(clock), other.token(clock, jti="j2"), TEXT)] == [200] * 3
    assert time.monotonic() - began < 1 and waiting.is_alive()
    hangs.set()
    waiting.join()


def test_a_gateway_that_starts_without_its_database_serves_others_tokens(other: Issuer, clock: Clock) -> None:
    app = RecordingApp()
    nobody = "postgresql://gateway:x@127.0.0.1:1/gateway"
    gateway = OAuthGateway(app, issuer=AUDIENCE, database=nobody, secret="x" * 43, trusted_issuers=[entry(other)])
    for _ in range(3):
        assert call(gateway, other.token(clock)).status_code == 200
        assert call(gateway, other.token(clock, exp=1)).status_code == 401
        assert call(gateway, sealed_by("x" * 43)).status_code == 503 and call(gateway, "oga1_at_x").status_code == 401
        clock.advance(2)
    assert app.calls == 3


def sealed_by(secret: str) -> str:
    return Sealer((secret.encode(),)).issue("at")[0]


def test_where_any_text_can_be_ours_only_our_database_can_say_whose_a_new_one_is(other: Issuer, clock: Clock) -> None:
    """With a token generator of one's own: 503, and the issuer is not shown what may be ours"""
    world = make_world("sqlite://", clock, trusted_issuers=[asking(other, **BOTH)])
    world.gateway.server.register_token_generator("default", lambda *_, **__: {"access_token": "acme-" + TEXT})
    other.describe(clock, TEXT)
    assert world.call(TEXT).status_code == 200 and other.asked[other.introspection] == 1
    take_away(world)
    other.describe(clock, TEXT + "2")
    assert world.call(TEXT + "2").status_code == 503 and world.call(other.token(clock)).status_code == 503
    assert world.call(TEXT).status_code == 200 and other.asked[other.introspection] == 1


def test_jwts_of_our_own_get_503_and_are_taken_for_nobody_elses(other: Issuer, clock: Clock) -> None:
    world = make_world("sqlite://", clock, trusted_issuers=[asking(other, **BOTH)], access_token_format="jwt")
    mine = world.tokens()["access_token"]
    take_away(world)
    clock.advance(2)
    assert world.call(mine).status_code == 503 and world.call(other.token(clock)).status_code == 200
    clock.advance(61)
    assert world.call(mine).status_code == 503 and not other.asked[other.introspection]


def test_how_many_are_remembered_is_bounded_and_own_ones_are_counted_apart(other: Issuer, clock: Clock) -> None:
    world = make_world("sqlite://", clock, trusted_issuers=[entry(other)], cache_size=3)
    mine = world.tokens()["access_token"]
    assert world.call(mine).status_code == 200
    texts = [other.token(clock, jti=f"j{number}") for number in range(10)]
    for text in [*texts, texts[-1]]:
        assert world.call(text).status_code == 200
    tokens = world.gateway.guard._tokens
    assert list(tokens._believed.hits) == [f"Bearer {text}" for text in texts[-3:]] and f"Bearer {mine}" in tokens._hits
