"""Serving while a million expired rows are purged: `python benchmarks/scale.py purge`.

gunicorn with two workers, `oauth-gateway purge` as a process beside it, and one process that sends requests at a fixed rate,
whatever has become of those before. Everything shares the machine's cores; all traffic goes to 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import math
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.scale_seed import ISSUER, SECRET, Plan, Seeded, new_database, seed
from benchmarks.servers import HERE, free_port
from benchmarks.systems import wait_and_check
from tests.oracle.corpus import FORM

ENGINES = os.environ.get("BENCH_ENGINES", "SQLite PostgreSQL").split()
EXPIRED = int(os.environ.get("BENCH_EXPIRED", "1000000"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "40"))  # without a purge, before it and after it
ALIVE, REMEMBERED = 200_000, 100
RATES = {"request, token remembered": 60, "request, first of its token": 40, "client_credentials": 20, "refresh": 5}


@dataclass
class Load:
    """Milliseconds that each kind of request took, in one phase, and what was not answered with 200."""

    times: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in RATES})
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0


def main() -> list[str]:
    load = os.getloadavg()[0]
    rates = ", ".join(f"{rate} of *{kind}*" for kind, rate in RATES.items())
    lines = [
        f"`python benchmarks/scale.py purge`: {EXPIRED:,} expired rows and {ALIVE:,} living ones; gunicorn with 2 workers of",
        "4 threads, `oauth-gateway purge` as a process of its own, one process that sends at fixed rates, each request on a",
        f"new connection, a second {rates}.",
        f"Milliseconds from the connection to the end of the answer; {os.cpu_count()} cores for all of them and the database;",
        f"without the purge: {SECONDS} seconds before it and as many after it. The machine's load beside all this: {load:.1f}.",
        "",
        "| engine | what | p50 without | p99 without | p50 with | p99 with | longest with | not answered |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    ends = []
    for engine in ENGINES:
        with tempfile.TemporaryDirectory() as folder, new_database(engine, Path(folder), "purge") as url:
            seeded = seed(url, Plan(EXPIRED + ALIVE, expired=EXPIRED))
            os.sync()
            without, beside, said = measure(url, seeded)
        for kind in RATES:
            low, high = sorted(without.times[kind]), sorted(beside.times[kind])
            failed = sum(kind in failure for failure in without.failures + beside.failures)
            shown = [statistics.median(low), percentile(low, 99), statistics.median(high), percentile(high, 99), high[-1]]
            lines.append(f"| {engine} | {kind} | {' | '.join(f'{ms:.2f}' for ms in shown)} | {failed} |")
        ends.append(f"{engine}: {said}, in {beside.seconds:.0f} s.")
        print("\n".join([*lines[-len(RATES) :], ends[-1], *(without.failures + beside.failures)[:5]]), flush=True)
    return [*lines, "", *ends]


def measure(url: str, seeded: Seeded) -> tuple[Load, Load, str]:
    """The load without the purge and beside it, and what the purge printed."""
    environ = {**os.environ, "BENCH_DATABASE": url, "OAUTH_GATEWAY_SECRET": SECRET, "OAUTH_GATEWAY_ISSUER": ISSUER}
    environ["PYTHONPATH"] = str(HERE.parent)
    command = [sys.executable, "-m", "oauth_gateway.cli", "purge", "--database", url]
    without, beside = Load(), Load()
    with served(environ) as port:
        wait_and_check(port, seeded.tokens[0])
        requests = {kind: sent(kind, seeded, port) for kind in RATES}
        asyncio.run(press(port, requests, Load(), lambda at: at > 5))  # warm
        asyncio.run(press(port, requests, without, lambda at: at > SECONDS))
        with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as purge:
            asyncio.run(press(port, requests, beside, lambda _: purge.poll() is not None))
            said = (purge.stdout.read() if purge.stdout else "").strip()
        asyncio.run(press(port, requests, without, lambda at: at > SECONDS))
    return without, beside, said


@contextmanager
def served(environ: dict[str, str]) -> Iterator[int]:
    """The port of gunicorn with two workers."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-c", str(HERE.parent / "gunicorn.conf.py"), "--log-level", "error"]
    command += ["--workers", "2", "--bind", f"127.0.0.1:{port}", "benchmarks.systems:gateway()"]
    server = subprocess.Popen(command, env=environ, cwd=HERE.parent, start_new_session=True)
    try:
        yield port
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def sent(kind: str, seeded: Seeded, port: int) -> Iterator[bytes]:
    """Requests of this kind, one after another."""
    refreshing = iter(seeded.refresh_tokens)
    first = itertools.cycle(seeded.tokens[REMEMBERED:])
    for number in itertools.count():
        if kind == "request, token remembered":
            yield _get(port, seeded.tokens[number % REMEMBERED])
        elif kind == "request, first of its token":
            yield _get(port, next(first))
        elif kind == "client_credentials":
            secret = random.choice(seeded.clients)
            yield _post(port, secret, {"grant_type": "client_credentials", "scope": "read"})
        else:
            text, client = next(refreshing)
            yield _post(port, seeded.clients[client], {"grant_type": "refresh_token", "refresh_token": text})


def _get(port: int, text: str) -> bytes:
    head = f"GET /thing HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nAuthorization: Bearer {text}\r\n\r\n"
    return head.encode()


def _post(port: int, client: tuple[str, str], form: dict[str, str]) -> bytes:
    body, secret = urlencode(form), base64.b64encode(":".join(client).encode()).decode()
    head = f"POST /token HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nAuthorization: Basic {secret}\r\n"
    return f"{head}Content-Type: {FORM}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


async def press(port: int, requests: dict[str, Iterator[bytes]], load: Load, over: Callable[[float], bool]) -> None:
    """Send at RATES until `over(seconds since the start)`; each request is timed from when it is sent."""
    started, tasks = time.monotonic(), set()
    due = {kind: started + random.random() / rate for kind, rate in RATES.items()}
    while not over(time.monotonic() - started):
        kind = min(due, key=lambda each: due[each])
        await asyncio.sleep(max(0.0, due[kind] - time.monotonic()))
        due[kind] += 1 / RATES[kind]
        tasks.add(asyncio.create_task(send(port, kind, next(requests[kind]), load)))
    await asyncio.gather(*tasks)
    load.seconds += time.monotonic() - started


async def send(port: int, kind: str, request: bytes, load: Load) -> None:
    started = time.perf_counter()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        answer = await asyncio.wait_for(reader.read(), 30)
        writer.close()
    except (OSError, TimeoutError) as error:
        answer = repr(error).encode()
    load.times[kind].append((time.perf_counter() - started) * 1000)
    if not answer.startswith(b"HTTP/1.1 200"):
        load.failures.append(f"{kind}: {answer[:300]!r}")


def percentile(ordered: list[float], percent: float) -> float:
    return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * percent / 100) - 1)]
