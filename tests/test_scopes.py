"""Scopes: what implies what, what a client may ask for, and what is asked of people again."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_gateway import ConfigurationError
from oauth_gateway.settings import gate
from oauth_gateway.testing import Clock

from .conftest import World, make_world, query_of

SCOPES = {"read": "Read", "write": "Write", "admin": "All", "mail": "Mail"}


@pytest.fixture
def tree(clock: Clock) -> World:
    implied = {"admin": "write", "write": "read"}
    routes = ["GET /read scope=read", "GET /write scope=write", "GET /mail scope=mail"]
    return make_world("sqlite://", clock, scopes=SCOPES, scope_implies=implied, routes=routes)


def test_a_scope_opens_what_the_scopes_that_it_implies_open(tree: World) -> None:
    token = tree.machine_token(scope="admin")
    assert tree.call(token, "/read").status_code == tree.call(token, "/write").status_code == 200
    assert tree.app.environ["oauth_gateway.token"].scopes == {"admin", "write", "read"}
    assert tree.call(token, "/mail").status_code == 403
    assert tree.call(tree.machine_token(scope="read"), "/write").status_code == 403, "and not the other way round"
    assert tree.introspect(token, tree.machine).json["scope"] == "admin read write"


def test_the_answer_names_what_was_granted(tree: World) -> None:
    answer = tree.token({"grant_type": "client_credentials", "scope": "write"}, tree.machine).json
    assert answer["scope"] == "write", "or clients complain of a scope that changed"


def test_a_client_may_ask_for_what_its_scopes_imply(tree: World) -> None:
    client, secret = tree.clients.create(now=0, scope="write")
    from .conftest import basic, send

    header = {"Authorization": basic(client.client_id, secret or "")}
    for scope, status in (("read", 200), ("write", 200), ("admin", 400), ("mail", 400), ("read mail", 400)):
        form = {"grant_type": "client_credentials", "scope": scope}
        assert send(tree.gateway, "POST", "/token", form, headers=header).status_code == status


def test_refresh_may_narrow_to_what_was_implied_and_never_widen(tree: World) -> None:
    """R044"""
    tokens = tree.tokens(scope="write")
    narrow = tree.refresh(tokens["refresh_token"], scope="read").json
    assert narrow["scope"] == "read" and tree.call(narrow["access_token"], "/write").status_code == 403
    assert tree.refresh(narrow["refresh_token"], scope="admin").json["error"] == "invalid_scope"
    assert tree.refresh(narrow["refresh_token"], scope="mail").json["error"] == "invalid_scope"
    assert tree.refresh(narrow["refresh_token"]).json["scope"] == "write"


def test_consent_to_more_covers_less_and_more_is_asked_again(tree: World) -> None:
    """A052"""
    browser = tree.browser()
    tree.log_in(browser)
    tree.consent(browser, tree.authorize_url(scope="write"))
    assert browser.open(tree.authorize_url(scope="read")).status_code == 303
    assert browser.open(tree.authorize_url(scope="admin")).status_code == 200
    refused = browser.open(tree.authorize_url(scope="mail write", prompt="none"))
    assert query_of(refused.location)["error"] == "consent_required"


def test_what_the_operator_took_from_a_client_is_not_given_again(world: World) -> None:
    """R233"""
    tokens = world.tokens(scope="read write")
    world.clients.update(world.confidential, {"scope": "read"}, world.clock())
    fresh = world.refresh(tokens["refresh_token"]).json
    assert fresh["scope"] == "read" and world.call(fresh["access_token"], "/write", "POST").status_code == 403
    assert world.refresh(fresh["refresh_token"], scope="write").json["error"] == "invalid_scope"


def test_a_default_scope_is_what_a_request_without_one_means(clock: Clock) -> None:
    """R026"""
    world = make_world("sqlite://", clock, default_scope="read")
    assert world.token({"grant_type": "client_credentials"}, world.machine).json["scope"] == "read"
    assert world.tokens(scope=None)["scope"] == "read"


@pytest.mark.parametrize(
    ("value", "closed"),
    [
        ("write: read", {"write": "read"}),
        ({"write": ["read", "mail"]}, {"write": "read mail"}),
        ("a: b\nb: a", {"a": "b", "b": "a"}),
    ],
)
def test_what_implies_what_is_text_or_a_mapping(value: Any, closed: dict[str, str]) -> None:
    assert gate({"scope_implies": value}).scope_implies == closed


@pytest.mark.parametrize("value", ["write", {"write": ""}, {"wri te": "read"}, {"write": 'r"'}, 5, {"write": 5}])
def test_what_is_none_of_that_is_one_line(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="scope_implies"):
        gate({"scope_implies": value})


def test_an_implied_scope_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="nope is not one of `scopes`"):
        gate({"scopes": "read: Read", "scope_implies": "read: nope"})
