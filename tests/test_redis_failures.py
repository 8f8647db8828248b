"""Redis that dies, hangs, refuses, forgets, moves or is another one (A098)."""

from __future__ import annotations

import itertools
import multiprocessing
import time
from collections.abc import Iterator
from typing import Any

import pytest

from oauth_gateway.errors import ConfigurationError, StoreUnavailable
from oauth_gateway.store import NewToken, Outcome, Purchase, Store, open_store
from oauth_gateway.testing import NOW, StoreContract, race
from oauth_gateway.testing.parts import sealer
from oauth_gateway.tokens import Tokens

from .processes import race_for_one_code
from .redis_server import Between, RedisServer, Refusing

fork = multiprocessing.get_context("fork")
contract = StoreContract()
tags = itertools.count()


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.close()


@pytest.fixture
def server(shared: RedisServer) -> RedisServer:
    """An empty one."""
    shared.connection.flushall()
    return shared


@pytest.fixture
def store(server: RedisServer) -> Iterator[Store]:
    store = opened(server.address)
    yield store
    store.close()


def opened(url: str, strict: bool = True) -> Store:
    store = open_store(url, strict=strict)
    store.prepare()
    return store


def remembering(store: Store, grace: int | None = None) -> Tokens:
    return Tokens(store, sealer, audience="aud", issuer="iss", size=100, grace=grace)


def a_header(store: Store) -> tuple[str, NewToken]:
    text, credential = sealer.issue("at")
    new = contract.a_token(contract.a_client(store))
    token = NewToken(credential.number, new.kind, credential.digest, new.client, "read", "aud", NOW, NOW + 10**6)
    store.issue(token)
    return f"Bearer {text}", token


