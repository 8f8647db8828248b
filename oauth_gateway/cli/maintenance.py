"""`oauth-gateway migrate` and `purge`"""

from __future__ import annotations

import argparse
from typing import Any

from .. import clock
from ..deployment import describe
from ..store.sql import SqlStore
from .context import Context, show


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    command = commands.add_parser("migrate", parents=[shared], help="bring the database's schema up to date")
    command.add_argument("--adopt-issuer", action="store_true", help="let the database belong to the issuer that is set now")
    command.set_defaults(run=migrate)
    command = commands.add_parser("purge", parents=[shared], help="delete what has expired, in small batches")
    command.set_defaults(run=purge)


def migrate(arguments: argparse.Namespace) -> None:
    context = Context(arguments)
    path = describe(context.settings.database)
    show(arguments, {"database": path, "schema": "up to date"}, [f"{path}: the schema is up to date"])


def purge(arguments: argparse.Namespace) -> None:
    store = Context(arguments).store
    removed = 0
    if isinstance(store, SqlStore):
        while (batch := store.purge(clock.now(), 1000)) or not store.walked:
            removed += batch
        while batch := store.purge_grants(clock.now(), 1000):
            removed += batch
    show(arguments, {"removed": removed}, [f"{removed} expired rows removed"])
