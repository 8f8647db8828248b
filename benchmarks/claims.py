"""What is claimed, and whether it was measured: one line each, out of results.json."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Results = dict[str, Any]
RATE, CPU, MEMORY = range(3)
MISSING = "not measured"


@dataclass(frozen=True, slots=True)
class Claim:
    """`measured(results, rows)` is a number or None; it must be at least `wanted`, or with `most` at most."""

    text: str
    wanted: float
    measured: Callable[[Results, int], float | None]
    unit: str = ""
    most: bool = False
    in_process: bool = False  # of one process, whatever the number of rows

    def depends_on_rows(self, results: Results, rows: int) -> bool:
        """Whether it was measured with this number of rows, and could have come out otherwise with another."""
        return not self.in_process and self.measured(results, rows) is not None

    def line(self, results: Results, rows: int) -> str:
        found = self.measured(results, rows)
        bound = f"{'at most' if self.most else 'at least'} {self.wanted:g}{self.unit}"
        if found is None:
            return f"| {self.text} | {bound} | {MISSING} |"
        kept = found <= self.wanted if self.most else found >= self.wanted
        return f"| {self.text} | {bound} | {_number(found)}{self.unit}{'' if kept else ' ✗'} |"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"


def rounds(results: Results, work: str, rows: int, system: str, what: int) -> list[float]:
    """What each round measured of a system; empty where none did."""
    found = results["works"].get(f"{work}@{rows}", {}).get("systems", {}).get(system, [])
    return [each[what] for each in found]


def paired(
    results: Results, work: str, rows: int, one: str, other: str, what: int, combine: Callable[[float, float], float]
) -> float | None:
    """The median of what `combine` makes of two systems within a round."""
    a, b = rounds(results, work, rows, one, what), rounds(results, work, rows, other, what)
    return statistics.median(combine(x, y) for x, y in zip(a, b, strict=True)) if a and len(a) == len(b) else None


def ratio(work: str, one: str, other: str) -> Callable[[Results, int], float | None]:
    return lambda results, rows: paired(results, work, rows, one, other, RATE, lambda x, y: x / y)


def added(work: str) -> Callable[[Results, int], float | None]:
    """CPU that the gateway adds to the bare app's."""
    return lambda results, rows: paired(results, work, rows, "gateway", "bare app", CPU, lambda x, y: x - y)


def cost(name: str) -> Callable[[Results, int], float | None]:
    def measured(results: Results, rows: int) -> float | None:
        found = results["costs"].get(name)
        return statistics.median(found["values"]) if found else None

    return measured


CLAIMS = (
    Claim(
        "protected GET, 1,000 tokens, strict revocation: of the bare app's requests/s",
        0.93,
        ratio("protected-1000", "gateway", "bare app"),
    ),
    Claim("server CPU added to a protected request", 7, added("protected-1000"), " µs", most=True),
    Claim("the same with 1,000 different paths", 9, added("paths-1000"), " µs", most=True),
    Claim(
        "protected GET: gateway around a Flask app, against it with Authlib's protector",
        2.9,
        ratio("protected-1000", "Flask in gateway", "Flask, Authlib"),
        "×",
    ),
    Claim(
        "protected GET: gateway around a Django app, against it with django-oauth-toolkit",
        4,
        ratio("protected-1000", "Django in gateway", "Django, toolkit"),
        "×",
    ),
    Claim(
        "in-process: added to a cached request, strict revocation on SQLite",
        1.5,
        cost("cached"),
        " µs",
        most=True,
        in_process=True,
    ),
    Claim(
        "client_credentials, stored: of the hand-written endpoint", 0.8, ratio("client_credentials", "gateway", "hand-written")
    ),
    Claim("client_credentials, against Flask with Authlib", 5.7, ratio("client_credentials", "gateway", "Flask, Authlib"), "×"),
    Claim(
        "client_credentials, against django-oauth-toolkit with secrets not hashed",
        7,
        ratio("client_credentials", "gateway", "Django, toolkit"),
        "×",
    ),
    Claim(
        "client_credentials, every answer durable: of the bare app's answers to the same request",
        0.28,
        ratio("client_credentials", "gateway, durable", "bare app"),
    ),
    Claim("code flow with PKCE, against Flask with Authlib", 4, ratio("code", "gateway", "Flask, Authlib"), "×"),
    Claim(
        "refresh with rotation and replay detection, against Flask with Authlib",
        5,
        ratio("refresh", "gateway", "Flask, Authlib"),
        "×",
    ),
    Claim("introspection, against Flask with Authlib", 5, ratio("introspection", "gateway", "Flask, Authlib"), "×"),
    Claim(
        "in-process: a cache miss on SQLite with a million rows, added to a cached request",
        25,
        cost("miss"),
        " µs",
        most=True,
        in_process=True,
    ),
    Claim("flood of 100,000 unknown tokens: looks into the store", 0, cost("flood_reads"), "", most=True, in_process=True),
    Claim("flood of 100,000 unknown tokens: share of good tokens still remembered", 1, cost("flood_hits"), in_process=True),
    Claim("import of `oauth_gateway`", 100, cost("import"), " ms", most=True, in_process=True),
    Claim("first request of a fresh worker", 50, cost("first_request"), " ms", most=True, in_process=True),
)
