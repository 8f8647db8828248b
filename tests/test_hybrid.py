"""The hybrid flow, which is off by default (OpenID Connect Core section 3.3)."""

from __future__ import annotations

import base64
import hashlib

import pytest

from oauth_gateway import jose
from oauth_gateway.errors import ConfigurationError
from oauth_gateway.features.hybrid import RESPONSE_TYPES
from oauth_gateway.testing import Clock

from .conftest import World, hidden, make_world, query_of
from .test_openid import jwks, read

ASKED = {"scope": "openid read", "nonce": "n"}


@pytest.fixture
def world(clock: Clock) -> World:
    world = make_world("sqlite://", clock, features="default hybrid")
    kinds = ["code", *RESPONSE_TYPES]
    world.confidential = world.clients.update(world.confidential, {"response_types": kinds}, 0)
    return world


def fragment(url: str) -> dict[str, str]:
    assert "code=" not in url.partition("#")[0]
    return query_of("?" + url.partition("#")[2])


def half(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:16]).rstrip(b"=").decode()


@pytest.mark.parametrize("kind", RESPONSE_TYPES)
def test_what_was_asked_for_comes_in_the_fragment_and_the_code_works(world: World, kind: str) -> None:
    browser = world.browser()
    world.log_in(browser)
    answer = fragment(world.consent(browser, world.authorize_url(response_type=kind, **ASKED)).location)
    assert answer["state"] == "st" and answer["iss"] == world.base
    assert ("id_token" in answer, "access_token" in answer) == ("id_token" in kind, " token" in kind)
    assert "refresh_token" not in answer
    tokens = world.redeem(answer["code"]).json
    if "id_token" in kind:
        claims = read(world, answer["id_token"])
        assert claims["c_hash"] == half(answer["code"]) and claims["nonce"] == "n"
        assert claims.get("at_hash") == (half(answer["access_token"]) if " token" in kind else None)
        assert claims["sub"] == read(world, tokens["id_token"])["sub"] and jwks(world)
    if " token" in kind:
        assert world.call(answer["access_token"]).status_code == 200
        world.redeem(answer["code"])  # a replay ends the grant, and with it what came beside the code
        assert world.call(answer["access_token"]).status_code == 401


def test_the_order_of_the_values_has_no_meaning(world: World) -> None:
    browser = world.browser()
    world.log_in(browser)
    answer = fragment(world.consent(browser, world.authorize_url(response_type="id_token code", **ASKED)).location)
    assert "id_token" in answer and "code" in answer


def test_a_form_may_carry_it(world: World) -> None:
    browser = world.browser()
    world.log_in(browser)
    url = world.authorize_url(response_type="code id_token", response_mode="form_post", **ASKED)
    posted = hidden(world.consent(browser, url))
    assert jose.peek(posted["id_token"])[1]["nonce"] == "n" and world.redeem(posted["code"]).status_code == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"nonce": None}, "invalid_request"),
        ({"scope": "read"}, "invalid_scope"),
        ({"response_mode": "query"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
    ],
)
def test_errors_come_in_the_fragment(world: World, changes: dict[str, str | None], error: str) -> None:
    """oidcc-ensure-request-without-nonce-fails"""
    asked = {"response_type": "code id_token", **ASKED, **changes}
    assert fragment(world.browser().open(world.authorize_url(**asked)).location)["error"] == error


def test_only_clients_that_registered_it_may_use_it(world: World, memory_world: World) -> None:
    url = world.authorize_url(world.public, response_type="code id_token", **ASKED)
    assert fragment(world.browser().open(url).location)["error"] == "unauthorized_client"
    off = memory_world.authorize_url(response_type="code id_token", **ASKED)
    assert query_of(memory_world.browser().open(off).location)["error"] in ("unsupported_response_type", "invalid_request")
    with pytest.raises(ConfigurationError, match="hybrid is switched off"):
        memory_world.clients.create(now=0, redirect_uris=["https://a.test/cb"], response_types=["code id_token"])


def test_consent_is_asked_each_time_as_nobody_authenticated_before_the_tokens_went_out(world: World) -> None:
    browser = world.browser()
    world.log_in(browser)
    url = world.authorize_url(response_type="code id_token token", **ASKED)
    assert "access_token" in fragment(world.consent(browser, url).location)
    assert "asks for access" in browser.open(url).text
