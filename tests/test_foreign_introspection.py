"""Opaque tokens of others: the issuer is asked about them (RFC 7662), once, with patience and a breaker."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from oauth_gateway import jose
from oauth_gateway.errors import ConfigurationError
from oauth_gateway.foreign import breaker, introspection
from oauth_gateway.testing import Clock

from .conftest import make_world
from .issuers import Issuer, entry, gate, issuer
from .test_foreign_jwts import call

SECRET = "s3:cr%t+ and more, at least 32 characters"
TEXT = "tGzv3JOkF0XG5Qx2TlKWIA"


@pytest.fixture
def other() -> Iterator[Issuer]:
    with issuer() as made:
        yield made


def asking(of: Issuer, **changes: Any) -> dict[str, Any]:
    return entry(of, **{"tokens": "opaque", "client_id": "gate:1", "client_secret": SECRET, **changes})


def test_a_living_token_is_asked_about_once_with_the_secret(other: Issuer, clock: Clock) -> None:
    other.describe(clock, TEXT, username="ann")
    gateway, app = gate(asking(other, username_claim="username", prefix="x:"))
    for _ in range(5):
        assert call(gateway, TEXT).status_code == 200
    assert other.asked[other.introspection] == 1 and not other.asked[other.jwks]
    assert other.forms == [{"token": TEXT, "token_type_hint": "access_token"}]
    kind, _, pair = other.headers[-1]["Authorization"].partition(" ")
    assert (kind, base64.b64decode(pair)) == ("Basic", b"gate%3A1:s3%3Acr%25t%2B+and+more%2C+at+least+32+characters")
    token = app.environ["oauth_gateway.token"]
    assert (app.environ["REMOTE_USER"], token.subject, token.scopes, token.issuer) == ("x:ann", "x:f-1", {"read"}, other.name)


def test_private_key_jwt_says_who_asks(other: Issuer, clock: Clock) -> None:
    """RFC 7523 section 2.2"""
    key = jose.generate("ES256")
    document = {**jose.private_of(key), "kid": "gate-key"}
    other.describe(clock, TEXT)
    gateway, _ = gate(asking(other, client_secret=None, client_key=document))
    assert call(gateway, TEXT).status_code == 200
    form = other.forms[0]
    header, _ = jose.peek(form["client_assertion"])
    claims = jose.verify(form["client_assertion"], key, ["ES256"])
    assert header["kid"] == "gate-key" and claims["iss"] == claims["sub"] == "gate:1" and claims["aud"] == other.name
    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert int(clock()) < claims["exp"] <= clock() + 60 and "Authorization" not in other.headers[-1]


@pytest.mark.parametrize("key", ["not a key", "{}", {"kty": "oct", "k": "c2VjcmV0"}])
def test_a_key_that_cannot_sign_is_refused_at_start(key: Any, other: Issuer) -> None:
    with pytest.raises(ConfigurationError, match="client_key"):
        gate(asking(other, client_secret=None, client_key=key))


def test_an_answer_is_believed_until_exp_and_no_longer_than_the_entry_says(other: Issuer, clock: Clock) -> None:
    other.describe(clock, TEXT, exp=int(clock()) + 100)
    gateway, app = gate(asking(other, introspection_cache="30s"))
    assert call(gateway, TEXT).status_code == 200
    assert app.environ["oauth_gateway.token"].expires_at == clock() + 100, "its own end, not that of our belief"
    clock.advance(29)
    assert call(gateway, TEXT).status_code == 200 and other.asked[other.introspection] == 1
    clock.advance(1)
    assert call(gateway, TEXT).status_code == 200 and other.asked[other.introspection] == 2
    other.living.clear()
    clock.advance(30)
    assert call(gateway, TEXT).status_code == 401 and other.asked[other.introspection] == 3


def test_a_token_without_exp_is_believed_for_the_bound(other: Issuer, clock: Clock) -> None:
    other.describe(clock, TEXT, exp=None)
    gateway, app = gate(asking(other))
    assert call(gateway, TEXT).status_code == 200
    assert app.environ["oauth_gateway.token"].expires_at == clock() + 60, "nobody knows of a later end"
    clock.advance(59)
    assert call(gateway, TEXT).status_code == 200 and other.asked[other.introspection] == 1
    clock.advance(1)
    assert call(gateway, TEXT).status_code == 200 and other.asked[other.introspection] == 2


def test_a_dead_token_is_remembered_too_and_how_many_is_bounded(
    other: Issuer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(introspection, "MOST_DEAD", 10)
    gateway, app = gate(asking(other))
    for _ in range(3):
        assert call(gateway, TEXT).status_code == 401
    assert other.asked[other.introspection] == 1
    clock.advance(60)
    assert call(gateway, TEXT).status_code == 401 and other.asked[other.introspection] == 2
    for number in range(20):
        call(gateway, f"garbage-{number}-of-a-stranger")
    assert len(gateway.guard._tokens._foreign.issuers[0]._introspection._dead) == 10 and not app.calls


BAD: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://evil.example"},
    "another audience": {"aud": "https://other.example"},
    "no audience": {"aud": None},
    "expired": {"exp": 1},
    "exp as text": {"exp": "soon"},
    "not yet": {"nbf": 1_900_000_000},
    "a refresh token": {"token_type": None},
    "a bound token": {"token_type": "DPoP"},
    "bound by cnf": {"cnf": {"x5t#S256": "x"}},
    "a refresh token by token_use": {"token_use": "refresh_token"},
    "a refresh token by typ": {"typ": "Refresh"},
    "scope a number": {"scope": 7},
    "sub a list": {"sub": ["f-1"]},
    "nobody": {"sub": None, "client_id": None},
    "nobody, in empty words": {"sub": "", "client_id": ""},
    "no end that is a date": {"exp": 0},
    "sub of two lines": {"sub": "a\nb"},
}


@pytest.mark.parametrize("bad", BAD)
def test_what_the_issuer_calls_active_may_still_be_no_access_token_for_us(bad: str, other: Issuer, clock: Clock) -> None:
    """A064, R165; and it is not asked about again"""
    other.describe(clock, TEXT, **BAD[bad])
    gateway, app = gate(asking(other))
    for _ in range(3):
        assert call(gateway, TEXT).status_code == 401
    assert other.asked[other.introspection] == 1 and not app.calls


def test_without_an_audience_the_named_clients_may_come(other: Issuer, clock: Clock) -> None:
    gateway, _ = gate(asking(other, client_ids="phone"))
    other.describe(clock, TEXT, aud=None)
    assert call(gateway, TEXT).status_code == 200
    other.describe(clock, TEXT + "2", aud=None, client_id="stranger")
    assert call(gateway, TEXT + "2").status_code == 401
    other.describe(clock, TEXT + "3", aud="https://other.example")
    assert call(gateway, TEXT + "3").status_code == 401


ANSWERS = {
    "401": (401, "application/json", b"{}"),
    "404": (404, "text/html", b""),
    "500": (500, "text/html", b""),
    "a redirect": (302, "application/json", b'{"active": true}'),
    "HTML": (200, "text/html", b"<html>"),
    "a JWT": (200, "application/token-introspection+jwt", b"a.b.c"),
    "active as text": (200, "application/json", b'{"active": "true"}'),
    "active as a number": (200, "application/json", b'{"active": 1}'),
    "active twice": (200, "application/json", b'{"active": true, "active": false}'),
    "no active": (200, "application/json", b"{}"),
    "a list": (200, "application/json", b'[{"active": true}]'),
    "10 MB": (200, "application/json", b'{"active": true}' + b" " * 10_000_000),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_says_nothing_fails_closed(answer: str, other: Issuer, clock: Clock) -> None:
    """A087, A088: 503 with Retry-After"""
    other.replies[other.introspection] = lambda: ANSWERS[answer]
    gateway, app = gate(asking(other))
    refused = call(gateway, TEXT)
    assert refused.status_code == 503 and int(refused.headers["Retry-After"]) >= 1 and not app.calls
    del other.replies[other.introspection]
    other.describe(clock, TEXT)
    assert call(gateway, TEXT).status_code == 200, "a failure is not remembered as an answer"


def test_the_breaker_opens_after_failures_in_a_row_and_one_tries_again(other: Issuer, clock: Clock) -> None:
    other.replies[other.introspection] = lambda: ANSWERS["500"]
    gateway, _ = gate(asking(other))
    for number in range(20):
        assert call(gateway, f"{TEXT}{number}").status_code == 503
    assert other.asked[other.introspection] == breaker.FAILURES
    assert call(gateway, TEXT).headers["Retry-After"] == "2"
    clock.advance(2)
    for number in range(5):
        assert call(gateway, f"{TEXT}{number}").status_code == 503
    assert other.asked[other.introspection] == breaker.FAILURES + 1
    assert call(gateway, TEXT).headers["Retry-After"] == "4"
    del other.replies[other.introspection]
    other.describe(clock, TEXT)
    clock.advance(4)
    assert call(gateway, TEXT).status_code == 200
    assert call(gateway, f"{TEXT}1").status_code == 401


def test_concurrent_questions_about_one_token_are_asked_once(other: Issuer, clock: Clock) -> None:
    other.describe(clock, TEXT)
    gateway, app = gate(asking(other))
    call(gateway, "another-token-of-a-stranger")
    other.hold.clear()
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(call, gateway, TEXT) for _ in range(8)]
        while other.asked[other.introspection] < 2:
            time.sleep(0.005)
        other.hold.set()
        assert [each.result().status_code for each in waiting] == [200] * 8
    assert other.asked[other.introspection] == 2 and app.calls == 8


def test_a_server_that_says_nothing_costs_a_few_seconds_and_then_none(other: Issuer, clock: Clock) -> None:
    """A087: and tokens that are remembered do not wait"""
    other.describe(clock, TEXT)
    gateway, _ = gate(asking(other))
    assert call(gateway, TEXT).status_code == 200
    other.hold.clear()
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(call, gateway, f"{TEXT}{number}") for number in range(4)]
        remembered = call(gateway, TEXT).status_code, time.monotonic() - began
        assert remembered[0] == 200 and remembered[1] < 1
        assert [each.result().status_code for each in answers] == [503] * 4
    assert time.monotonic() - began < introspection.PATIENCE + 1.5
    began = time.monotonic()
    for number in range(50):
        assert call(gateway, f"{TEXT}{number}").status_code == 503
    assert time.monotonic() - began < 1


def test_a_token_is_shown_to_its_own_issuer_only(other: Issuer, clock: Clock) -> None:
    """By its beginning; what has none of them is shown to nobody"""
    with issuer() as second:
        gateway, _ = gate(asking(other, token_prefix="aa_"), asking(second, token_prefix="bb_"))
        second.describe(clock, f"bb_{TEXT}")
        assert call(gateway, f"bb_{TEXT}").status_code == 200
        assert call(gateway, TEXT).status_code == 401 and call(gateway, f"cc_{TEXT}").status_code == 401
        assert not other.asked and second.asked[second.introspection] == 1


@pytest.mark.parametrize("text", ["short", "x" * 5000, "a b c d e f g h", "käse-käse-käse", "a=b=c=d=e=f=g", "a,b,c,d,e,f,g,h"])
def test_what_is_no_token_at_all_is_asked_nobody_about(text: str, other: Issuer, clock: Clock) -> None:
    gateway, _ = gate(asking(other))
    answer = call(gateway, text.encode().decode("latin-1"))
    assert answer.status_code in (400, 401) and not other.asked


def test_a_credential_with_our_own_prefix_is_never_tried_as_anything_else(other: Issuer, clock: Clock) -> None:
    """Also not where it is expired, revoked or made up"""
    world = make_world("sqlite://", clock, trusted_issuers=[asking(other)])
    mine = world.tokens()["access_token"]
    assert world.call(mine).status_code == 200
    world.revoke(mine)
    for text in (mine, "oga1_at_" + "A" * 67, "oga1_" + TEXT):
        other.describe(clock, text)
        assert world.call(text).status_code == 401
    assert not other.asked
    other.describe(clock, TEXT)
    assert world.call(TEXT).status_code == 200


def test_jwts_can_be_asked_about_instead_of_checked(other: Issuer, clock: Clock) -> None:
    """For revocation there to be known here: `tokens` without jwt"""
    text = other.token(clock)
    other.describe(clock, text)
    gateway, _ = gate(asking(other))
    assert call(gateway, text).status_code == 200 and not other.asked[other.jwks]
    stranger = other.token(clock, iss="https://stranger.example")
    assert call(gateway, stranger).status_code == 401 and other.asked[other.introspection] == 1


def test_no_secret_and_no_token_is_told(other: Issuer, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A058: neither in the log nor in what an object says of itself"""
    caplog.set_level("DEBUG")
    gateway, _ = gate(asking(other))
    other.replies[other.introspection] = lambda: (200, "application/json", json.dumps({"x": SECRET}).encode())
    call(gateway, TEXT)
    del other.replies[other.introspection]
    other.describe(clock, TEXT, aud="https://other.example")
    assert call(gateway, TEXT).status_code == 401
    assert SECRET not in caplog.text + repr(gateway.settings) and TEXT not in caplog.text
    assert "it is for another audience: 'https://other.example'" in caplog.text
