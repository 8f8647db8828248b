"""The network between a host and the database: one connection is carried to another port, until somebody cuts it."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Wire:
    """Carries connections from `port` to the port `target` of this machine."""

    def __init__(self, target: int) -> None:
        self.target = target
        self._door = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._door.getsockname()[1]
        self._flows = threading.Event()
        self._flows.set()
        self._is_cut = False
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def hush(self) -> None:
        """Deliver nothing any more and say nothing about it, as a firewall that drops packets."""
        self._flows.clear()

    def cut(self) -> None:
        """Close every connection, and new ones at once."""
        self._is_cut = True
        for each in list(self._open):
            _hang_up(each)

    def mend(self) -> None:
        """Carry again: what waited meanwhile, and what is new."""
        self._is_cut = False
        self._flows.set()

    def close(self) -> None:
        self.cut()
        _hang_up(self._door)  # which wakes up whoever waits there
        self._flows.set()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._door.accept()
            except OSError:
                self._door.close()
                return
            if self._is_cut:
                near.close()
                continue
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        self._flows.wait()
        try:
            far = socket.create_connection(("127.0.0.1", self.target), 5)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        for each in (near, far):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open.update((near, far))
        back = threading.Thread(target=self._pump, args=(far, near), daemon=True)
        back.start()
        self._pump(near, far)
        back.join()
        self._open.difference_update((near, far))
        near.close()
        far.close()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                sink.sendall(data)
        _hang_up(source)
        _hang_up(sink)


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # it is gone already
        connection.shutdown(socket.SHUT_RDWR)
