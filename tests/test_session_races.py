"""The end of a browser's session is never missed by a process that remembers it, whatever happens at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from oauth_gateway.exchange import session_cookie
from oauth_gateway.gateway import OAuthGateway
from oauth_gateway.sessions import Sessions
from oauth_gateway.testing import Clock

from .conftest import PASSWORD, World, make_world, send

ROUNDS, THREADS = 25, 2


@pytest.fixture
def pair(tmp_path: Any, clock: Clock) -> tuple[World, OAuthGateway]:
    """A gateway, and another one on the same database: two processes share no more than these do."""
    world = make_world(f"sqlite:///{tmp_path}/x.db", clock, routes=["* /** session"])
    return world, OAuthGateway.from_settings(world.app, world.gateway.settings)


def looking_for(gateway: OAuthGateway, value: str, clock: Clock) -> bool:
    return gateway.guard._browsers._tokens.of_session(value, "", clock()) is not None


def ends(world: World, sessions: Sessions, value: str) -> list[Callable[[], object]]:
    users, clock = world.gateway.server.users, world.clock
    return [
        lambda: sessions.end(value, clock()),
        lambda: users.set_password(users.named("ann"), PASSWORD, clock()),
        lambda: sessions.start(users.named("ann"), value, clock()),  # a new cookie for the same session
        lambda: sessions.renew(world.gateway.store.sessions()[0], value, clock()),
        lambda: sessions.end_all(users.named("ann"), clock()),
    ]


@pytest.mark.parametrize("way", range(5))
def test_no_look_that_began_after_the_end_finds_it(pair: tuple[World, OAuthGateway], way: int) -> None:
    """The four rules of tokens.py, for sessions: looks race with the end in both processes"""
    world, other = pair
    clock, stale = world.clock, []
    sessions = Sessions(world.gateway.settings, world.gateway.store, world.gateway.server.sealer)
    for _ in range(ROUNDS):
        value, _ = sessions.start(world.gateway.server.users.named("ann"), None, clock())
        over, begun = threading.Event(), threading.Barrier(2 * THREADS + 1)

        def look(
            gateway: OAuthGateway,
            value: str = value,
            over: threading.Event = over,
            begun: threading.Barrier = begun,
        ) -> None:
            begun.wait()
            while True:
                ended = over.is_set()  # before the look begins
                found = looking_for(gateway, value, clock)
                if ended:
                    if found:
                        stale.append(value)
                    return

        threads = [threading.Thread(target=look, args=(gateway,)) for gateway in (world.gateway, other) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        begun.wait()
        ends(world, sessions, value)[way]()
        over.set()
        for thread in threads:
            thread.join()
        assert not looking_for(world.gateway, value, clock) and not looking_for(other, value, clock)
        sessions.end_all(world.gateway.server.users.named("ann"), clock())
    assert stale == []


def test_what_was_read_before_a_revocation_is_not_remembered_after_it(
    pair: tuple[World, OAuthGateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule (c): the end comes between the look into the store and the memory"""
    world, other = pair
    clock, store = world.clock, other.store
    sessions = Sessions(world.gateway.settings, world.gateway.store, world.gateway.server.sealer)
    value, _ = sessions.start(world.gateway.server.users.named("ann"), None, clock())
    read = store.user

    def then_it_ends(user_id: str) -> Any:
        found = read(user_id)
        monkeypatch.setattr(store, "user", read)
        sessions.end(value, clock())
        other.guard._browsers._tokens._follow(clock())  # as another thread's request does
        return found

    assert looking_for(other, value, clock)
    other.guard._browsers._tokens._drop()
    monkeypatch.setattr(store, "user", then_it_ends)
    looking_for(other, value, clock)  # it had begun before the end, and may be answered either way
    assert not looking_for(other, value, clock), "but it is not remembered"
    assert (
        send(other, "GET", "/x", base=world.base, headers={"Cookie": f"{session_cookie(world.base)[0]}={value}"}).status_code
        == 401
    )
