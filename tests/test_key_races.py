"""Three moments in which a revoked key could still open something, each made to happen every time (A069, A078)."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from oauth_gateway import OAuthGateway
from oauth_gateway.keys import Keys
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
            if name == "_known" and not asked:
                asked.append(True)
                in_a_thread(lambda: self.public(clock()))  # another request has the keys read anew
            return found

    keys.__class__ = Paused
    assert world.call(token).status_code == 401, "accepted though its key was revoked before the request began"
    assert keys.signing("RS256", clock()).kid != kid


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
    monkeypatch.setattr(admin.store.database, "new_epoch", lambda: None)  # type: ignore[attr-defined]
    admin.server.keys.revoke(kid, clock())
    clock.advance(2)
    assert world.call(token).status_code == 401, "remembered ones are forgotten"
    assert world.call(unseen).status_code == 401, "accepted, and remembered from here on until it expires"
