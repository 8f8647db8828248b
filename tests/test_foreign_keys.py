"""The keys of a trusted issuer: found by discovery, read ahead of their age, once for an unknown kid, and never at the cost of
a worker.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from oauth_gateway import OAuthGateway, jose
from oauth_gateway.foreign import refreshed
from oauth_gateway.testing import Clock

from .issuers import AUDIENCE, Issuer, Reply, entry, gate, issuer
from .test_foreign_jwts import call


@pytest.fixture
def other() -> Iterator[Issuer]:
    with issuer("/realms/a") as made:
        yield made


def settled(gateway: OAuthGateway) -> None:
    """Wait for what is read in the background."""
    for each in gateway.guard._tokens._foreign.issuers:
        keys = each._keys
        reading = keys._keys._reading if keys is not None else None
        if reading is not None:
            assert reading.done.wait(10)


def test_discovery_is_where_the_specifications_say(other: Issuer, clock: Clock) -> None:
    """RFC 8414 section 3.1, OpenID Connect Discovery section 4"""
    call(gate(entry(other))[0], other.token(clock))
    assert set(other.asked) == {"/.well-known/oauth-authorization-server/realms/a", "/realms/a/jwks"}
    other.asked.clear()
    other.replies["/.well-known/oauth-authorization-server/realms/a"] = lambda: (404, "text/plain", b"")
    assert call(gate(entry(other))[0], other.token(clock)).status_code == 200
    assert other.asked["/realms/a/.well-known/openid-configuration"] == 1
    other.asked.clear()
    call(gate(entry(other, profile="auth0"))[0], other.token(clock))
    assert set(other.asked) == {"/realms/a/.well-known/openid-configuration", "/realms/a/jwks"}
    other.asked.clear()
    assert call(gate(entry(other, jwks_uri=other.base + other.jwks))[0], other.token(clock)).status_code == 200
    assert set(other.asked) == {"/realms/a/jwks"}


@pytest.mark.parametrize("name", ["https://evil.example", "", None, 7, "slash", "case"])
def test_metadata_that_names_another_issuer_is_of_no_use(name: Any, other: Issuer, clock: Clock) -> None:
    """R166: a mix-up between issuers, and issuers are compared exactly"""
    told = {"slash": other.name + "/", "case": other.name.upper()}.get(name, name)
    document = {**other.metadata(), "issuer": told}
    for place in ("/.well-known/oauth-authorization-server/realms/a", "/realms/a/.well-known/openid-configuration"):
        other.replies[place] = lambda: (200, "application/json", json.dumps(document).encode())
    gateway, app = gate(entry(other))
    answer = call(gateway, other.token(clock))
    assert answer.status_code == 503 and not app.calls and not other.asked[other.jwks]


def json_reply(value: Any, kind: str = "application/json", status: int = 200) -> Callable[[], Reply]:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return lambda: (status, kind, body)


LIES: dict[str, Callable[[Issuer], Callable[[], Reply]]] = {
    "an error": lambda other: json_reply({}, status=500),
    "a redirect": lambda other: json_reply({}, status=302),
    "HTML": lambda other: json_reply(b"<html>", "text/html"),
    "HTML that says it is JSON": lambda other: json_reply(b"<html>"),
    "a BOM": lambda other: json_reply(b"\xef\xbb\xbf" + json.dumps({"keys": other.published}).encode()),
    "10 MB": lambda other: json_reply(b'{"keys": [' + b" " * 10_000_000 + b"]}"),
    "keys twice": lambda other: json_reply(b'{"keys": [], "keys": ' + json.dumps(other.published).encode() + b"}"),
    "no keys": lambda other: json_reply({"keys": []}),
    "keys in an object": lambda other: json_reply({"keys": {"k1": other.published[0]}}),
    "a list": lambda other: json_reply(other.published),
    "101 keys": lambda other: json_reply({"keys": other.published * 101}),
    "a private key": lambda other: json_reply({"keys": [{**jose.private_of(other.keys["k1"][0]), "kid": "k1"}]}),
    "secrets": lambda other: json_reply({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "k1"}]}),
    "garbage": lambda other: json_reply({"keys": [7, None, "x", {"kty": "RSA"}, {"kty": ["RSA"], "kid": "k1"}]}),
    "deep": lambda other: json_reply(b'{"keys":' + b"[" * 5000 + b"]" * 5000 + b"}"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_jwks_endpoint_lets_nobody_in(lie: str, other: Issuer, clock: Clock) -> None:
    """A087, A088, A089: 503 with Retry-After, and the answer says nothing of why"""
    other.replies[other.jwks] = LIES[lie](other)
    gateway, app = gate(entry(other))
    answer = call(gateway, other.token(clock))
    assert answer.status_code == 503 and not app.calls
    assert answer.json == {"error": "temporarily_unavailable", "error_description": "Please try again in a moment."}
    assert int(answer.headers["Retry-After"]) >= 1 and "WWW-Authenticate" not in answer.headers
    del other.replies[other.jwks]
    clock.advance(31)
    assert call(gateway, other.token(clock)).status_code == 200


@pytest.mark.parametrize(
    "change", [{"use": "enc"}, {"alg": "PS256"}, {"key_ops": ["sign"]}, {"kty": "EC"}, {"kid": "K1"}, {"kid": None}, {"kid": 7}]
)
def test_a_key_for_something_else_is_not_used(change: dict[str, Any], other: Issuer, clock: Clock) -> None:
    other.add_key("k2")
    other.published[0].update(change)
    gateway, app = gate(entry(other))
    assert call(gateway, other.token(clock)).status_code == 401 and not app.calls
    assert call(gateway, other.token(clock, kid="k2")).status_code == 200


def test_addresses_that_are_not_public_are_not_reached_unless_the_entry_allows_it(other: Issuer, clock: Clock) -> None:
    """A084: the issuer's own, and where its metadata leads"""
    gateway, _ = gate({"issuer": other.name, "audience": AUDIENCE})
    assert call(gateway, other.token(clock)).status_code == 503 and not other.asked
    for uri in (
        "http://169.254.169.254/keys",
        "https://10.0.0.1/keys",
        "file:///etc/passwd",
        "https://user@keys.example/",
        "//x",
    ):
        document = {**other.metadata(), "jwks_uri": uri}
        for place in ("/.well-known/oauth-authorization-server/realms/a", "/realms/a/.well-known/openid-configuration"):
            other.replies[place] = json_reply(document)
        gateway, _ = gate(entry(other))
        assert call(gateway, other.token(clock)).status_code == 503, uri


