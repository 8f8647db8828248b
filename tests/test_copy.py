"""`oauth-gateway copy`: from any engine to any other, again, and verified."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from oauth_gateway import OAuthGateway
from oauth_gateway.cli import main
from oauth_gateway.store import Store, open_store
from oauth_gateway.store.kinds import KIND
from oauth_gateway.testing import NOW, Clock

from .conftest import ENGINES, SECRET, World, make_world, send
from .engines import FRESH

TARGETS = [name for name in ("sqlite", *FRESH) if name in ENGINES]


def copy(capsys: pytest.CaptureFixture[str], source: str, target: str, *options: str, status: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["copy", "--from", source, "--to", target, "--json", *options]) == status
    out = capsys.readouterr().out
    return json.loads(out) if out else {}


def filled(url: str, clock: Clock) -> tuple[World, dict[str, str]]:
    """A deployment with something of every kind; its living and its dead tokens."""
    world = make_world(url, clock, secret=SECRET)
    browser = world.browser()
    world.log_in(browser)
    first = world.redeem(world.code(browser=browser, scope="openid read")).json
    second = world.refresh(first["refresh_token"]).json
    dead = world.machine_token()
    world.revoke(dead, world.machine)
    world.token({"grant_type": "client_credentials"}, world.machine)
    world.log_in(world.browser(), password="wrong")
    world.gateway.store.add("jti", "a", clock() + 100, clock())
    world.code(browser=browser)
    return world, {"living": second["access_token"], "refresh": second["refresh_token"], "dead": dead}


def opened(world: World, url: str) -> OAuthGateway:
    return OAuthGateway(world.app, issuer=world.base, database=url, secret=SECRET)


def same(one: Store, other: Store) -> None:
    for kind in KIND:
        if kind not in ("feed", "change"):
            assert list(one.dump(kind)) == list(other.dump(kind)), kind
            assert one.size(kind) == other.size(kind)


@pytest.mark.parametrize("target", TARGETS)
def test_everything_works_on_as_it_did(target: str, clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = f"sqlite:///{tmp_path}/source.db"
    there = FRESH[target]() if target in FRESH else f"sqlite:///{tmp_path}/target.db"
    world, tokens = filled(source, clock)
    copied = copy(capsys, source, there)
    assert copied["different"] == {} and copied["copied"]["token"] >= 7 and copied["copied"]["key"] >= 2
    gateway = opened(world, there)
    same(world.gateway.store, gateway.store)
    answers = [send(gateway, "GET", "/x", headers={"Authorization": f"Bearer {tokens[name]}"}) for name in ("living", "dead")]
    assert [answer.status_code for answer in answers] == [200, 401]
    moved = World(**{**vars(world), "gateway": gateway})
    assert moved.refresh(tokens["refresh"]).status_code == 200, "and the family goes on"
    assert moved.refresh(tokens["refresh"]).status_code == 200, "also within its grace"
    assert moved.call(moved.machine_token()).status_code == 200
    gateway.store.close()
    world.gateway.store.close()


@pytest.mark.parametrize("source", [name for name in TARGETS if name != "sqlite"])
def test_and_back(source: str, clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url, there = FRESH[source](), f"sqlite:///{tmp_path}/target.db"
    world, tokens = filled(url, clock)
    copy(capsys, url, there)
    gateway = opened(world, there)
    same(world.gateway.store, gateway.store)
    assert send(gateway, "GET", "/x", headers={"Authorization": f"Bearer {tokens['living']}"}).status_code == 200
    gateway.store.close()
    world.gateway.store.close()


@pytest.mark.parametrize("target", TARGETS)
def test_a_copy_is_repeated_until_the_old_one_rests(
    target: str, clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was revoked, deleted and given again meanwhile"""
    source = f"sqlite:///{tmp_path}/source.db"
    there = FRESH[target]() if target in FRESH else f"sqlite:///{tmp_path}/target.db"
    world, tokens = filled(source, clock)
    copy(capsys, source, there)
    gateway = opened(world, there)
    header = {"Authorization": f"Bearer {tokens['living']}"}
    assert send(gateway, "GET", "/x", headers=header).status_code == 200
    before = gateway.store.changes(-1).head
    world.revoke(tokens["living"])
    users = world.gateway.server.users
    users.delete(users.named("ann"), NOW)
    users.create("ann", "another password", NOW)
    copy(capsys, source, there, status=1)  # it serves, so perhaps it is ahead
    copy(capsys, there, source, status=1)
    again = copy(capsys, source, there, "--replace")
    assert again["different"] == {} and again["copied"]["token"] < 20 and again["copied"]["key"] == 0
    same(world.gateway.store, gateway.store)
    assert send(gateway, "GET", "/x", headers=header).status_code == 401, "a process that knew it has heard"
    assert gateway.store.changes(-1).head >= max(before, world.gateway.store.changes(-1).head)
    assert copy(capsys, source, there)["copied"]["token"] == 0
    gateway.store.close()
    world.gateway.store.close()


def test_what_could_go_wrong_is_one_line(clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = f"sqlite:///{tmp_path}/one.db", f"sqlite:///{tmp_path}/other.db"
    make_world(one, clock, secret=SECRET).gateway.store.close()
    make_world(other, clock, secret="another secret, also of 32 bytes!").gateway.store.close()
    for arguments, told in [
        (["--from", one, "--to", one], "the same database"),
        (["--from", one, "--to", other], "another deployment (secret differs)"),
        (["--from", f"sqlite:///{tmp_path}/none.db", "--to", other], "there is none at"),
        (["--from", "oracle://x", "--to", other], "database = 'oracle://x': must be"),
        (["--from", one, "--to", "postgresql://u:hidden@127.0.0.1:1/x"], "did not answer"),
        (["--from", one, "--to", "mysql://u:hidden@127.0.0.1:port/x"], "the address cannot be read"),
    ]:
        assert main(["copy", *arguments]) == 1
        error = capsys.readouterr().err
        assert told in error and error.count("\n") == 1 and "hidden" not in error, error
    assert not (tmp_path / "none.db").exists()


def test_more_than_a_page_in_the_order_of_bytes(clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names in several scripts and of all lengths, which engines sort in their own ways"""
    source = f"sqlite:///{tmp_path}/source.db"
    store = open_store(source)
    store.prepare()
    for number in range(2300):
        store.add(
            f"space{number % 3}",
            f"{chr(97 + number % 26)}{chr(0x3B1 + number % 20)}{'Zz' * (number % 4)}{number}",
            NOW + 1,
            NOW,
        )
    for target in TARGETS:
        there = FRESH[target]() if target in FRESH else f"sqlite:///{tmp_path}/target.db"
        assert copy(capsys, source, there)["copied"]["entry"] == 2300
        assert copy(capsys, source, there)["copied"]["entry"] == 0
        assert open_store(there).size("entry") == 2300
