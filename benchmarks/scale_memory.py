"""Memory of remembered tokens: `python benchmarks/scale.py memory`.

In a process of its own: a gateway that has served a few requests is the idle one; then every token of a database is presented
once, as a new str each, as a server makes it. What PSS and RSS have grown by is what remembering costs.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.in_process import ENVIRON, app
from benchmarks.scale_seed import Plan, open_gateway, seed

TOKENS, LIMIT = 100_000, 90  # MiB
ALONE = Plan(TOKENS, kinds=("access_token",), itself=0, families=1, real=TOKENS)
MIXES = {
    "each another person's, in another session": ALONE,
    "four grants a person": replace(ALONE, families=4),
    "clients acting for themselves": replace(ALONE, itself=1),
}


def main() -> list[str]:
    lines = [
        f"`python benchmarks/scale.py memory`: {TOKENS} valid tokens presented to one gateway in-process, SQLite; by how much",
        f"the process is larger than the same one idle (`/proc/self/smaps_rollup`), in MiB; opaque ones at most {LIMIT}.",
        "",
        "| tokens | PSS | RSS | bytes a token |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, plan in MIXES.items():
        with tempfile.TemporaryDirectory() as folder:
            pss, rss = in_a_process(f"sqlite:///{folder}/memory.db", plan)
        lines.append(f"| {name} | {pss / 2**20:.1f} | {rss / 2**20:.1f} | {pss / TOKENS:.0f} |")
        print(lines[-1], flush=True)
    return lines


def in_a_process(url: str, plan: Plan) -> tuple[int, int]:
    """Bytes of PSS and RSS that `plan`'s tokens cost, measured in a fresh process; another one makes the database."""
    fresh = multiprocessing.get_context("spawn")
    file = Path(url.removeprefix("sqlite:///")).with_suffix(".json")
    for target in (_prepare, _measure):
        process = fresh.Process(target=target, args=(url, plan, file))
        process.start()
        process.join()
        assert process.exitcode == 0
    pss, rss = json.loads(file.read_text())
    return pss, rss


def _prepare(url: str, plan: Plan, file: Path) -> None:
    file.write_text("\n".join(seed(url, plan).tokens))


def _measure(url: str, plan: Plan, file: Path) -> None:
    gateway = open_gateway(url, app)
    with file.open() as lines:
        for _ in range(100):
            present(gateway, lines.readline())
            lines.seek(0)
        before = memory()
        for line in lines:
            present(gateway, line)
    after = memory()
    _check(gateway, file)
    file.write_text(json.dumps([after[0] - before[0], after[1] - before[1]]))


def present(gateway: Any, line: str) -> None:
    environ: dict[str, Any] = {**ENVIRON, "HTTP_AUTHORIZATION": "Bearer " + line.rstrip("\n")}
    gateway(environ, _refused)
    assert environ["oauth_gateway.token"].scopes == {"read"}


def _refused(status: str, headers: object) -> None:
    raise AssertionError(status)


def _check(gateway: Any, file: Path) -> None:
    """All of them are remembered: none is asked for again."""
    asked = 0
    store_token = gateway.store.token

    def counted(*args: Any) -> Any:
        nonlocal asked
        asked += 1
        return store_token(*args)

    gateway.store.token = counted
    with file.open() as lines:
        for line in lines:
            present(gateway, line)
    assert asked == 0, asked


def memory() -> tuple[int, int]:
    """Bytes of PSS and RSS of this process, after garbage was collected."""
    gc.collect()
    text = Path("/proc/self/smaps_rollup").read_text()
    pss, rss = (int(re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)[1]) * 1024 for name in ("Pss", "Rss"))
    return pss, rss
