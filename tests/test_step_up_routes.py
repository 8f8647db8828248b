"""Routes that want a recent login or a certain kind of it, asked with tokens (RFC 9470)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from oauth_gateway.cli import main
from oauth_gateway.testing import Clock

from .conftest import PASSWORD, World, hidden, make_world, query_of, send

ROUTES = [
    "* /fresh max_age=5m",
    "* /strong acr=urn:two,urn:three",
    "* /plain acr=0",
    "* /all scope=write acr=urn:two max_age=10m",
    "* /odd/x acr=urn:two,urn:three max_age=10m",
    "* /odd/x/ acr=urn:three max_age=5m",
]


@pytest.fixture
def bank(clock: Clock) -> World:
    return make_world("sqlite://", clock, routes=ROUTES)


def challenge(answer: Any) -> str:
    assert answer.status_code == 401 and answer.json["error"] == "insufficient_user_authentication"
    (header,) = answer.headers.getall("WWW-Authenticate")
    assert header.startswith(
        'Bearer realm="https://api.example.com", error="insufficient_user_authentication", error_description="'
    )
    assert "resource_metadata=" in header
    return str(header)


def test_the_whole_way_of_a_client_that_is_asked_for_a_newer_login(bank: World, clock: Clock) -> None:
    """RFC 9470 sections 3 to 5: challenge, a request with max_age, a login, a token that is good"""
    browser = bank.browser()
    bank.log_in(browser)
    first = bank.redeem(bank.code(browser=browser)).json
    assert bank.call(first["access_token"], "/fresh").text == "app"
    clock.advance(301)
    assert 'max_age="300"' in challenge(bank.call(first["access_token"], "/fresh"))
    refreshed = bank.refresh(first["refresh_token"]).json["access_token"]
    challenge(bank.call(refreshed, "/fresh"))  # a refresh is no login
    url = bank.authorize_url(max_age="300")
    page = browser.open(url)
    answer = browser.open("/authorize/login", {**hidden(page), "username": "ann", "password": PASSWORD})
    code = query_of(browser.open(answer.location).location)["code"]
    second = bank.redeem(code).json["access_token"]
    assert bank.call(second, "/fresh").text == "app"
    told = bank.app.environ["oauth_gateway.token"]
    assert told.auth_time == clock() and told.acr == "0"
    shown = bank.introspect(second).json
    assert shown["auth_time"] == int(clock()) and shown["acr"] == "0"  # section 6.2


def test_auth_time_and_acr_travel_with_a_jwt(clock: Clock) -> None:
    """RFC 9470 section 6.1"""
    world = make_world("sqlite://", clock, routes=ROUTES, access_token_format="jwt")
    token = world.tokens()["access_token"]
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["auth_time"] == int(clock()) and claims["acr"] == "0"
    assert world.call(token, "/plain").text == "app" and world.call(token, "/fresh").text == "app"


def test_the_challenge_names_all_that_the_rules_want(bank: World) -> None:
    token = bank.tokens(scope="read write")["access_token"]
    assert 'acr_values="urn:two urn:three"' in challenge(bank.call(token, "/strong"))
    told = challenge(bank.call(token, "/all"))
    assert 'acr_values="urn:two"' in told and 'max_age="600"' in told and 'scope="write"' in told
    told = challenge(bank.call(token, "/odd/x"))
    assert 'acr_values="urn:three"' in told and 'max_age="300"' in told, "two rules decide, for the app may not tell them apart"
    lacking = bank.call(bank.machine_token(scope="read"), "/all")
    assert lacking.status_code == 403 and lacking.json["error"] == "insufficient_scope"
    assert bank.app.calls == 0


def test_a_client_acting_for_itself_has_not_signed_in(bank: World) -> None:
    for path in ("/fresh", "/strong", "/plain"):
        challenge(bank.call(bank.machine_token(), path))
    assert bank.call(None, "/fresh").status_code == 401 and bank.call("nonsense", "/fresh").json["error"] == "invalid_token"


def test_a_person_sees_a_page(bank: World) -> None:
    answer = bank.call(bank.machine_token(), "/fresh", Accept="text/html")
    assert answer.status_code == 401 and "<h1>" in answer.text and 'max_age="300"' in answer.headers["WWW-Authenticate"]


def test_a_login_elsewhere_may_be_of_another_kind(clock: Clock) -> None:
    """acr_values leads to it, the token carries it, and the metadata names what the routes want (section 7)"""
    said: dict[str, Any] = {"name": "ann"}
    world = make_world("sqlite://", clock, routes=ROUTES, authenticate=lambda environ: said, login_url="/login")
    document = send(world.gateway, "GET", "/.well-known/oauth-authorization-server").json
    assert document["acr_values_supported"] == ["0", "urn:three", "urn:two"]
    browser = world.browser()
    token = world.redeem(world.code(browser=browser)).json["access_token"]
    challenge(world.call(token, "/strong"))
    assert "acr_values=urn%3Atwo" in browser.open(world.authorize_url(acr_values="urn:two")).location
    said["acr"] = "urn:two"
    token = world.redeem(query_of(browser.open(world.authorize_url(acr_values="urn:two")).location)["code"]).json[
        "access_token"
    ]
    assert world.call(token, "/strong").text == "app"
    challenge(world.call(token, "/fresh"))  # when they signed in is not known


def test_the_metadata_says_what_our_own_logins_are_worth(bank: World) -> None:
    assert send(bank.gateway, "GET", "/.well-known/oauth-authorization-server").json["acr_values_supported"] == ["0"]


def test_check_tells_of_rules_that_nobody_can_meet(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.toml").write_text(
        '[oauth_gateway]\ndatabase = "sqlite://"\n'
        'routes = ["* /a acr=urn:two", "* /b max_age=30", "* /c no.such:judge", "* /d acr=0"]\n'
    )
    assert main(["check", "--config", str(tmp_path / "x.toml")]) == 1
    told = capsys.readouterr().out
    assert "so nobody can ever go there" in told and "needs longer than 30 s" in told and "ModuleNotFoundError" in told
    assert "/d" not in told
