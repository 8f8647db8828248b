"""A worker starts quickly: `import oauth_gateway` loads no library, and after construction no request loads anything.

What is loaded is counted, not timed; `benchmarks/start.py` has the seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment

import oauth_gateway
import oauth_gateway.testing
from oauth_gateway import ConfigurationError
from oauth_gateway.keys import Keys
from oauth_gateway.sealing import Sealer
from oauth_gateway.testing import Clock

from .conftest import PASSWORD, World, make_world

ROOT = Path(__file__).parent.parent
LIBRARIES = {"sqlalchemy", "webob", "authlib", "jinja2", "cryptography", "joserfc", "argon2", "gunicorn", "sqlite3", "ssl"}
SECRET = "a secret for tests only, 32 bytes+"


def run(*arguments: str) -> str:
    """What a new interpreter prints."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("imported", ["oauth_gateway", "oauth_gateway.testing", "oauth_gateway.errors"])
def test_the_import_loads_no_library_and_few_modules(imported: str) -> None:
    script = f"import sys; before = set(sys.modules); import {imported}; print(*(set(sys.modules) - before))"
    loaded = run("-c", script).split()
    assert not LIBRARIES & {name.partition(".")[0] for name in loaded}, sorted(loaded)
    ours = {name for name in loaded if name.startswith("oauth_gateway")}
    light = {f"oauth_gateway{name}" for name in ("", ".errors", ".later", ".clock", ".sentences")}
    assert ours <= light | {"oauth_gateway.testing", "oauth_gateway.testing.tools"}, ours


@pytest.mark.parametrize("package", [oauth_gateway, oauth_gateway.testing])
def test_every_name_is_there_in_every_way_of_asking(package: object) -> None:
    name = getattr(package, "__name__")  # noqa: B009
    script = f"""
import {name} as package
assert set(package.__all__) <= set(dir(package)), dir(package)
assert not hasattr(package, "nonsense")
first = {{name: getattr(package, name) for name in package.__all__}}
names = {{}}
exec("from {name} import *", names)
assert all(names[name] is first[name] is vars(package)[name] for name in package.__all__)
try:
    from {name} import nonsense
except ImportError as error:
    print(error)
"""
    assert run("-c", script).startswith(f"cannot import name 'nonsense' from '{name}'")


def test_threads_that_use_a_name_first_at_once_get_the_same() -> None:
    script = """
import threading, oauth_gateway
start, found = threading.Barrier(8), []
def use():
    start.wait()
    found.append(oauth_gateway.OAuthGateway)
threads = [threading.Thread(target=use) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(found), len(set(found)))
"""
    assert run("-c", script).split() == ["8", "1"]


@pytest.mark.parametrize("form", ["opaque", "jwt"])
def test_once_a_gateway_is_constructed_no_first_request_imports_anything(form: str, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/g.db"
    world = make_world(database, Clock(time.time()), secret=SECRET)  # the child has no other clock
    settings = {
        "issuer": world.base,
        "database": database,
        "secret": SECRET,
        "scopes": {"read": "Read your things", "write": "Change your things"},
        "routes": ["GET /public/** public", "* /write scope=read,write"],
        "features": "default hybrid implicit password health",
        "access_token_format": form,
        "identity_headers": True,
    }
    known = {
        "settings": settings,
        "shop": [world.confidential.client_id, world.secret],
        "machine": [world.machine.client_id, world.machine_secret],
        "password": PASSWORD,
        "unknown": Sealer((SECRET.encode(),)).issue("at")[0],
    }
    world.gateway.store.close()
    imported = json.loads(run("-m", "tests.first_requests", json.dumps(known)))
    assert imported == {"GET /lazy": ["colorsys"]}, "a module that a request waits for; import it where the gateway is made"


def test_every_page_is_compiled_once_a_process_and_none_for_a_request(
    memory_world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str | None] = []
    compile_page = Environment.compile

    def counted(self: Environment, source: str, name: str | None = None, *given: Any, **more: Any) -> Any:
        compiled.append(name)
        return compile_page(self, source, name, *given, **more)

    monkeypatch.setattr(Environment, "compile", counted)
    browser = memory_world.browser()
    assert memory_world.log_in(browser).status_code == 303
    assert browser.open(memory_world.authorize_url()).status_code == 200
    assert memory_world.call(None, Accept="text/html").status_code == 401
    make_world("sqlite://", clock, brand={"name": "Another"})
    assert compiled == [], "the pages that were there before"


def test_a_page_of_one_s_own_is_read_anew_when_it_changes_and_one_that_cannot_be_read_is_told_at_once(
    clock: Clock, tmp_path: Path
) -> None:
    page = tmp_path / "error.html"
    for text in ("first", "second"):
        page.write_text(text)
        world = make_world("sqlite://", clock, templates=str(tmp_path))
        assert world.call(None, Accept="text/html").text == text
    page.write_text("\n{% if %}")
    with pytest.raises(ConfigurationError, match="templates: error.html, line 2: ") as caught:
        make_world("sqlite://", clock, templates=str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_forked_child_opens_no_signing_key_again_and_uses_none_that_was_revoked(
    memory_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, now = memory_world.gateway.server.keys, memory_world.clock()
    opened: list[str] = []
    monkeypatch.setattr(Keys, "_open", lambda self, key: opened.append(key.kid))
    before = keys.signing("RS256", now).kid
    for _ in range(2):
        keys.reset()  # what happens in a child, and in its child before it signed
    text = keys.sign("RS256", "JWT", {"sub": "x"}, now)
    assert keys.signing("RS256", now).kid == before and keys.verify(text, now) and opened == []
    keys.reset()
    keys.revoke(before, now)
    keys.reset()
    assert keys.signing("RS256", now).kid != before and keys.verify(text, now) is None
