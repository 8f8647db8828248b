"""Servers on this machine that answer as a test wants it, well or badly, and a certificate authority for them."""

from __future__ import annotations

import datetime
import functools
import ipaddress
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from oauth_gateway.fetch import Fetcher, FetchError

Talk = Callable[["Peer", socket.socket], None]
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


class Authority:
    """A certificate authority, and a server's certificate for keys.example, logout.example, 127.0.0.1 and ::1."""

    def __init__(self, folder: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tests")])
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)  # signs certificates and CRLs
        root = self._sign(name, key, name, key, x509.BasicConstraints(ca=True, path_length=0), usage)
        own = ec.generate_private_key(ec.SECP256R1())
        hosts = [x509.DNSName("keys.example"), x509.DNSName("logout.example")]
        addresses = [x509.IPAddress(ipaddress.ip_address(text)) for text in ("127.0.0.1", "::1")]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "keys.example")])
        leaf = self._sign(subject, own, name, key, x509.SubjectAlternativeName([*hosts, *addresses]))
        self.file = folder / "authority.pem"
        self.file.write_bytes(root.public_bytes(serialization.Encoding.PEM))
        self.server_file = folder / "server.pem"
        self.server_file.write_bytes(
            own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            + leaf.public_bytes(serialization.Encoding.PEM)
        )

    @staticmethod
    def _sign(subject: x509.Name, key: Any, issuer: x509.Name, signer: Any, *extensions: Any) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        for extension in extensions:
            builder = builder.add_extension(extension, critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = builder.add_extension(identifier, critical=False).add_extension(above, critical=False)
        day = datetime.timedelta(days=1)
        return builder.not_valid_before(now - day).not_valid_after(now + day).sign(signer, hashes.SHA256())

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.file))

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server_file)
        return context


@functools.cache
def authority() -> Authority:
    return Authority(Path(tempfile.mkdtemp(prefix="peers")))


class Peer:
    """A server that reads a request and then talks; `requests` are what it was sent, `connections` who came at all.

    `talk` is the whole answer or a function that gives it piece by piece, which should end once `gone` is set. `handshake`
    is False for one that accepts a connection and then never says anything.
    """

    def __init__(self, talk: bytes | Talk, *, tls: bool = True, handshake: bool = True) -> None:
        self.talk = talk
        self.requests: list[bytes] = []
        self.connections = 0
        self.gone = threading.Event()
        self._handshake = handshake
        self._context = authority().server() if tls else None
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.gone.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def url(self, path: str = "/", host: str = "keys.example") -> str:
        return f"{'https' if self._context else 'http'}://{host}:{self.port}{path}"

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if not self._handshake:
                self.gone.wait(30)
                return
            if self._context is None:
                self._answer(connection)
                return
            with self._context.wrap_socket(connection, server_side=True) as secured:
                self._answer(secured)

    def _answer(self, connection: socket.socket) -> None:
        self.requests.append(_request(connection))
        if callable(self.talk):
            self.talk(self, connection)
        else:
            connection.sendall(self.talk)


def _request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536) or b"\r\n\r\n"
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            while len(body) < int(line.partition(b":")[2]):
                body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(body: bytes | str = b"{}", status: str = "200 OK", **headers: str) -> bytes:
    """A whole answer; `Content_Type="…"` and so on replace the usual headers, and an empty value leaves one out."""
    data = body.encode() if isinstance(body, str) else body
    usual = {"Content_Type": "application/json", "Content_Length": str(len(data))}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in {**usual, **headers}.items() if value]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode() + data


def drip(start: bytes, piece: bytes, pause: float = 0.02) -> Talk:
    """Sends `start`, then `piece` again and again, without an end."""

    def talk(peer: Peer, connection: socket.socket) -> None:
        connection.sendall(start)
        while not peer.gone.wait(pause):
            connection.sendall(piece)

    return talk


class Names:
    """A resolver: for every name a list of answers, of which the last is given ever after; `asked` are the questions."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self._answers = {name.replace("_", "."): rows for name, rows in answers.items()}
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, *, type: int) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        rows = self._answers.get(host)
        if not rows:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        row = rows.pop(0) if len(rows) > 1 else rows[0]
        return [
            (socket.AF_INET6, type, 6, "", (text, port, 0, 0)) if ":" in text else (socket.AF_INET, type, 6, "", (text, port))
            for text in row
        ]


def make(resolve: Any = None, deadline: float = 2.0, allowed: Any = LOOPBACK, tls: ssl.SSLContext | None = None) -> Fetcher:
    """A fetcher that may reach the peers; a failure takes it a tenth of the deadline."""
    names = resolve or Names(keys_example=[["127.0.0.1"]], logout_example=[["127.0.0.1"]])
    return Fetcher(allowed, deadline=deadline, tls=tls or authority().client(), resolve=names)


def why(act: Callable[..., object], *given: Any, **named: Any) -> str:
    """The sentence of the failure; what may be told is always the same one (A089)."""
    with pytest.raises(FetchError) as caught:
        act(*given, **named)
    assert caught.value.public == FetchError.public == "The URL could not be fetched."
    return str(caught.value)
