"""Revocations whose worker dies in the middle (CHECKS A090)."""

from __future__ import annotations

from pathlib import Path

import pytest

from oauth_gateway import OAuthGateway
from oauth_gateway.store.sqlite import Database
from oauth_gateway.testing import Clock

from .conftest import RecordingApp, basic, make_world, send


class Killed(BaseException):
    """The worker is gone: nothing after this line happens."""


def test_a_revocation_that_is_repeated_after_its_worker_died_is_heard_by_all_once_answered(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first worker dies between the commit and the new epoch, and the client asks another one."""
    database = f"sqlite:///{tmp_path / 'gateway.db'}"
    world = make_world(database, clock)
    second, third = (OAuthGateway(RecordingApp(), issuer=world.base, database=database) for _ in range(2))
    tokens = world.tokens()
    call = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert send(third, "GET", "/thing", headers=call).status_code == 200, "it remembers the token now"
    with monkeypatch.context() as patch:

        def die(self: Database) -> None:
            raise Killed

        patch.setattr(Database, "new_epoch", die)
        with pytest.raises(Killed):
            world.revoke(tokens["refresh_token"])
    known = {"Authorization": basic(world.confidential.client_id, world.secret)}
    again = send(second, "POST", "/token/revoke", {"token": tokens["refresh_token"]}, headers=known)
    assert again.status_code == 200
    assert send(third, "GET", "/thing", headers=call).status_code == 401, "the revocation was answered"
