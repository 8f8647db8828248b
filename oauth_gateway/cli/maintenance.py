"""`oauth-gateway migrate` and `purge`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .. import clock
from ..deployment import describe
from ..store import open_store
from ..store.sql import SqlStore
from .context import Context, settings_of, show


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    command = commands.add_parser("migrate", parents=[shared], help="bring the database's schema up to date")
    command.add_argument("--adopt-issuer", action="store_true", help="let the database belong to the issuer that is set now")
    command.set_defaults(run=migrate)
    command = commands.add_parser("purge", parents=[shared], help="delete what has expired, in small batches")
    command.set_defaults(run=purge)


def migrate(arguments: argparse.Namespace) -> None:
    settings, changed = settings_of(arguments), False
    if settings.database != "sqlite://" and Path(describe(settings.database)).is_file():
        changed = open_store(settings.database).migrate()
    Context(arguments)  # says where there is none, and records the issuer where it is asked to
    path = describe(settings.database)
    word = "brought up to date" if changed else "up to date"
    show(arguments, {"database": path, "schema": word}, [f"{path}: the schema is {word}"])


def purge(arguments: argparse.Namespace) -> None:
    store = Context(arguments).store
    removed = 0
    if isinstance(store, SqlStore):
        while (batch := store.purge(clock.now(), 1000)) or not store.walked:
            removed += batch
        while batch := store.purge_grants(clock.now(), 1000):
            removed += batch
    show(arguments, {"removed": removed}, [f"{removed} expired rows removed"])
