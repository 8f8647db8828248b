"""What commands share: the deployment that they act on, and output for people and programs."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import settings as doors
from ..clients import Clients
from ..deployment import file_of, open_deployment
from ..errors import ConfigurationError
from ..events import Events, Subscriber, subscribers
from ..naming import named
from ..settings import Settings
from ..store import Store
from ..store.kinds import KIND, Key, Record
from ..users import Users
from .loading import gateway_in, load_app


def read_settings(arguments: argparse.Namespace) -> Settings:
    """`--config`, else OAUTH_GATEWAY_CONFIG, else ./oauth_gateway.toml, plus the environment and `--database`."""
    file = arguments.config or os.environ.get("OAUTH_GATEWAY_CONFIG")
    if file is None and Path(doors.DEFAULT_FILE).is_file():
        file = doors.DEFAULT_FILE
    keywords = {"database": arguments.database} if arguments.database else {}
    return doors.load(keywords, file=file)


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings of `--app MODULE:APP` where that has a gateway, else those of file and environment."""
    target = getattr(arguments, "app", None)
    if not target:
        return read_settings(arguments)
    sys.path.insert(0, os.getcwd())
    gateway = gateway_in(load_app(target))
    if gateway is None:
        raise ConfigurationError(
            f"--app {target}: is not behind an OAuthGateway; its settings are in a file or the environment"
        )
    return replace(gateway.settings, origin=target)


def subscribers_of(settings: Settings) -> list[Subscriber]:
    """The callables of `events`, found from the working directory as `serve` finds them."""
    if settings.events or settings.openid_claims:
        _look_here()
    return subscribers(settings.events)


def named_here(setting: str, item: Callable[..., Any] | str) -> Callable[..., Any]:
    """The callable that a setting names, found in the same way."""
    _look_here()
    return named(setting, item)


def _look_here() -> None:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


class Context:
    """An opened deployment; only a command that registers something `makes` a database where there is none."""

    def __init__(self, arguments: argparse.Namespace, *, makes: bool = False) -> None:
        self.settings = settings_of(arguments)
        file = file_of(self.settings.database)
        if self.settings.server and not makes and file is not None and not file.exists():
            raise ConfigurationError(f"database: there is none at {file}; serve, client create, user create or copy make it")
        makes = makes or self.settings.database == "sqlite://"
        adopts = getattr(arguments, "adopt_issuer", False)
        self.deployment = open_deployment(self.settings, adopt_issuer=adopts, makes=makes)
        self.store, self.sealer, self.keys = self.deployment.store, self.deployment.sealer, self.deployment.keys
        self.sealer.foreign = True  # tokens of an own generator can be inspected and revoked too
        self.events = Events(subscribers_of(self.settings))
        self.clients = Clients(self.settings, self.store, self.events, self.sealer)
        self.users = Users(self.store, self.sealer, self.events)


def records(kind: str, store: Store) -> Iterator[Record]:
    """All records of a kind, a page at a time."""
    after: Key | None = None
    while page := store.dump(kind, after):
        yield from page
        after = KIND[kind].key_of(page[-1])


def show(arguments: argparse.Namespace, document: Any, lines: Sequence[str]) -> None:
    """The document for programs, the lines for people."""
    if arguments.json:
        print(json.dumps(document, ensure_ascii=False))
    else:
        print("\n".join(lines))


def table(rows: Sequence[Sequence[str]], head: Sequence[str]) -> list[str]:
    """Columns as wide as their widest cell."""
    every = [list(head), *[[_visible(cell) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in every) for i in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in every]


def _visible(text: str) -> str:
    """Without control characters: a client's name must not steer an operator's terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def moment(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M") if seconds else "-"


def read_secret(prompt: str, from_stdin: bool, *, twice: bool = False) -> str:
    """A secret from standard input or asked at the terminal, never from the arguments."""
    piped = from_stdin or not sys.stdin.isatty()
    secret = sys.stdin.readline().rstrip("\r\n") if piped else getpass.getpass(f"{prompt}: ")
    if twice and not piped and getpass.getpass(f"{prompt} again: ") != secret:
        raise ConfigurationError(f"{prompt.lower()}: the two differ; nothing was changed")
    if not secret:
        raise ConfigurationError(f"{prompt.lower()}: none was given; type it or pipe it in")
    return secret