def test_keys_are_asked_for_once_and_again_ahead_of_their_age(other: Issuer, clock: Clock) -> None:
    """R166: never once a request"""
    gateway, _ = gate(entry(other))
    for number in range(20):
        assert call(gateway, other.token(clock, jti=f"j{number}")).status_code == 200
    assert other.asked[other.jwks] == 1
    clock.advance(refreshed.AHEAD_SECONDS)
    other.hold.clear()
    began = time.monotonic()
    for number in range(20):
        assert call(gateway, other.token(clock, jti=f"k{number}")).status_code == 200, "nobody waits for fresher ones"
    assert time.monotonic() - began < refreshed.PATIENCE
    other.hold.set()
    settled(gateway)
    assert other.asked[other.jwks] == 2


def test_an_issuer_that_is_away_is_missed_after_an_hour_only(other: Issuer, clock: Clock) -> None:
    gateway, _ = gate(entry(other))
    assert call(gateway, other.token(clock)).status_code == 200
    other.replies[other.jwks] = json_reply({}, status=503)
    for _ in range(4):
        clock.advance(875)
        assert call(gateway, other.token(clock)).status_code == 200
        settled(gateway)
    clock.advance(101)
    assert call(gateway, other.token(clock)).status_code == 503
    del other.replies[other.jwks]
    clock.advance(31)
    assert call(gateway, other.token(clock)).status_code == 200


