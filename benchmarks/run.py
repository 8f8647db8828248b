"""Everybody at the same work: `make bench`, or `python -m benchmarks.run --help` for some of it.

Each system in turn serves from the first core while wrk loads it from the last, round by round, forwards and backwards in turn.
What was measured is kept in benchmarks/results.json; benchmarks/RESULTS.md and RESULTS.svg are written from it. Needs wrk, Node
and npm (Debian: apt install wrk nodejs npm). All traffic goes to 127.0.0.1.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from benchmarks import costs, report
from benchmarks.peers import PEERS, Facts, Peer
from benchmarks.prepare import named, prepared
from benchmarks.servers import HERE, Measured, NotMeasured, free_port, load, served
from benchmarks.work import WORKS, Work

RESULTS = HERE / "results.json"


def main(arguments: Sequence[str] | None = None) -> None:
    given = options(arguments)
    chosen = [work for work in WORKS.values() if work.name in given.only]
    peers = {
        work.name: [peer for peer in PEERS.values() if work.name in peer.works and peer.name in given.systems]
        for work in chosen
    }
    try:
        demand_programs({peer.name: peer for found in peers.values() for peer in found})
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            for work in chosen:
                if peers[work.name]:
                    keep("works", f"{work.name}@{given.rows}", compare(work, peers[work.name], Path(folder), given))
            if "costs" in given.only:
                for name, measured in costs.measure(Path(folder), given.rounds, given.miss_rows).items():
                    keep("costs", name, measured)
    except NotMeasured as error:
        sys.exit(f"not measured: {error}")
    write()


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    known = argparse.ArgumentParser(prog="benchmarks.run", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    works = [*WORKS, "costs"]
    known.add_argument("--only", nargs="+", choices=works, default=works, metavar="WORK", help=", ".join(works))
    known.add_argument(
        "--systems", nargs="+", choices=list(PEERS), default=list(PEERS), metavar="SYSTEM", help=" · ".join(PEERS)
    )
    known.add_argument("--rounds", type=int, default=5)
    known.add_argument("--seconds", type=int, default=2, help="of load a round, after one that warms")
    known.add_argument("--rows", type=int, default=100_000, help="tokens that are stored")
    known.add_argument("--miss-rows", type=int, default=1_000_000, help="tokens that are stored where a cache miss is measured")
    known.add_argument("--folder", help="where databases are made; the machine's temporary folder")
    return known.parse_args(arguments)


def demand_programs(peers: dict[str, Peer]) -> None:
    """Nobody is left out silently."""
    node = any(peer.target.endswith(".mjs") for peer in peers.values())
    for program in ("wrk", "taskset", *(("node", "npm") if node else ())):
        if not shutil.which(program):
            raise NotMeasured(f"{program} is missing (Debian: apt install wrk util-linux nodejs npm)")
    for peer in peers.values():
        if peer.module and not importlib.util.find_spec(peer.module):
            raise NotMeasured(f"{peer.name} needs {peer.module}: pip install --group bench")
    if node and not (HERE / "node_modules").is_dir():
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=HERE, check=True)


def compare(work: Work, peers: list[Peer], folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """All rounds of one kind of work, as results.json keeps them."""
    busy, found = os.getloadavg()[0], {peer.name: list[Measured]() for peer in peers}
    for peer in peers:
        prepared(peer, given.rows, folder)
    for number in range(given.rounds):
        for peer in peers[:: -1 if number % 2 else 1]:
            measured = measure(work, peer, prepared(peer, given.rows, folder), given.seconds)
            found[peer.name].append(measured)
            shown = f"{measured.rate:9.1f}/s {measured.cpu:9.1f} µs {measured.memory / 1024:7.1f} MiB"
            print(f"{work.name} {number + 1}/{given.rounds}: {peer.name:24} {shown}", flush=True)
    known = {"rows": given.rows, "rounds": given.rounds, "seconds": given.seconds, "load": round(busy, 1)}
    known |= {"when": time.strftime("%Y-%m-%d"), "machine": machine()}
    return {**known, "systems": {name: [astuple(each) for each in rounds] for name, rounds in found.items()}}


def measure(work: Work, peer: Peer, folder: Path, seconds: int) -> Measured:
    """One system at one work, once it is sure that it does what is wanted."""
    environ = {**os.environ, **peer.environ, "BENCH_FOLDER": str(folder)}
    with served(peer.target, environ, free_port()) as server:
        facts = Facts.read(folder)
        if peer.meet:
            facts = named(peer.meet)(server.port, facts)
            facts.write(folder)
        try:
            work.check(server.port, facts)
            variables = work.variables(facts, folder / "lines")
            return load(server, HERE / work.script, {**environ, **variables}, seconds, work.steps, work.alone)
        except NotMeasured as error:
            raise NotMeasured(f"{peer.name}, {work.name}: {error}") from None


def machine() -> str:
    found = re.search(r"^model name\s*: (.+)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"{os.cpu_count()} cores, {found[1] if found else platform.machine()}, Python {platform.python_version()}"


def keep(kind: str, name: str, measured: object) -> None:
    """Into results.json, at once: what was measured is not lost where a later system fails."""
    known = report.load(RESULTS)
    known[kind][name] = measured
    RESULTS.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")


def write() -> None:
    known = report.load(RESULTS)
    text = report.document(known)
    (HERE / "RESULTS.md").write_text(text)
    (HERE / "RESULTS.svg").write_text(report.plot(known))
    print(text)


if __name__ == "__main__":
    main()
