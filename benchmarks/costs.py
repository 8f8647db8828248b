"""What one process of the gateway costs, without any server in front: the part of `run.py` that needs no wrk.

Remembered tokens, cache misses, a flood of unknown tokens, start and first request, redeeming codes.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks import in_process, issuing
from benchmarks.peers import PEERS
from benchmarks.prepare import prepared
from benchmarks.scale_seed import Plan, open_gateway, seed
from benchmarks.servers import ROOT, NotMeasured, run
from oauth_gateway import OAuthGateway
from oauth_gateway.store.sqlite import Database

FLOOD = 100_000
GOOD = 1_000
FRESH = 1_000  # tokens that are not remembered, in each round
IMPORT = "import time; at = time.perf_counter(); import oauth_gateway; print(time.perf_counter() - at)"
FIRST = """
import io, sys, time
from benchmarks.in_process import ENVIRON
from benchmarks.peers import Facts, folder, gateway
app = gateway.bare()
environ = {**ENVIRON, "HTTP_AUTHORIZATION": "Bearer " + Facts.read(folder()).tokens[0], "wsgi.input": io.BytesIO()}
said, at = [], time.perf_counter()
app(environ, lambda status, headers: said.append(status))
print(time.perf_counter() - at)
assert said == ["200 OK"], said
"""
Cost = dict[str, Any]


def measure(folder: Path, rounds: int, rows: int) -> dict[str, Cost]:
    """All costs by their names, as results.json keeps them."""
    found = {}
    added = in_process.cached(folder, rounds)
    found["cached"] = cost("added to a request with a remembered token", "µs", added["opaque"])
    found["cached_jwt"] = cost("the same with JWTs (RS256)", "µs", added["JWT"])
    missed = misses(folder, rounds, rows)
    found["miss"] = cost(f"a cache miss, added to that; {rows:,} tokens stored", "µs", missed)
    reads, hits = flood(folder)
    found["flood_reads"] = cost(f"looks into the store in a flood of {FLOOD:,} unknown tokens", "", [reads])
    found["flood_hits"] = cost("share of good tokens that are remembered after it", "", [hits])
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    found["import"] = cost("import of `oauth_gateway`", "ms", timed(IMPORT, environ, rounds))
    environ["BENCH_FOLDER"] = str(prepared(PEERS["gateway"], GOOD, folder))
    found["first_request"] = cost("first request of a fresh process", "ms", timed(FIRST, environ, rounds))
    codes = issuing.code_flow(folder)
    found["code"] = cost("redeeming a code for an access token and a refresh token", "µs", codes["read"])
    found["code_openid"] = cost("the same with an ID token (RS256)", "µs", codes["openid read"])
    return found


def cost(title: str, unit: str, values: list[float]) -> Cost:
    return {"title": title, "unit": unit, "when": time.strftime("%Y-%m-%d"), "values": [round(value, 3) for value in values]}


def timed(program: str, environ: dict[str, str], rounds: int) -> list[float]:
    """Milliseconds that a Python program says it took, in processes of their own; the first one may compile."""
    return [float(run([sys.executable, "-c", program], environ)) * 1000 for _ in range(rounds + 1)][1:]


def call(gateway: OAuthGateway, headers: list[str], expected: str) -> float:
    """Microseconds of CPU a request, each with another Authorization header."""
    said: list[str] = []
    environs = [{**in_process.ENVIRON, "HTTP_AUTHORIZATION": header} for header in headers]
    at = time.process_time()
    for environ in environs:
        gateway(environ, lambda status, _: said.append(status))
    spent = (time.process_time() - at) / len(headers) * 1e6
    wrong = {status for status in said if not status.startswith(expected)}
    if wrong:
        raise NotMeasured(f"{expected} was expected, not {wrong}")
    return spent


def answering(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return []


def misses(folder: Path, rounds: int, rows: int) -> list[float]:
    """Microseconds that a request takes longer when its token has to be looked up in a database of `rows` tokens."""
    url = f"sqlite:///{folder}/misses.db"
    seeded = seed(url, Plan(rows, real=min((rounds + 1) * FRESH, rows // 10)))
    headers, added = ["Bearer " + text for text in seeded.tokens], []
    gateway = open_gateway(url, answering)
    for start in range(0, (rounds + 1) * FRESH, FRESH):
        fresh = headers[start : start + FRESH]
        added.append(call(gateway, fresh, "200") - call(gateway, fresh, "200"))
    gateway.store.close()
    return added[1:]


def flood(folder: Path) -> tuple[int, float]:
    """Looks into the store for unknown tokens, and the share of good ones that is remembered afterwards."""
    gateway, good = in_process.make(f"sqlite:///{folder}/flood.db")
    gateway.app = answering
    call(gateway, good, "200")
    shapes = [f"oga1_at_{secrets.token_urlsafe(32)}{secrets.token_hex(8)}{secrets.token_urlsafe(6)}" for _ in range(FLOOD // 2)]
    garbage = [f"Bearer {text}" for text in (*shapes, *(secrets.token_urlsafe(32) for _ in range(FLOOD // 2)))]
    with counted() as reads:
        call(gateway, garbage, "401")
        looked = reads[0]
        call(gateway, good, "200")
        missed = reads[0] - looked
    gateway.store.close()
    return looked, 1 - missed / len(good)


@contextmanager
def counted() -> Iterator[list[int]]:
    """How often a connection for reading is asked for."""
    reads, read = [0], Database.read

    def counting(self: Database) -> Any:
        reads[0] += 1
        return read(self)

    with mock.patch.object(Database, "read", counting):
        yield reads
