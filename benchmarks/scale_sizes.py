"""What validation and issuance cost with ever more rows: `python benchmarks/scale.py sizes`.

All sizes of an engine are open at the same time in one process and take their turns in random order within a round, so that
noise hits all of them alike. Before it starts, what seeding wrote is on the disk and the files are in the system's page cache.
"""

from __future__ import annotations

import base64
import io
import json
import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import psycopg
import webob

from benchmarks.in_process import ENVIRON, app
from benchmarks.scale_seed import CALLBACK, ISSUER, Plan, Seeded, new_database, open_gateway, seed
from tests.oracle.corpus import CHALLENGE, FORM, VERIFIER

ENGINES = os.environ.get("BENCH_ENGINES", "SQLite PostgreSQL").split()
SIZES = [int(size) for size in os.environ.get("BENCH_SIZES", "1000 100000 1000000 10000000").split()]
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "20"))
LIMIT = 1.3
# how often in a round; the smallest database has no more refresh tokens than 21 rounds need
ACTIONS = {
    "look-up (`store.token`)": 100,
    "request, first of its token": 100,
    "request, token remembered": 10,
    "client_credentials": 30,
    "code redeemed": 7,
    "refresh": 7,
}
REMEMBERED = 100  # requests at once: one is too short for the clock
Times = dict[tuple[str, int], list[float]]  # by action and size: the median of each round, in microseconds


def main() -> list[str]:
    lines = [
        f"`BENCH_ROUNDS={ROUNDS} python benchmarks/scale.py sizes`: wall time in-process in µs, medians of {ROUNDS} rounds",
        "in which all sizes take turns in random order; in brackets the median of the ratios to the smallest size within a",
        f"round, at most {LIMIT}. A row in five is of a client acting for itself, the others are families of five with grant,",
        "person and session; tokens are taken at random among all rows, whose files are in the page cache. A request",
        "runs through the gateway with a constant app. Commits are as in production: client_credentials with synchronous",
        "NORMAL on SQLite, everything else waits for the disk.",
        "",
        f"| engine | what | {' | '.join(f'{size:,} rows' for size in SIZES)} |",
        f"| --- | --- | {' | '.join('---:' for _ in SIZES)} |",
    ]
    for engine in ENGINES:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            places = [Place(stack, engine, Path(folder), size) for size in SIZES]
            times = measure(places)
        lines += [f"| {engine} | {action} | {' | '.join(cells(times, action))} |" for action in ACTIONS]
    return lines


def measure(places: list[Place]) -> Times:
    times: Times = {(action, place.size): [] for action in ACTIONS for place in places}
    for number in range(ROUNDS + 1):  # the first one warms up
        for action, count in ACTIONS.items():
            for place in random.sample(places, len(places)):
                spent = list(islice(place.run(action), count))
                if number:
                    times[action, place.size].append(statistics.median(spent) * 1e6)
    return times


def cells(times: Times, action: str) -> Iterator[str]:
    """For each size the median, and how many times that of the smallest it is."""
    smallest = times[action, SIZES[0]]
    for size in SIZES:
        ratios = [one / other for one, other in zip(times[action, size], smallest, strict=True)]
        yield f"{statistics.median(times[action, size]):.4g} ({statistics.median(ratios):.2f})"


class Place:
    """A database with `size` rows, and two gateways on it: one that remembers nothing for long, and one as it is."""

    def __init__(self, stack: ExitStack, engine: str, folder: Path, size: int) -> None:
        self.size = size
        self.url = stack.enter_context(new_database(engine, folder, f"rows_{size}"))
        started = time.monotonic()
        self.seeded: Seeded = seed(self.url, Plan(size))
        self._settle(engine, folder / f"rows_{size}.db")
        print(f"{engine}, {size} rows: {time.monotonic() - started:.0f} s of seeding", flush=True)
        self.gateway, self.cold = open_gateway(self.url, app), open_gateway(self.url, app, cache_size=1)
        for gateway in (self.gateway, self.cold):
            stack.callback(gateway.store.close)
        self._tokens = cycle(self.seeded.tokens)
        self._refreshing = iter(self.seeded.refresh_tokens)
        self._actions: dict[str, Callable[[], float]] = dict(
            zip(ACTIONS, (self._look, self._miss, self._hit, self._issue, self._redeem, self._refresh), strict=True)
        )

    def run(self, action: str) -> Iterator[float]:
        """Seconds that each of any number of runs takes."""
        while True:
            yield self._actions[action]()

    def _settle(self, engine: str, file: Path) -> None:
        if engine == "SQLite":
            subprocess.run(["cat", file], stdout=subprocess.DEVNULL, check=True)
        else:
            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute("CHECKPOINT")
        os.sync()

    def _look(self) -> float:
        credential = self.gateway.server.sealer.recognise(next(self._tokens))
        assert credential is not None
        started = time.perf_counter()
        token, _ = self.gateway.store.token(credential.number, credential.digest)
        spent = time.perf_counter() - started
        assert token is not None
        return spent

    def _miss(self) -> float:
        environ = _environ(next(self._tokens))
        started = time.perf_counter()
        self.cold(environ, _refused)
        spent = time.perf_counter() - started
        assert environ["oauth_gateway.token"]
        return spent

    def _hit(self) -> float:
        texts = self.seeded.tokens[:REMEMBERED]
        for text in texts:
            self.gateway(_environ(text), _refused)
        environs = [_environ(text) for text in texts]
        started = time.perf_counter()
        for environ in environs:
            self.gateway(environ, _refused)
        return (time.perf_counter() - started) / len(texts)

    def _issue(self) -> float:
        return self._ask(random.randrange(len(self.seeded.clients)), grant_type="client_credentials", scope="read")[1]

    def _redeem(self) -> float:
        number = random.randrange(len(self.seeded.clients))
        query = {"response_type": "code", "client_id": self.seeded.clients[number][0], "redirect_uri": CALLBACK}
        query |= {"scope": "read", "code_challenge": CHALLENGE, "code_challenge_method": "S256"}
        request = webob.Request.blank(f"/authorize?{urlencode(query)}", base_url=ISSUER)
        location = self.gateway.server.create_authorization_response(request, grant_user="ann").location
        code = parse_qs(urlsplit(location).query)["code"][0]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return self._ask(number, **form)[1]

    def _refresh(self) -> float:
        text, client = next(self._refreshing)
        return self._ask(client, grant_type="refresh_token", refresh_token=text)[1]

    def _ask(self, client: int, **form: str) -> tuple[dict[str, Any], float]:
        """The token endpoint's answer to this client, and the seconds it took."""
        body = urlencode(form).encode()
        secret = base64.b64encode(":".join(self.seeded.clients[client]).encode()).decode()
        environ = {**ENVIRON, "REQUEST_METHOD": "POST", "PATH_INFO": "/token", "CONTENT_TYPE": FORM}
        environ |= {"CONTENT_LENGTH": str(len(body)), "HTTP_AUTHORIZATION": f"Basic {secret}", "wsgi.input": io.BytesIO(body)}
        started = time.perf_counter()
        parts = list(self.gateway(environ, lambda status, headers: None))
        spent = time.perf_counter() - started
        answer: dict[str, Any] = json.loads(b"".join(parts))
        assert "access_token" in answer, answer
        return answer, spent


def _environ(text: str) -> dict[str, Any]:
    return {**ENVIRON, "HTTP_AUTHORIZATION": "Bearer " + text}


def _refused(status: str, headers: object) -> None:
    raise AssertionError(status)
