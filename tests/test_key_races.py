"""Three moments in which a revoked key could still open something, each made to happen every time (A069, A078)."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from oauth_gateway import OAuthGateway, jose
from oauth_gateway.errors import StoreUnavailable
from oauth_gateway.keys import Keys
from oauth_gateway.store import UNTOLD
from oauth_gateway.testing import Clock

from .conftest import RecordingApp, make_world


def in_a_thread(call: Any) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


def test_a_token_looked_up_while_its_key_is_revoked_is_not_remembered(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recognised, [revoked, another request applies the feed], row and head read: remembered for its life."""
    database = f"sqlite:///{tmp_path}/g.db"
    world = make_world(database, clock, access_token_format="jwt")
    admin = OAuthGateway(RecordingApp(), issuer=world.base, database=database, access_token_format="jwt")
    other, token = world.machine_token(), world.machine_token()
    assert world.call(other).status_code == 200
    kid = world.gateway.server.keys.signing("RS256", clock()).kid
    store = world.gateway.store
    original = store.token
    done = []

    def in_between(number: int, digest: bytes | None, **more: Any) -> Any:
        if not done:
            done.append(True)
            admin.server.keys.revoke(kid, clock())  # the command has answered
            in_a_thread(lambda: world.call(other))  # another request applies the feed
        return original(number, digest, **more)

    monkeypatch.setattr(store, "token", in_between)
    world.call(token)  # whatever this one is answered
    assert world.call(other).status_code == 401
    assert world.call(token).status_code == 401, "accepted after its key was revoked, until it expires"


def test_what_is_known_and_its_epoch_are_looked_at_together(clock: Clock, tmp_path: Path) -> None:
    """`_known_at` takes `known`, another thread reads anew and sets the epoch, the epochs then match."""
    database = f"sqlite:///{tmp_path}/g.db"
    world = make_world(database, clock, access_token_format="jwt")
    admin = OAuthGateway(RecordingApp(), issuer=world.base, database=database, access_token_format="jwt")
    token = world.machine_token()
    keys = world.gateway.server.keys
    kid = keys.signing("RS256", clock()).kid
    admin.server.keys.revoke(kid, clock())
    asked: list[bool] = []

    class Paused(Keys):
        def __getattribute__(self, name: str) -> Any:
            found = super().__getattribute__(name)
            if name == "_known" and not asked and not self._lock.locked():
                asked.append(True)
                in_a_thread(lambda: self.public(clock()))  # another request has the keys read anew
            return found

    keys.__class__ = Paused
    assert world.call(token).status_code == 401, "accepted though its key was revoked before the request began"
    assert keys.signing("RS256", clock()).kid != kid


