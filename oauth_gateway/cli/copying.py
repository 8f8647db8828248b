"""`oauth-gateway copy`: everything from one database into another, whatever the engines."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

from .. import settings as doors
from ..deployment import file_of, store_of
from ..errors import ConfigurationError, StoreUnavailable
from ..settings import Settings
from ..store import Store
from ..store.kinds import COPIED, KIND, Key, Record
from .context import read_settings, records, show

BATCH = 500
BAR = 24  # characters
Difference = tuple[Key, Record | None, Record | None]


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    command = commands.add_parser(
        "copy",
        parents=[shared],
        help="clients, people, grants, tokens and keys from one database into another",
        description="Makes --to what --from is, and verifies it. It can be repeated: first while the old one serves, then once"
        " more when it does not.",
    )
    command.add_argument("--from", dest="source", metavar="URL", required=True, help="the database to copy; it is only read")
    command.add_argument("--to", dest="target", metavar="URL", required=True, help="the database to fill")
    command.add_argument("--replace", action="store_true", help="even if --to has been used since: what it has is lost")
    command.set_defaults(run=copy)


def copy(arguments: argparse.Namespace) -> int:
    settings = read_settings(arguments)
    if arguments.source == arguments.target:
        raise ConfigurationError("copy: --from and --to are the same database")
    file = file_of(arguments.source)
    if file is not None and not file.exists():
        raise ConfigurationError(f"database: there is none at {file}")
    source, target = (_store(settings, url) for url in (arguments.source, arguments.target))
    with closing(source), closing(target):
        source.check()
        target.prepare()
        _refuse_another(source, target, replaces=arguments.replace)
        copied = {kind: _copy(kind, source, target) for kind in KIND if kind not in ("feed", "change")}
        target.load("feed", source.dump("feed"))
        wrong = {kind: sum(1 for _ in differences(kind, source, target)) for kind in copied}
        wrong = {kind: count for kind, count in wrong.items() if count}
    document = {"from": source.place, "to": target.place, "copied": copied, "different": wrong}
    lines = [f"{kind:8} {count:>10,}" for kind, count in copied.items() if count]
    if wrong:
        told = ", ".join(f"{count} of {kind}" for kind, count in wrong.items())
        lines.append(f"not the same: {told}. The database is in use; run it again when nothing writes to it.")
    else:
        lines.append(f"{target.place} is what {source.place} is. The secret goes with it: give the new one the same `secret`.")
    show(arguments, document, lines)
    return 1 if wrong else 0


def _store(settings: Settings, url: str) -> Store:
    """The store at `url`; no secret is needed to copy what is sealed."""
    checked = doors.gate({"database": url, "secret": "x" * 32})
    return store_of(replace(settings, database=checked.database, secret=checked.secret))


def _refuse_another(source: Store, target: Store, *, replaces: bool) -> None:
    """A database that serves others, or has been used since it was filled, must not be made into a copy."""
    for name in ("secret", "issuer"):
        here, there = source.meta(name), target.meta(name)
        if there is not None and there != here:
            raise ConfigurationError(f"copy: {target.place} belongs to another deployment ({name} differs); name an empty one")
    before, mark = target.meta(COPIED), secrets.token_hex(16)
    target.set_meta(COPIED, mark, replace=True)
    if source.meta(COPIED) == mark:  # under another name
        target.set_meta(COPIED, before or "", replace=True)
        raise ConfigurationError("copy: --from and --to are the same database")
    if not before and not replaces and any(target.dump(kind, limit=1) for kind in ("client", "user", "token")):
        target.set_meta(COPIED, "", replace=True)
        raise ConfigurationError(f"copy: {target.place} has been used; name an empty one, or say --replace to lose what it has")


def differences(kind: str, source: Store, target: Store) -> Iterator[Difference]:
    """(key, record here, record there) for every record that is not the same in both, in the order of keys."""
    here, there = records(kind, source), records(kind, target)
    one, other = next(here, None), next(there, None)
    while one is not None or other is not None:
        mine = KIND[kind].key_of(one) if one is not None else None
        its = KIND[kind].key_of(other) if other is not None else None
        if its is None or (mine is not None and mine < its):
            yield mine or (), one, None
            one = next(here, None)
        elif mine is None or its < mine:
            yield its, None, other
            other = next(there, None)
        else:
            if one != other:
                yield mine, one, other
            one, other = next(here, None), next(there, None)


def _copy(kind: str, source: Store, target: Store) -> int:
    """How many records had to be changed. What is gone here goes there first: its names may have been given again."""
    changed, total = 0, _size(kind, source)
    if target.dump(kind, limit=1):
        gone = [key for key, here, _ in differences(kind, source, target) if here is None]
        for start in range(0, len(gone), BATCH):
            target.unload(kind, gone[start : start + BATCH])
        changed += len(gone)
    batch: list[Record] = []
    for _, here, _ in differences(kind, source, target):
        if here is not None:
            batch.append(here)
        if len(batch) == BATCH:
            target.load(kind, batch)
            changed, batch = changed + BATCH, []
            _progress(kind, changed, total)
    target.load(kind, batch)
    changed += len(batch)
    _progress(kind, changed, total, end=True)
    return changed


def _size(kind: str, store: Store) -> int:
    """For the bar only: a database that does not want to count so many rows is copied all the same."""
    try:
        return store.size(kind)
    except StoreUnavailable:
        return 0


def _progress(kind: str, done: int, total: int, *, end: bool = False) -> None:
    """A bar where somebody looks, a line a kind where a log does."""
    if not sys.stderr.isatty():
        if end and done:
            print(f"{kind}: {done:,} copied", file=sys.stderr, flush=True)
        return
    filled = BAR if end else min(BAR, BAR * done // max(total, 1))
    line = f"\r{kind:8} [{'#' * filled}{'.' * (BAR - filled)}] {done:,}"
    print(line, end="\n" if end else "", file=sys.stderr, flush=True)
