"""What RedisStore costs, on a private server: `python benchmarks/redis_store.py`; medians in microseconds.

`strict` (`appendfsync always`) beside no append-only file at all, with one thread and with eight.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from oauth_gateway.models import Grant
from oauth_gateway.sealing import new_number
from oauth_gateway.store import Purchase, Store
from oauth_gateway.store.redis import RedisStore
from oauth_gateway.testing import NOW
from oauth_gateway.testing.parts import StoreTest
from tests.redis_server import RedisServer

parts = StoreTest()
CALLS = 1500


def median(calls: list[Callable[[], object]]) -> str:
    times = []
    for call in calls:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    times.sort()
    return f"{statistics.median(times) * 1e6:7.0f} (p99 {times[len(times) * 99 // 100] * 1e6:.0f})"


def measure(store: Store) -> None:
    client, user, grant, refresh = parts.a_grant(store, "rt")
    issued = [parts.a_token(client) for _ in range(CALLS)]
    print("  epoch()     ", median([store.epoch] * CALLS))
    print("  issue()     ", median([lambda t=token: store.issue(t) for token in issued]))
    print("  token()     ", median([lambda t=token: store.token(t.number, t.digest) for token in issued]))
    bound = [refresh] * CALLS
    print("  token(grant)", median([lambda t=token: store.token(t.number, t.digest) for token in bound]))
    chain = [refresh, *(parts.a_token(client, "rt", grant_id=grant.id) for _ in range(CALLS))]
    redeems = []
    for old, new in itertools.pairwise(chain):
        access = parts.a_token(client, grant_id=grant.id)
        redeems.append(lambda o=old, n=new, a=access: store.redeem(o.number, Purchase((a, n), b"x" * 400, NOW + 10), NOW))
    print("  redeem()    ", median(redeems))
    grants = [Grant(new_number(), client.number, user.user_id, "s", "read", "aud", NOW) for _ in range(CALLS)]
    codes = [parts.a_token(client, "ac", grant_id=one.id) for one in grants]
    decisions = [lambda g=one, c=code: store.authorize(g, (c,), None) for one, code in zip(grants, codes, strict=True)]
    print("  authorize() ", median(decisions))
    print("  revoke_token", median([lambda t=token: store.revoke_token(t.number, NOW) for token in issued]))
    print("  count()     ", median([lambda: store.count("x", "y", 60, NOW)] * CALLS))
    print("  watch()     ", median([store.watch] * CALLS))
    store.last_epoch()
    time.sleep(0.1)
    print("  last_epoch()", median([store.last_epoch] * CALLS))


def throughput(store: Store, threads: int) -> None:
    client = parts.a_client(store)
    ends = time.perf_counter() + 3
    done = [0] * threads

    def run(index: int) -> None:
        while time.perf_counter() < ends:
            store.issue(parts.a_token(client))
            done[index] += 1

    workers = [threading.Thread(target=run, args=(index,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(f"  issue() by {threads} threads: {sum(done) / 3:.0f} a second")


def main() -> None:
    for name, options, strict in (("appendfsync always", (), True), ("appendonly no", ("--appendonly", "no"), False)):
        with RedisServer(*options) as server:
            store = RedisStore(server.address, strict)
            store.prepare()
            print(name)
            measure(store)
            throughput(store, 1)
            throughput(store, 8)
            store.close()


if __name__ == "__main__":
    main()
