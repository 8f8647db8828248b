"""A flood of tokens that are none: what reaches the store is counted, good tokens stay remembered, memory stays bounded."""

from __future__ import annotations

import base64
import json
import random
import secrets
import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from oauth_gateway import clock as clocks
from oauth_gateway import refused, sealing
from oauth_gateway.models import public_id
from oauth_gateway.refused import PERIOD, Refused
from oauth_gateway.sealing import Sealer
from oauth_gateway.store import NewToken
from oauth_gateway.testing import Clock, StoreContract
from oauth_gateway.tokens import SETTLED, Tokens

from .conftest import World, make_world

DAY = 86400.0
contract = StoreContract()


class Counting:
    """A store that counts its calls by name."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not callable(found) or name in ("epoch", "last_epoch"):
            return found

        def counted(*given: Any, **named: Any) -> Any:
            self.calls[name] += 1
            return found(*given, **named)

        return counted


class Gate:
    """The tokens of one process behind a counting store, and a clock that moves when told to."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.moment = 1000.0
        monkeypatch.setattr("oauth_gateway.tokens.monotonic", lambda: self.moment)
        self.store = Counting(world.gateway.store)
        self.sealer = world.gateway.server.sealer
        self.tokens = Tokens(self.store, self.sealer, audience=world.base, issuer=world.base, size=2000, grace=None)

    def finds(self, text: str) -> bool:
        return self.tokens.find(f"Bearer {text}", clocks.now()) is not None

    def asked(self, text: str, times: int = 1) -> int:
        """How often the store is asked for a token that `times` requests bring."""
        before = self.store.calls["token"]
        for _ in range(times):
            assert not self.finds(text)
        return self.store.calls["token"] - before

    def issue(self, *, age: float = 2 * SETTLED, stored: bool = True, **changes: Any) -> tuple[str, NewToken]:
        """The text and the row of a token that was issued `age` seconds ago."""
        made = sealing.new_number() - (int(age * 1000) << 21)
        text, credential = self.sealer.issue("at", made)
        now = self.world.clock()
        row = contract.a_token(self.world.machine, number=credential.number, digest=credential.digest)
        row = row._replace(audience=self.world.base, issued=now, expires=now + DAY, **changes)
        if stored:
            self.world.gateway.store.issue(row)
        return text, row


