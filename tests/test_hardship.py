"""What a store lives through on one machine: power loss, I/O errors, purges that race and die, floods, a clock set back."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import struct
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from oauth_gateway import clock as clocks
from oauth_gateway.errors import OAuthError, StoreUnavailable
from oauth_gateway.store import Outcome, Purchase, open_store
from oauth_gateway.testing import NOW, Clock, StoreContract
from oauth_gateway.tokens import Tokens

from .conftest import ENGINES, PASSWORD, World, make_world
from .engines import FRESH
from .processes import at_once, fork

WAL_HEADER, FRAME_HEADER = 32, 24
contract = StoreContract()


def test_whatever_of_the_log_a_power_loss_leaves_is_a_whole_number_of_commits(tmp_path: Path) -> None:
    """A092: the log cut at every frame; a code is redeemed where its tokens are, and only there"""
    file = tmp_path / "g.db"
    store = open_store(f"sqlite:///{file}")
    store.prepare()
    client, _, grant, code = contract.a_grant(store)
    with store.database.write() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql("SELECT 1")
    bought = contract.a_token(client, grant_id=grant.id)
    later = [contract.a_token(client, "rt", grant_id=grant.id) for _ in range(3)]
    assert store.redeem(code.number, Purchase((bought, later[0])), NOW).outcome is Outcome.WON
    for old, new in pairwise(later):
        assert store.redeem(old.number, Purchase((new,)), NOW).outcome is Outcome.WON
    store.revoke_token(bought.number, NOW)
    log = Path(f"{file}-wal").read_bytes()
    (page,) = struct.unpack(">I", log[8:12])
    frames = (len(log) - WAL_HEADER) // (page + FRAME_HEADER)
    assert frames > 10
    seen = set()
    for kept in range(frames + 1):
        after = tmp_path / f"{kept}.db"
        shutil.copy(file, after)
        Path(f"{after}-wal").write_bytes(log[: WAL_HEADER + kept * (page + FRAME_HEADER)])
        found = open_store(f"sqlite:///{after}")
        try:
            rows = {row["id"]: row for row in found.dump("token")}
        except StoreUnavailable:
            continue  # from before the tables were there
        finally:
            found.close()
        used = [number in rows and rows[number]["redeemed"] is not None for number in (code.number, *[t.number for t in later])]
        there = [token.number in rows for token in later]
        assert used[:3] == there, "what was redeemed has bought, and nothing else has"
        assert (bought.number in rows) == used[0]
        seen.add((len(rows), *used))
    assert len(seen) >= 4, seen
    store.close()


def _write_until_it_fails(url: str, pipe: object) -> None:
    """In a child whose files may not grow: SIGXFSZ ignored, writing fails as on a broken disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = open_store(url)
    client = contract.a_client(store)
    size = os.stat(f"{url.removeprefix('sqlite:///')}-wal").st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40_000, resource.RLIM_INFINITY))
    done, failed = [], 0
    for _ in range(200):
        token = contract.a_token(client)
        try:
            store.issue(token)
            done.append((token.number, token.digest))
        except StoreUnavailable:
            failed += 1
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    token = contract.a_token(client)
    store.issue(token)  # as soon as it can
    pipe.send((done, failed, (token.number, token.digest)))  # type: ignore[attr-defined]


def test_what_was_acknowledged_between_errors_of_the_disk_is_there(tmp_path: Path) -> None:
    """A094"""
    url = f"sqlite:///{tmp_path}/g.db"
    open_store(url).prepare()
    mine, its = fork.Pipe()
    child = fork.Process(target=_write_until_it_fails, args=(url, its))
    child.start()
    assert mine.poll(60), "the child does not answer"
    done, failed, last = mine.recv()
    child.join()
    assert done and failed, (len(done), failed)
    store = open_store(url)
    assert all(store.token(*token)[0] is not None for token in (*done, last))
    assert store.size("token") == len(done) + 1, "and nothing else"
    store.close()


