"""The implicit and password grants: off, per client, and as specified where they are on (RFC 6749 sections 4.2, 4.3)."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from oauth_gateway.errors import ConfigurationError
from oauth_gateway.models import Client
from oauth_gateway.testing import Clock

from .conftest import CALLBACK, PASSWORD, Browser, World, basic, hidden, make_world, query_of, send


@pytest.fixture
def old(clock: Clock) -> World:
    return make_world("sqlite://", clock, features="default implicit password")


def implicit_client(world: World, **more: Any) -> Client:
    values = {"redirect_uris": [CALLBACK], "grant_types": ["implicit"], "token_endpoint_auth_method": "none", **more}
    return world.clients.create(now=0, client_name="Old", **values)[0]


def password_client(world: World) -> tuple[Client, dict[str, str]]:
    client, secret = world.clients.create(now=0, client_name="Older", grant_types=["password", "refresh_token"])
    return client, {"Authorization": basic(client.client_id, secret or "")}


def fragment_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).fragment, keep_blank_values=True).items()}


def ask(world: World, client: Client, browser: Browser | None = None, **changes: str | None) -> str:
    if browser is None:
        browser = world.browser()
        world.log_in(browser)
    plain = {"response_type": "token", "code_challenge": None, "code_challenge_method": None}
    location: str = world.consent(browser, world.authorize_url(client, **{**plain, **changes})).location
    return location


def test_the_token_comes_in_the_fragment_without_a_refresh_token(old: World) -> None:
    location = ask(old, implicit_client(old), scope="read")
    assert location.startswith(f"{CALLBACK}#") and urlsplit(location).query == ""
    answer = fragment_of(location)
    assert set(answer) == {"access_token", "token_type", "expires_in", "scope", "state", "iss"}
    assert answer["token_type"] == "Bearer" and answer["state"] == "st" and answer["iss"] == old.base
    assert old.call(answer["access_token"]).status_code == 200
    assert old.app.environ["REMOTE_USER"] == "ann"


def test_errors_come_in_the_fragment_too(old: World) -> None:
    """R015, R169"""
    client = implicit_client(old)
    browser = old.browser()
    for changes, error in (
        ({"scope": "admin"}, "invalid_scope"),
        ({"prompt": "none"}, "login_required"),
        ({"response_mode": "query"}, "invalid_request"),
        ({"resource": "https://other.test"}, "invalid_target"),
    ):
        url = old.authorize_url(client, response_type="token", **changes)
        location = browser.open(url).location
        assert fragment_of(location) == fragment_of(location) | {"error": error, "state": "st", "iss": old.base}
        assert urlsplit(location).query == ""
    old.log_in(browser)
    page = browser.open(old.authorize_url(client, response_type="token"))
    denied = browser.open("/authorize", {**hidden(page), "decision": "deny"})
    assert fragment_of(denied.location)["error"] == "access_denied"


def test_a_double_click_gives_the_same_token_and_a_late_one_a_page(old: World) -> None:
    browser = old.browser()
    old.log_in(browser)
    form = {**hidden(browser.open(old.authorize_url(implicit_client(old), response_type="token"))), "decision": "allow"}
    first, second = (fragment_of(browser.open("/authorize", form).location) for _ in range(2))
    assert first["access_token"] == second["access_token"]
    old.clock.advance(61)
    assert browser.open("/authorize", form).status_code == 409


def test_a_client_that_nobody_authenticates_is_always_asked(old: World) -> None:
    """R264"""
    client = implicit_client(
        old, token_endpoint_auth_method="client_secret_basic", grant_types=["implicit", "authorization_code"]
    )
    browser = old.browser()
    old.log_in(browser)
    old.consent(browser, old.authorize_url(client))
    assert browser.open(old.authorize_url(client)).status_code == 303, "remembered for the code flow"
    assert browser.open(old.authorize_url(client, response_type="token")).status_code == 200, "and asked here"


def test_each_is_per_client_and_off_without_the_feature(old: World, memory_world: World) -> None:
    """R007, R050, R238"""
    browser = old.browser()
    refused = browser.open(old.authorize_url(old.confidential, response_type="token"))
    assert fragment_of(refused.location)["error"] == "unauthorized_client"
    form = {"grant_type": "password", "username": "ann", "password": PASSWORD}
    assert old.token(form).json["error"] == "unauthorized_client"
    assert memory_world.token(form).json["error"] == "unsupported_grant_type"
    refused = memory_world.browser().open(memory_world.authorize_url(response_type="token"))
    assert query_of(refused.location)["error"] == "unsupported_response_type"
    for grant in ("implicit", "password"):
        with pytest.raises(ConfigurationError, match="is switched off"):
            memory_world.clients.create(now=0, grant_types=[grant], redirect_uris=[CALLBACK])
    document = send(memory_world.gateway, "GET", "/.well-known/oauth-authorization-server").json
    assert not {"implicit", "password"} & set(document["grant_types_supported"])
    document = send(old.gateway, "GET", "/.well-known/oauth-authorization-server").json
    assert {"implicit", "password"} <= set(document["grant_types_supported"]) and "token" in document[
        "response_types_supported"
    ]


def test_implicit_alone_brings_its_own_authorization_endpoint(clock: Clock) -> None:
    world = make_world("sqlite://", clock, features="implicit")
    assert "access_token" in fragment_of(ask(world, implicit_client(world)))
    assert send(world.gateway, "POST", "/token", {"grant_type": "x"}).status_code == 404


def test_name_and_password_buy_tokens(old: World) -> None:
    _client, header = password_client(old)
    form = {"grant_type": "password", "username": " ANN ", "password": PASSWORD, "scope": "read"}
    answer = send(old.gateway, "POST", "/token", form, headers=header)
    assert answer.status_code == 200 and answer.json["scope"] == "read"
    assert old.call(answer.json["access_token"]).status_code == 200 and old.app.environ["REMOTE_USER"] == "ann"
    assert old.app.environ["oauth_gateway.token"].amr == ("pwd",)
    refresh = {"grant_type": "refresh_token", "refresh_token": answer.json["refresh_token"]}
    assert send(old.gateway, "POST", "/token", refresh, headers=header).status_code == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"password": "wrong"}, "invalid_grant"),
        ({"username": "nobody"}, "invalid_grant"),
        ({"password": ""}, "invalid_request"),
        ({"username": ""}, "invalid_request"),
        ({"scope": "admin"}, "invalid_scope"),
        ({"resource": "https://other.test"}, "invalid_target"),
        ({"password": "x" * 5000}, "invalid_grant"),
    ],
    ids=str,
)
def test_what_the_password_grant_refuses(old: World, changes: dict[str, str], error: str) -> None:
    _, header = password_client(old)
    form = {"grant_type": "password", "username": "ann", "password": PASSWORD, **changes}
    answer = send(old.gateway, "POST", "/token", form, headers=header)
    assert answer.status_code == 400 and answer.json["error"] == error


def test_guessing_is_throttled_together_with_the_login_page(old: World) -> None:
    """A056, contract 9.13"""
    _, header = password_client(old)
    form = {"grant_type": "password", "username": "ann", "password": "wrong"}
    statuses = [send(old.gateway, "POST", "/token", form, headers=header).status_code for _ in range(11)]
    assert statuses == [400] * 10 + [429]
    last = send(old.gateway, "POST", "/token", form, headers=header)
    assert int(last.headers["Retry-After"]) > 0 and last.json["error"] == "slow_down"
    assert old.log_in(old.browser()).status_code == 429, "the same counter"


def test_check_warns_of_both(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from oauth_gateway.cli import main

    config = tmp_path / "c.toml"
    config.write_text('[oauth_gateway]\ndatabase = "sqlite:///x.db"\nfeatures = "default implicit password"\n')
    main(["check", "--config", str(config)])
    printed = capsys.readouterr().out
    assert "implicit" in printed and "password" in printed and printed.count("warning") >= 2
