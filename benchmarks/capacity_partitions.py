"""The part of `capacity.py` about a table in partitions: what a token costs to find and to store, beside a plain table."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import psycopg

from benchmarks.capacity_flows import Quiet
from benchmarks.capacity_sizes import ROWS
from oauth_gateway.sealing import new_number
from oauth_gateway.store import Store, open_store
from oauth_gateway.testing import StoreContract
from tests.test_partitions import number_in, partition

WEEKS = 5
CALLS = 1000
ROUNDS = 3
_FILL = (
    "INSERT INTO oauth_token (id, realm, kind, digest, client, generation, scope, audience, issued, expires, failures)"
    " SELECT %s + n::bigint * 1000003, '', 'access_token', sha256(int4send(n)), %s, 0, 'read', 'aud', 0, 4e9, 0"
    " FROM generate_series(1, %s) n"
)


def main() -> list[str]:
    """The section."""
    with Quiet() as server:
        urls = {"one table": server.url(), f"{WEEKS} partitions": server.url()}
        stores = {way: open_store(url) for way, url in urls.items()}
        for store in stores.values():
            store.prepare()
        partition(urls[f"{WEEKS} partitions"])
        clients = {way: StoreContract().a_client(store).number for way, store in stores.items()}
        for way, url in urls.items():
            with psycopg.connect(url, autocommit=True) as connection:
                for week in range(WEEKS):
                    connection.execute(_FILL, (number_in(week), clients[way], ROWS // WEEKS))
                connection.execute("VACUUM ANALYZE oauth_token")
        found = {way: ([], []) for way in urls}
        for _ in range(ROUNDS):
            for way, store in stores.items():
                for values, value in zip(found[way], measure(store, clients[way]), strict=True):
                    values.append(value)
        for store in stores.values():
            store.close()
    lines = [
        f"`CAPACITY_ROWS={ROWS} python benchmarks/capacity.py partitions`: {ROWS:,} tokens, microseconds of a call in one",
        f"thread, medians of {CALLS}, the middle of {ROUNDS} interleaved rounds.",
        "",
        "| table | find a token | store a token |",
        "| --- | ---: | ---: |",
    ]
    for way, (finds, stored) in found.items():
        lines.append(f"| {way} | {statistics.median(finds):.0f} | {statistics.median(stored):.0f} |")
    return lines


def measure(store: Store, client: int) -> tuple[float, float]:
    contract = StoreContract()
    numbers = [number_in(n % WEEKS) + (1 + n * 7919 % (ROWS // WEEKS)) * 1000003 for n in range(CALLS)]
    assert store.token(numbers[0], None)[0] is not None
    kept = contract.a_client(store)
    tokens = [contract.a_token(kept, number=new_number()) for _ in range(CALLS)]
    finds = [lambda n=number: store.token(n, None) for number in numbers]
    return median(finds), median([lambda t=token: store.issue(t) for token in tokens])


def median(calls: list[Callable[[], object]]) -> float:
    """Microseconds."""
    times = []
    for call in calls:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6