@pytest.mark.parametrize("engine", [name for name in ("sqlite", *FRESH) if name in ENGINES])
def test_purges_of_all_workers_at_once_and_one_that_dies_take_only_what_has_expired(engine: str, tmp_path: Path) -> None:
    """A102, also against redemptions"""
    url = FRESH[engine]() if engine in FRESH else f"sqlite:///{tmp_path}/g.db"
    store = open_store(url)
    store.prepare()
    client, _, grant, code = contract.a_grant(store, "rt")
    kept = contract.a_token(client, expires=NOW + 10**6)
    for token in (kept, *[contract.a_token(client) for _ in range(300)]):
        store.issue(token)
    store.close()

    def sweep() -> int:
        return sum(open_store(url).sweep(NOW + 1000))

    def die() -> None:
        for _ in open_store(url).sweep(NOW + 1000):
            os.kill(os.getpid(), signal.SIGKILL)

    victim = fork.Process(target=die)
    victim.start()
    victim.join()
    bought = contract.a_token(client, "rt", grant_id=grant.id, expires=NOW + 10**6)

    def redeem() -> str:
        return str(open_store(url).redeem(code.number, Purchase((bought,)), NOW).outcome.value)

    found = at_once(sweep, sweep, redeem, sweep)
    assert "won" in found and all(isinstance(one, int) for one in found if one != "won"), found
    assert contract.found(store, kept) and contract.found(store, bought)
    assert store.size("token") == 3, "the code's row shows its replay"
    store.close()


def test_a_day_of_tokens_leaves_only_those_of_the_last_hour(clock: Clock, tmp_path: Path) -> None:
    """A081: the tables do not grow, though nobody purges"""
    world = make_world(f"sqlite:///{tmp_path}/g.db", clock)
    most = 0
    for _ in range(1440):
        world.machine_token()
        clock.advance(60)
        most = max(most, world.gateway.store.size("token")) if _ % 60 == 0 else most
    assert most < 60 + 2 * 50 + 2, most
    world.gateway.store.close()


def test_hashing_is_done_by_few_at_a_time_and_the_others_are_told_to_come_again(
    memory_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A083"""
    users = memory_world.gateway.server.users
    monkeypatch.setattr("oauth_gateway.users.HASH_PATIENCE", 0.05)
    busy, at_work, most = threading.Event(), [0], [0]

    class Slow:
        def verify(self, known: str, given: str) -> bool:
            at_work[0] += 1
            most[0] = max(most[0], at_work[0])
            busy.wait(5)
            at_work[0] -= 1
            return True

        def __getattr__(self, name: str) -> Callable[..., bool]:
            return lambda *given: False

    monkeypatch.setattr(users, "_hasher", Slow())
    answers: list[int] = []

    def log_in() -> None:
        try:
            users.log_in("ann", PASSWORD, "127.0.0.1", clocks.now())
            answers.append(200)
        except OAuthError as error:
            answers.append(error.status)
            assert dict(error.headers)["Retry-After"]

    threads = [threading.Thread(target=log_in) for _ in range(8)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while len(answers) < 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    busy.set()
    for thread in threads:
        thread.join()
    assert most[0] == 2 and sorted(answers) == [200] * 2 + [503] * 6, (most, answers)


def test_a_clock_that_is_set_back_revives_nothing_and_ends_no_watch(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A099"""
    world = make_world("sqlite://", clock)
    token = world.machine_token()
    assert world.call(token).status_code == 200
    clock.advance(3601)
    assert world.call(token).status_code == 401
    clock.advance(-7200)
    assert world.call(token).status_code == 401, "expired is expired"
    store, moment = world.gateway.store, [1000.0]
    watched = [0]
    monkeypatch.setattr("oauth_gateway.tokens.monotonic", lambda: moment[0])
    monkeypatch.setattr(store, "watch", lambda: watched.__setitem__(0, watched[0] + 1) or False)
    tokens = Tokens(store, world.gateway.server.sealer, audience=world.base, issuer="x", size=10, grace=5)
    for _ in range(10):  # seconds, in which the wall clock stands still
        tokens.find(f"Bearer {token}", clocks.now())
        moment[0] += 1
    assert watched[0] >= 9
    far = contract.a_token(world.machine)._replace(issued=NOW + 400 * 86400)
    clock.advance(400 * 86400)
    assert far.expires < clocks.now() and world.call(world.machine_token()).status_code == 200
