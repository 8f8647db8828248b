"""Clients that we did not write, over HTTP against gunicorn, and races through several workers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from .conftest import CHALLENGE, PASSWORD, VERIFIER, needs
from .test_command_line import ROOT, fetch, free_port, running

ROUNDS = int(os.environ.get("GATEWAY_RACE_ROUNDS", "25"))


def needs_node(folder: Path) -> None:
    """Node and what `folder`'s package-lock.json names; installed here where npm can."""
    needs(bool(shutil.which("node") and shutil.which("npm")), "Node.js is not installed (Debian: apt install nodejs npm)")
    if not (folder / "node_modules").is_dir():
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        needs(done.returncode == 0, f"npm ci in tests/{folder.name} did not work: {done.stderr[-300:]}")


class Deployment:
    def __init__(self, base: str, folder: Path) -> None:
        self.base = base
        self.database = ["--database", f"sqlite:///{folder}/oauth_gateway.db"]
        self.callback = "http://127.0.0.1/cb"
        self.confidential = self.cli("client", "create", "--redirect-uri", self.callback, "--scope", "read write")
        self.machine = self.cli("client", "create", "--scope", "read write")
        public = ("--redirect-uri", self.callback, "--token-endpoint-auth-method", "none", "--scope", "read write")
        self.public = self.cli("client", "create", *public)
        self.session = requests.Session()
        self.session.trust_env = False
        self.cli("user", "create", "ann", "--password-stdin", stdin=PASSWORD)

    def cli(self, *arguments: str, stdin: str = "") -> Any:
        command = [sys.executable, "-m", "oauth_gateway.cli", *arguments, *self.database, "--json"]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=True, cwd=ROOT)
        return json.loads(done.stdout)

    def consent(self, url: str) -> str:
        """Walk a browser's way to the redirect back to the client."""
        session, origin = self.session, {"Origin": self.base}
        page = session.get(url)
        if 'name="password"' in page.text:
            form = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page.text))
            form = {k: v.replace("&amp;", "&") for k, v in form.items()} | {"username": "ann", "password": PASSWORD}
            page = session.post(f"{self.base}/authorize/login", form, headers=origin)
        form = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page.text.partition("</form>")[0]))
        form["decision"] = "allow"
        answer = session.post(f"{self.base}/authorize", form, headers=origin, allow_redirects=False)
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"]

    def code(self) -> str:
        query = (
            f"response_type=code&client_id={self.confidential['client_id']}&redirect_uri={self.callback}&state=x"
            f"&code_challenge={CHALLENGE}&code_challenge_method=S256"
        )
        found = re.search(r"code=([^&]+)", self.consent(f"{self.base}/authorize?{query}"))
        assert found
        return found[1]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("deployment")
    (folder / "app.py").write_text(
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
        "    return [b'ok']\n"
    )
    port = free_port()
    command = ["oauth_gateway.cli", "serve", "app:app", "--bind", f"127.0.0.1:{port}", "--workers", "2", "--threads", "4"]
    with running(command, port, folder):
        base = f"http://127.0.0.1:{port}"
        for _ in range(100):
            if fetch(f"{base}/x")[0] == 401:
                break
            time.sleep(0.1)
        yield Deployment(base, folder)