@pytest.mark.parametrize("act", ["verify", "sign"])
def test_a_key_that_is_revoked_between_two_looks_is_no_failure(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """While a revocation is committed the keys are read at every look: the one that was found need not be in the next"""
    database = f"sqlite:///{tmp_path}/g.db"
    world = make_world(database, clock, access_token_format="jwt")
    admin = OAuthGateway(RecordingApp(), issuer=world.base, database=database, access_token_format="jwt")
    token = world.machine_token()
    keys, store = world.gateway.server.keys, world.gateway.store
    kid, looks = keys.signing("RS256", clock()).kid, []
    original = store.signing_keys

    def read() -> Any:
        looks.append(True)
        if len(looks) == 2:
            in_a_thread(lambda: admin.server.keys.revoke(kid, clock()))
        return original()

    monkeypatch.setattr(store, "signing_keys", read)
    monkeypatch.setattr(type(store), "epoch", property(lambda _: lambda: UNTOLD))
    if act == "verify":
        found = keys.verify(token, clock())
        assert found is None or found[0]["kid"] == kid
        while len(looks) < 2:
            keys.verify(token, clock())
        assert keys.verify(token, clock()) is None
    else:
        assert jose.peek(keys.sign("RS256", "JWT", {"a": 1}, clock()))[0]["alg"] == "RS256"
        while len(looks) < 2:
            keys.sign("RS256", "JWT", {"a": 1}, clock())
        assert jose.peek(keys.sign("RS256", "JWT", {"a": 1}, clock()))[0]["kid"] != kid


def test_a_revocation_whose_epoch_was_lost_is_seen_all_the_same(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command died between its commit and the epoch; tokens are followed once a second, keys once a minute."""
    database = f"sqlite:///{tmp_path}/g.db"
    world = make_world(database, clock, access_token_format="jwt")
    admin = OAuthGateway(RecordingApp(), issuer=world.base, database=database, access_token_format="jwt")
    token, unseen = world.machine_token(), world.machine_token()
    kid = world.gateway.server.keys.signing("RS256", clock()).kid
    admin.server.keys.rotate(clock(), at_once=True)
    assert world.call(token).status_code == 200
    for told in ("announce", "new_epoch"):
        monkeypatch.setattr(admin.store.database, told, lambda *_: None)  # type: ignore[attr-defined]
    admin.server.keys.revoke(kid, clock())
    clock.advance(2)
    assert world.call(token).status_code == 401, "remembered ones are forgotten"
    assert world.call(unseen).status_code == 401, "accepted, and remembered from here on until it expires"


def test_nothing_brings_a_revoked_key_back(clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start with a newer secret or a longer lifetime writes to keys, one of which is revoked at that moment"""
    database = f"sqlite:///{tmp_path}/g.db"
    world = make_world(database, clock, access_token_format="jwt", secret="o" * 40)
    token = world.machine_token()
    kid = world.gateway.server.keys.signing("RS256", clock()).kid
    original = Keys._keep_up

    def revoked_meanwhile(self: Keys, key: Any, now: float) -> None:
        if key.kid == kid:
            world.gateway.server.keys.revoke(kid, clock())
        original(self, key, now)

    monkeypatch.setattr(Keys, "_keep_up", revoked_meanwhile)
    OAuthGateway(None, issuer=world.base, database=database, secret=["o" * 40, "n" * 40], access_token_lifetime="10h")
    assert world.call(token).status_code == 401
    assert [key.revoked is not None for key in world.gateway.store.signing_keys() if key.kid == kid] == [True]


def test_a_revoked_key_does_not_keep_the_old_secret_needed(clock: Clock, tmp_path: Path) -> None:
    common: dict[str, Any] = {"issuer": "https://a.test", "database": f"sqlite:///{tmp_path}/g.db"}
    gateway = OAuthGateway(None, secret="o" * 40, **common)
    gateway.server.keys.revoke(gateway.server.keys.signing("RS256", clock()).kid, clock())
    OAuthGateway(None, secret=["o" * 40, "n" * 40], **common)
    for days in (0, 1, 30):
        clock.advance(days * 86_400)
        OAuthGateway(None, secret="n" * 40, **common)


def test_a_revocation_during_a_rotation_leaves_a_key_that_signs(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world("sqlite://", clock)
    keys, done = world.gateway.server.keys, []
    kid, make = keys.signing("RS256", clock()).kid, Keys._make

    def another_was_first(self: Keys, algorithm: str, generation: int, now: float, active: float) -> None:
        if not done:
            done.append(True)
            make(self, algorithm, generation, now, now + 600)  # a worker that rotates by age
        make(self, algorithm, generation, now, active)

    monkeypatch.setattr(Keys, "_make", another_was_first)
    keys.revoke(kid, clock())
    assert keys.signing("RS256", clock()).kid != kid and keys.signing("RS256", clock()).active <= clock()
    assert "id_token" in world.tokens(scope="openid")


def test_revoking_a_key_that_waits_makes_nobody_sign_with_an_unpublished_one(clock: Clock) -> None:
    world = make_world("sqlite://", clock)
    keys = world.gateway.server.keys
    signs = keys.signing("RS256", clock()).kid
    waiting = next(kid for kid in keys.rotate(clock()) if kid.startswith("rs256"))
    keys.revoke(waiting, clock())
    assert keys.signing("RS256", clock()).kid == signs
    clock.advance(90 * 86_400)
    assert keys.signing("RS256", clock()).kid == signs
    clock.advance(601)
    assert keys.signing("RS256", clock()).kid not in (signs, waiting), "and rotation by age goes on"
    current = keys.signing("RS256", clock()).kid
    keys.revoke(current, clock())
    assert keys.signing("RS256", clock()).kid not in (signs, waiting, current)


def test_a_clock_that_is_behind_signs_with_what_there_is(clock: Clock, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/g.db"
    make_world(database, clock)
    clock.time -= 1000
    from oauth_gateway import clock as source

    source.replace_source(clock)  # a machine that was just started, with its clock behind
    other = OAuthGateway(RecordingApp(), issuer="https://api.example.com", database=database)
    assert other.server.keys.sign("RS256", "JWT", {}, clock()).count(".") == 2
    assert {state for _, state, _ in other.server.keys.listed(clock())} <= {"next", "signs"}


def test_a_rotation_that_cannot_be_stored_fails_no_request(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A096"""
    world = make_world(f"sqlite:///{tmp_path}/g.db", clock)
    clock.advance(90 * 86_400)

    def broken(*_: Any) -> Any:
        raise StoreUnavailable("locked")

    monkeypatch.setattr(type(world.gateway.store), "add_key", broken)
    assert "id_token" in world.tokens(scope="openid")
    monkeypatch.undo()
    assert "id_token" in world.tokens(scope="openid")
    assert len([key for key in world.gateway.store.signing_keys() if key.algorithm == "RS256"]) == 1, "not tried again at once"
    clock.advance(61)
    assert "id_token" in world.tokens(scope="openid")
    assert len([key for key in world.gateway.store.signing_keys() if key.algorithm == "RS256"]) == 2


def test_a_made_key_that_an_own_one_replaces_ends_once_for_all_processes(clock: Clock, tmp_path: Path) -> None:
    common: dict[str, Any] = {"issuer": "https://a.test", "database": f"sqlite:///{tmp_path}/g.db"}
    OAuthGateway(None, **common)
    own = jose.private_of(jose.generate("RS256"))

    def published(**settings: Any) -> int:
        gateway = OAuthGateway(None, **common, **settings)
        return len([key for key in gateway.server.keys.public(clock()) if key["alg"] == "RS256"])

    assert published(signing_keys=own) == 2
    clock.advance(86_400)
    assert published(signing_keys=own) == 1 and published(signing_keys=own) == 1
    assert published() == 1, "and comes back where the own one is taken away"
    clock.advance(60)
    assert published(signing_keys=own) == 2, "for as long as what it signed meanwhile may live"
