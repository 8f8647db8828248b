"""What is remembered of others' tokens: how much memory one takes, and that all together are bounded."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from oauth_gateway import remembered
from oauth_gateway.foreign import Believed, BelievedTokens, believed, mapping
from oauth_gateway.testing import Clock

from .issuers import AUDIENCE, Issuer, entry, gate, issuer
from .test_foreign_jwts import call

ROLES = "default-roles-shop offline_access uma_authorization boss staff".split()
# claims of a person's token as Keycloak issues it
MANY: dict[str, Any] = {
    "azp": "shop-frontend",
    "aud": [AUDIENCE, "account"],
    "acr": "1",
    "allowed-origins": ["https://shop.example.com"],
    "realm_access": {"roles": ROLES},
    "resource_access": {"shop-api": {"roles": ["read", "write"]}, "account": {"roles": ["manage-account", "view-profile"]}},
    "scope": "openid profile email",
    "email_verified": True,
    "name": "Ann Example",
    "preferred_username": "ann",
    "given_name": "Ann",
    "family_name": "Example",
    "email": "ann@example.com",
}


@pytest.fixture
def other() -> Iterator[Issuer]:
    with issuer() as made:
        yield made


@pytest.mark.parametrize(("claims", "most"), [({}, 2200), (MANY, 4800)])
def test_a_remembered_token_takes_as_much_as_the_page_says(
    claims: dict[str, Any], most: int, other: Issuer, clock: Clock
) -> None:
    """Text and all; the names and values that are alike are there once"""
    gateway, _ = gate(entry(other))
    tokens = gateway.guard._tokens
    headers = [f"Bearer {other.token(clock, jti=f'j{number:032}', sub=f's{number:032}', **claims)}" for number in range(201)]
    assert tokens.find(headers.pop(), clock()) is not None
    gc.collect()
    tracemalloc.start()
    try:
        for number, header in enumerate(headers):
            assert tokens.find("Bearer " + header[7:], clock()) is not None, number
        gc.collect()
        each = tracemalloc.get_traced_memory()[0] / len(headers)
    finally:
        tracemalloc.stop()
    assert most * 0.6 < each < most


def test_the_app_gets_the_claims_as_they_are_and_a_dict_of_its_own(other: Issuer, clock: Clock) -> None:
    gateway, app = gate(entry(other))
    found = []
    for sub in ("s1", "s2"):
        assert call(gateway, other.token(clock, sub=sub, **{**MANY, "n": None, "f": 1.5, "l": [[1], {}]})).status_code == 200
        found.append(app.environ["oauth_gateway.token"].claims)
    for claims in found:
        assert claims["realm_access"] == {"roles": ROLES} and claims["email_verified"] is True
        assert (claims["f"], claims["l"], claims["name"]) == (1.5, [[1], {}], "Ann Example")
    found[0]["realm_access"]["roles"].append("root")
    assert found[1]["realm_access"]["roles"] == ROLES


def test_what_is_shared_is_bounded(other: Issuer, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MOST_ALIKE", 50)
    gateway, _ = gate(entry(other))
    for number in range(20):
        assert call(gateway, other.token(clock, roles=[f"r{number}-{role}" for role in range(10)])).status_code == 200
        assert len(mapping._alike.room()) <= 50


def test_long_tokens_are_remembered_in_smaller_numbers(other: Issuer, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """So memory is bounded by `cache_size`, whatever an issuer writes into its tokens"""
    monkeypatch.setattr(believed, "WEIGHT", 1000)
    gateway, _ = gate(entry(other), cache_size=20)
    hits = gateway.guard._tokens._believed.hits
    for number in range(30):
        assert call(gateway, other.token(clock, jti=f"j{number}")).status_code == 200
    assert 18 <= len(hits) <= 20
    for number in range(30):
        assert call(gateway, other.token(clock, jti=f"j{number}", groups=["g" * 36] * 50)).status_code == 200
    assert len(hits) == 3


def test_one_that_is_longer_than_all_may_be_together_is_remembered_alone(other: Issuer, clock: Clock) -> None:
    gateway, app = gate(entry(other), cache_size=1)
    for sub in ("s1", "s2"):
        text = other.token(clock, sub=sub, groups=["g" * 36] * 200)
        assert call(gateway, text).status_code == call(gateway, text).status_code == 200
        assert list(gateway.guard._tokens._believed.hits) == [f"Bearer {text}"]
    kept = BelievedTokens(5)
    token = app.environ["oauth_gateway.token"]
    kept.add("a", Believed(token, 1.0), 0.0)
    kept.add("a", Believed(token, 2.0), 0.0)
    assert kept.hits["a"][1] == 2.0 and len(kept._order) == 1
