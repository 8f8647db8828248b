"""Processes that do the same to one store at the same moment."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

from oauth_gateway.store import NewToken, Purchase, Store, open_store
from oauth_gateway.testing import NOW, StoreContract

fork = multiprocessing.get_context("fork")


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What each call gave, each in a process of its own; an exception as text."""
    start, results = fork.Event(), fork.Queue()

    def run(call: Callable[[], Any]) -> None:
        start.wait()
        try:
            results.put(call())
        except Exception as error:
            results.put(repr(error))

    workers = [fork.Process(target=run, args=(call,)) for call in calls]
    for worker in workers:
        worker.start()
    start.set()
    found = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    return found


def race_for_one_code(url: str) -> None:
    """A070: of several processes that redeem a code one wins, and only what it bought is there."""
    contract, store = StoreContract(), open_store(url)
    store.prepare()
    client, _, grant, code = contract.a_grant(store)
    tokens = [contract.a_token(client, grant_id=grant.id) for _ in range(4)]

    def redeem(token: NewToken) -> str:
        return str(open_store(url).redeem(code.number, Purchase((token,)), NOW).outcome.value)

    outcomes = at_once(*[lambda token=token: redeem(token) for token in tokens])
    assert sorted(outcomes) == ["replayed", "replayed", "replayed", "won"]
    assert sum(contract.found(store, token) for token in tokens) == 1
    store.close()


def prepare(url: str) -> int:
    """The feed's head of a store that was made by whoever came first (A101)."""
    store: Store = open_store(url)
    store.prepare()
    return store.changes(0).head
