"""Redis as tests of it need it: with options, and with somebody between it and the store."""

from __future__ import annotations

import atexit
import functools
import itertools
import socket
import threading

import redis

from .services import Redis

_tags = itertools.count()


class RedisServer(Redis):
    """A private server that is as durable as strict revocation demands, unless the options say otherwise."""

    def __init__(self, *options: str) -> None:
        self.options = options
        super().__init__()

    def command(self) -> list[str]:
        return [*super().command(), *self.options]

    @property
    def address(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def connection(self) -> redis.Redis:
        """For what tests look at and break."""
        return redis.Redis(port=self.port)


@functools.cache
def durable_server() -> RedisServer:
    """One for the whole run, on which every test has a tag of its own."""
    server = RedisServer()
    atexit.register(server.close)
    return server


def own_url() -> str:
    """The address of an empty deployment on it."""
    return f"{durable_server().address}?tag=test-{next(_tags)}"


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
