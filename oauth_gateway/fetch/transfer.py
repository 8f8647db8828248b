"""One request and its answer over a connection to a checked address, ended by a fixed time.

A transfer runs in a thread of its own, since nothing can interrupt a resolver. Its waiting caller ends it: at the deadline
the connection is shut down under it, which ends a handshake, a read and a write alike. `http.client` does the HTTP.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

from .destination import Address, Destination, Network, Refused, Resolver

MOST_HEAD_BYTES = 32 * 1024  # of the status line and headers, with what is read ahead
MOST_ADDRESSES = 4  # are tried in turn


class Request(NamedTuple):
    """What is sent, and how much of an answer's body is read: None reads no body and takes any status."""

    method: str
    headers: Mapping[str, str]
    body: bytes | None
    most_bytes: int | None


class Answer(NamedTuple):
    status: int
    content_type: str
    body: bytes


class Transfer:
    """A request on its way; `finished` is set once it has an `answer`, or a `cause` why it has none.

    `status` is that of an answer, whether it is of any use or not.
    """

    def __init__(
        self,
        destination: Destination,
        request: Request,
        ends: float,  # of time.monotonic
        *,
        allowed: Sequence[Network],
        resolve: Resolver,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._destination = destination
        self._request = request
        self._ends = ends
        self._allowed = allowed
        self._resolve = resolve
        self._tls = tls
        self._lock = threading.Lock()
        self._handle: socket.socket | None = None
        self.finished = threading.Event()
        self.answer: Answer | None = None
        self.status: int | None = None
        self.cause = ""

    def run(self) -> None:
        try:
            with ExitStack() as stack:
                stack.callback(self._hold, None)
                wire = _Wire(self._open(stack), self)
                self.answer = self._exchange(wire)
        except Exception as error:
            self.cause = describe(error)
        finally:
            self.finished.set()

    def abandon(self) -> None:
        """End it from another thread, wherever it is; only a resolver goes on. Does nothing to what has ended."""
        self._ends = 0.0
        with self._lock:
            if self._handle is not None:
                with suppress(OSError):  # the peer was quicker
                    self._handle.shutdown(socket.SHUT_RDWR)

    def left(self) -> float:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise Refused("the deadline passed")
        return left

    def _hold(self, connection: socket.socket | None) -> None:
        """Keep a second descriptor for `abandon`: wrapping in TLS detaches the first, and a closed one's number is reused."""
        with self._lock:
            if self._handle is not None:
                self._handle.close()
            self._handle = connection and connection.dup()

    def _open(self, stack: ExitStack) -> socket.socket:
        """A connection to one of the host's addresses, with TLS where the URL says https."""
        addresses = self._destination.addresses(self._resolve, self._allowed)[:MOST_ADDRESSES]
        connection = stack.enter_context(self._connect(addresses))
        if self._tls is None:
            return connection
        secured = self._tls.wrap_socket(
            connection,
            server_hostname=self._destination.host,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,  # a body that ends with the connection must have been ended by the peer
        )
        stack.enter_context(secured)  # it took the descriptor over
        secured.settimeout(self.left())
        secured.do_handshake()
        return secured

    def _connect(self, addresses: Sequence[Address]) -> socket.socket:
        problem: OSError = OSError("no address")
        for position, address in enumerate(addresses):
            share = self.left() / (len(addresses) - position)
            try:
                connection = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
                try:
                    self._hold(connection)
                    connection.settimeout(min(share, self.left()))
                    connection.connect((str(address), self._destination.port))
                    return connection
                except BaseException:
                    connection.close()
                    raise
            except OSError as error:
                problem = error
        raise problem

    def _exchange(self, wire: _Wire) -> Answer:
        request, goal = self._request, self._destination
        connection: Any = http.client.HTTPConnection(goal.host, goal.port)
        connection.auto_open = 0  # it must never connect by itself
        connection.sock = wire
        fixed = {"Host": goal.authority, "User-Agent": "oauth_gateway", "Accept-Encoding": "identity", "Connection": "close"}
        connection.request(request.method, goal.target, request.body, {**fixed, **request.headers})
        response: http.client.HTTPResponse = connection.getresponse()
        self.status = response.status
        body = b""
        if request.most_bytes is not None:
            _check_head(response, request.most_bytes)
            wire.allowance = 2 * request.most_bytes + MOST_HEAD_BYTES  # chunks may be small, but not without end
            body = response.read(request.most_bytes + 1)
            if len(body) > request.most_bytes:
                raise Refused(f"the answer is longer than {request.most_bytes} bytes")
            if response.length:
                raise Refused("the answer ended early")
        types = response.headers.get_all("Content-Type") or []
        media_type = types[0].partition(";")[0].strip().lower() if len(types) == 1 else ""
        return Answer(response.status, media_type, body)


class _Wire(io.RawIOBase):
    """What `http.client` takes for a socket: every read and write knows the deadline, and reads are counted."""

    def __init__(self, connection: socket.socket, transfer: Transfer) -> None:
        super().__init__()
        self._connection = connection
        self._transfer = transfer
        self.allowance = MOST_HEAD_BYTES

    def sendall(self, data: bytes) -> None:
        self._connection.settimeout(self._transfer.left())
        self._connection.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(self._transfer.left())
        count = self._connection.recv_into(buffer)
        self.allowance -= count
        if self.allowance < 0:
            raise Refused("the answer's headers or framing are too long")
        return count

    def close(self) -> None:
        """Nothing: `http.client` closes once it has read the headers, and the socket has an owner."""


def _check_head(response: http.client.HTTPResponse, most_bytes: int) -> None:
    """Refuse what is known from the headers to be of no use, before any of the body is read."""
    if response.status != 200:
        raise Refused(f"the answer's status is {response.status}, not 200; redirects are not followed")
    if any(coding.strip().lower() != "identity" for coding in response.headers.get_all("Content-Encoding") or ()):
        raise Refused("the answer is compressed")
    if any(coding.strip().lower() != "chunked" for coding in response.headers.get_all("Transfer-Encoding") or ()):
        raise Refused("the answer has an unknown transfer coding")
    lengths = response.headers.get_all("Content-Length") or []
    if len(lengths) > 1 or not all(length.strip().isascii() and length.strip().isdigit() for length in lengths):
        raise Refused("the answer's length is not a number")
    if response.length is not None and response.length > most_bytes:
        raise Refused(f"the answer is longer than {most_bytes} bytes")


def describe(error: Exception) -> str:
    """For the operator's log: what happened, without the words of the other side (`http.client` quotes them)."""
    if isinstance(error, Refused):
        return str(error)
    return f"{type(error).__name__}: {error}" if isinstance(error, OSError) else type(error).__name__
