"""What attacks on this code have found, so that it stays mended."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import webob
from authlib.oauth2.rfc6749 import AuthorizationEndpointMixin, BaseGrant

from oauth_gateway.cli import main
from oauth_gateway.errors import StoreUnavailable
from oauth_gateway.testing import Clock, race

from .conftest import PASSWORD, World, hidden, make_world, query_of, send


def set_disabled(world: World, disabled: bool) -> None:
    users = world.gateway.server.users
    users.set_disabled(users.named("ann"), disabled, world.clock())


def test_what_is_revoked_while_a_person_is_disabled_stays_revoked(world: World) -> None:
    tokens = world.tokens()
    set_disabled(world, True)
    assert world.revoke(tokens["refresh_token"]).status_code == 200
    set_disabled(world, False)
    assert world.call(tokens["access_token"]).status_code == 401
    assert world.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"


def test_a_replay_while_a_person_is_disabled_revokes_the_grant(world: World) -> None:
    code = world.code()
    tokens = world.redeem(code).json
    set_disabled(world, True)
    assert world.redeem(code).json["error"] == "invalid_grant"
    set_disabled(world, False)
    assert world.call(tokens["access_token"]).status_code == 401
    first = world.tokens()
    second = world.refresh(first["refresh_token"]).json
    world.clock.advance(11)
    set_disabled(world, True)
    assert world.refresh(first["refresh_token"]).json["error"] == "invalid_grant"
    set_disabled(world, False)
    assert world.call(second["access_token"]).status_code == 401


def test_two_clicks_at_once_give_the_same_code(clock: Clock, tmp_path: Path) -> None:
    """A053"""
    world = make_world(f"sqlite:///{tmp_path}/x.db", clock)
    browser = world.browser()
    world.log_in(browser)
    for _ in range(10):
        form = {**hidden(browser.open(world.authorize_url(prompt="consent"))), "decision": "allow"}
        answers = race(*[lambda form=form: browser.open("/authorize", form)] * 2)
        codes = {query_of(answer.location)["code"] for answer in answers}  # type: ignore[attr-defined]
        assert len(codes) == 1


def test_allow_and_deny_at_once_have_one_outcome(clock: Clock, tmp_path: Path) -> None:
    """A072"""
    world = make_world(f"sqlite:///{tmp_path}/x.db", clock)
    browser = world.browser()
    world.log_in(browser)
    for _ in range(10):
        form = hidden(browser.open(world.authorize_url(prompt="consent")))
        calls = [lambda d=d, form=form: browser.open("/authorize", {**form, "decision": d}) for d in ("allow", "deny")]
        statuses = sorted(answer.status_code for answer in race(*calls))  # type: ignore[attr-defined]
        assert statuses == [303, 409]


def test_a_locked_database_does_not_stall_cached_tokens(clock: Clock, tmp_path: Path) -> None:
    """A095"""
    world = make_world(f"sqlite:///{tmp_path}/x.db", clock)
    token = world.machine_token()
    assert world.call(token).status_code == 200
    holder = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    writers = [
        threading.Thread(target=world.token, args=({"grant_type": "client_credentials"}, world.machine)) for _ in range(3)
    ]
    for writer in writers:
        writer.start()
    slowest = 0.0
    for _ in range(20):
        world.clock.advance(1.1)  # so that the watch looks each time
        started = time.perf_counter()
        assert world.call(token).status_code == 200
        slowest = max(slowest, time.perf_counter() - started)
    holder.execute("ROLLBACK")
    holder.close()
    for writer in writers:
        writer.join()
    assert slowest < 2


def test_an_own_method_may_use_an_assertion_and_must_agree_with_client_id(memory_world: World) -> None:
    world = memory_world
    world.gateway.server.register_client_auth_method(
        "urn:x:jwt",
        lambda query, request: query(request.form["client_assertion"]) if "client_assertion" in request.form else None,
    )
    client, _ = world.clients.create(now=0, token_endpoint_auth_method="urn:x:jwt")
    form = {"grant_type": "client_credentials", "client_assertion": client.client_id}
    assert send(world.gateway, "POST", "/token", form).status_code == 200
    assert send(world.gateway, "POST", "/token", {**form, "client_id": client.client_id}).status_code == 200
    assert send(world.gateway, "POST", "/token", {**form, "client_id": world.public.client_id}).status_code == 400
    assert send(world.gateway, "POST", "/token", {**form, "client_secret": "x"}).status_code == 400
    document = send(world.gateway, "GET", "/.well-known/oauth-authorization-server").json
    for endpoint in ("token", "revocation", "introspection"):
        assert "urn:x:jwt" in document[f"{endpoint}_endpoint_auth_methods_supported"]


def test_an_own_grant_at_the_authorization_endpoint_asks_and_answers(memory_world: World) -> None:
    class Ticket(BaseGrant, AuthorizationEndpointMixin):  # type: ignore[misc]
        RESPONSE_TYPES = {"ticket"}  # noqa: RUF012 - as Authlib documents it
        GRANT_TYPE = "urn:x:ticket"

        def validate_authorization_request(self) -> str:
            uri: str = self.request.payload.redirect_uri
            return uri

        def create_authorization_response(self, uri: str, user: Any) -> tuple[int, str, list[tuple[str, str]]]:
            return 302, "", [("Location", f"{uri}?ticket=1")]

    world = memory_world
    world.gateway.server.register_grant(Ticket)
    browser = world.browser()
    world.log_in(browser)
    url = world.authorize_url(response_type="ticket", code_challenge=None, code_challenge_method=None)
    answer = world.consent(browser, url)
    assert answer.location == "https://client.test/cb?ticket=1"


def test_another_program_s_file_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "notes.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE notes (x)")
        connection.execute("PRAGMA user_version=1")
    connection.close()
    for command in (["migrate"], ["client", "create"], ["check"]):
        assert main([*command, "--database", f"sqlite:///{file}"]) == 1
        printed = capsys.readouterr()
        assert "another program's" in printed.err + printed.out
    with sqlite3.connect(file) as connection:
        assert [name for (name,) in connection.execute("SELECT name FROM sqlite_master")] == ["notes"]
    connection.close()


def test_events_are_found_in_the_working_directory_by_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tell_for_a_test.py").write_text("heard = []\ntell = heard.append\n")
    (tmp_path / "broken_for_a_test.py").write_text("1 / 0\n")
    settings = '[oauth_gateway]\ndatabase = "sqlite:///x.db"\nevents = "{}"\n'
    (tmp_path / "oauth_gateway.toml").write_text(settings.format("tell_for_a_test:tell"))
    assert main(["client", "create"]) == 0
    import tell_for_a_test  # type: ignore[import-not-found]

    assert [event["name"] for event in tell_for_a_test.heard] == ["client.created"]
    (tmp_path / "oauth_gateway.toml").write_text(settings.format("broken_for_a_test:tell"))
    capsys.readouterr()
    assert main(["user", "list"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert main(["check"]) == 1


def test_a_script_can_read_that_the_store_is_down(memory_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world = memory_world
    code = world.code(world.public)

    def down(*given: Any) -> Any:
        raise StoreUnavailable("down")

    monkeypatch.setattr(world.gateway.store, "redeem", down)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": "https://client.test/cb"}
    form |= {"client_id": world.public.client_id, "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"}
    answer = send(world.gateway, "POST", "/token", form, headers={"Origin": "https://client.test"})
    assert answer.status_code == 503 and answer.headers["Retry-After"]
    assert answer.headers["Access-Control-Allow-Origin"] == "https://client.test"


def test_an_own_endpoint_for_scripts_has_cors_around_any_answer(memory_world: World) -> None:
    world = memory_world
    world.gateway.server.endpoint("/token/info", lambda exchange: webob.Response("hi"), methods="GET POST", scripts=True)
    origin = {"Origin": "https://client.test"}
    answer = send(world.gateway, "GET", "/token/info", headers=origin)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://client.test"
    preflight = send(world.gateway, "OPTIONS", "/token/info", headers={**origin, "Access-Control-Request-Method": "GET"})
    assert preflight.headers["Access-Control-Allow-Methods"] == "GET, POST"


@pytest.mark.parametrize("made", [{"expires_in": -5}, {"expires_in": 10**15}])
def test_a_generator_that_gives_what_cannot_be_fails_closed(memory_world: World, made: dict[str, Any]) -> None:
    world = memory_world
    world.gateway.server.register_token_generator("client_credentials", lambda **given: made)
    assert world.token({"grant_type": "client_credentials"}, world.machine).status_code == 500


def test_a_generator_does_not_decide_about_the_scope(memory_world: World) -> None:
    world = memory_world
    world.gateway.server.register_token_generator("client_credentials", lambda **given: {"scope": "admin"})
    assert world.token({"grant_type": "client_credentials", "scope": "read"}, world.machine).json["scope"] == "read"


def test_a_generator_that_repeats_itself_is_an_error_and_no_second_token(memory_world: World) -> None:
    world = memory_world
    world.gateway.server.register_token_generator(
        "client_credentials", lambda **given: {"access_token": "always-the-same-text-0"}
    )
    assert world.token({"grant_type": "client_credentials"}, world.machine).status_code == 200
    assert world.token({"grant_type": "client_credentials"}, world.machine).status_code == 500


def test_a_fork_in_the_middle_of_sign_ins_leaves_the_child_able_to_sign_in(memory_world: World) -> None:
    """A100"""
    users = memory_world.gateway.server.users
    users._turns.acquire()
    users._turns.acquire()
    child = os.fork()
    if child == 0:
        free = users._turns.acquire(timeout=1)
        os._exit(0 if free else 1)
    _, status = os.waitpid(child, 0)
    users._turns.release()
    users._turns.release()
    assert status == 0


def test_a_client_keeps_a_grant_type_that_was_switched_off(clock: Clock, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/x.db"
    old = make_world(database, clock, features="default password")
    client, _ = old.clients.create(now=0, grant_types=["password"])
    from oauth_gateway import OAuthGateway
    from oauth_gateway.clients import Clients

    now = OAuthGateway(None, database=database, issuer=old.base, scopes=old.gateway.settings.scopes)
    clients = Clients(now.settings, now.store, now.events, now.server.sealer)
    assert clients.update(client, {"client_name": "renamed"}, 0).name == "renamed"
    assert PASSWORD


def test_the_demo_serves_this_machine_only(capsys: pytest.CaptureFixture[str]) -> None:
    for bind in ("127.0.0.1:²", "unix:/tmp/x.sock", "0.0.0.0:0"):
        assert main(["demo", "--bind", bind]) == 1
        assert capsys.readouterr().err.count("\n") == 1


def test_a_broken_error_page_of_one_s_own_is_a_500_and_lets_nothing_through(clock: Clock, tmp_path: Path) -> None:
    """A103, I3"""
    (tmp_path / "error.html").write_text("{{ nothing.at.all }}")
    world = make_world("sqlite://", clock, templates=str(tmp_path))
    for path in ("/thing", "/authorize?client_id=nobody", "/authorize/nothing"):
        answer = send(world.gateway, "GET", path, headers={"Accept": "text/html"})
        assert answer.status_code == 500 and answer.json["error"] == "server_error"
    assert world.call(None).status_code == 401 and world.app.calls == 0


def test_a_code_that_is_committed_is_answered(memory_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world, add = memory_world, memory_world.gateway.store.add

    def down_for_challenges(space: str, *given: Any) -> bool:
        if space == "challenge":
            raise StoreUnavailable("down")
        return add(space, *given)

    monkeypatch.setattr(world.gateway.store, "add", down_for_challenges)
    assert world.redeem(world.code()).status_code == 200
