"""Many at once: unknown tokens in many threads, of strangers and of people, before caches that are too small for them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from oauth_gateway.foreign import refreshed
from oauth_gateway.testing import Clock

from .issuers import Issuer, entry, gate, issuer
from .test_foreign_introspection import TEXT, asking
from .test_foreign_jwts import call

THREADS = 16


@pytest.fixture
def other() -> Iterator[Issuer]:
    with issuer() as made:
        yield made


def test_a_crowd_of_good_and_bad_tokens_gets_each_its_own_answer(other: Issuer, clock: Clock) -> None:
    """Nobody gets another's token; a cache for five is evicted from all the time"""
    gateway, _ = gate(entry(other, username_claim="name", prefix="x:"), cache_size=5, identity_headers=True)
    good = {other.token(clock, sub=f"s{number}", name=f"n{number}"): f"x:n{number}" for number in range(40)}
    bad = [other.token(clock, sub=f"s{number}", name="root", aud="https://elsewhere.example") for number in range(20)]
    bad += [other.token(clock, header={"kid": f"unknown{number}"}) for number in range(20)]
    bad += [text[:-6] + "AAAAAA" for text in list(good)[:20]]
    tokens = gateway.guard._tokens

    def find(text: str) -> tuple[str, str | None]:
        found = tokens.find(f"Bearer {text}", clock())
        return text, found.username if found is not None else None

    assert call(gateway, next(iter(good))).status_code == 200
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(find, [text for _ in range(8) for pair in zip(good, bad, strict=False) for text in pair]))
    assert all(name == good.get(text) for text, name in answers) and len(answers) == 640
    assert len(tokens._believed.hits) <= 5 and len(tokens._believed._order) == len(tokens._believed.hits)
    assert other.asked[other.jwks] <= 2, "unknown kids brought one more reading in all"


def test_a_crowd_with_unknown_kids_waits_for_one_reading_and_a_second_at_most(other: Issuer, clock: Clock) -> None:
    """R166, A087: while known keys go on"""
    gateway, _ = gate(entry(other))
    assert call(gateway, other.token(clock)).status_code == 200
    clock.advance(60)
    other.hold.clear()
    strangers = [other.token(clock, header={"kid": f"unknown{number}"}) for number in range(THREADS)]
    began = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        answers = [pool.submit(call, gateway, text) for text in strangers]
        assert call(gateway, other.token(clock, jti="j2")).status_code == 200
        assert time.monotonic() - began < refreshed.PATIENCE
        assert {each.result().status_code for each in answers} == {503}
    assert time.monotonic() - began < refreshed.PATIENCE + 1.5
    began = time.monotonic()
    for text in strangers:
        assert call(gateway, text).status_code == 503
    assert time.monotonic() - began < 0.5, "what has been waited for is not waited for again"
    other.hold.set()
    assert sum(other.asked.values()) == 3


def test_a_crowd_of_texts_that_nobody_knows_is_asked_about_once_each(other: Issuer, clock: Clock) -> None:
    gateway, app = gate(asking(other))
    other.describe(clock, TEXT)
    texts = [f"{TEXT}{number}" for number in range(20)] + [TEXT]
    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(lambda text: (text, call(gateway, text).status_code), texts * 6))
    assert {text for text, status in answers if status == 200} == {TEXT}
    assert {status for text, status in answers if text != TEXT} == {401}
    assert other.asked[other.introspection] == len(texts) and app.calls == 6
