"""Yesterday's database comes back (CHECKS A105): what was revoked since would live again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from oauth_gateway.cli import main
from oauth_gateway.testing import Clock

from .conftest import SECRET, World, make_world


def run(world: World, capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> Any:
    settings = world.gateway.settings
    config = Path(settings.database.removeprefix("sqlite:///")).with_name("c.toml")
    config.write_text(f'[oauth_gateway]\nissuer = "{world.base}"\ndatabase = "{settings.database}"\nsecret = "{SECRET}"\n')
    capsys.readouterr()
    assert main([*arguments, "--config", str(config), "--json"]) == status
    out = capsys.readouterr()
    return json.loads(out.out) if status == 0 else out.err


def test_one_command_ends_everything_that_a_backup_brought_back(
    clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = make_world(f"sqlite:///{tmp_path}/g.db", clock, secret=SECRET)
    browser = world.browser()
    world.log_in(browser)
    tokens, machine = world.redeem(world.code(browser=browser)).json, world.machine_token()
    world.gateway.store.close()
    shutil.copy(tmp_path / "g.db", tmp_path / "backup.db")
    world.revoke(tokens["refresh_token"])
    world.revoke(machine, world.machine)
    world.gateway.store.close()
    for file in tmp_path.glob("g.db*"):
        file.unlink()
    shutil.copy(tmp_path / "backup.db", tmp_path / "g.db")
    restored = World(**{**vars(world), "gateway": type(world.gateway)(
        world.app, issuer=world.base, database=f"sqlite:///{tmp_path}/g.db", secret=SECRET
    )})  # fmt: skip
    assert restored.call(machine).status_code == restored.call(tokens["access_token"]).status_code == 200, "alive again"
    ended = run(world, capsys, "token", "revoke", "--all")
    assert ended == {"grants": 1, "tokens": 1, "sessions": 1}
    assert restored.call(machine).status_code == restored.call(tokens["access_token"]).status_code == 401
    assert restored.refresh(tokens["refresh_token"]).status_code == 400
    assert 'name="password"' in browser_page(restored, browser)
    assert run(world, capsys, "token", "revoke", "--all") == {"grants": 0, "tokens": 0, "sessions": 0}
    restored.gateway.store.close()


def browser_page(world: World, browser: Any) -> str:
    return str(type(browser)(world.gateway, world.base, browser.cookies).open(world.authorize_url()).text)


def test_all_of_one_person_or_one_client(clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = make_world(f"sqlite:///{tmp_path}/g.db", clock, secret=SECRET)
    world.gateway.server.users.create("bob", "another password", clock())
    ann = world.tokens()["access_token"]
    browser = world.browser()
    world.log_in(browser, "bob", "another password")
    bob = world.redeem(world.code(browser=browser)).json["access_token"]
    machine = world.machine_token()

    def alive() -> list[int]:
        return [world.call(token).status_code for token in (ann, bob, machine)]

    assert run(world, capsys, "token", "revoke", "--all", "--user", "ann") == {"grants": 1, "tokens": 0, "sessions": 1}
    assert alive() == [401, 200, 200]
    client = world.machine.client_id
    assert run(world, capsys, "token", "revoke", "--all", "--client", client) == {"grants": 0, "tokens": 1, "sessions": 0}
    assert alive() == [401, 200, 401]
    for arguments in (["--user", "ann"], ["--all", "--id", "1"], ["--all", "--user", "nobody"], ["--all", "--client", "x"]):
        assert run(world, capsys, "token", "revoke", *arguments, status=1).count("\n") == 1
    assert alive() == [401, 200, 401]
    world.gateway.store.close()
