"""The hosts: a gunicorn master with workers each, all with one database, killed as a whole or in parts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..services import family, listens, runs
from ..test_command_line import ROOT
from .clients import exchange

SECONDS = 60.0  # for a start that must come; far more than it takes
WORKERS = 2


class Host:
    """One host. The first one's workers make the app themselves, the others' masters make it and fork (`preload_app`)."""

    def __init__(self, port: int, folder: Path, settings: Mapping[str, Any], number: int = 0, broken: str = "") -> None:
        self.port = port
        self.folder = folder
        self.preload = number > 0
        self.environ = {"HISTORY_SETTINGS": json.dumps(settings), "HISTORY_BROKEN": broken, "PYTHONPATH": str(ROOT)}
        self.process: subprocess.Popen[bytes] | None = None
        self.lock = threading.RLock()

    def start(self) -> None:
        """Start the master, again where the port is still taken by workers that outlived the last one, and wait for it."""
        deadline = time.monotonic() + SECONDS
        with self.lock:
            while True:
                if self.process is None:
                    self._spawn()
                if self.workers() and self.answers():  # not only the workers of the last master
                    return
                assert time.monotonic() < deadline, f"the host does not start:\n{self.log()[-3000:]}"
                if self.process is not None and self.process.poll() is not None:
                    self.process = None
                time.sleep(0.05)

    def _spawn(self) -> None:
        options = ["--bind", f"127.0.0.1:{self.port}", "--workers", str(WORKERS), "--threads", "4"]
        command = ["gunicorn", "-c", f"{ROOT}/gunicorn.conf.py", *options, *(["--preload"] if self.preload else [])]
        with (self.folder / f"host-{self.port}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command, "tests.history.app:app"],
                cwd=self.folder,
                env={**os.environ, **self.environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def answers(self) -> bool:
        """Whether a worker says that a token is needed."""
        return listens(self.port) and exchange(self.port, "GET", "/thing", None, {}).status == 401

    def gave_up(self) -> bool:
        """Whether the master ended though nobody killed it."""
        with self.lock:
            return self.process is not None and self.process.poll() is not None

    def workers(self) -> list[int]:
        """The processes below the master, also those that are just starting."""
        with self.lock:
            return [] if self.process is None else family(self.process.pid)[1:]

    def kill_workers(self, most: int = WORKERS) -> None:
        """SIGKILL to at most this many workers; the master replaces them."""
        for pid in self.workers()[:most]:
            _kill(pid)

    def kill_master(self) -> None:
        """SIGKILL to the master alone: its workers find out and end."""
        with self.lock:
            if self.process is not None:
                self.process.kill()
                self.process.wait(SECONDS)
                self.process = None

    def kill(self) -> None:
        """SIGKILL to all at once, as when the host is gone."""
        with self.lock:
            if self.process is not None:
                self._kill_group(self.process.pid)
                self.process.wait(SECONDS)
                self.process = None

    def _kill_group(self, group: int) -> None:
        found = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and _group(int(path.name)) == group]
        for pid in found:
            _kill(pid)
        while any(runs(pid) for pid in found):
            time.sleep(0.001)

    def log(self) -> str:
        """What it wrote."""
        return (self.folder / f"host-{self.port}.log").read_text(errors="replace")


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):  # it ended meanwhile
        os.kill(pid, signal.SIGKILL)


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0
