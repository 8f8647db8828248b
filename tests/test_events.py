"""What happened is told by name, to the log and to subscribers, without a secret."""

from __future__ import annotations

import ast
import logging
import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from oauth_gateway import ConfigurationError, OAuthGateway
from oauth_gateway.testing import Clock

from .conftest import World, basic, send


def test_the_events_of_a_whole_flow(memory_world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A058"""
    world = memory_world
    seen: list[dict[str, Any]] = []

    def failing(event: dict[str, Any]) -> None:
        raise RuntimeError("a subscriber that fails changes nothing")

    world.gateway.events.subscribe(failing)
    world.gateway.events.subscribe(seen.append)
    with caplog.at_level(logging.INFO, "oauth_gateway.events"):
        code = world.code()
        tokens = world.redeem(code).json
        world.redeem(code)
    names = [event["name"] for event in seen]
    assert names == [
        *("user.login", "code.issued", "consent.allowed", "token.issued", "code.replayed"),
        *("token.refused",),
    ]
    told = repr(seen) + caplog.text.partition("a subscriber failed")[0]
    assert not [secret for secret in (code, tokens["access_token"], tokens["refresh_token"], world.secret) if secret in told]


def test_the_operator_learns_which_part_of_a_redirect_uri_differed(
    memory_world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "oauth_gateway"):
        page = memory_world.browser().open(memory_world.authorize_url(redirect_uri="https://client.test/other"))
    assert "its path differs from https://client.test/cb" in caplog.text
    assert "path" not in page.text and "/cb" not in page.text, "a stranger learns nothing"


ROOT = Path(__file__).parent.parent


def test_every_event_is_in_the_documented_table_and_no_other() -> None:
    """docs/events.md"""
    emitted: set[str] = set()
    for path in (ROOT / "oauth_gateway").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
            if isinstance(node, ast.Call) and name in ("emit", "_tell", "tell"):
                found = [part.value for item in node.args for part in ast.walk(item) if isinstance(part, ast.Constant)]
                emitted.update(name for name in found if isinstance(name, str) and "." in name)
    documented = set(re.findall(r"^\| `([a-z_.]+)` \|", (ROOT / "docs" / "events.md").read_text(), re.M))
    assert emitted == documented and len(emitted) > 20


def test_every_event_has_the_same_six_fields(memory_world: World) -> None:
    world, seen = memory_world, []
    world.gateway.events.subscribe(seen.append)
    browser = world.browser()
    world.log_in(browser, password="wrong")
    world.log_in(browser)
    tokens = world.redeem(world.code(browser=browser)).json
    world.refresh(tokens["refresh_token"])
    world.call("nonsense")
    world.call(None)
    world.revoke(tokens["access_token"])
    world.browser().open(world.authorize_url(scope="admin"))
    send(world.gateway, "POST", "/token", {"grant_type": "x"}, headers={"Authorization": basic("nobody", "x")})
    names = [event["name"] for event in seen]
    assert {"login.failed", "user.login", "token.issued", "token.refreshed", "request.refused", "token.revoked"} <= set(names)
    assert {"authorization.refused"} <= set(names)
    for event in seen:
        assert list(event)[:6] == ["name", "time", "client_id", "user_id", "grant_id", "address"]
        assert event["time"] == world.clock() and event["address"] == "127.0.0.1", event
    issued = next(event for event in seen if event["name"] == "token.issued")
    assert issued["client_id"] == world.confidential.client_id and issued["user_id"] and issued["grant_id"] and issued["scope"]


def test_the_setting_names_callables(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    heard: list[dict[str, Any]] = []
    module = types.ModuleType("audit_for_a_test")
    module.hear = heard.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "audit_for_a_test", module)
    for value in ("audit_for_a_test:hear", ["audit_for_a_test:hear"], heard.append, [heard.append]):
        heard.clear()
        gateway = OAuthGateway(None, database="sqlite://", issuer="https://a.test", events=value)
        send(gateway, "POST", "/token", {"client_id": "nobody", "grant_type": "client_credentials"}, base="https://a.test")
        assert [event["name"] for event in heard] == ["client.refused"]
    for value, says in (
        ("nothing_here:x", "nothing_here"),
        ("audit_for_a_test:nope", "nope"),
        ("no colon", "MODULE:NAME"),
        (5, "events"),
    ):
        with pytest.raises(ConfigurationError, match=says):
            OAuthGateway(None, database="sqlite://", events=value)


def test_the_log_record_has_the_event_as_it_is(memory_world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "oauth_gateway"):
        memory_world.call(None)
    record = next(record for record in caplog.records if getattr(record, "event", None))
    assert record.event["name"] == "request.refused" and record.getMessage().startswith("request.refused")  # type: ignore[attr-defined]
    assert record.name.startswith("oauth_gateway")


def test_a_refusal_names_whose_token_was_not_good_enough(world: World) -> None:
    seen: list[dict[str, Any]] = []
    world.gateway.events.subscribe(seen.append)
    token = world.tokens(scope="read")["access_token"]
    seen.clear()
    assert world.call(token, "/write", "POST").status_code == 403
    assert world.call("nonsense").status_code == 401
    first, second = seen
    assert first["client_id"] == world.confidential.client_id and first["user_id"] and first["grant_id"]
    assert (first["error"], second["error"]) == ("insufficient_scope", "invalid_token") and second["client_id"] is None
