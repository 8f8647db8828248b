"""The gateway on any database, for benchmarks of ours that compare it with nobody else."""

from __future__ import annotations

import os
import time
import urllib.error

from benchmarks.peers import ISSUER, plain
from benchmarks.servers import NotMeasured, status
from oauth_gateway import OAuthGateway


def gateway() -> OAuthGateway:
    return OAuthGateway(plain.bare, database=os.environ["BENCH_DATABASE"], issuer=ISSUER)


def wait_and_check(port: int, token: str) -> None:
    """A good token gets 200, a bad one 401, or nothing is measured."""
    for _ in range(100):
        try:
            good = status(port, token)
            break
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    else:
        raise NotMeasured("it did not start")
    if good != 200 or status(port, "nonsense") != 401:
        raise NotMeasured(f"a good token got {good}, or a bad one no 401")
