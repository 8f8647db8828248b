"""The deployment of `examples/many_nodes`, on free ports: two nodes, nginx in front of them and one PostgreSQL behind."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest
from argon2 import PasswordHasher

from oauth_gateway.testing import Clock

from .conftest import SECRET, World, make_world, needs
from .services import PostgreSQL, family, listens, program, runs
from .test_command_line import ROOT, free_port

EXAMPLE = ROOT / "examples" / "many_nodes"
SECONDS = 30.0  # for what must happen; far more than it takes
CLIENT = "127.0.0.2"  # where the tests come from, so that nginx's own address is another one
# What a test needs beside the example's app: requests that are in hand until told, and a worker that dies at a known place.
APP = '''
import os, signal, time
from pathlib import Path
import argon2, oauth_gateway.users
from shop import app as shop

oauth_gateway.users.PasswordHasher = lambda: argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

def app(environ, start_response):
    if environ["PATH_INFO"].startswith("/slow/"):
        with open("slow.log", "a") as log:
            log.write(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {environ['SERVER_PORT']}\\n")
        while not Path("released").exists():
            time.sleep(0.01)
    return shop(environ, start_response)

def heard(event):
    """Events are told after the commit and before the answer."""
    deadly = Path(f"deadly {event['name']}")
    try:
        deadly.unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
'''


def wait(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.01)


class Through:
    """A WSGI app that has each request answered at a port, on a connection of its own."""

    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        headers = {n[5:].replace("_", "-").title(): v for n, v in environ.items() if n.startswith("HTTP_")}
        if environ.get("CONTENT_TYPE"):
            headers["Content-Type"] = environ["CONTENT_TYPE"]
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) or None
        query = f"?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else ""
        status, received, answer = self.ask(environ["REQUEST_METHOD"], environ["PATH_INFO"] + query, body, headers)
        hops = {"connection", "transfer-encoding", "keep-alive"}
        start_response(f"{status} told", [(name, value) for name, value in received if name.lower() not in hops])
        return [answer]

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS, source_address=(CLIENT, 0))
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()


class Node:
    """One `oauth-gateway serve` with one worker."""

    def __init__(self, name: str, folder: Path, environ: dict[str, str]) -> None:
        self.name, self.folder, self.port = name, folder, free_port()
        self._environ = environ
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "oauth_gateway.cli", "serve", "slow:app", "--bind", f"127.0.0.1:{self.port}"]
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--workers", "1", "--threads", "4"], cwd=self.folder, env=self._environ,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def health(self, what: str) -> int:
        """The status of a question about its health; 0 where nobody answers."""
        try:
            return Through(self.port).ask("GET", f"/token/health/{what}")[0]
        except OSError:
            return 0

    def wait_until_ready(self) -> None:
        wait(lambda: self.health("ready") == 200, f"{self.name} is ready: {self.log()[-2000:]}")

    def stop(self) -> None:
        """SIGTERM: it finishes what it has in hand."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(SECONDS)
            self.process = None

    def kill(self) -> None:
        """SIGKILL to all its processes at once."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(SECONDS)
            self.process = None

    def log(self) -> str:
        return (self.folder / f"{self.name}.log").read_text()


class Deployment:
    """`front` is the world as nginx shows it, `at[0]` and `at[1]` as the nodes do."""

    def __init__(self, folder: Path) -> None:
        needs(program("nginx") is not None, "nginx is not installed (Debian: apt install nginx)")
        self.folder = folder
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.database = PostgreSQL()
        self._nginx: subprocess.Popen[bytes] | None = None
        url = self.database.url()
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "OAUTH_GATEWAY_DATABASE": url, "OAUTH_GATEWAY_ISSUER": self.base}
        environ |= {"OAUTH_GATEWAY_EVENTS": "slow:heard"}
        self.nodes = [Node(name, folder, environ) for name in ("one", "two")]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("oauth_gateway.users.PasswordHasher", lambda: PasswordHasher(1, 8, 1))  # as in APP: quick
            world = make_world(url, Clock(time.time()), base=self.base, secret=SECRET, routes=None)
        world.gateway.store.close()
        self.front, *self.at = (self._world(world, port) for port in (self.port, *(node.port for node in self.nodes)))

    def _world(self, world: World, port: int) -> World:
        return replace(world, gateway=Through(port))  # type: ignore[arg-type] # a WSGI app is all that its steps need

    def __enter__(self) -> Self:
        shutil.copytree(EXAMPLE, self.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        (self.folder / "slow.py").write_text(APP)
        (self.folder / "secret").write_text(SECRET)
        ports = dict(zip(("8080", "8001", "8002"), (self.port, *(node.port for node in self.nodes)), strict=True))
        for name in ("nginx.conf", "nodes.conf"):
            text = (self.folder / name).read_text()
            for written, port in ports.items():
                text = text.replace(f"127.0.0.1:{written}", f"127.0.0.1:{port}")
            (self.folder / name).write_text(text)
        try:
            for node in self.nodes:
                node.start()
            self._nginx = subprocess.Popen([*self.nginx(), "-g", "daemon off;"], start_new_session=True)
            wait(lambda: listens(self.port), "nginx listens")
            for node in self.nodes:
                node.wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        if self._nginx is not None:
            self._nginx.terminate()
            self._nginx.wait(SECONDS)
        for node in self.nodes:
            node.kill()
        self.database.close()

    def nginx(self) -> list[str]:
        """The command of README.md."""
        return [program("nginx") or "", "-p", f"{self.folder}/", "-c", "nginx.conf", "-e", "error.log"]

    @contextmanager
    def without(self, node: Node) -> Iterator[None]:
        """README.md's way of taking a node out of nginx, and of putting it back."""
        listed = self.folder / "nodes.conf"
        text = listed.read_text()
        lines = [line.replace(";", " down;") if f":{node.port} " in line else line for line in text.splitlines()]
        listed.write_text("\n".join(lines))
        self._reload()
        yield
        listed.write_text(text)
        self._reload()

    def _reload(self) -> None:
        assert self._nginx is not None
        before = family(self._nginx.pid)[1:]
        subprocess.run([*self.nginx(), "-s", "reload"], check=True)
        wait(lambda: not any(map(runs, before)), "nginx's old worker has ended")  # until then it takes requests

    def slow(self) -> list[tuple[str, str]]:
        """The slow requests that the app began, as method and port."""
        file = self.folder / "slow.log"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(line.split()[0], line.split()[2]) for line in lines]

    def release(self) -> None:
        """Have the app answer the slow requests."""
        (self.folder / "released").touch()

    def die_at(self, event: str) -> None:
        """The worker that next tells `event` is killed before it answers."""
        (self.folder / f"deadly {event}").touch()
