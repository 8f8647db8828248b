"""What strangers send must not open the breaker for everybody else: it is for a server that fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from oauth_gateway.fetch import FetchError, fetcher
from oauth_gateway.foreign import breaker
from oauth_gateway.testing import Clock

from .issuers import Issuer, gate, issuer
from .test_foreign_introspection import TEXT, asking
from .test_foreign_jwts import call


@pytest.fixture
def other() -> Iterator[Issuer]:
    with issuer() as made:
        yield made


@pytest.mark.parametrize("status", [400, 413, 414, 422, 431])
def test_answers_about_what_a_stranger_sent_leave_the_breaker_closed(status: int, other: Issuer, clock: Clock) -> None:
    """503 for the text itself, which may still be a token"""
    gateway, app = gate(asking(other))
    other.replies[other.introspection] = lambda: (status, "application/json", b"{}")
    for number in range(3 * breaker.FAILURES):
        assert call(gateway, f"{TEXT}{number}").status_code == 503
    assert other.asked[other.introspection] == 3 * breaker.FAILURES and not app.calls
    del other.replies[other.introspection]
    other.describe(clock, TEXT)
    assert call(gateway, TEXT).status_code == 200


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_answers_about_the_server_or_us_open_it(status: int, other: Issuer, clock: Clock) -> None:
    gateway, _ = gate(asking(other))
    other.replies[other.introspection] = lambda: (status, "application/json", b"{}")
    for number in range(3 * breaker.FAILURES):
        assert call(gateway, f"{TEXT}{number}").status_code == 503
    assert other.asked[other.introspection] == breaker.FAILURES


def test_our_own_queue_is_no_failure_of_the_server(other: Issuer, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of texts that nobody has seen, asked about by a server that takes its time"""
    monkeypatch.setattr(fetcher, "MOST_AT_ONCE", 2)
    monkeypatch.setattr("oauth_gateway.foreign.issuers.PATIENCE", 3.0)
    gateway, _ = gate(asking(other))
    assert call(gateway, TEXT).status_code == 401
    slow = threading.Event()
    other.replies[other.introspection] = lambda: (slow.wait(1.2) or 200, "application/json", b'{"active": false}')  # type: ignore[return-value]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda number: call(gateway, f"{TEXT}{number}").status_code, range(12)))
    assert set(answers) == {401, 503} and answers.count(401) >= 2
    del other.replies[other.introspection]
    other.describe(clock, TEXT + "-good")
    assert call(gateway, TEXT + "-good").status_code == 200, "the breaker is closed"


def test_what_waited_too_long_for_its_turn_was_not_asked(other: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "MOST_AT_ONCE", 1)
    asks = fetcher.Fetcher(gate(asking(other))[0].settings.trusted_issuers[0].private_networks, deadline=0.8)
    other.hold.clear()
    failures: list[FetchError] = []

    def ask() -> None:
        try:
            asks.ask(other.base + other.introspection, {"token": TEXT}, lambda fetched: fetched, {})
        except FetchError as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    assert sorted(error.asked for error in failures) == [False, False, True]
    assert all(error.status is None for error in failures)
