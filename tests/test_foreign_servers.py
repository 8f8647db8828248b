"""Real issuers before the gate: node-oidc-provider, with JWTs and opaque tokens, and a second gateway."""

from __future__ import annotations

import http.client
import json
import subprocess
import threading
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from oauth_gateway import OAuthGateway
from oauth_gateway.clients import Clients
from oauth_gateway.foreign import refreshed

from .conftest import RecordingApp
from .issuers import AUDIENCE, gate
from .oracle.run import HERE
from .test_command_line import free_port, running
from .test_foreign_clients import needs_node
from .test_foreign_jwts import call

OPAQUE = "https://opaque.example.com"


def ask(url: str, form: dict[str, str] | None = None, client: tuple[str, str] | None = None) -> Any:
    request = urllib.request.Request(url, urlencode(form).encode() if form else None)
    if client is not None:
        request.add_header("Authorization", "Basic " + b64encode(":".join(client).encode()).decode())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        return json.load(answer)


class Node:
    """A running node-oidc-provider."""

    def __init__(self) -> None:
        port = free_port()
        self.name = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(["node", "issuer.mjs", str(port)], cwd=HERE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None and self.process.stdout.readline() == "ready\n"

    def machine(self, resource: str = AUDIENCE) -> str:
        form = {"grant_type": "client_credentials", "scope": "read", "resource": resource}
        return str(ask(f"{self.name}/token", form, ("machine", "machine-secret-0123456789abcdef"))["access_token"])

    def person(self, resource: str = AUDIENCE) -> str:
        return str(ask(f"{self.name}/person?{urlencode({'resource': resource})}")["access_token"])

    def rotate(self) -> None:
        ask(f"{self.name}/rotate")


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    needs_node(HERE)
    made = Node()
    yield made
    made.process.terminate()
    made.process.wait(10)


def entry(node: Node, **changes: Any) -> dict[str, Any]:
    return {"issuer": node.name, "audience": AUDIENCE, "private_networks": "127.0.0.0/8", **changes}


def test_jwts_of_node_oidc_provider(node: Node) -> None:
    """R162-R165"""
    gateway, app = gate(entry(node, username_claim="sub", prefix="node:"), routes=["GET /thing scope=read"])
    assert call(gateway, node.machine()).status_code == 200
    token = app.environ["oauth_gateway.token"]
    assert (token.client_id, token.username, token.scopes) == ("node:machine", None, {"read"})
    assert call(gateway, node.person()).status_code == 200 and app.environ["REMOTE_USER"] == "node:ann"
    other, app = gate(entry(node, audience="https://elsewhere.example"))
    assert call(other, node.machine()).status_code == 401 and not app.calls


def test_opaque_tokens_of_node_oidc_provider(node: Node) -> None:
    asks = {"tokens": "jwt opaque", "client_id": "gate", "client_secret": "gate-secret-0123456789abcdef"}
    gateway, app = gate(entry(node, audience=[AUDIENCE, OPAQUE], username_claim="sub", prefix="node:", **asks))
    text = node.machine(OPAQUE)
    assert not text.startswith("eyJ") and call(gateway, text).status_code == 200
    assert app.environ["oauth_gateway.token"].client_id == "node:machine" and "REMOTE_USER" not in app.environ
    assert call(gateway, node.person(OPAQUE)).status_code == 200 and app.environ["REMOTE_USER"] == "node:ann"
    assert call(gateway, node.machine()).status_code == 200, "JWTs beside them"
    assert call(gateway, text[:-1]).status_code == 401
    other, app = gate(entry(node, audience=AUDIENCE, **asks))
    assert call(other, text).status_code == 401 and not app.calls


def test_keys_rotate_under_load_and_no_good_token_is_refused(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A069, R166: each generation signs at once, without having been published before"""
    monkeypatch.setattr(refreshed, "AGAIN_SECONDS", 0.0)  # its generations come faster than any server's
    monkeypatch.setattr(refreshed, "PATIENCE", 30.0)  # and this machine may have other things to do
    gateway, _ = gate(entry(node))
    answers: list[int] = []
    newest = [node.machine()]
    done = threading.Event()

    def load() -> None:
        while not done.is_set():
            answers.append(call(gateway, newest[0]).status_code)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        node.rotate()
        newest[0] = node.machine()
        before = len(answers)
        while len(answers) < before + 20:
            time.sleep(0.005)
    done.set()
    for thread in threads:
        thread.join()
    assert set(answers) == {200} and len(answers) > 100


WORKERS = {"threads": ["-k", "gthread"], "greenlets": ["-k", "gevent"]}


@pytest.mark.parametrize("kind", WORKERS)
def test_preloaded_workers_read_the_keys_themselves(kind: str, node: Node, tmp_path: Path) -> None:
    """`serve` with `server = false` makes no file, and what was made before the fork does not stop its children"""
    (tmp_path / "thing.py").write_text(
        "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'app']\n"
    )
    entries = f'issuer = "{node.name}"\nprivate_networks = "127.0.0.0/8"\naudience = "{AUDIENCE}"\n'
    port = free_port()
    settings = (
        f'[oauth_gateway]\nserver = false\nresource = "http://127.0.0.1:{port}"\n[[oauth_gateway.trusted_issuers]]\n{entries}'
    )
    (tmp_path / "oauth_gateway.toml").write_text(settings)
    bind = ["--bind", f"127.0.0.1:{port}", "--workers", "2", "--", "--preload", *WORKERS[kind]]
    command = ["oauth_gateway.cli", "serve", "thing:app", *bind]
    with running(command, port, tmp_path):
        good, bad = node.machine(), node.machine(OPAQUE)
        for _ in range(6):
            assert status(port, good) == 200 and status(port, bad) == 401 and status(port, good + "A") == 401
    assert {path.name for path in tmp_path.iterdir()} <= {"thing.py", "oauth_gateway.toml", "__pycache__", f"server-{port}.log"}


def status(port: int, token: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/thing", headers={"Authorization": f"Bearer {token}"})
    found = connection.getresponse().status
    connection.close()
    return found


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing on standard error."""


@pytest.fixture(params=["jwt", "opaque"])
def second(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, OAuthGateway]]:
    """A stand-alone gateway that issues tokens for the app behind the first one."""
    port = free_port()
    name = f"http://127.0.0.1:{port}"
    gateway = OAuthGateway(
        None,
        issuer=name,
        resource=AUDIENCE,
        database=f"sqlite:///{tmp_path / 'second.db'}",
        access_token_format=request.param,
        scopes=["read"],
    )
    server = make_server("127.0.0.1", port, gateway, handler_class=Quiet)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield name, gateway
    server.shutdown()
    server.server_close()
    gateway.store.close()


def test_a_second_gateway_is_the_issuer_of_a_first(second: tuple[str, OAuthGateway]) -> None:
    """JWTs are checked by its keys, opaque tokens at its introspection endpoint, as a client that may ask about all of them"""
    name, issuing = second
    clients = Clients(issuing.settings, issuing.store, issuing.events, issuing.server.sealer)
    robot, secret = clients.create(now=time.time(), client_name="Robot")
    asker, asker_secret = clients.create(now=time.time(), client_name="Gate", may_introspect=True)
    client = (robot.client_id, str(secret))
    text = ask(f"{name}/token", {"grant_type": "client_credentials"}, client)["access_token"]
    kind = "jwt" if text.startswith("eyJ") else "opaque"
    asks = {"client_id": asker.client_id, "client_secret": asker_secret, "token_prefix": "oga1_at_"} if kind == "opaque" else {}
    trusted = {"issuer": name, "tokens": kind, "private_networks": "127.0.0.0/8", **asks}
    gateway, app = gate(trusted, routes=["GET /thing scope=read"])
    for _ in range(3):
        assert call(gateway, text).status_code == 200
    assert app.environ["oauth_gateway.token"].client_id == robot.client_id and "REMOTE_USER" not in app.environ
    assert call(gateway, text[:-2] + "AA").status_code == 401
    elsewhere, reached = gate(trusted, resource="https://elsewhere.example")
    assert call(elsewhere, text).status_code == 401 and not reached.calls
    if kind == "opaque":
        ask_nothing = urllib.request.Request(f"{name}/token/revoke", urlencode({"token": text}).encode())
        ask_nothing.add_header("Authorization", "Basic " + b64encode(":".join(client).encode()).decode())
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(ask_nothing, timeout=30).close()
        fresh, reached = gate(trusted)
        assert call(fresh, text).status_code == 401 and not reached.calls


def test_no_other_jwt_of_a_second_gateway_is_an_access_token(second: tuple[str, OAuthGateway]) -> None:
    """A064, R164: signed by the same keys, for the same audience, and alive"""
    name, issuing = second
    now = time.time()
    claims = {"iss": name, "aud": AUDIENCE, "sub": "u", "client_id": "c", "iat": int(now), "exp": int(now) + 60, "jti": "j"}
    gateway, app = gate({"issuer": name, "private_networks": "127.0.0.0/8"})
    others = "JWT logout+jwt dpop+jwt oauth-authz-req+jwt token-introspection+jwt client-authentication+jwt secevent+jwt"
    for typ in others.split():
        assert call(gateway, issuing.server.keys.sign("RS256", typ, claims, now)).status_code == 401, typ
    assert not app.calls
    assert call(gateway, issuing.server.keys.sign("RS256", "at+jwt", claims, now)).status_code == 200


def test_a_gateway_beside_its_own_server_takes_no_others_tokens_by_our_prefix(second: tuple[str, OAuthGateway]) -> None:
    name, issuing = second
    clients = Clients(issuing.settings, issuing.store, issuing.events, issuing.server.sealer)
    robot, secret = clients.create(now=time.time(), client_name="Robot")
    text = ask(f"{name}/token", {"grant_type": "client_credentials"}, (robot.client_id, str(secret)))["access_token"]
    app = RecordingApp()
    trusted = {"issuer": name, "audience": AUDIENCE, "private_networks": "127.0.0.0/8"}
    first = OAuthGateway(app, issuer=AUDIENCE, database="sqlite://", trusted_issuers=[trusted])
    assert call(first, text).status_code == (200 if text.startswith("eyJ") else 401)
