"""`oauth-gateway migrate` and `purge`"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from .. import clock
from ..deployment import file_of, store_of
from .context import Context, settings_of, show

GIVEN_WAY = 3  # times as long as a batch of the purge took do others have the database to themselves
LONGEST_PAUSE = 0.5  # seconds


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    command = commands.add_parser("migrate", parents=[shared], help="bring the database's schema up to date")
    command.add_argument("--adopt-issuer", action="store_true", help="let the database belong to the issuer that is set now")
    command.add_argument(
        "--contract", action="store_true", help="also remove what only older code needs; when none of it runs any more"
    )
    command.set_defaults(run=migrate)
    command = commands.add_parser("purge", parents=[shared], help="delete what has expired, in small batches")
    command.set_defaults(run=purge)


def migrate(arguments: argparse.Namespace) -> None:
    settings, changed = settings_of(arguments), False
    file = file_of(settings.database)
    if settings.database != "sqlite://" and (file is None or file.is_file()):
        changed = store_of(settings).migrate(tell, contract=arguments.contract)
    place = Context(arguments).store.place  # says where there is none, and records the issuer where it is asked to
    word = "brought up to date" if changed else "up to date"
    show(arguments, {"database": place, "schema": word}, [f"{place}: the schema is {word}"])


def tell(line: str) -> None:
    """Progress, on standard error: standard output is for the result."""
    print(line, file=sys.stderr, flush=True)


def purge(arguments: argparse.Namespace) -> None:
    """SQLite has one writer at a time, and whoever waits for it does not queue: without pauses the purge would always win."""
    removed, started = 0, time.monotonic()
    for batch in Context(arguments).store.sweep(clock.now()):
        removed += batch
        time.sleep(min(LONGEST_PAUSE, GIVEN_WAY * (time.monotonic() - started)))
        started = time.monotonic()
    show(arguments, {"removed": removed}, [f"{removed} expired rows removed"])
