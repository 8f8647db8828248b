"""Preparing a peer in a process of its own, as Django is one a process.

`python -m benchmarks.prepare MODULE:FUNCTION FOLDER ROWS` calls the function and keeps the Facts that it gives in the folder.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.peers import Peer
from benchmarks.servers import ROOT, NotMeasured


def prepared(peer: Peer, rows: int, root: Path) -> Path:
    """A folder of the peer's own with `rows` tokens; peers with the same preparation get copies of one."""
    made = root / f"{peer.prepare.rpartition('.')[2].replace(':', '-')}-{rows}"
    if not made.is_dir():
        made.mkdir()
        command = [sys.executable, "-m", "benchmarks.prepare", peer.prepare, str(made), str(rows)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise NotMeasured(f"{peer.name} could not be prepared:\n{done.stderr}")
    own = root / f"{''.join(c if c.isalnum() else '-' for c in peer.name)}-{rows}"
    if not own.is_dir():
        shutil.copytree(made, own)
    return own


def named(target: str) -> Callable[..., Any]:
    """The function that MODULE:FUNCTION names."""
    module, _, name = target.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    named(sys.argv[1])(folder, int(sys.argv[3])).write(folder)
