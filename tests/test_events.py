"""What happened is told by name, to the log and to subscribers, without a secret."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from .conftest import World


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
