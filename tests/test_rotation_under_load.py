"""Keys that are rotated and revoked, and workers that die, while two workers of gunicorn serve (CHECKS A069, R106, R220)."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from oauth_gateway.store import open_store

from .conftest import CHALLENGE, VERIFIER, basic
from .peers import Peer, answer
from .test_command_line import fetch, free_port, running
from .test_foreign_clients import Deployment

THREADS = 4
SECONDS = 60.0  # for a wait that must end; far more than any takes
# an app that says which worker it is in, and there a lease of the queue that a test can wait for
APP = """
import os
from oauth_gateway import jobs
jobs.LEASE_SECONDS = 3.0
def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [str(os.getpid()).encode()]
"""


class Signing(Deployment):
    """A deployment whose access tokens are JWTs."""

    def __init__(self, base: str, folder: Path, master: int) -> None:
        super().__init__(base, folder)
        self.file = folder / "oauth_gateway.db"
        self.master = master

    def workers(self) -> set[str]:
        return set(Path(f"/proc/{self.master}/task/{self.master}/children").read_text().split())

    def post(self, path: str, client: Any, body: str) -> dict[str, Any]:
        header = basic(client["client_id"], client["client_secret"])
        status, text = fetch(self.base + path, body.encode(), Authorization=header)
        assert status == 200, f"{path}: {status} {text}"
        found: dict[str, Any] = json.loads(text)
        return found

    def token(self) -> str:
        return str(self.post("/token", self.machine, "grant_type=client_credentials&scope=read")["access_token"])

    def call(self, token: str) -> tuple[int, str]:
        """The status of the app's answer, and the worker that gave it; always on a new connection, which any may take."""
        return fetch(f"{self.base}/x", Authorization=f"Bearer {token}")

    def keys(self, state: str) -> list[str]:
        return [key["kid"] for key in self.cli("keys", "list") if key["alg"] == "RS256" and key["state"] == state]

    def rotate(self, *options: str) -> str:
        """The new kid of the algorithm that signs access tokens."""
        return next(kid for kid in self.cli("keys", "rotate", *options)["kids"] if kid.startswith("rs256"))


class ResourceServer:
    """What an API elsewhere does (RFC 9068 section 4): it knows a JWK Set, and asks again for a kid that is not in it."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.fetched = 0
        self._kids: set[str] = set()
        self._fetch()

    def _fetch(self) -> None:
        status, text = fetch(f"{self.base}/.well-known/jwks.json")
        assert status == 200, text
        document = json.loads(text)
        self._keys, self._kids = KeySet.import_key_set(document), {key["kid"] for key in document["keys"]}
        self.fetched += 1

    def verify(self, token: str) -> str:
        """The kid of a token that is good here."""
        kid = kid_of(token)
        if kid not in self._kids:
            self._fetch()
        assert kid in self._kids, f"{kid} signs and is not published"
        decoded = jwt.decode(token, self._keys, ["RS256"])
        assert decoded.header["typ"] == "at+jwt" and decoded.claims["iss"] == decoded.claims["aud"] == self.base
        assert decoded.claims["exp"] > time.time()
        return kid


def kid_of(token: str) -> str:
    head = token.partition(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"])


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signing]:
    folder, port = tmp_path_factory.mktemp("signing"), free_port()
    (folder / "short_lease.py").write_text(APP)
    base = f"http://127.0.0.1:{port}"
    command = ["oauth_gateway.cli", "serve", "short_lease:app", "--bind", f"127.0.0.1:{port}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OAUTH_GATEWAY_ISSUER", base)
        patch.setenv("OAUTH_GATEWAY_ACCESS_TOKEN_FORMAT", "jwt")
        patch.setenv("OAUTH_GATEWAY_FETCH_PRIVATE_NETWORKS", "127.0.0.0/8")
        with running([*command, "--workers", "2", "--threads", "4"], port, folder) as process:
            made = Signing(base, folder, process.pid)
            wait(lambda: len(made.workers()) == 2 and fetch(f"{base}/x")[0] == 401)
            yield made
        assert "eyJ" not in (folder / f"server-{port}.log").read_text(), "a token is in the server's log"


def wait(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@contextmanager
def meanwhile(*loops: Callable[[], object]) -> Iterator[None]:
    """Calls each loop's function again and again in a thread of its own; the first failure is raised in the end."""
    stop, failures = threading.Event(), []

    def run(step: Callable[[], object]) -> None:
        while not stop.wait(0.02):  # leaves the command some of the processor
            try:
                step()
            except BaseException as error:
                failures.append(error)
                stop.set()

    threads = [threading.Thread(target=run, args=(step,)) for step in loops]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]


