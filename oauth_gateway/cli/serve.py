"""`oauth-gateway serve MODULE:APP`: the app behind the gateway under gunicorn.

What can go wrong is tried first, in a child where it imports the app: a taken port or a wrong MODULE:APP is one line, not a
traceback of a worker that dies again and again.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gunicorn.app.wsgiapp import WSGIApplication

from ..errors import ConfigurationError
from ..gateway import OAuthGateway
from .context import read_settings
from .loading import gateway_in, load_app


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    command = commands.add_parser(
        "serve",
        parents=[shared],
        help="an app behind the gateway, under gunicorn",
        usage="%(prog)s MODULE:APP [options] [-- GUNICORN OPTIONS]",
    )
    command.add_argument("app", metavar="MODULE:APP", nargs="?", help="a WSGI app, or a factory written as MODULE:factory()")
    command.add_argument("--no-app", action="store_true", help="the authorization server alone")
    command.add_argument("--bind", metavar="ADDRESS", default="127.0.0.1:8000", help="HOST:PORT or unix:PATH")
    command.add_argument("--workers", type=at_least_one, metavar="N")
    command.add_argument("--threads", type=at_least_one, metavar="N")
    command.set_defaults(run=serve)


def serve(arguments: argparse.Namespace) -> None:
    if arguments.app and arguments.no_app:
        raise ConfigurationError("serve: name an app as MODULE:APP or say --no-app, not both")
    if not arguments.app and not arguments.no_app:
        raise ConfigurationError("serve: name an app as MODULE:APP, or say --no-app")
    settings = read_settings(arguments)
    sys.path.insert(0, os.getcwd())

    def load() -> Any:
        app = None if arguments.no_app else load_app(arguments.app)
        return app if gateway_in(app) else OAuthGateway.from_settings(app, settings)

    def describe_it() -> str:
        loaded = load()
        used = gateway_in(loaded) or loaded
        if not used.opening.done:
            raise ConfigurationError(f"database: {used.store.place} does not answer; start it first")
        return f"{used.store.place}, {used.settings.issuer or 'this machine only (no issuer is set)'}"

    try_bind(arguments.bind)
    told = try_in_child(describe_it)
    show_events()
    print(f"oauth-gateway: {told}, on {arguments.bind}", file=sys.stderr, flush=True)
    run(load, arguments)


def show_events() -> None:
    """The gateway's log on standard error, events included, in the form that gunicorn's own has."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("[%(asctime)s] [%(process)d] [%(levelname)s] %(message)s", "%Y-%m-%d %H:%M:%S %z"))
    log = logging.getLogger("oauth_gateway")
    log.addHandler(handler)
    log.setLevel(logging.INFO)


def run(load: Callable[[], Any], arguments: argparse.Namespace) -> None:
    """gunicorn with our configuration file, the given options and what stood behind `--`."""
    options = ["-c", str(configuration_file()), "--bind", arguments.bind]
    for name in ("workers", "threads"):
        if getattr(arguments, name) is not None:
            options += [f"--{name}", str(getattr(arguments, name))]
    sys.argv = ["oauth-gateway serve", *options, *arguments.rest, "oauth_gateway"]
    Served(load).run()


class Served(WSGIApplication):  # type: ignore[misc]
    """gunicorn's application around a function that makes the WSGI app in each worker."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load
        super().__init__("%(prog)s")

    def load_wsgiapp(self) -> Any:
        return self._load()


def configuration_file() -> Path:
    """gunicorn.conf.py: in the package where it is installed, at the top of the source tree else."""
    inside = Path(__file__).parent.parent / "gunicorn_conf.py"
    return inside if inside.is_file() else Path(__file__).parent.parent.parent / "gunicorn.conf.py"


def try_bind(address: str) -> None:
    """Raise ConfigurationError where gunicorn could not listen at `address`."""
    if address.startswith("unix:"):
        folder = Path(address.removeprefix("unix:")).parent
        if not folder.is_dir():
            raise ConfigurationError(f"--bind {address}: there is no folder {folder}")
        return
    if address.startswith("fd:"):
        return
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ConfigurationError(f"--bind {address!r}: write HOST:PORT, for example 127.0.0.1:8000")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host or "0.0.0.0", int(port)))  # noqa: S104 - what an empty host means to gunicorn
        except OSError as error:
            raise ConfigurationError(f"--bind {address}: {error.strerror}; try another port with --bind") from None


def try_in_child(call: Callable[[], str]) -> str:
    """What `call` gives, called in a child, so that no import of the app happens in the process that forks the workers."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status, message = 0, ""
        try:
            message = call()
        except ConfigurationError as error:
            status, message = 1, str(error)
        except BaseException as error:
            status, message = 1, f"the app does not start: {type(error).__name__}: {error}"
        os.write(writer, message.encode()[:4000])
        os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        message = pipe.read().decode("utf-8", "replace")
    _, status = os.waitpid(child, 0)
    if status:
        raise ConfigurationError(message or "the app does not start: it ended the process while it was imported")
    return message


def at_least_one(text: str) -> int:
    """The type of --workers and --threads."""
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number of at least 1")
    return int(text)
