"""From every schema that there was to this one, and a change of the schema while old and new code serve (CHECKS A106)."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from oauth_gateway import OAuthGateway
from oauth_gateway.cli import main
from oauth_gateway.errors import ConfigurationError
from oauth_gateway.store import migrations, open_store, schema
from oauth_gateway.store.migrations import Step
from oauth_gateway.testing import Clock

from .conftest import ENGINES, SECRET, RecordingApp, basic, make_world, send
from .engines import FRESH

SCHEMAS = Path(__file__).parent / "schemas"
TABLES = [name for name in ("sqlite", "postgresql", "mysql") if name in ENGINES]
FIRST = 3  # the oldest version that anybody may have


@pytest.mark.parametrize("version", range(FIRST, schema.VERSION + 1))
def test_a_database_of_every_version_works_on_after_migrate(
    version: int, clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new version needs a new file here; make it with the code of that version."""
    dump = (SCHEMAS / f"{version}.sql").read_text()
    known = json.loads(dump.splitlines()[1].removeprefix("-- "))
    file = tmp_path / "old.db"
    with sqlite3.connect(file) as connection:
        connection.executescript(dump)
    connection.close()
    database = f"sqlite:///{file}"
    settings = {"issuer": "https://api.example.com", "database": database, "secret": SECRET}
    config = tmp_path / "c.toml"
    config.write_text("[oauth_gateway]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items()))
    if version < schema.VERSION:
        with pytest.raises(ConfigurationError, match=f"version {version}.*run oauth-gateway migrate"):
            OAuthGateway(RecordingApp(), **settings)
    assert main(["migrate", "--config", str(config)]) == 0
    told = capsys.readouterr()
    steps = [line for line in told.err.splitlines() if line.startswith("version ")]
    assert len(steps) == schema.VERSION - version and "the schema is" in told.out
    gateway = OAuthGateway(RecordingApp(), **settings)

    def call(token: str) -> int:
        return int(send(gateway, "GET", "/x", headers={"Authorization": f"Bearer {token}"}).status_code)

    assert [call(known[name]) for name in ("access_token", "machine", "dead")] == [200, 200, 401]
    header = {"Authorization": basic(known["client_id"], known["client_secret"])}
    form = {"grant_type": "refresh_token", "refresh_token": known["refresh_token"]}
    answer = send(gateway, "POST", "/token", form, headers=header)
    assert answer.status_code == 200 and call(answer.json["access_token"]) == 200
    send(gateway, "POST", "/token/revoke", {"token": answer.json["refresh_token"]}, headers=header)
    assert call(answer.json["access_token"]) == 401
    gateway.store.close()


@contextmanager
def newer_code(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a next version would be: a column more at first, an old one less in the end."""

    def expand(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE oauth_token ADD COLUMN note VARCHAR(20) DEFAULT 'new'"))

    def contract(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE oauth_client DROP COLUMN last_used"))

    version = schema.VERSION + 1
    step = Step("a note on each token", schema.VERSION, expand, contract)
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "VERSION", version)
        patched.setattr(migrations, "STEPS", {**migrations.STEPS, version: step})
        yield


@pytest.mark.parametrize("engine", TABLES)
def test_old_code_serves_on_while_the_schema_grows_and_is_refused_once_it_shrank(
    engine: str, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A106"""
    url = FRESH[engine](keep_tables=False) if engine in FRESH else f"sqlite:///{tmp_path}/x.db"
    world = make_world(url, clock, secret=SECRET)
    done, wrong, served = threading.Event(), [], [0]

    def serve() -> None:
        while not done.is_set():
            token = world.token({"grant_type": "client_credentials"}, world.machine)
            statuses = [token.status_code, world.call(token.json.get("access_token", "x")).status_code]
            if statuses != [200, 200]:
                wrong.append(statuses)
            served[0] += 1

    threads = [threading.Thread(target=serve) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        with newer_code(monkeypatch):
            new = open_store(url)
            with pytest.raises(ConfigurationError, match="run oauth-gateway migrate"):
                new.check()
            told: list[str] = []
            assert new.migrate(told.append) is True and len(told) == 1, "grows"
            new.check()
            assert new.migrate(told.append) is False, "once"
            before = served[0]
            while served[0] < before + 10:
                done.wait(0.01)
            restarted = open_store(url)
        restarted.check()  # the old code again: a worker of it that is restarted meanwhile
        restarted.prepare()
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not wrong and served[0] > 10
    with newer_code(monkeypatch):
        assert new.migrate(told.append, contract=True) is True and "removing" in told[-1]
        new.check()
        assert new.migrate(told.append, contract=True) is False
    newer = schema.VERSION + 1
    with pytest.raises(ConfigurationError, match=f"version {newer} and needs code of version {newer}, .*upgrade oauth-gateway"):
        open_store(url).check()
    new.close()
    world.gateway.store.close()
    if engine in FRESH:
        FRESH[engine](keep_tables=False)


@pytest.mark.parametrize("engine", TABLES)
def test_a_migration_that_was_killed_is_run_again(
    engine: str, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = FRESH[engine](keep_tables=False) if engine in FRESH else f"sqlite:///{tmp_path}/x.db"
    store = open_store(url)
    store.prepare()
    tries = [0]

    def fail_once(connection: Connection) -> None:
        tries[0] += 1
        if tries[0] == 1:
            raise KeyboardInterrupt

    version = schema.VERSION + 1
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "VERSION", version)
        patched.setattr(migrations, "STEPS", {**migrations.STEPS, version: Step("x", schema.VERSION, fail_once)})
        with pytest.raises(KeyboardInterrupt):
            store.migrate()
        with pytest.raises(ConfigurationError, match="run oauth-gateway migrate"):
            store.check()
        assert store.migrate() is True and tries == [2]
        store.check()
    store.close()
    if engine in FRESH:
        FRESH[engine](keep_tables=False)