class Client:
    """One thread's traffic: a new token, verified elsewhere and used here, then some that it had before."""

    def __init__(self, deployment: Signing) -> None:
        self.deployment = deployment
        self.elsewhere = ResourceServer(deployment.base)
        self.tokens: list[str] = []
        self.used = 0
        self.answered_by: set[str] = set()

    def step(self) -> None:
        fresh = self.deployment.token()
        self.elsewhere.verify(fresh)
        self.tokens.append(fresh)
        for token in (fresh, self.tokens[0], *random.sample(self.tokens, min(3, len(self.tokens)))):
            status, text = self.deployment.call(token)
            assert status == 200, f"a token of {kid_of(token)} while {kid_of(fresh)} signs: {status} {text}"
            self.answered_by.add(text)
            self.used += 1

    @property
    def kids(self) -> set[str]:
        return {kid_of(token) for token in self.tokens}


def test_no_request_fails_while_keys_are_rotated(deployment: Signing) -> None:
    """A069, R106"""
    clients = [Client(deployment) for _ in range(THREADS)]
    signed: list[str] = deployment.keys("signs")

    def all_sign_with(kid: str) -> None:
        assert {kid_of(deployment.token()) for _ in range(6)} == {kid}, "both workers are in step"

    with meanwhile(*(client.step for client in clients)):
        wait(lambda: all(client.tokens for client in clients))
        signed.append(deployment.rotate("--now"))
        all_sign_with(signed[-1])
        waiting = deployment.rotate()
        assert waiting not in signed and waiting in fetch(f"{deployment.base}/.well-known/jwks.json")[1], (
            "published before it signs"
        )
        all_sign_with(signed[-1])
        signed.append(deployment.rotate("--now"))
        assert signed[-1] == waiting, "what waited is the new one"
        all_sign_with(waiting)
        signed.append(deployment.rotate("--now"))
        all_sign_with(signed[-1])
        before = [client.used for client in clients]
        wait(lambda: all(client.used > had + 3 for client, had in zip(clients, before, strict=True)))
    assert set().union(*(client.kids for client in clients)) == set(signed) and len(set(signed)) == 4
    assert set().union(*(client.answered_by for client in clients)) == deployment.workers(), "both did their share"
    assert all(1 < client.elsewhere.fetched <= len(signed) for client in clients), "asked again for an unknown kid only"
    late = ResourceServer(deployment.base)  # it was never there before
    for token in {kid_of(token): token for client in clients for token in client.tokens}.values():
        late.verify(token)
        assert {deployment.call(token)[0] for _ in range(6)} == {200}
    assert late.fetched == 1


def remember(deployment: Signing, tokens: list[str]) -> None:
    """Have both workers remember the tokens."""
    for token in tokens:
        workers: set[str] = set()

        def both(token: str = token, workers: set[str] = workers) -> bool:
            status, text = deployment.call(token)
            assert status == 200, text
            workers.add(text)
            return workers == deployment.workers()

        wait(both)


def test_what_a_leaked_key_signed_is_refused_everywhere_once_the_command_has_answered(deployment: Signing) -> None:
    """A069, R106; also a token that is looked up for the first time in that moment"""
    (leaked,) = deployment.keys("signs")
    old = [deployment.token() for _ in range(160)]
    assert {kid_of(token) for token in old} == {leaked}
    known, rest = old[:10], iter(old[10:])
    remember(deployment, known)
    told, looked = threading.Event(), []

    def look() -> None:
        """A token that no worker remembers and some that both do, before, during and after the revocation."""
        for token in (next(rest, known[0]), *random.sample(known, 3)):
            ended_before = told.is_set()
            status, text = deployment.call(token)
            looked.append(status)
            assert status == 401 if ended_before else status in (200, 401), text

    def fetch_and_use() -> None:
        """A token that another key signed works, whatever moment this is."""
        token = deployment.token()
        status, text = deployment.call(token)
        assert status == 200 or kid_of(token) == leaked, text

    with meanwhile(look, look, fetch_and_use):
        wait(lambda: len(looked) > 8)
        assert deployment.cli("keys", "revoke", leaked) == {"kid": leaked, "revoked": True}
        told.set()
        for token in known:
            assert [deployment.call(token)[0] for _ in range(4)] == [401] * 4
        for _ in range(5):
            fresh = deployment.token()
            assert kid_of(fresh) != leaked and {deployment.call(fresh)[0] for _ in range(4)} == {200}
    for token in old:
        assert [deployment.call(token)[0] for _ in range(3)] == [401] * 3
    assert {200, 401} == set(looked), "before and after"
    assert deployment.post("/token/introspect", deployment.machine, f"token={old[0]}") == {"active": False}
    assert leaked not in fetch(f"{deployment.base}/.well-known/jwks.json")[1]
    assert deployment.keys("revoked") == [leaked]
    ResourceServer(deployment.base).verify(deployment.token())


