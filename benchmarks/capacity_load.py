"""The part of `capacity.py` about one worker: protected requests per second on PostgreSQL, and its connections."""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import psycopg

from benchmarks.capacity_deployment import Flows
from benchmarks.capacity_flows import Quiet, cpu
from benchmarks.servers import HERE, LAST_CORE, ROOT, served
from benchmarks.systems import wait_and_check
from oauth_gateway.jobs import Jobs
from tests.conftest import SECRET
from tests.services import PostgreSQL

ROUNDS = int(os.environ.get("CAPACITY_LOADS", "3"))
SECONDS = 2
TOKENS = 1000
BUSY = 15  # calls of each thread whose connections are counted
WAYS = {"strict": {}, '`revocation = "5s"`': {"OAUTH_GATEWAY_REVOCATION": "5s"}}


class Counting(Quiet):
    """Counts its statements."""

    def command(self) -> list[str]:
        return [*super().command(), "-c", "shared_preload_libraries=pg_stat_statements"]


def main() -> list[str]:
    """The section."""
    if not shutil.which("wrk"):
        sys.exit("benchmarks/capacity.py needs wrk (Debian: apt install wrk)")
    with Counting() as server, mock.patch.object(Jobs, "start", lambda self: None):
        lines = [*protected(server), ""]
        return [*lines, *connections(server)]


def protected(server: PostgreSQL) -> list[str]:
    url, busy = server.url(), os.getloadavg()[0]
    with psycopg.connect(url) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
    found: dict[str, list[tuple[float, ...]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = prepare(url, folder)
        environ = {
            **os.environ,
            "BENCH_DATABASE": url,
            "BENCH_LINES": f"{folder}/lines",
            "BENCH_USED": str(TOKENS),
            "OAUTH_GATEWAY_SECRET": SECRET,
        }
        environ["PYTHONPATH"] = str(ROOT)
        for _ in range(ROUNDS):
            for way, more in WAYS.items():
                found[way].append(measure(server, url, folder, first, {**environ, **more}))
                print(way, found[way][-1], flush=True)
    lines = [
        f"`CAPACITY_LOADS={ROUNDS} python benchmarks/capacity.py load`: one gunicorn worker of 4 threads on one core, wrk with",
        f"8 connections, {TOKENS} remembered tokens, PostgreSQL on the same machine; medians of {ROUNDS} rounds of",
        f"{SECONDS} seconds, in brackets the lowest and highest. The machine's load was {busy:.1f} before it began.",
        "",
        "| revocation | requests/s | worker CPU µs a request | PostgreSQL CPU µs a request | statements a request |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for way, rounds in found.items():
        rate, own, others, asked = (statistics.median(column) for column in zip(*rounds, strict=True))
        rates = [each[0] for each in rounds]
        seen = f"{rate:.0f} ({min(rates):.0f}–{max(rates):.0f})"
        lines.append(f"| {way} | {seen} | {own:.0f} | {others:.0f} | {asked:.2f} |")
    return lines


def prepare(url: str, folder: Path) -> str:
    """Tokens in the database and in the file for wrk; the first of them."""
    with Flows(url) as flows:
        tokens = [flows.world.machine_token() for _ in range(TOKENS)]
    (folder / "lines").write_text("\n".join(tokens))
    return tokens[0]


def measure(server: PostgreSQL, url: str, folder: Path, token: str, environ: dict[str, str]) -> tuple[float, ...]:
    """Requests a second; microseconds of the worker's and of PostgreSQL's CPU, and statements, a request."""
    with served("benchmarks.systems:gateway()", environ) as own_server:
        wait_and_check(own_server.port, token)
        wrk = [
            "taskset",
            "-c",
            LAST_CORE,
            "wrk",
            "-t1",
            "-c8",
            "-s",
            str(HERE / "protected.lua"),
            f"http://127.0.0.1:{own_server.port}/",
        ]
        subprocess.run([*wrk, "-d2s"], env=environ, capture_output=True, check=True)
        before = own_server.cpu(), cpu(server), questions(url)
        done = subprocess.run([*wrk, f"-d{SECONDS}s"], env=environ, capture_output=True, text=True, check=True).stdout
        assert "Non-2xx" not in done, done
        after = own_server.cpu(), cpu(server), questions(url)
    counted = re.search(r"(\d+) requests in", done)
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", done)
    assert counted and rate
    count = int(counted[1])
    own, others, asked = (late - early for early, late in zip(before, after, strict=True))
    return float(rate[1]), own / count * 1e6, others / count / 1e3, asked / count


def questions(url: str) -> int:
    """Statements that this server has run so far."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT sum(calls) FROM pg_stat_statements").fetchone()
    return int(row[0]) if row else 0


def connections(server: PostgreSQL) -> list[str]:
    lines = [
        f"Connections of one process whose threads all issue, look up and revoke tokens at once, {BUSY} times each:",
        "",
        '| threads | strict | `revocation = "5s"` |',
        "| ---: | ---: | ---: |",
    ]
    for threads in (1, 4, 16):
        lines.append(f"| {threads} | {opened(server, threads, False)} | {opened(server, threads, True)} |")
    return lines


def opened(server: PostgreSQL, threads: int, bounded: bool) -> int:
    url = server.url()
    with Flows(url) as flows:
        flows.elsewhere.store.close()
        flows.world.gateway.store.close()
        world = flows.world
        gateway = flows.bounded if bounded else flows.gateway
        world.gateway = gateway  # type: ignore[assignment]
        together = threading.Barrier(threads)

        def work() -> None:
            for _ in range(BUSY):
                together.wait()
                token = world.machine_token()
                assert world.call(token).status_code == 200
                assert world.revoke(token, world.machine).status_code == 200

        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(work) for _ in range(threads)]:
                done.result()
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'oauth_gateway' AND datname = "
        return int(server.sql(f"{query}'{url.rpartition('/')[2]}'"))