def test_a_new_key_is_found_at_once_and_a_flood_of_unknown_kids_asks_little(other: Issuer, clock: Clock) -> None:
    """R166, A060: one bounded reading, then 401"""
    gateway, _ = gate(entry(other))
    assert call(gateway, other.token(clock)).status_code == 200
    clock.advance(60)
    other.add_key("k2")
    assert call(gateway, other.token(clock, kid="k2")).status_code == 200 and other.asked[other.jwks] == 2
    for number in range(200):
        assert call(gateway, other.token(clock, header={"kid": f"unknown{number}"})).status_code == 401
    assert other.asked[other.jwks] == 2
    clock.advance(refreshed.AGAIN_SECONDS)
    for number in range(200):
        assert call(gateway, other.token(clock, header={"kid": f"unknown{number}"})).status_code == 401
    assert other.asked[other.jwks] == 3


def test_an_unknown_kid_while_the_keys_cannot_be_read_is_not_called_bad(other: Issuer, clock: Clock) -> None:
    gateway, _ = gate(entry(other))
    assert call(gateway, other.token(clock)).status_code == 200
    other.replies[other.jwks] = json_reply({}, status=500)
    clock.advance(60)
    other.add_key("k2")
    assert call(gateway, other.token(clock, kid="k2")).status_code == 503
    assert call(gateway, other.token(clock, kid="k2")).status_code == 503
    assert call(gateway, other.token(clock)).status_code == 200, "known ones are still good"
    assert other.asked[other.jwks] == 2


def test_what_a_key_signed_is_refused_once_the_issuer_has_withdrawn_it(other: Issuer, clock: Clock) -> None:
    """A069: also where the token is remembered; within 540 seconds"""
    gateway, _ = gate(entry(other))
    token = other.token(clock, exp=int(clock()) + 10_000)
    assert call(gateway, token).status_code == 200
    other.published.clear()
    other.add_key("k2")
    clock.advance(241)
    assert call(gateway, other.token(clock, jti="another")).status_code == 200, "read again in the background"
    settled(gateway)
    clock.advance(60)
    assert call(gateway, token).status_code == 401


def test_a_gate_that_had_nothing_to_do_looks_before_it_trusts_old_keys(other: Issuer, clock: Clock) -> None:
    """A069: where the issuer answers nothing older than 300 seconds decides"""
    gateway, app = gate(entry(other))
    assert call(gateway, other.token(clock)).status_code == 200
    other.published.clear()
    other.add_key("k2")
    clock.advance(3000)
    assert call(gateway, other.token(clock)).status_code == 401 and app.calls == 1
    assert call(gateway, other.token(clock, kid="k2")).status_code == 200 and other.asked[other.jwks] == 2


def test_one_reading_for_all_who_wait_and_nobody_waits_long(other: Issuer, clock: Clock) -> None:
    """A087: a server that takes a connection and says nothing costs each attempt a second of a few workers, and then none"""
    other.hold.clear()
    gateway, app = gate(entry(other))
    tokens = [other.token(clock, jti=f"j{number}") for number in range(8)]
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda token: call(gateway, token).status_code, tokens))
    assert answers == [503] * 8 and time.monotonic() - began < 2 * refreshed.PATIENCE
    began = time.monotonic()
    for _ in range(50):
        assert call(gateway, tokens[0]).status_code == 503
    assert time.monotonic() - began < refreshed.PATIENCE, "nobody waits for what has been waited for"
    assert sum(other.asked.values()) == 1 and not app.calls
    other.hold.set()
    settled(gateway)
    assert call(gateway, tokens[0]).status_code == 200


def test_a_slow_issuer_holds_up_neither_another_one_nor_own_tokens(other: Issuer, clock: Clock) -> None:
    with issuer() as second:
        gateway, _ = gate(entry(other), entry(second))
        other.hold.clear()
        waiting = threading.Thread(target=call, args=(gateway, other.token(clock)))
        waiting.start()
        began = time.monotonic()
        assert call(gateway, second.token(clock)).status_code == 200
        assert time.monotonic() - began < refreshed.PATIENCE
        waiting.join()
        other.hold.set()
