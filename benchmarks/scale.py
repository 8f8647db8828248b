"""What many rows, a purge and many remembered tokens cost: `python benchmarks/scale.py [sizes] [purge] [memory]`.

Each part writes its section of benchmarks/SCALE.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks import scale_memory, scale_purge, scale_sizes
from benchmarks.sections import write

PARTS = {
    "sizes": ("Rows", scale_sizes.main),
    "purge": ("A purge beside", scale_purge.main),
    "memory": ("Memory of remembered tokens", scale_memory.main),
}


def main() -> None:
    for part in sys.argv[1:] or PARTS:
        heading, measure = PARTS[part]
        write(heading, measure(), Path(__file__).with_name("SCALE.md"))


if __name__ == "__main__":
    main()
