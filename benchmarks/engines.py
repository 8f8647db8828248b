"""What each engine costs, and what each mode of revocation: `python benchmarks/engines.py [ENGINE…]`.

The engines that tests/services.py can start, each with its default durability, on this machine. Medians in microseconds: a
cached protected request in-process (beside one without any gateway), a question for the epoch, a look at a token, the
transactions; then how long after the answer to a revocation by one process a request began at another that was let in (the
worst of 50).
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import tempfile
import time
from typing import Any

from oauth_gateway import OAuthGateway
from oauth_gateway.clients import Clients
from oauth_gateway.store import Purchase, Store, open_store
from oauth_gateway.testing import NOW
from oauth_gateway.testing.parts import StoreTest
from tests.services import ENGINES

SECRET = "a secret for benchmarks, 32 bytes+"
REVOCATIONS = 50
fork = multiprocessing.get_context("fork")


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b""]


def median(call: Any, times: int = 1000) -> float:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1e6


def gateway_on(url: str, revocation: str) -> tuple[OAuthGateway, str]:
    """A gateway and the Authorization header of a token that it gave."""
    gateway = OAuthGateway(app, issuer="https://a.test", database=url, secret=SECRET, revocation=revocation)
    clients = Clients(gateway.settings, gateway.store, gateway.events, gateway.server.sealer)
    client, _ = clients.create(now=time.time(), client_name="x")
    return gateway, new_token(gateway, client.number)[0]


def new_token(gateway: OAuthGateway, client: int) -> tuple[str, int]:
    from oauth_gateway.store import NewToken

    text, credential = gateway.server.sealer.issue("at")
    now = time.time()
    gateway.store.issue(
        NewToken(credential.number, "access_token", credential.digest, client, "", "https://a.test", now, now + 3600)
    )
    return f"Bearer {text}", credential.number


def call(gateway: OAuthGateway, header: str) -> str:
    status = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/x", "SCRIPT_NAME": "", "HTTP_AUTHORIZATION": header, "QUERY_STRING": ""}
    gateway(environ, lambda line, headers: status.append(line))
    return status[0][:3]


def request(url: str, revocation: str) -> float:
    gateway, header = gateway_on(url, revocation)
    for _ in range(100):
        assert call(gateway, header) == "200"
    taken = median(lambda: call(gateway, header), 5000)
    gateway.store.close()
    return taken


def transactions(url: str) -> dict[str, float]:
    store: Store = open_store(url)
    store.prepare()
    test = StoreTest()
    client = test.a_client(store)
    token = test.a_token(client)
    store.issue(token)
    fresh = iter([test.a_token(client) for _ in range(300)])
    grants = iter([test.a_grant(store, "rt") for _ in range(200)])

    def redeem() -> None:
        _, _, grant, code = next(grants)
        bought = (test.a_token(client, grant_id=grant.id), test.a_token(client, "rt", grant_id=grant.id))
        store.redeem(code.number, Purchase(bought), NOW)

    issued = [next(fresh) for _ in range(200)]
    waiting = iter(issued)
    done = {
        "epoch": median(store.epoch),
        "token": median(lambda: store.token(token.number, token.digest)),
        "issue": median(lambda: store.issue(next(waiting)), 200),
        "redeem": median(redeem, 200),
    }
    revoked = iter(issued)
    done["revoke"] = median(lambda: store.revoke_token(next(revoked).number, NOW), 200)
    store.close()
    return done


def _watch(url: str, revocation: str, pipe: Any) -> None:
    """Another process: says when the last request began that was let in."""
    gateway = OAuthGateway(app, issuer="https://a.test", database=url, secret=SECRET, revocation=revocation)
    while (header := pipe.recv()) is not None:
        pipe.send(call(gateway, header))
        time.sleep(0.01)
        began = last = time.monotonic()
        while call(gateway, header) == "200":
            last, began = began, time.monotonic()
        pipe.send(last)


def seen(url: str, revocation: str) -> float:
    """Milliseconds after a revocation's answer at which a request began elsewhere that was let in, at worst; 0 for none."""
    gateway, _ = gateway_on(url, revocation)
    client = gateway.store.clients()[-1].number
    mine, its = fork.Pipe()
    other = fork.Process(target=_watch, args=(url, revocation, its))
    other.start()
    worst = 0.0
    for _ in range(REVOCATIONS):
        header, number = new_token(gateway, client)
        mine.send(header)
        assert mine.recv() == "200"
        time.sleep(0.02)
        gateway.store.revoke_token(number, time.time())
        answered = time.monotonic()
        worst = max(worst, mine.recv() - answered)
    mine.send(None)
    other.join()
    gateway.store.close()
    return max(worst, 0.0) * 1000


def bare() -> float:
    environ: dict[str, Any] = {}
    return median(lambda: app(environ, lambda line, headers: None), 5000)


def main() -> None:
    names = sys.argv[1:] or ["sqlite", *ENGINES]
    columns = ["epoch", "token", "issue", "redeem", "revoke"]
    print(f"without a gateway {bare():.1f} µs")
    print("| engine | strict | 10s | " + " | ".join(columns) + " | seen, strict | seen, 10s |")
    print("| --- |" + " ---: |" * (len(columns) + 4))
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            service = ENGINES[name]() if name in ENGINES else None

            def url(number: list[int] = [0]) -> str:  # noqa: B006
                number[0] += 1
                return service.url() if service is not None else f"sqlite:///{folder}/{number[0]}.db"  # noqa: B023

            cells = [f"{request(url(), mode):.1f}" for mode in ("strict", "10s")]
            cells += [f"{value:.0f}" for value in transactions(url()).values()]
            cells += [f"{seen(url(), mode):.0f} ms" for mode in ("strict", "10s")]
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
            if service is not None:
                service.close()


if __name__ == "__main__":
    main()