def test_what_a_retired_key_signed_is_refused_at_once_too(deployment: Signing) -> None:
    """R106: nothing else changes in that moment that workers could notice"""
    tokens = [deployment.token() for _ in range(5)]
    (retired,) = {kid_of(token) for token in tokens}
    deployment.rotate("--now")
    fresh = deployment.token()
    remember(deployment, [*tokens, fresh])
    deployment.cli("keys", "revoke", retired)
    for token in tokens:
        assert [deployment.call(token)[0] for _ in range(6)] == [401] * 6
    assert kid_of(fresh) != retired and {deployment.call(fresh)[0] for _ in range(6)} == {200}


def test_a_logout_is_told_by_another_worker_where_one_dies_over_it(deployment: Signing) -> None:
    """R220, A100: the worker is killed while the relying party does not answer"""

    def talk(peer: Peer, connection: Any) -> None:
        if len(peer.requests) == 1:
            peer.gone.wait(SECONDS)
        else:
            connection.sendall(answer(""))

    with Peer(talk, tls=False) as party:
        uri = f"http://127.0.0.1:{party.port}/logout"
        registered = ("--redirect-uri", deployment.callback, "--scope", "openid", "--backchannel-logout-uri", uri)
        client = deployment.cli("client", "create", *registered)
        query = (
            f"response_type=code&client_id={client['client_id']}&redirect_uri={deployment.callback}&scope=openid"
            f"&code_challenge={CHALLENGE}&code_challenge_method=S256"
        )
        code = re.search(r"code=([^&]+)", deployment.consent(f"{deployment.base}/authorize?{query}"))
        assert code
        body = f"grant_type=authorization_code&code={code[1]}&redirect_uri={deployment.callback}&code_verifier={VERIFIER}"
        hint = deployment.post("/token", client, body)["id_token"]
        page = deployment.session.get(f"{deployment.base}/authorize/logout", params={"id_token_hint": hint})
        assert page.status_code == 200 and "You are signed out" in page.text, "it waits for nobody"
        wait(lambda: party.requests)
        before = deployment.workers()
        (busy,) = (worker for worker in before if party.port in peers_of(worker))
        os.kill(int(busy), signal.SIGKILL)
        wait(lambda: len(deployment.workers() - {busy}) == 2)
        (other,) = before - {busy}
        assert other in deployment.workers() and len(party.requests) == 1

        def told() -> bool:
            assert fetch(f"{deployment.base}/.well-known/openid-configuration")[0] == 200, "traffic, which looks for work"
            return len(party.requests) > 1

        wait(told)
        store = open_store(f"sqlite:///{deployment.file}")
        wait(lambda: store.next_job() is None)
        store.close()
        first, second = (logout_token(request) for request in party.requests)
        assert first.pop("jti") != second.pop("jti") and second.pop("iat") > first.pop("iat")
        assert second.pop("exp") > first.pop("exp") and first == second
        assert second["iss"] == deployment.base and second["aud"] == client["client_id"] and second["sid"]


def logout_token(request: bytes) -> dict[str, Any]:
    head, _, body = request.partition(b"\r\n\r\nlogout_token=")
    assert head.startswith(b"POST /logout ")
    decoded = jwt.decode(body.decode(), KeySet.import_key_set(json.loads(fetch(jwks_uri(body))[1])), ["RS256"])
    assert decoded.header["typ"] == "logout+jwt"
    return dict(decoded.claims)


def jwks_uri(token: bytes) -> str:
    payload = token.split(b".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))["iss"] + "/.well-known/jwks.json"


def peers_of(worker: str) -> set[int]:
    """The ports of 127.0.0.1 that a process has connections to."""
    sockets = {os.readlink(name) for name in Path(f"/proc/{worker}/fd").iterdir() if name.is_symlink()}
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return {int(row[2].partition(":")[2], 16) for row in rows if f"socket:[{row[9]}]" in sockets}
