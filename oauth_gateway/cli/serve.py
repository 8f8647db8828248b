"""`oauth-gateway serve MODULE:APP`: the app behind the gateway under gunicorn.

What can go wrong is tried first, in a child where it imports the app: a taken port or a wrong MODULE:APP is one line, not a
traceback of a worker that dies again and again.
"""

from __future__ import annotations

import argparse
import importlib
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gunicorn.app.wsgiapp import WSGIApplication

from ..deployment import describe
from ..errors import ConfigurationError
from ..gateway import OAuthGateway
from ..settings import Settings
from .context import read_settings


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
    command.add_argument("--workers", type=int, metavar="N")
    command.add_argument("--threads", type=int, metavar="N")
    command.set_defaults(run=serve)


def serve(arguments: argparse.Namespace) -> None:
    if bool(arguments.app) == arguments.no_app:
        raise ConfigurationError("serve: name an app as MODULE:APP, or say --no-app")
    settings = read_settings(arguments)
    sys.path.insert(0, os.getcwd())
    try_bind(arguments.bind)

    def load() -> Any:
        app = None if arguments.no_app else load_app(arguments.app)
        return app if isinstance(app, OAuthGateway) else OAuthGateway.from_settings(app, settings)

    try_in_child(load)
    print(f"oauth-gateway: {describe(settings.database)} on http://{arguments.bind}", file=sys.stderr, flush=True)
    run(load, arguments)


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
    inside = Path(__file__).parent.parent / "gunicorn.conf.py"
    return inside if inside.is_file() else Path(__file__).parent.parent.parent / "gunicorn.conf.py"


def load_app(target: str) -> Any:
    """The object that MODULE:APP or MODULE:factory() names; raises ConfigurationError with one line."""
    module_name, colon, name = target.partition(":")
    if not colon or not module_name or not name:
        raise ConfigurationError(f"{target!r}: write MODULE:APP, for example shop.wsgi:app")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{target!r}: there is no module {error.name!r} here ({os.getcwd()})") from error
    except Exception as error:
        raise ConfigurationError(f"{target!r}: importing {module_name} failed: {type(error).__name__}: {error}") from error
    app = getattr(module, name.removesuffix("()"), None)
    if app is None:
        raise ConfigurationError(f"{target!r}: the module {module_name} has no {name.removesuffix('()')!r}")
    if name.endswith("()"):
        app = app()
    if not callable(app):
        raise ConfigurationError(f"{target!r}: is a {type(app).__name__}, not a WSGI app")
    return app


def try_bind(address: str) -> None:
    """Raise ConfigurationError where gunicorn could not listen at `address`."""
    if address.startswith(("unix:", "fd:")):
        return
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise ConfigurationError(f"--bind {address!r}: write HOST:PORT, for example 127.0.0.1:8000")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host or "0.0.0.0", int(port)))  # noqa: S104 - what an empty host means to gunicorn
        except OSError as error:
            raise ConfigurationError(f"--bind {address}: {error.strerror}; try another port with --bind") from None


def try_in_child(load: Callable[[], Any]) -> None:
    """Load once in a child, so that no import of the app happens in the process that will fork the workers."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status, message = 0, ""
        try:
            load()
        except ConfigurationError as error:
            status, message = 1, str(error)
        except BaseException as error:
            status, message = 1, f"the app does not start: {type(error).__name__}: {error}"
        os.write(writer, message.encode()[:4000])
        os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        message = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    if status:
        raise ConfigurationError(message or "the app does not start: it ended the process while it was imported")


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings of `--app MODULE:APP` where that is a gateway, else those of file and environment."""
    if getattr(arguments, "app", None):
        sys.path.insert(0, os.getcwd())
        app = load_app(arguments.app)
        if isinstance(app, OAuthGateway):
            return app.settings
        raise ConfigurationError(
            f"--app {arguments.app}: is not an OAuthGateway; its settings are in a file or the environment"
        )
    return read_settings(arguments)