def test_requests_oauthlib_does_code_with_pkce_refresh_and_client_credentials(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oauthlib.oauth2 import BackendApplicationClient
    from requests_oauthlib import OAuth2Session

    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    base, client = deployment.base, deployment.confidential
    session = OAuth2Session(client["client_id"], redirect_uri=deployment.callback, scope=["read"], pkce="S256")
    session.trust_env = False
    url, _ = session.authorization_url(f"{base}/authorize")
    answer = deployment.consent(url)
    token = session.fetch_token(f"{base}/token", authorization_response=answer, client_secret=client["client_secret"])
    assert session.get(f"{base}/x").text == "ok"
    auth = (client["client_id"], client["client_secret"])
    fresh = session.refresh_token(f"{base}/token", refresh_token=token["refresh_token"], auth=auth)
    assert fresh["access_token"] != token["access_token"] and session.get(f"{base}/x").status_code == 200
    machine = OAuth2Session(client=BackendApplicationClient(deployment.machine["client_id"]))
    machine.trust_env = False
    machine.fetch_token(
        f"{base}/token", client_id=deployment.machine["client_id"], client_secret=deployment.machine["client_secret"]
    )
    assert machine.get(f"{base}/x").text == "ok"


def test_authlib_s_client_does_code_with_pkce_refresh_and_client_credentials(deployment: Deployment) -> None:
    from authlib.integrations.requests_client import OAuth2Session

    base, client = deployment.base, deployment.confidential
    with OAuth2Session(
        client["client_id"],
        client["client_secret"],
        redirect_uri=deployment.callback,
        scope="read",
        code_challenge_method="S256",
        token_endpoint=f"{base}/token",
    ) as session:
        session.trust_env = False
        url, state = session.create_authorization_url(f"{base}/authorize", code_verifier=VERIFIER)
        answer = deployment.consent(url)
        token = session.fetch_token(f"{base}/token", authorization_response=answer, code_verifier=VERIFIER, state=state)
        assert session.get(f"{base}/x").text == "ok"
        assert session.refresh_token(f"{base}/token", token["refresh_token"])["access_token"] != token["access_token"]
        assert session.revoke_token(f"{base}/token/revoke", session.token["refresh_token"]).status_code == 200
        assert fetch(f"{base}/x", Authorization=f"Bearer {session.token['access_token']}")[0] == 401
    machine = deployment.machine
    with OAuth2Session(machine["client_id"], machine["client_secret"], token_endpoint=f"{base}/token") as session:
        session.trust_env = False
        session.fetch_token(grant_type="client_credentials")
        assert session.get(f"{base}/x").text == "ok"


@pytest.mark.parametrize("script", ["openid_client", "oauth4webapi", "simple_oauth2"])
def test_clients_from_npm_run_their_flows(deployment: Deployment, script: str) -> None:
    folder = ROOT / "tests" / "foreign"
    needs_node(folder)
    clients = (deployment.confidential, deployment.machine)
    known = [text for client in clients for text in (client["client_id"], client["client_secret"])]
    person = ["ann", PASSWORD]
    command = ["node", f"{script}.mjs", deployment.base, *known, deployment.public["client_id"], deployment.callback, *person]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok ") >= 7, done.stdout


def test_sixteen_parallel_redemptions_through_two_workers_have_one_winner(deployment: Deployment) -> None:
    """A070; GATEWAY_RACE_ROUNDS=200 for the long run"""
    auth = (deployment.confidential["client_id"], deployment.confidential["client_secret"])
    form = {"grant_type": "authorization_code", "redirect_uri": deployment.callback, "code_verifier": VERIFIER}
    with ThreadPoolExecutor(16) as pool:
        for _ in range(ROUNDS):
            body = {**form, "code": deployment.code()}
            barrier = threading.Barrier(16)

            def redeem(_: int, body: dict[str, str] = body, barrier: threading.Barrier = barrier) -> requests.Response:
                barrier.wait()
                with requests.Session() as session:
                    session.trust_env = False
                    return session.post(f"{deployment.base}/token", body, auth=auth)

            answers = list(pool.map(redeem, range(16)))
            assert sorted(a.status_code for a in answers) == [200] + [400] * 15, [a.text for a in answers]
            token = next(a.json()["access_token"] for a in answers if a.status_code == 200)
            assert fetch(f"{deployment.base}/x", Authorization=f"Bearer {token}")[0] == 401, "the replay revokes"


def together(count: int, call: Any) -> list[requests.Response]:
    """The answers of `count` calls that start together, each on a connection of its own."""
    barrier = threading.Barrier(count)

    def one(index: int) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            barrier.wait()
            answer: requests.Response = call(session, index)
            return answer

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_sixteen_parallel_refreshes_through_two_workers_have_one_successor(deployment: Deployment) -> None:
    """A071"""
    auth = (deployment.confidential["client_id"], deployment.confidential["client_secret"])
    form = {"grant_type": "authorization_code", "redirect_uri": deployment.callback, "code_verifier": VERIFIER}
    url = f"{deployment.base}/token"
    for _ in range(max(5, ROUNDS // 3)):
        first = deployment.session.post(url, {**form, "code": deployment.code()}, auth=auth).json()
        body = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
        answers = together(16, lambda session, _, body=body: session.post(url, body, auth=auth))
        assert {a.status_code for a in answers} == {200}, [a.text for a in answers]
        assert len({a.json()["refresh_token"] for a in answers}) == 1, "one family, the same answer within the grace"


def test_tokens_that_a_race_with_a_revocation_wins_die_with_the_grant(deployment: Deployment) -> None:
    """A072, A075"""
    auth = (deployment.confidential["client_id"], deployment.confidential["client_secret"])
    form = {"grant_type": "authorization_code", "redirect_uri": deployment.callback, "code_verifier": VERIFIER}
    url = f"{deployment.base}/token"
    for _ in range(max(5, ROUNDS // 3)):
        first = deployment.session.post(url, {**form, "code": deployment.code()}, auth=auth).json()
        refresh = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
        revoke = {"token": first["refresh_token"]}

        def call(session: requests.Session, index: int, refresh: Any = refresh, revoke: Any = revoke) -> requests.Response:
            return session.post(f"{url}/revoke", revoke, auth=auth) if index % 2 else session.post(url, refresh, auth=auth)

        answers = together(8, call)
        assert {a.status_code for a in answers} <= {200, 400}, [a.text for a in answers]
        won = [a.json()["access_token"] for a in answers if a.status_code == 200 and "access_token" in a.json()]
        for token in [first["access_token"], *won]:
            for _ in range(4):  # both workers
                assert fetch(f"{deployment.base}/x", Authorization=f"Bearer {token}")[0] == 401