def again(call: Any, seconds: float = 10) -> Any:
    """The answer, once the store gives one."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except StoreUnavailable:
            assert time.monotonic() < deadline, "it does not recover"
            time.sleep(0.05)


def test_processes_racing_for_one_code_have_one_winner(server: RedisServer) -> None:
    race_for_one_code(server.address)


def test_what_was_answered_survives_a_kill_of_the_server(server: RedisServer, store: Store) -> None:
    """A090: acknowledged is durable; and everybody recovers without a restart of their own"""
    tokens = remembering(store)
    header, token = a_header(store)
    client, _, grant, code = contract.a_grant(store)
    assert tokens.find(header, NOW) is not None
    for _ in range(3):
        new = contract.a_token(client)
        store.issue(new)
        server.kill()
        with pytest.raises(StoreUnavailable):
            tokens.find(header, NOW)
        with pytest.raises(StoreUnavailable):
            store.issue(contract.a_token(client))
        server.start()
        assert again(lambda: tokens.find(header, NOW)) is not None
        assert contract.found(store, new)
    assert store.redeem(code.number, Purchase((contract.a_token(client, grant_id=grant.id),)), NOW).outcome is Outcome.WON
    store.revoke_token(token.number, NOW)
    server.kill()
    server.start()
    assert again(lambda: tokens.find(header, NOW)) is None, "revoked stays revoked"
    outcome = store.redeem(code.number, Purchase(()), NOW).outcome
    assert outcome is Outcome.REPLAYED, "redeemed stays redeemed"


def _work_forever(url: str, results: Any) -> None:
    store, contract = open_store(url), StoreContract()
    while True:
        try:
            client, _, grant, code = contract.a_grant(store)
            token = contract.a_token(client, grant_id=grant.id)
            if store.redeem(code.number, Purchase((token,)), NOW).outcome is Outcome.WON:
                results.put((code.number, token.number, token.digest))
        except StoreUnavailable:
            time.sleep(0.05)


def test_nothing_half_written_is_found_after_kills_under_load(server: RedisServer, store: Store) -> None:
    """A090: a redeemed code has bought its token, and none that was answered is lost"""
    results = fork.Queue()
    worker = fork.Process(target=_work_forever, args=(server.address, results))
    worker.start()
    answered = []
    for _ in range(3):
        time.sleep(0.4)
        server.kill()
        server.start()
    while not results.empty():
        answered.append(results.get())
    worker.kill()
    worker.join()
    assert len(answered) > 10
    for code, number, digest in answered:
        found = again(lambda number=number, digest=digest: store.token(number, digest))[0]
        assert found is not None
        assert store.redeem(code, Purchase(()), NOW).outcome is Outcome.REPLAYED


def test_a_server_that_hangs_holds_up_nobody_for_long(server: RedisServer) -> None:
    """A few wait for the time-out, everybody else fails at once, one at a time asks again"""
    store = opened(f"{server.address}?socket_timeout=0.5")
    client = contract.a_client(store)
    server.pause()
    times: list[float] = []

    def ask() -> None:
        ends = time.monotonic() + 4
        while time.monotonic() < ends:
            began = time.monotonic()
            with pytest.raises(StoreUnavailable):
                store.client(client.client_id)
            times.append(time.monotonic() - began)
            time.sleep(0.01)

    try:
        assert race(*[ask] * 12) == [None] * 12
    finally:
        server.resume()
    slow = [seconds for seconds in times if seconds > 0.1]
    assert len(slow) <= 12 + 4 and max(times) < 2, f"{len(slow)} of {len(times)} waited, up to {max(times):.1f} s"
    assert again(lambda: store.client(client.client_id)) == client
    store.close()


ERRORS = [
    b"LOADING Redis is loading the dataset in memory",
    b"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    b"NOAUTH Authentication required.",
    b"WRONGPASS invalid username-password pair or user is disabled.",
    b"NOPERM this user has no permissions to run the 'get' command",
    b"CLUSTERDOWN The cluster is down",
    b"TRYAGAIN Multiple keys request during rehashing of slot",
    b"ASK 866 127.0.0.1:1",
    b"MOVED 866 127.0.0.1:1",
    b"MOVED what is this",
    b"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    b"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    b"READONLY You can't write against a read only replica.",
    b"OOM command not allowed when used memory > 'maxmemory'.",
    b"ERR max number of clients reached",
    b"ERR something new",
    b"WRONGTYPE Operation against a key holding the wrong kind of value",
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.split()[0].decode())
def test_every_refusal_is_a_store_that_does_not_answer(error: bytes) -> None:
    """A098"""
    refusing = Refusing(error)
    store = open_store(f"{refusing.url}?socket_timeout=1&socket_connect_timeout=1")
    calls = [
        store.epoch,
        store.watch,
        lambda: store.token(1, bytes(32)),
        lambda: store.issue(contract.a_token(contract.a_client(store))),
        lambda: store.revoke_token(1, NOW),
        store.prepare,
    ]
    for call in calls:
        with pytest.raises((StoreUnavailable, ConfigurationError)):
            call()
    store.close()
    refusing.close()


def test_a_server_that_became_a_replica_refuses_writes_and_is_used_again_later(server: RedisServer, store: Store) -> None:
    client = contract.a_client(store)
    server.connection.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(StoreUnavailable, match="read only|READONLY"):
            store.issue(contract.a_token(client))
        assert store.client(client.client_id) == client
    finally:
        server.connection.replicaof("NO", "ONE")
    store.issue(contract.a_token(client))


def test_without_memory_nothing_is_half_written(server: RedisServer, store: Store) -> None:
    """noeviction: a write is refused as a whole, reads go on, and what has ended can still be deleted"""
    client, _, grant, code = contract.a_grant(store)
    token = contract.a_token(client, grant_id=grant.id)
    server.connection.config_set("maxmemory", 1)
    try:
        for call in (
            lambda: store.redeem(code.number, Purchase((token,)), NOW),
            lambda: store.revoke_grant(grant.id, NOW),
            lambda: store.add("jti", "x", NOW + 60, NOW),
        ):
            with pytest.raises(StoreUnavailable, match="memory"):
                call()
        assert store.client(client.client_id) == client
    finally:
        server.connection.config_set("maxmemory", 0)
    assert store.redeem(code.number, Purchase((token,)), NOW).outcome is Outcome.WON, "it was not redeemed"


def test_a_flushed_database_opens_nothing(server: RedisServer, store: Store) -> None:
    """A096, A098"""
    tokens = remembering(store)
    header, token = a_header(store)
    assert tokens.find(header, NOW) is not None
    position = store.changes(0).head
    server.connection.flushall()
    with pytest.raises(StoreUnavailable, match="no database of ours"):
        tokens.find(header, NOW)
    assert store.token(token.number, token.digest) == (None, 0)
    assert not store.changes(position).complete
    for call in (store.watch, store.epoch, lambda: store.issue(contract.a_token(contract.a_client(store)))):
        with pytest.raises(StoreUnavailable):
            call()
    assert server.connection.dbsize() == 0, "and nothing is written into it"


@pytest.mark.parametrize("grace", [None, 1])
def test_another_database_in_its_place_is_noticed_and_then_used(server: RedisServer, store: Store, grace: int | None) -> None:
    """What was remembered of the old one opens nothing, though the new feed reaches as far"""
    tokens = remembering(store, grace)
    header, token = a_header(store)
    assert tokens.find(header, NOW) is not None
    position = store.changes(0).head
    server.connection.flushall()
    other = opened(server.address)
    for _ in range(position + 1):
        other.update_client(contract.a_client(other), NOW)
    store.watch()  # whoever calls it first
    assert other.changes(0).complete and not store.changes(position).complete, "its position means nothing there"
    assert store.token(token.number, token.digest)[0] is None
    assert tokens.find(header, NOW + 2) is None
    client = contract.a_client(store)
    store.issue(contract.a_token(client))
    end = store.changes(-1).head
    store.update_client(client, NOW)
    assert store.changes(end).entries == (("client", client.client_id),), "positions in the new feed are good"
    other.close()


def test_a_commit_whose_answer_was_lost_is_not_run_again(server: RedisServer) -> None:
    """Whether it happened is not known, so it raises; it happened once"""
    between = Between(server.port)
    direct, store = opened(server.address), open_store(between.url)
    client = contract.a_client(store)
    between.lose = b"EVALSHA"
    with pytest.raises(StoreUnavailable):
        store.count("x", "y", 60, NOW)
    token = contract.a_token(client)
    with pytest.raises(StoreUnavailable):
        store.issue(token)
    assert store.client(client.client_id) == client, "a connection that ends holds nobody else up"
    between.lose = None
    assert between.lost == 2
    assert direct.count("x", "y", 60, NOW).value == 2, "once, and this one"
    assert contract.found(direct, token)
    assert again(lambda: store.count("x", "y", 60, NOW)).value == 3
    store.close()
    direct.close()
    between.close()
