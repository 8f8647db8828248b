"""Private Redis servers for tests, in temporary folders on free ports."""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
import redis

_tags = itertools.count()
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """One process of redis-server, started with the options."""

    def __init__(self, folder: Path, *options: str) -> None:
        if shutil.which("redis-server") is None:
            if os.environ.get("GATEWAY_TEST_ALL"):
                pytest.fail("redis-server is missing; apt-get install redis-server")
            pytest.skip("redis-server is missing; apt-get install redis-server")
        self.folder, self.options, self.port = folder, options, free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self, *more: str, wait: bool = True) -> None:
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "",
             "--daemonize", "no", "--loglevel", "warning", *self.options, *more],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 10
        while wait:
            try:
                if self.say("PING").startswith((b"+PONG", b"-NOAUTH")):
                    return
            except OSError:
                pass
            assert time.monotonic() < deadline, "redis-server did not start"
            time.sleep(0.01)

    def say(self, *words: str | bytes) -> bytes:
        """The raw answer to one command, on a connection of its own."""
        parts = [word.encode() if isinstance(word, str) else word for word in words]
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
            time.sleep(0.001)
            return connection.recv(1 << 20)

    @property
    def connection(self) -> redis.Redis:
        """For what tests look at and break."""
        return redis.Redis(port=self.port)

    def kill(self) -> None:
        """kill -9"""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()


class Refusing:
    """A server that answers every command with the same error."""

    def __init__(self, error: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.error = error
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._refuse, args=(connection,), daemon=True).start()

    def _refuse(self, connection: socket.socket) -> None:
        with connection:
            while connection.recv(1 << 16):
                connection.sendall(b"-" + self.error + b"\r\n")

    def close(self) -> None:
        self._listener.close()


class Between:
    """Passes everything on to a server, until `lose` is set to a word: the answer to a command that has it is lost."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self.lose: bytes | None = None
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(connection,), daemon=True).start()

    def _pass(self, connection: socket.socket) -> None:
        with connection, socket.create_connection(("127.0.0.1", self._port)) as server:
            while data := connection.recv(1 << 20):
                server.sendall(data)
                answer = server.recv(1 << 20)
                if self.lose is not None and self.lose in data:
                    self.lost += 1
                    return
                connection.sendall(answer)

    def close(self) -> None:
        self._listener.close()


@functools.cache
def durable_server() -> RedisServer:
    """One for the whole run, on which every test has a tag of its own."""
    folder = Path(tempfile.mkdtemp())
    server = RedisServer(folder, *DURABLE)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.stop)
    return server


def own_url() -> str:
    """The address of an empty deployment on it."""
    return f"{durable_server().url}?tag=test-{next(_tags)}"
