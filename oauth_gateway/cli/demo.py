"""`oauth-gateway demo`: an example API behind the gateway, with a client and a person, ready to try."""

from __future__ import annotations

import argparse
import atexit
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from .. import clock
from ..clients import Clients
from ..demo_app import DemoApp
from ..errors import ConfigurationError
from ..gateway import OAuthGateway
from ..settings import gate
from .serve import at_least_one, run, show_events, try_bind

SCOPES = {"notes:read": "Read your notes", "notes:write": "Add notes in your name"}
ROUTES = "GET,HEAD / public\nGET /demo/** public\nGET /notes scope=notes:read\n* /notes scope=notes:read,notes:write"


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    command = commands.add_parser("demo", help="an example API behind the gateway on 127.0.0.1:8000, and what to try")
    command.add_argument("--bind", metavar="ADDRESS", default="127.0.0.1:8000")
    command.add_argument("--keep", metavar="DIR", help="keep the database there; else it is gone at the end")
    command.add_argument("--workers", type=at_least_one, metavar="N")
    command.add_argument("--threads", type=at_least_one, metavar="N")
    command.set_defaults(run=demo)


def demo(arguments: argparse.Namespace) -> None:
    try_bind(arguments.bind)
    if arguments.bind.rpartition(":")[0] not in ("127.0.0.1", "localhost", "[::1]"):
        raise ConfigurationError(f"--bind {arguments.bind}: the demo serves this machine only; write 127.0.0.1:PORT")
    folder = Path(arguments.keep or tempfile.mkdtemp(prefix="oauth-gateway-demo-"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"--keep {folder}: no such folder can be made ({error.strerror})") from None
    if not arguments.keep:
        master = os.getpid()
        atexit.register(lambda: shutil.rmtree(folder, ignore_errors=True) if os.getpid() == master else None)
    base, port = f"http://{arguments.bind}", arguments.bind.rpartition(":")[2]
    settings = gate({"database": f"sqlite:///{folder / 'demo.db'}", "scopes": SCOPES, "routes": ROUTES, "brand": "Demo Notes"})
    gateway = OAuthGateway.from_settings(None, settings)
    password = secrets.token_urlsafe(9)
    name = "demo" if gateway.store.user_named("builtin", "demo") is None else f"demo-{secrets.token_hex(2)}"
    gateway.server.users.create(name, password, clock.now())
    clients = Clients(settings, gateway.store, gateway.events, gateway.server.sealer)
    web, _ = clients.create(
        now=clock.now(),
        client_name="Demo in the browser",
        redirect_uris=[f"http://{host}/demo/callback" for host in dict.fromkeys((arguments.bind, f"localhost:{port}"))],
        token_endpoint_auth_method="none",
    )
    machine, secret = clients.create(now=clock.now(), client_name="Demo machine")
    gateway.store.close()
    for line in _what_to_try(base, name, password, machine.client_id, secret or ""):
        print(line)
    sys.stdout.flush()
    arguments.workers = arguments.workers or 1  # the notes are in memory
    arguments.threads = max(2, arguments.threads or 4)  # the page that plays the client calls the server
    show_events()
    run(lambda: OAuthGateway.from_settings(DemoApp(web.client_id), settings), arguments)


def _what_to_try(base: str, name: str, password: str, client_id: str, secret: str) -> list[str]:
    return [
        f"The demo runs on {base} until you press Ctrl+C.",
        "",
        f"In a browser:     open {base}/ and sign in as",
        f"                  user name  {name}",
        f"                  password   {password}",
        "",
        "In another shell, refused without a token:",
        f"  curl -i {base}/notes",
        "and let in with one:",
        f"  TOKEN=$(curl -s -u '{client_id}:{secret}' -d grant_type=client_credentials {base}/token"
        " | python3 -c 'import json,sys; print(json.load(sys.stdin)[\"access_token\"])')",
        f'  curl -i -H "Authorization: Bearer $TOKEN" {base}/notes',
        "",
    ]
