"""What many people and tokens ask of a database and of a node: `python benchmarks/capacity.py`, or with the parts to measure.

On private servers that it starts: statements, round trips, bytes of log and CPU of each flow on PostgreSQL, round trips on
Redis; bytes of each kind of row; connections of a process; requests per second of a worker. Needs PostgreSQL, Redis and wrk
(Debian: apt install postgresql redis-server wrk); all traffic goes to 127.0.0.1. Writes its sections of docs/scaling.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import capacity_flows, capacity_load, capacity_partitions, capacity_sizes
from benchmarks.sections import write

PAGE = Path(__file__).parent.parent / "docs" / "scaling.md"
PARTS = {
    "flows": ("Figures: what a flow asks of the database", capacity_flows.main),
    "sizes": ("Figures: what a million is", capacity_sizes.main),
    "load": ("Figures: what one worker does", capacity_load.main),
    "partitions": ("Figures: a table in partitions", capacity_partitions.main),
}


def main() -> None:
    for part in sys.argv[1:] or PARTS:
        heading, measure = PARTS[part]
        write(heading, measure(), PAGE)


if __name__ == "__main__":
    main()
