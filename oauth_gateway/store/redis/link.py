"""Connections to Redis: few, checked before use, and no waiting for a server that does not answer.

redis-py makes the connections and speaks the protocol; its pool and client are not used, which cost more than the server.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.exceptions import ConnectionError as Unconnected
from redis.exceptions import MovedError, NoScriptError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as TimedOut
from redis.retry import Retry

from ...errors import ConfigurationError, StoreUnavailable

TIMEOUT = 2.0  # seconds for connecting and for an answer, unless the URL says another
MOST_CONNECTIONS = 64  # a process
PAUSE = 1.0  # seconds without another try after a failure
MOST_MOVES = 3
_abandoned: list[object] = []


def packed(*words: Any) -> bytes:
    """A command as it is sent: what redis-py's packing does, at a third of its time."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word if type(word) is bytes else str(word).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


class Breaker:
    """After a failure everybody fails at once for a while; then one tries, and all others still fail until it is through."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0  # 0 while all is well

    def enter(self) -> None:
        if not self._until:
            return
        with self._lock:
            now = time.monotonic()
            if self._until and now < self._until:
                raise StoreUnavailable("Redis did not answer a moment ago")
            if self._until:
                self._until = now + 10 * PAUSE  # longer than the try takes

    def succeeded(self) -> None:
        if self._until:
            self._until = 0.0

    def failed(self) -> None:
        self._until = time.monotonic() + PAUSE

    def lost(self) -> None:
        """A connection ended while it was used: no reason to wait, unless everybody does already."""
        if self._until:
            self.failed()


class Link:
    """A way to the server at `url`, used by any number of threads; nothing is opened before its first use."""

    def __init__(self, url: str) -> None:
        options: dict[str, Any] = {"protocol": 2, "retry": Retry(NoBackoff(), 0), "socket_timeout": TIMEOUT}
        if not url.startswith("unix:"):
            options.update(socket_connect_timeout=TIMEOUT, socket_keepalive=True)
        try:
            self._source = ConnectionPool.from_url(url, **options)
        except ValueError as error:
            raise ConfigurationError(f"database: {error}") from None
        self._reset()

    def _reset(self) -> None:
        self._idle: deque[Any] = deque()
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._breaker = Breaker()
        self._moved: dict[str, Any] = {}  # to another node of a cluster

    @property
    def database(self) -> int:
        """The number of the database."""
        return int(self._source.connection_kwargs.get("db") or 0)

    @property
    def place(self) -> str:
        """Where the server is, without a password."""
        known = self._source.connection_kwargs
        where = known.get("path") or f"{known.get('host', 'localhost')}:{known.get('port', 6379)}"
        return f"redis://{where}/{self.database}"

    def reset(self) -> None:
        """Forget, in a forked child, what the parent opened, without closing it."""
        _abandoned.append(self._idle)
        self._reset()

    def connection(self, **options: Any) -> Any:
        """A new connection of redis-py, not yet connected."""
        settings = {**self._source.connection_kwargs, **self._moved, **options}
        return self._source.connection_class(**settings)

    def ask(self, *commands: bytes) -> list[Any]:
        """The answers to packed commands that change nothing, sent together; again where a connection turns out to be dead."""
        return self._exchange(commands, repeatable=True)

    def change(self, command: bytes) -> Any:
        """The answer to a packed command that changes something. It is sent a second time only where it was not executed."""
        return self._exchange((command,), repeatable=False)[0]

    def close(self) -> None:
        """Close what is open; the next command opens another."""
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().disconnect()

    def _exchange(self, commands: Sequence[bytes], repeatable: bool) -> list[Any]:
        if not self._free.acquire(timeout=TIMEOUT):
            raise StoreUnavailable("Redis is busy: no connection became free in time")
        try:
            self._breaker.enter()  # after the wait: those who waited for a server that hangs do not ask it too
            answers = self._follow(commands, repeatable)
        except NoScriptError:
            self._breaker.succeeded()
            raise
        except (Unconnected, TimedOut, OSError) as error:
            if isinstance(error, TimedOut):
                self._breaker.failed()
            else:
                self._breaker.lost()
            self._moved = {}
            self.close()
            raise StoreUnavailable(f"Redis did not answer: {error}") from error
        except (RedisError, ValueError) as error:
            self._breaker.succeeded()
            if isinstance(error, ReadOnlyError):
                self.close()  # the name may lead to another server now
            raise StoreUnavailable(f"Redis refused: {error}") from error
        finally:
            self._free.release()
        self._breaker.succeeded()
        return answers

    def _follow(self, commands: Sequence[bytes], repeatable: bool) -> list[Any]:
        """The answers, from whichever node of a cluster has our slot."""
        for _ in range(MOST_MOVES):
            try:
                return self._try(commands, repeatable)
            except MovedError as error:
                self.close()
                self._moved = {"host": error.host, "port": error.port} if error.host else {"port": error.port}
        raise ResponseError("the cluster is moving its slots")

    def _try(self, commands: Sequence[bytes], repeatable: bool) -> list[Any]:
        connection, used = self._take(checked=not repeatable)
        while True:
            sent = False
            try:
                connection.send_packed_command([b"".join(commands)])
                sent = True
                return self._answers(connection, len(commands))
            except (Unconnected, OSError):
                if not used or (sent and not repeatable):
                    raise
            self.close()  # the others are as dead
            connection, used = self._open(), False

    def _answers(self, connection: Any, count: int) -> list[Any]:
        try:
            answers = [connection.read_response() for _ in range(count)]
        except ResponseError:
            if count == 1:
                self._idle.append(connection)
            else:
                connection.disconnect()  # with answers that nobody reads
            raise
        except BaseException:
            connection.disconnect()
            raise
        self._idle.append(connection)
        return answers

    def _take(self, checked: bool) -> tuple[Any, bool]:
        """A connection, and whether it was used before; `checked` that the server has not closed it since."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._open(), False
            if not checked or _is_open(connection):
                return connection, True
            connection.disconnect()

    def _open(self) -> Any:
        connection = self.connection()
        try:
            connection.connect()
        except (RedisError, OSError):
            self._breaker.failed()
            raise
        return connection


def _is_open(connection: Any) -> bool:
    """Whether nothing waits to be read: neither the end of the connection nor an answer to somebody else."""
    try:
        return not connection.can_read(0)
    except (RedisError, OSError):
        return False
