"""A085 in a real gunicorn: whatever DNS says of an issuer, its workers connect to judged addresses only."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

from oauth_gateway import jose

from .issuers import AUDIENCE, signed_by
from .peers import Peer, answer, authority
from .test_command_line import free_port, running
from .test_foreign_servers import status

PUBLIC, PUBLIC6 = "93.184.216.34", "2606:4700::1111"
# what DNS answers the first time, the second, and ever after
NAMES: dict[str, list[list[str]]] = {
    "logout.example": [[PUBLIC]],
    "keys.example": [[PUBLIC], ["127.0.0.1"]],  # rebound between discovery and the keys
    "mixed.example": [[PUBLIC, "10.0.0.1"]],
    "mixed6.example": [[PUBLIC6, "fd00::1"]],
    "cname.example": [["192.168.1.1"]],
    "mapped.example": [["::ffff:127.0.0.1"]],
    "nat64.example": [["64:ff9b::7f00:1"]],
    "local6.example": [["fe80::1"]],
    "cloud.example": [["169.254.169.254"]],
    "any.example": [["0.0.0.0"]],
    "only6.example": [[PUBLIC6]],
    "nobody.example": [[]],
}
CONNECTED = {"logout.example": [PUBLIC, PUBLIC], "keys.example": [PUBLIC], "only6.example": [PUBLIC6]}

# the app's module: in its worker DNS answers as above, and what is public is on this machine
THING = """
import json, pathlib, socket
from tests.peers import Names

names = Names()
names._answers = json.loads(pathlib.Path("names.json").read_text())
resolve, connect = socket.getaddrinfo, socket.socket.connect

def answered(host, port, *given, type=0, **named):
    if not str(host).endswith(".example"):
        return resolve(host, port, *given, type=type, **named)
    tell("asked", host)
    return names(host, port, type=type)

def connected(self, address):
    if self.family != socket.AF_UNIX:
        tell("connected", address[0])
        address = ("127.0.0.1", *address[1:]) if address[0] == "PUBLIC" else address
    return connect(self, address)

def tell(what, value):
    with open("told.log", "a") as log:
        log.write(what + " " + value + "\\n")

socket.getaddrinfo, socket.socket.connect = answered, connected

def app(environ, start_response):
    start_response("200 OK", [])
    return [b"app"]
"""


def serve_as(names: list[str], key: jose.Key) -> Any:
    def talk(peer: Peer, connection: socket.socket) -> None:
        head = peer.requests[-1].decode()
        host = next(name for name in names if f"Host: {name}:" in head)
        base = f"https://{host}:{peer.port}"
        keys = {"keys": [jose.public_of(key, "ES256", "k1")]}
        document = keys if head.startswith("GET /jwks") else {"issuer": base, "jwks_uri": f"{base}/jwks"}
        connection.sendall(answer(json.dumps(document)))

    return talk


def test_names_lead_to_judged_addresses_only(tmp_path: Path) -> None:
    """Mixed answers, rebinding, names for private addresses, IPv6 alone: each name is asked for once a transfer"""
    key, port = jose.generate("ES256"), free_port()
    (tmp_path / "names.json").write_text(json.dumps(NAMES))
    (tmp_path / "thing.py").write_text(THING.replace("PUBLIC", PUBLIC))
    log = tmp_path / "told.log"
    with Peer(serve_as(list(NAMES), key)) as peer:
        issuers = {name: f"https://{name}:{peer.port}" for name in NAMES}
        entries = "".join(
            f'[[oauth_gateway.trusted_issuers]]\nissuer = "{name}"\naudience = "{AUDIENCE}"\nalgorithms = "ES256"\n'
            + ('profile = "auth0"\n' if "only6" not in name else f'jwks_uri = "{name}/jwks"\n')
            for name in issuers.values()
        )
        start = f'[oauth_gateway]\nserver = false\nresource = "http://127.0.0.1:{port}"\n'
        (tmp_path / "oauth_gateway.toml").write_text(start + entries)
        bind = ["--bind", f"127.0.0.1:{port}", "--workers", "1", "--threads", "4"]
        command = ["oauth_gateway.cli", "serve", "thing:app", *bind]
        with running(command, port, tmp_path, SSL_CERT_FILE=str(authority().file)):
            for host, name in issuers.items():
                log.write_text("")
                assert status(port, token(key, name)) == (200 if host == "logout.example" else 503), host
                told = [line.split() for line in log.read_text().splitlines()]
                assert [value for what, value in told if what == "connected"] == CONNECTED.get(host, []), host
                asked = [value for what, value in told if what == "asked"]
                assert asked == [host] * (2 if host in ("logout.example", "keys.example") else 1), "never asked again"
    assert [request.split()[1] for request in peer.requests].count(b"/jwks") == 1


def token(key: jose.Key, issuer: str) -> str:
    now = int(time.time())
    claims = {"iss": issuer, "aud": AUDIENCE, "sub": "s", "client_id": "c", "iat": now, "exp": now + 60, "jti": "j"}
    return signed_by(key, {"alg": "ES256", "kid": "k1", "typ": "at+jwt"}, claims)
