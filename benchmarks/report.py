"""RESULTS.md and RESULTS.svg, written from results.json and from nothing else."""

from __future__ import annotations

import json
import statistics
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.claims import CLAIMS, CPU, MEMORY, RATE, Results, paired, rounds
from benchmarks.peers import PEERS
from benchmarks.work import WORKS

USUAL = 100_000  # rows
HEAD = """# Results

Written by `make bench`; do not edit. One gunicorn gthread worker with the repository's `gunicorn.conf.py`, or one Node process,
on one core; wrk with 8 connections on another. Systems take turns round by round; a figure is the median of the rounds, in
brackets the lowest and highest, a ratio the median of the ratios within a round. CPU is what the kernel says that the server's
processes used, without gunicorn's master; memory is their PSS after the load. Before each round a good token or secret must be
let in and a bad one refused. SQLite is in WAL mode with synchronous NORMAL for everybody; the gateway alone waits for the disk
(FULL) when it redeems a code or a refresh token, and where it says durable.

![Requests per second of each system](RESULTS.svg)
"""


def load(file: Path) -> Results:
    empty: Results = {"works": {}, "costs": {}}
    return {**empty, **json.loads(file.read_text())} if file.exists() else empty


def document(results: Results) -> str:
    parts = [HEAD, *claims(results)]
    for name, work in WORKS.items():
        parts += [section(results, name, rows, work.title) for rows in sizes(results, name)]
    if results["costs"]:
        parts.append(costs(results))
    parts.append(systems(results))
    return "\n".join(parts)


def sizes(results: Results, work: str) -> list[int]:
    """Numbers of rows that a kind of work was measured with."""
    found = (key.partition("@") for key in results["works"])
    return sorted(int(rows) for name, _, rows in found if name == work)


def claims(results: Results) -> list[str]:
    """The table of claims, and one more for each other number of rows."""
    found = []
    others = {rows for work in WORKS for rows in sizes(results, work)} - {USUAL}
    for rows in (USUAL, *sorted(others)):
        lines = [claim.line(results, rows) for claim in CLAIMS if rows == USUAL or claim.depends_on_rows(results, rows)]
        heading = "## Claims" if rows == USUAL else f"## Claims with {rows:,} tokens stored"
        found.append("\n".join([heading, "", "| claim | wanted | measured |", "| --- | ---: | ---: |", *lines, ""]))
    return found


def section(results: Results, work: str, rows: int, title: str) -> str:
    """One kind of work: what each system did."""
    known = results["works"][f"{work}@{rows}"]
    unit = "flows" if work == "code" else "requests"
    lines = [
        f"## {title}" if rows == USUAL else f"## {title}; {rows:,} tokens stored",
        "",
        f"{known['when']}, {known['machine']}: {known['rounds']} rounds of {known['seconds']} s, {rows:,} tokens stored; the",
        f"machine's load was {known['load']} before it began.",
        "",
        f"| system | {unit}/s | of the bare app | gateway against it | CPU µs | memory MiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for system in known["systems"]:
        rate, cpu, memory = (rounds(results, work, rows, system, what) for what in (RATE, CPU, MEMORY))
        share = paired(results, work, rows, system, "bare app", RATE, lambda x, y: x / y)
        against = paired(results, work, rows, "gateway", system, RATE, lambda x, y: x / y)
        cells = [system, spread(rate), shown(share, ".3f"), shown(against, ".2f"), spread(cpu)]
        lines.append(f"| {' | '.join(cells)} | {statistics.median(memory) / 1024:.0f} |")
    return "\n".join([*lines, ""])


def spread(values: list[float]) -> str:
    digits = 0 if statistics.median(values) >= 1000 else 1
    middle, low, high = (f"{value:.{digits}f}" for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({low}–{high})" if len(values) > 1 else middle


def shown(value: float | None, form: str) -> str:
    return "" if value is None else f"{value:{form}}"


def costs(results: Results) -> str:
    lines = [
        "## In-process",
        "",
        "Without a server in front; CPU, or time where it is in ms.",
        "",
        "| what | median | lowest | highest |",
    ]
    lines.append("| --- | ---: | ---: | ---: |")
    for found in results["costs"].values():
        numbers = [statistics.median(found["values"]), min(found["values"]), max(found["values"])]
        cells = [found["title"], *(f"{number:.2f} {found['unit']}".strip() for number in numbers)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def systems(results: Results) -> str:
    """How each system that was measured is set."""
    measured = {name for work in results["works"].values() for name in work["systems"]}
    lines = [f"| {peer.name} | {peer.how} |" for peer in PEERS.values() if peer.name in measured]
    return "\n".join(["## Systems", "", "| system | how it is set |", "| --- | --- |", *lines, ""])


# -- the picture

WIDTH, NAME, BAR, LINE = 800, 190, 430, 20  # all, the names' share, the longest bar's, and the height of a line
STYLE = """text { font: 13px system-ui, sans-serif; fill: #1f2328 } .h { font-weight: 600 }
rect { fill: #8b949e } .g { fill: #0969da }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } rect { fill: #6e7681 } .g { fill: #4493f8 } }"""


def plot(results: Results) -> str:
    """Bars of the rates, one group a kind of work, as an SVG that can be read on light and dark pages."""
    parts, y = list[str](), 0
    for name, work in WORKS.items():
        for rows in sizes(results, name):
            title = work.title if rows == USUAL else f"{work.title}; {rows:,} tokens stored"
            y += LINE + 4
            parts.append(f'<text class="h" x="4" y="{y}">{escape(title)}</text>')
            y = bars(results["works"][f"{name}@{rows}"]["systems"], parts, y)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + LINE}" width="{WIDTH}" role="img">'
    return "\n".join([head, "<title>Work done in a second</title>", f"<style>{STYLE}</style>", *parts, "</svg>", ""])


def bars(measured: dict[str, list[Any]], parts: list[str], y: int) -> int:
    """A bar a system below `y`, put into `parts`; where the next group may begin."""
    rates = {system: statistics.median(each[RATE] for each in found) for system, found in measured.items()}
    longest = max(rates.values())
    for system, rate in rates.items():
        y += LINE
        ours = ' class="g"' if "gateway" in system else ""
        width = max(rate / longest * BAR, 1)
        parts.append(f'<text x="{NAME - 8}" y="{y}" text-anchor="end">{escape(system)}</text>')
        parts.append(f'<rect{ours} x="{NAME}" y="{y - 12}" width="{width:.1f}" height="15" rx="2"/>')
        against = f" · gateway {rates['gateway'] / rate:.2f}×" if "gateway" in rates and system != "gateway" else ""
        parts.append(f'<text x="{NAME + width + 6:.1f}" y="{y}">{rate:,.0f}/s{against}</text>')
    return y + 8
