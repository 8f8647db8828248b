"""Does the time of a client's refusal tell anything? `python benchmarks/timing.py` (CHECKS A057, A067).

2,000 interleaved trials each of: a secret that begins right and one that begins wrong; a wrong secret and a client that does
not exist. For each pair the difference of the medians, and the two-sided p of a Mann-Whitney test by its normal
approximation: a small one tells the two apart. Secrets must not be told apart; that a client exists is no secret, and its
row takes time to read.
"""

from __future__ import annotations

import base64
import io
import math
import random
import statistics
import time
from urllib.parse import urlencode

from oauth_gateway import OAuthGateway
from oauth_gateway.clients import Clients

TRIALS = 2000


def main() -> None:
    gateway = OAuthGateway(None, database="sqlite://", issuer="https://api.example.com")
    clients = Clients(gateway.settings, gateway.store, gateway.events, gateway.server.sealer)
    client, secret = clients.create(now=time.time())
    assert secret
    other = ("A" if secret[0] != "A" else "B") + secret[1:]
    pairs = {
        "right beginning, wrong beginning": ((client.client_id, secret[:-1] + "!"), (client.client_id, other)),
        "wrong secret, no such client": ((client.client_id, other), ("0" * len(client.client_id), other)),
    }
    for name, (one, two) in pairs.items():
        a, b = trials(gateway, one, two)
        apart = (statistics.median(a) - statistics.median(b)) * 1e6
        print(f"{name}: {apart:+.1f} µs of {statistics.median(a) * 1e6:.0f}, p = {mann_whitney(a, b):.3f}")


def trials(gateway: OAuthGateway, one: tuple[str, str], two: tuple[str, str]) -> tuple[list[float], list[float]]:
    """Seconds that authenticating each takes, in random order; the throttle's counter is forgotten in between."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(200):
        attempt(gateway, *one)  # warm
    for _ in range(TRIALS):
        for index in random.sample((0, 1), 2):
            times[index].append(attempt(gateway, *(one, two)[index]))
    return times


def attempt(gateway: OAuthGateway, client_id: str, secret: str) -> float:
    body = urlencode({"grant_type": "client_credentials"}).encode()
    environ = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/token",
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_AUTHORIZATION": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode(),
        "REMOTE_ADDR": "192.0.2.1",
        "wsgi.input": io.BytesIO(body),
    }
    started = time.perf_counter()
    gateway(environ, lambda status, headers: None)
    return time.perf_counter() - started


def mann_whitney(a: list[float], b: list[float]) -> float:
    """The two-sided p by the normal approximation; times are never tied in practice."""
    ranked = sorted([(x, 0) for x in a] + [(x, 1) for x in b])
    ranks = sum(rank for rank, (_, which) in enumerate(ranked, 1) if which == 0)
    n, m = len(a), len(b)
    z = (ranks - n * (n + 1) / 2 - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)
    return math.erfc(abs(z) / math.sqrt(2))


if __name__ == "__main__":
    main()