@pytest.fixture
def gate(memory_world: World, monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(memory_world, monkeypatch)


def of_others(kind: str) -> Callable[[], str]:
    """Makes texts that we did not issue."""
    other = Sealer((b"another deployment's secret, as long as ours",))
    head = base64.urlsafe_b64encode(json.dumps({"alg": "RS256", "kid": "x", "typ": "at+jwt"}).encode()).rstrip(b"=").decode()
    return {
        "random": lambda: secrets.token_urlsafe(32),
        "one character": lambda: random.choice("abc"),
        "a UUID": lambda: f"{random.getrandbits(128):032x}",
        "our prefix": lambda: "oga1_at_" + secrets.token_urlsafe(50)[:67],
        "another's checksum": lambda: other.issue("at")[0],
        "a refresh token's form": lambda: other.issue("rt")[0],
        "a JWT": lambda: f"{head}.{secrets.token_urlsafe(60)}.{secrets.token_urlsafe(60)}",
        "long": lambda: secrets.token_urlsafe(3000),
    }[kind]


KINDS = ["random", "one character", "a UUID", "our prefix", "another's checksum", "a refresh token's form", "a JWT", "long"]


@pytest.mark.parametrize("kind", KINDS)
def test_garbage_never_reaches_the_store_and_pushes_no_good_token_out(gate: Gate, kind: str) -> None:
    """A077"""
    make = of_others(kind)
    good = [gate.issue()[0] for _ in range(50)]
    assert all(gate.finds(text) for text in good)
    gate.store.calls.clear()
    for number in range(3000):
        assert not gate.finds(make())
        assert gate.finds(good[number % 50])
    assert not gate.store.calls, gate.store.calls
    assert len(gate.tokens._hits) == 50 and len(gate.tokens._refused) == 0


def test_garbage_through_the_whole_gateway_asks_the_store_for_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A077"""
    tokens, counting = world.gateway.guard._tokens, Counting(world.gateway.store)
    token = world.machine_token()
    assert world.call(token).status_code == 200
    monkeypatch.setattr(tokens, "_store", counting)
    for kind in KINDS:
        make = of_others(kind)
        for _ in range(20):
            assert world.call(make()).status_code == 401
    assert world.call(token).status_code == 200
    assert counting.calls.keys() <= {"watch"}, counting.calls


def test_a_hundred_thousand_unknown_tokens_leave_the_memory_as_it_was(gate: Gate) -> None:
    """A077: and a million as much, for nothing is kept of one of them"""
    make = of_others("another's checksum")
    good = gate.issue()[0]
    assert gate.finds(good)
    flood = [f"Bearer {make()}" for _ in range(1000)]
    now = gate.world.clock()
    tracemalloc.start()
    try:
        for header in flood:
            gate.tokens.find(header, now)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(5):
            for header in flood:
                gate.tokens.find(header, now)
        assert tracemalloc.get_traced_memory()[0] - before < 5000
    finally:
        tracemalloc.stop()
    for _ in range(100):
        for header in flood:
            gate.tokens.find(header, now)
    assert gate.store.calls["token"] == 1 and gate.finds(good) and gate.store.calls["token"] == 1


DEAD = ["expired", "revoked", "purged", "its grant is gone", "a refresh token", "for another audience"]


@pytest.mark.parametrize("why", DEAD)
def test_a_dead_token_that_comes_again_and_again_is_asked_for_once(gate: Gate, why: str) -> None:
    """A077, A099: a client that replays what it once had"""
    world, store, now = gate.world, gate.world.gateway.store, gate.world.clock()
    first = 1
    if why == "purged":
        text, row = gate.issue(stored=False)
        first = 2  # whether it is only disabled for now
    elif why == "its grant is gone":
        client, _, grant, _ = contract.a_grant(store)
        text, row = gate.issue(client=client.number, grant_id=grant.id)
        assert gate.finds(text)
        store.revoke_grant(grant.id, now)
        first = 2
    elif why == "a refresh token":
        text, row = gate.issue(kind="refresh_token")
    elif why == "for another audience":
        text, row = gate.issue()
        gate.tokens._audience = "https://other.test"
    else:
        text, row = gate.issue()
        assert gate.finds(text)
    if why == "expired":
        world.clock.advance(DAY)
    if why == "revoked":
        store.revoke_token(row.number, now)
    assert gate.asked(text, 1000) == first
    world.clock.advance(-DAY - 1)
    assert gate.asked(text, 1000) == 0, "a clock that is set back revives nothing"
    for _ in range(4):  # in two of them it is forgotten
        gate.moment += PERIOD
        assert gate.asked(text, 10) <= first
    gate.moment += 3 * PERIOD
    assert gate.asked(text, 10) == first


def test_a_token_that_is_stored_after_it_was_refused_is_found_at_once(gate: Gate) -> None:
    """A075: unknown-then-issued"""
    text, row = gate.issue(stored=False, age=0)
    assert gate.asked(text, 3) == 3, "nobody remembers what may be stored in this moment"
    gate.world.gateway.store.issue(row)
    assert gate.finds(text)


def test_what_another_generator_made_is_never_remembered_as_unknown(gate: Gate) -> None:
    """A075: its text may be known before it is issued"""
    gate.sealer.foreign = True
    text, credential = gate.sealer.adopt_or_issue("at", "a-text-that-was-chosen-in-advance")
    assert gate.asked(text, 3) == 3
    _, row = gate.issue(stored=False)
    gate.world.gateway.store.issue(row._replace(number=credential.number, digest=credential.digest))
    assert gate.finds(text)


@pytest.mark.parametrize("who", ["client", "user"])
def test_whoever_is_enabled_again_is_let_in_at_once(gate: Gate, who: str) -> None:
    """A076: disabled is not dead"""
    store, now = gate.world.gateway.store, gate.world.clock()
    client, user, grant, _ = contract.a_grant(store)
    text, _ = gate.issue(client=client.number, grant_id=grant.id)
    assert gate.finds(text)

    def disable(since: float | None) -> None:
        if who == "client":
            assert store.update_client(replace(client, disabled=since), now)
        else:
            assert store.update_user(replace(user, disabled=since), now, revoke=True)

    disable(now)
    assert gate.asked(text, 5) == 10
    disable(None)
    assert gate.finds(text)


def test_a_database_that_was_exchanged_knows_what_the_other_refused(gate: Gate) -> None:
    text, row = gate.issue(stored=False)
    assert gate.asked(text, 5) == 2
    gate.world.gateway.store.issue(row)
    assert not gate.finds(text)
    gate.tokens._drop()
    assert gate.finds(text)


def test_the_memory_of_dead_tokens_is_bounded_and_its_own(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """A077: separate from the good ones"""
    monkeypatch.setattr(gate.tokens, "_refused", Refused(most=100))
    good = [gate.issue()[0] for _ in range(50)]
    assert all(gate.finds(text) for text in good)
    dead = [gate.issue(stored=False)[0] for _ in range(1000)]
    for text in dead:
        assert gate.asked(text) == 2 and len(gate.tokens._refused) <= 200
    assert gate.asked(dead[-1], 10) == 0 and gate.asked(dead[0], 10) == 2
    before = gate.store.calls["token"]
    assert all(gate.finds(text) for text in good) and gate.store.calls["token"] == before


def test_two_full_periods_of_dead_tokens_weigh_a_few_megabytes() -> None:
    tracemalloc.start()
    try:
        remembered = Refused()
        for number in range(3 * refused.MOST):
            remembered.add(number.to_bytes(32, "big"), 0.0)
        assert len(remembered) <= 2 * refused.MOST
        assert tracemalloc.get_traced_memory()[0] < 6e6
    finally:
        tracemalloc.stop()


def test_a_digest_is_known_for_two_periods_at_most() -> None:
    """Whenever it came, and whatever comes meanwhile"""
    chance = random.Random(1)
    for _ in range(200):
        remembered, moment, came = Refused(most=10**6), 100.0, {}
        for number in range(60):
            moment += chance.choice((0.0, 1.0, 7.0, 29.0, 31.0, 100.0))
            for known, since in came.items():
                assert moment - since < 2 * PERIOD if (known, moment) in remembered else moment > since
            digest = public_id(number).encode()
            if chance.random() < 0.7:
                remembered.add(digest, moment)
                came[digest] = moment
                assert (digest, moment) in remembered


def test_a_million_paths_leave_a_bounded_memory_of_decisions(memory_world: World) -> None:
    """A077: and the paths that are asked for meanwhile are decided as before"""
    guard, most = memory_world.gateway.guard, 0
    for number in range(30_000):
        guard.decide(("GET", "", f"/flood/{number:0200d}"))
        most = max(most, len(guard.known))
    assert most <= 8192
    assert guard.decide(("GET", "", "/public/x")).kind == "public"
    assert guard.decide(("GET", "", "/thing")).kind == "token"
    guard.decide(("GET", "", "/" + "x" * 5000))
    assert max(len(path) for _, _, path in guard.known) <= 300


def test_forged_jwts_are_judged_by_their_signature_and_revoked_ones_asked_for_once(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A077"""
    world = make_world("sqlite://", clock, access_token_format="jwt", access_token_algorithm="ES256")
    gate = Gate(world, monkeypatch)
    text = world.machine_token()
    assert gate.finds(text)
    forged = text[:-4] + ("AAAA" if not text.endswith("AAAA") else "BBBB")
    assert gate.asked(forged, 50) == 0
    world.revoke(text, world.machine)
    assert gate.asked(text, 50) == 1
