"""What must hold on a healthy store, whatever struck before: tokens and their fates, families, rows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import select

from oauth_gateway.models import StoredToken, public_id
from oauth_gateway.store.schema import client, grant, token

from ..conftest import World
from .steps import Case

PATIENCE = 20.0  # seconds; whoever waits longer waits for a lock that nobody gives back


def check_in_another_thread(check: Callable[[], None]) -> None:
    """Run `check` in a thread of its own: a lock that was left behind would stop it."""
    failure: list[BaseException] = []

    def run() -> None:
        try:
            check()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "a lock was left behind: a later request hangs"
    if failure:
        raise failure[0]


def check_fates(worlds: Mapping[str, World], fates: Mapping[str, bool | None], name: Callable[[str], str]) -> None:
    """Every gateway says the same of each token, and where its fate is known, that."""
    for text, fate in fates.items():
        found = {where: status_of(world, text) for where, world in worlds.items()}
        assert len(set(found.values())) == 1, f"caches differ about {name(text)}: {found}"
        status = next(iter(found.values()))
        assert status in (200, 401), f"{name(text)}: {status}"
        if fate is not None:
            assert status == (200 if fate else 401), f"{name(text)} is {'alive' if status == 200 else 'dead'}, and must not be"


def status_of(world: World, text: str) -> int:
    """What is answered to a request with this token; the app is called for 200 only."""
    calls = world.app.calls
    status: int = world.call(text).status_code
    assert world.app.calls - calls == (status == 200), f"the app was called, and {status} answered"
    return status


def check_families(case: Case, since: int) -> None:
    """One code bought one family at most, and no family is half there; `since` is the number before its first row."""
    store = case.peer.gateway.store
    found = [each for each in every_token(store, since) if each.grant is not None]
    if case.facts.get("doomed"):
        assert not found, "there are living tokens of what was ended"
        return
    text = case.facts.get("code")
    credential = case.peer.gateway.server.sealer.recognise(text) if text else None
    code = store.code(credential.number, credential.digest, dormant=True) if credential else None
    if code is None:
        assert not found, "there are living tokens of a grant whose code is not known or whose grant has ended"
        return
    strangers = {each.grant_id for each in found} - {public_id(code.grant.id)}
    assert not strangers, f"living tokens of grants that no code was handed out for: {strangers}"
    if code.redeemed is None:
        assert not found, "there are tokens of a code that is still to be redeemed"
        return
    access = [each for each in found if each.kind == "access_token"]
    refresh = {each.number: each for each in found if each.kind == "refresh_token"}
    assert found, "a code is redeemed, and what it bought is not there"
    roots = [each for each in refresh.values() if each.parent == code.id]
    assert len(roots) == 1, f"one code bought {len(roots)} families"
    for each in refresh.values():
        children = [other for other in refresh.values() if other.parent == each.number]
        assert len(children) == (each.redeemed is not None), f"a refresh token bought {len(children)} successors"
        assert each.parent in {code.id, *refresh}, "a refresh token without the one that bought it"
    assert len(access) == len(refresh), f"half-written: {len(access)} access and {len(refresh)} refresh tokens"


def every_token(store: Any, since: int) -> list[StoredToken]:
    found: list[StoredToken] = []
    while page := store.tokens(found[-1].number if found else since):
        found.extend(page)
    return found


def check_rows(store: Any, since: int) -> None:
    """No token row without its grant, save those of a client that was deleted: they die with it."""
    database = getattr(store, "database", None)
    if database is None:
        return
    lost = (
        select(token.c.id)
        .join_from(token, client, client.c.number == token.c.client)
        .outerjoin(grant, grant.c.id == token.c.grant_id)
        .where(token.c.id > since, token.c.grant_id.is_not(None), grant.c.id.is_(None))
    )
    with database.read() as connection:
        assert not connection.execute(lost).all(), "token rows without their grant"


def check_keys(worlds: Iterable[World], now: float) -> None:
    """Every process publishes the same keys, has one that signs, and of no algorithm two that wait."""
    published = [sorted(key["kid"] for key in world.gateway.server.keys.public(now)) for world in worlds]
    assert published[1:] == published[:-1], f"key sets differ: {published}"
    for world in worlds:
        waiting: dict[str, int] = {}
        for key, state, _ in world.gateway.server.keys.listed(now):
            waiting[key.algorithm] = waiting.get(key.algorithm, 0) + (state == "next")
        assert max(waiting.values()) <= 1, f"several generations wait: {waiting}"
        assert world.gateway.server.keys.sign("RS256", "JWT", {}, now).count(".") == 2
