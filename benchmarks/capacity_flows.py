"""The part of `capacity.py` that counts what each flow asks of PostgreSQL and Redis."""

from __future__ import annotations

import os
import re
import statistics
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg

from benchmarks.capacity_deployment import Act, Flows
from oauth_gateway.jobs import Jobs
from oauth_gateway.store.redis.link import Link
from tests.services import PostgreSQL, Redis, Service, family

ROUNDS = int(os.environ.get("CAPACITY_ROUNDS", "9"))  # repetitions of a flow; the median is told
WARM = 7  # before: psycopg prepares a statement when it has seen it five times
_STATEMENT = re.compile(r"LOG:  (?:statement|execute [^:]+): (\w+)")


class Logged(PostgreSQL):
    """Writes down every statement; its log has a commit's own bytes and no copies of whole pages."""

    def command(self) -> list[str]:
        return [*super().command(), "-c", "log_statement=all", "-c", "full_page_writes=off"]


class Quiet(PostgreSQL):
    def command(self) -> list[str]:
        return [*super().command(), "-c", "full_page_writes=off"]


def cpu(service: Service) -> int:
    """Nanoseconds of CPU that all its processes used."""
    assert service.process is not None
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in family(service.process.pid))


def repeated(
    flows: Flows, observe: Callable[[Act], dict[str, float]], middle: Callable[..., float] = statistics.median
) -> dict[str, dict[str, float]]:
    """For each flow the median of what `observe` tells of it, or another middle."""
    found = {}
    for name, prepare in flows.all().items():
        for _ in range(WARM):
            prepare()()
        seen = [observe(prepare()) for _ in range(ROUNDS)]
        found[name] = {what: middle([each[what] for each in seen]) for what in seen[0]}
    return found


def counted() -> dict[str, dict[str, float]]:
    """Statements of each flow on PostgreSQL, by what they are."""
    with Logged() as server, Flows(server.url()) as flows:
        log = server.folder / "log"

        def observe(act: Act) -> dict[str, float]:
            start = log.stat().st_size
            act()
            with log.open() as file:
                file.seek(start)
                verbs = Counter(_STATEMENT.findall(file.read()))
            writes = sum(verbs[verb] for verb in ("INSERT", "UPDATE", "DELETE"))
            return {"reads": verbs["SELECT"], "writes": writes, "commits": verbs["COMMIT"], "trips": verbs.total()}

        return repeated(flows, observe, min)


def timed() -> dict[str, dict[str, float]]:
    """CPU of the gateway and of PostgreSQL, and bytes of its log."""
    with Quiet() as server, Flows(server.url()) as flows, psycopg.connect(server.url(), autocommit=True) as connection:

        def written() -> int:
            row = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()
            return int(row[0]) if row else 0

        def observe(act: Act) -> dict[str, float]:
            log, own, others = written(), flows.spent, cpu(server)
            act()
            others = cpu(server) - others
            return {"own": flows.spent - own, "cpu": others, "log": written() - log}

        return repeated(flows, observe)


def on_redis() -> dict[str, dict[str, float]]:
    """Round trips of each flow, CPU of Redis and bytes of its append-only file."""
    trips = [0]
    exchange = Link._exchange

    def counting(self: Link, *given: Any, **named: Any) -> Any:
        trips[0] += 1
        return exchange(self, *given, **named)

    with Redis() as server, mock.patch.object(Link, "_exchange", counting), Flows(server.url()) as flows:

        def written() -> int:
            return sum(file.stat().st_size for file in server.data.rglob("*.aof"))

        def observe(act: Act) -> dict[str, float]:
            before, log, used = trips[0], written(), cpu(server)
            act()
            return {"trips": trips[0] - before, "cpu": cpu(server) - used, "log": written() - log}

        return repeated(flows, observe)


def main() -> list[str]:
    """The section."""
    with mock.patch.object(Jobs, "start", lambda self: None):  # looks for work of its own now and then
        counts, times, redis = counted(), timed(), on_redis()
    lines = [
        f"`CAPACITY_ROUNDS={ROUNDS} python benchmarks/capacity.py flows`: repetitions in one process; of what is counted the",
        "least, as what is due once a second or once in fifty writes comes on top; of the rest the median. Reads are SELECT,",
        "writes INSERT, UPDATE, DELETE; round trips are all statements, BEGIN, COMMIT and NOTIFY too. CPU in milliseconds.",
        "WAL and AOF are bytes that the server writes to its log, without PostgreSQL's copies of whole pages.",
        "",
        "| flow | gateway CPU | reads | writes | commits | round trips | PostgreSQL CPU | WAL | Redis trips | its CPU | AOF |",
        "| --- " + "| ---: " * 10 + "|",
    ]
    for name, count in counts.items():
        numbers = [f"{count[what]:.0f}" for what in ("reads", "writes", "commits", "trips")]
        took, there = times[name], redis[name]
        there_too = [f"{there['trips']:.0f}", f"{there['cpu'] / 1e6:.2f}", f"{there['log']:.0f}"]
        cells = [name, f"{took['own'] / 1e6:.2f}", *numbers, f"{took['cpu'] / 1e6:.2f}", f"{took['log']:.0f}", *there_too]
        lines.append(f"| {' | '.join(cells)} |")
    return lines
