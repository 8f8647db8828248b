"""A key that its issuer has withdrawn (A069): for how long at most what it signed is good here, remembered or not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from oauth_gateway.foreign.issuers import BELIEVED_SECONDS
from oauth_gateway.testing import Clock

from .issuers import Issuer, entry, gate, issuer
from .test_foreign_jwts import call
from .test_foreign_keys import json_reply, settled

BOUND = 600  # seconds, while the issuer's keys can be read
BOUND_WHILE_AWAY = 3600 + 300


@pytest.fixture
def other() -> Iterator[Issuer]:
    with issuer("/realms/a") as made:
        yield made


def withdraw(other: Issuer) -> None:
    other.published.clear()
    other.add_key("k2")


@pytest.mark.parametrize("seen", [0, 239, 240, 299, 300, 301])
@pytest.mark.parametrize("traffic", [False, True])
def test_within_ten_minutes_nothing_is_good_that_a_withdrawn_key_signed(
    traffic: bool, seen: int, other: Issuer, clock: Clock
) -> None:
    """Whenever the token was looked at last, and whether others came meanwhile"""
    gateway, _ = gate(entry(other))
    token = other.token(clock, exp=int(clock()) + 10_000)
    assert call(gateway, token, "/first").status_code == 200
    withdraw(other)
    clock.advance(seen)
    gateway.guard._tokens._believed.hits.clear()
    answers = [call(gateway, token).status_code]
    # from 240 s on the keys are being read anew at this very moment, and that may be the quicker of the two
    assert answers[0] in ({200} if seen < 240 else {200, 401} if seen < 300 else {401})
    for second in range(seen + 20, BOUND + 1, 20):
        clock.advance(20)
        if traffic:
            assert call(gateway, other.token(clock, kid="k2", jti=f"j{second}")).status_code == 200
        answers.append(call(gateway, token).status_code)
        settled(gateway)
    clock.advance(max(0, BOUND - seen - 20 * (len(answers) - 1)))
    assert call(gateway, token).status_code == 401
    assert answers == sorted(answers), "once refused it is not accepted again"


def test_a_key_set_that_moved_is_followed_within_the_same_time(other: Issuer, clock: Clock) -> None:
    """The old place still has the old key"""
    gateway, _ = gate(entry(other))
    token = other.token(clock, exp=int(clock()) + 10_000)
    assert call(gateway, token).status_code == 200
    old = json.dumps({"keys": list(other.published)}).encode()
    other.replies[other.jwks] = lambda: (200, "application/json", old)
    withdraw(other)
    document = {**other.metadata(), "jwks_uri": f"{other.base}/moved"}
    other.replies["/.well-known/oauth-authorization-server/realms/a"] = json_reply(document)
    other.replies["/moved"] = lambda: (200, "application/json", json.dumps({"keys": other.published}).encode())
    last = 0
    for second in range(20, BOUND + 1, 20):
        clock.advance(20)
        gateway.guard._tokens._believed.hits.clear()  # so that it is looked at anew
        last = second if call(gateway, token).status_code == 200 else last
        settled(gateway)
    assert last + BELIEVED_SECONDS <= BOUND and call(gateway, other.token(clock, kid="k2")).status_code == 200


def test_where_the_keys_cannot_be_read_it_takes_an_hour_and_five_minutes(other: Issuer, clock: Clock) -> None:
    gateway, _ = gate(entry(other))
    token = other.token(clock, exp=int(clock()) + 10_000)
    assert call(gateway, token).status_code == 200
    withdraw(other)
    other.replies[other.jwks] = json_reply({}, status=500)
    answers = []
    for _ in range(BOUND_WHILE_AWAY // 60):
        clock.advance(60)
        answers.append(call(gateway, token).status_code)
        settled(gateway)
    assert answers[:59] == [200] * 59 and answers[-1] == 503
    del other.replies[other.jwks]
    clock.advance(31)
    assert call(gateway, token).status_code == 401


def test_a_key_that_is_replaced_under_its_own_name_is_withdrawn_too(other: Issuer, clock: Clock) -> None:
    gateway, _ = gate(entry(other))
    token = other.token(clock, exp=int(clock()) + 10_000)
    assert call(gateway, token).status_code == 200
    other.published.clear()
    other.add_key("k1")
    clock.advance(301)
    assert call(gateway, token).status_code == 401 and call(gateway, other.token(clock)).status_code == 200


def test_a_clock_that_is_set_back_prolongs_nothing(other: Issuer, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """`clock.now()` stands still then; another clock goes on"""
    began = time.monotonic()

    def passed() -> float:
        return began + past

    past = 0.0
    monkeypatch.setattr(time, "monotonic", passed)
    monkeypatch.setattr("oauth_gateway.tokens.monotonic", passed)
    monkeypatch.setattr("oauth_gateway.foreign.believed.monotonic", passed)
    gateway, app = gate(entry(other))
    token = other.token(clock, exp=int(clock()) + 10_000)
    assert call(gateway, token).status_code == 200
    clock.time -= 3600
    past = 239.0
    assert call(gateway, token).status_code == 200
    assert sum(other.asked.values()) == 2
    withdraw(other)
    past = 301.0
    assert call(gateway, token).status_code == 401 and app.calls == 2
    other.add_key("k3")
    past = 312.0
    assert call(gateway, other.token(clock, kid="k3", exp=int(clock()) + 10_000)).status_code == 200, (
        "and new keys are found meanwhile"
    )
