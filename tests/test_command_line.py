"""The command line, gunicorn, PasteDeploy, the examples and the demo, each as a user runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from oauth_gateway.cli import main

ROOT = Path(__file__).parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def fetch(url: str, data: bytes | None = None, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(url, data, {k.replace("_", "-"): v for k, v in headers.items()})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@contextmanager
def running(command: list[str], port: int, folder: Path, **environ: str) -> Iterator[subprocess.Popen[str]]:
    log = folder / f"server-{port}.log"
    with log.open("w") as output:  # a pipe that nobody reads would fill up and stop the server
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        assert "oga1_" not in log.read_text(), "a token is in the server's log"


@pytest.fixture
def config(tmp_path: Path) -> list[str]:
    file = tmp_path / "oauth_gateway.toml"
    file.write_text('[oauth_gateway]\ndatabase = "sqlite:///x.db"\n[oauth_gateway.scopes]\nread = "Read"\nwrite = "Write"\n')
    return ["--config", str(file)]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_clients_from_creation_to_deletion(config: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    made = run(capsys, "client", "create", "--client-name", "A", "--redirect-uri", "https://a.test/cb", *config)
    assert made["client_secret"] and made["grant_types"] == ["authorization_code", "refresh_token"]
    assert made["scope"] == "read write openid profile email address phone offline_access"
    assert made["token_endpoint_auth_method"] == "client_secret_basic"
    assert [c["client_id"] for c in run(capsys, "client", "list", *config)] == [made["client_id"]]
    shown = run(capsys, "client", "show", made["client_id"], *config)
    assert "client_secret" not in shown and shown["client_name"] == "A"
    assert run(capsys, "client", "rotate-secret", made["client_id"], *config)["client_secret"] != made["client_secret"]
    assert run(capsys, "client", "update", made["client_id"], "--scope", "read", *config)["scope"] == "read"
    assert run(capsys, "client", "disable", made["client_id"], *config)["disabled"] is True
    assert run(capsys, "client", "enable", made["client_id"], *config)["disabled"] is False
    assert run(capsys, "client", "delete", made["client_id"], *config)["deleted"] is True
    assert run(capsys, "client", "list", *config) == []
    assert main(["client", "list", *config]) == 0 and "CLIENT_ID" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["client", "create", "--redirect-uri", "http://x.test/"], "use https"),
        (["client", "create", "--grant-type", "password"], "password is switched off"),
        (["client", "create", "--token-endpoint-auth-method", "none"], "public client cannot have client_credentials"),
        (
            ["client", "create", "--scope", "admin"],
            "not one of openid, profile, email, address, phone, offline_access, read, write",
        ),
        (["client", "show", "nobody"], "no such client"),
        (["user", "disable", "nobody"], "no such account"),
        (["token", "issue", "--client", "nobody"], "no such client"),
        (["token", "revoke", "--id", "zz"], "is not an id"),
        (["token", "revoke", "--id", "12"], "no such token"),
    ],
)
def test_a_mistake_is_one_line(config: list[str], capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    main(["client", "create", *config])
    capsys.readouterr()
    assert main([*arguments, *config]) == 1
    captured = capsys.readouterr()
    assert says in captured.err and captured.err.count("\n") == 1 and captured.out == ""


def test_people_and_tokens(config: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    def pipe(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))

    pipe("a good password\n")
    assert run(capsys, "user", "create", "Ann", "--password-stdin", *config)["username"] == "Ann"
    pipe("short\n")
    assert main(["user", "create", "Bob", "--password-stdin", *config]) == 1
    assert "at least 8" in capsys.readouterr().err
    pipe("another password\n")
    run(capsys, "user", "set-password", "ann", "--password-stdin", *config)
    client = run(capsys, "client", "create", *config)["client_id"]
    token = run(capsys, "token", "issue", "--client", client, "--user", "ann", "--scope", "read", *config)["access_token"]
    pipe(token)
    seen = run(capsys, "token", "inspect", *config)
    assert seen["active"] and seen["username"] == "Ann" and seen["scope"] == "read"
    (listed,) = run(capsys, "token", "list", "--user", "Ann", *config)
    assert listed["id"] == seen["id"]
    run(capsys, "token", "revoke", "--id", listed["id"], *config)
    pipe(token)
    assert run(capsys, "token", "inspect", *config)["active"] is False
    pipe("nonsense")
    assert run(capsys, "token", "inspect", *config) == {"active": False}
    assert run(capsys, "user", "disable", "ann", *config)["disabled"] is True
    assert run(capsys, "user", "enable", "ann", *config)["disabled"] is False
    assert run(capsys, "user", "delete", "ann", *config)["deleted"] is True
    assert run(capsys, "user", "list", *config) == []
    assert "removed" in run(capsys, "purge", *config)
    assert run(capsys, "migrate", *config)["schema"] == "up to date"


def test_check_and_routes_test(tmp_path: Path, config: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["client", "list", *config]) == 1 and "there is none at" in capsys.readouterr().err
    before = run(capsys, "check", *config)
    assert "not there yet" in str(before) and not (tmp_path / "x.db").exists(), "check makes nothing"
    assert main(["migrate", *config]) == 1 and "there is none at" in capsys.readouterr().err
    run(capsys, "client", "create", *config)
    findings = run(capsys, "check", *config)
    assert {f["level"] for f in findings} == {"ok", "warning"} and any(f["subject"] == "issuer" for f in findings)
    os.chmod(tmp_path / "x.db", 0o644)
    assert main(["check", *config]) == 1 and "chmod 600" in capsys.readouterr().out
    Path(config[1]).write_text('[oauth_gateway]\ndatabase = "sqlite:///x.db"\nroutes = "GET /a public\\n* /** public"\n')
    os.chmod(tmp_path / "x.db", 0o600)
    assert main(["check", *config]) == 0 and "every path public" in capsys.readouterr().out
    assert run(capsys, "routes", "test", "GET", "/a", *config)["decision"] == "public"
    assert "not canonical" in run(capsys, "routes", "test", "GET", "/a/../b", *config)["reason"]


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "oauth_gateway.cli", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_serve_says_in_one_line_what_is_wrong(tmp_path: Path) -> None:
    """Contract 9.16"""
    (tmp_path / "broken.py").write_text("raise RuntimeError('no')\n")
    (tmp_path / "odd.py").write_text("app = 7\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        cases = {
            ("nothing:app",): "no module 'nothing'",
            ("json:app",): "has no 'app'",
            ("json",): "MODULE:APP",
            ("broken:app",): "RuntimeError: no",
            ("odd:app",): "not a WSGI app",
            ("odd:app", "--bind", f"127.0.0.1:{taken.getsockname()[1]}"): "in use",
            ("odd:app", "--bind", "nonsense"): "HOST:PORT",
            (): "MODULE:APP",
            ("odd:app", "--database", "sqlite:////does/not/exist/x.db"): "not a WSGI app",
            ("--no-app", "--database", "sqlite:////does/not/exist/x.db"): "create it first",
            ("--no-app", "--config", "missing.toml"): "cannot be read",
        }
        for arguments, says in cases.items():
            bind = () if "--bind" in arguments else ("--bind", f"127.0.0.1:{free_port()}")
            done = command(tmp_path, "serve", *arguments, *bind)
            assert done.returncode == 1 and says in done.stderr and done.stderr.count("\n") == 1, (arguments, done.stderr)
    assert command(tmp_path, "nonsense").returncode == 2


def test_the_demo_s_own_words_work(tmp_path: Path) -> None:
    """R001: the printed commands are pasted into a shell"""
    port = free_port()
    with running(["oauth_gateway.cli", "demo", "--bind", f"127.0.0.1:{port}"], port, tmp_path):
        printed = (tmp_path / f"server-{port}.log").read_text()
        shell = "\n".join(
            line.strip() for line in printed.splitlines() if line.startswith("  curl") or line.startswith("  TOKEN")
        )
        done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=30)
        assert "401 Unauthorized" in done.stdout and "200 OK" in done.stdout and "The gateway let you in" in done.stdout
        assert "user name  demo" in printed


EXAMPLES = {
    "smallest": ["-c", f"{ROOT}/gunicorn.conf.py", "examples.smallest:app"],
    "flask": ["-c", f"{ROOT}/gunicorn.conf.py", "examples.flask_app:app"],
    "flask preloaded": ["-c", f"{ROOT}/gunicorn.conf.py", "--preload", "examples.flask_app:app"],
    "django sync": ["-c", f"{ROOT}/gunicorn.conf.py", "-k", "sync", "examples.django_app:app"],
    "pyramid": ["--paste", "pyramid.ini", "-c", f"{ROOT}/gunicorn.conf.py"],
    "flask gevent": ["-c", f"{ROOT}/gunicorn.conf.py", "-k", "gevent", "examples.flask_app:app"],
    "flask gevent preloaded": ["-c", f"{ROOT}/gunicorn.conf.py", "-k", "gevent", "--preload", "examples.flask_app:app"],
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_under_gunicorn(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    (tmp_path / "pyramid.ini").write_text((ROOT / "examples/pyramid.ini").read_text())  # its database lies beside it
    with running(["gunicorn", *EXAMPLES[name], "--bind", f"127.0.0.1:{port}"], port, tmp_path):
        deadline = time.monotonic() + 20
        while fetch(f"{base}/me")[0] != 401:
            assert time.monotonic() < deadline, "the worker did not come up"
            time.sleep(0.1)
        database = ["--database", f"sqlite:///{tmp_path}/oauth_gateway.db"]
        client = run(capsys, "client", "create", "--scope", "read", *database)
        from .conftest import basic

        header = basic(client["client_id"], client["client_secret"])
        status, text = fetch(f"{base}/token", b"grant_type=client_credentials", Authorization=header)
        assert status == 200, text
        token = json.loads(text)["access_token"]
        for _ in range(8):  # every worker
            assert fetch(f"{base}/me", Authorization=f"Bearer {token}")[0] == 200
        assert fetch(f"{base}/token/revoke", f"token={token}".encode(), Authorization=header)[0] == 200
        for _ in range(8):
            assert fetch(f"{base}/me", Authorization=f"Bearer {token}")[0] == 401
        assert fetch(f"{base}/public/../me")[0] == 400 and fetch(f"{base}/me", SCRIPT_NAME="/me")[0] == 401  # F1


def test_streams_and_uploads_pass_without_being_held_in_memory(tmp_path: Path) -> None:
    """Issue: the body and the response are never buffered; and A026, A027: a refused body does not upset the connection"""
    (tmp_path / "big.py").write_text(
        "from oauth_gateway import OAuthGateway\n"
        "def app(environ, start_response):\n"
        "    size = 0\n"
        "    while chunk := environ['wsgi.input'].read(65536):\n"
        "        size += len(chunk)\n"
        "    start_response('200 OK', [('X-Size', str(size))])\n"
        "    return (b'y' * 65536 for _ in range(3200))\n"
        "app = OAuthGateway(app, routes='* /up public')\n"
    )
    port, megabytes = free_port(), 200
    config = ["-c", f"{ROOT}/gunicorn.conf.py", "--workers", "1", "--bind", f"127.0.0.1:{port}"]
    with running(["gunicorn", *config, "big:app"], port, tmp_path) as process:
        while fetch(f"http://127.0.0.1:{port}/x")[0] != 401:
            time.sleep(0.1)
        worker = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]

        def peak() -> int:
            return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{worker}/status").read_text())[1]) // 1024  # type: ignore[index]

        before = peak()
        with socket.create_connection(("127.0.0.1", port), 30) as connection:
            length = megabytes * 1024 * 1024
            connection.sendall(f"POST /up HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: {length}\r\n\r\n".encode())
            for _ in range(megabytes):
                connection.sendall(b"x" * 1024 * 1024)
            connection.shutdown(socket.SHUT_WR)
            received = head = b""
            count = 0
            while received := connection.recv(1 << 20):
                head = head or received
                count += len(received)
        assert f"X-Size: {length}".encode() in head and count > 200 * 1024 * 1024
        assert peak() - before < 30, f"{peak() - before} MiB more"
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            refused = f"POST /x HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: 60\r\n\r\n"
            body = "GET /up HTTP/1.1\r\nHost: localhost\r\n\r\n".ljust(60, "x")
            connection.sendall((refused + body).encode())
            connection.settimeout(3)
            answer = b""
            try:
                while more := connection.recv(65536):
                    answer += more
            except TimeoutError:
                pass
        assert answer.startswith(b"HTTP/1.1 401") and answer.count(b"HTTP/1.1") == 1, "the body was not taken for a request"


def test_the_server_alone_from_an_ini(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "standalone.ini").write_text((ROOT / "examples/standalone.ini").read_text())
    with running(["gunicorn", "--paste", "standalone.ini", "--bind", f"127.0.0.1:{port}"], port, tmp_path):
        status, text = fetch(f"http://127.0.0.1:{port}/.well-known/oauth-authorization-server")
        assert status == 200 and json.loads(text)["issuer"] == f"http://127.0.0.1:{port}"
        assert fetch(f"http://127.0.0.1:{port}/x")[0] == 404


def test_serve_runs_an_app_and_one_that_is_a_gateway_already(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def plain(environ, start_response):\n    start_response('200 OK', [])\n    return [b'ok']\n"
        "def make():\n    from oauth_gateway import OAuthGateway\n    return OAuthGateway(plain, routes='* /** public')\n"
    )
    for target, status in (("mine:plain", 401), ("mine:make()", 200)):
        port = free_port()
        with running(["oauth_gateway.cli", "serve", target, "--bind", f"127.0.0.1:{port}"], port, tmp_path):
            time.sleep(1.5)
            assert fetch(f"http://127.0.0.1:{port}/x")[0] == status


def test_the_readme_names_every_feature() -> None:
    from oauth_gateway.values import FEATURES

    readme = (ROOT / "README.md").read_text()
    for feature in FEATURES:
        assert re.search(rf"^\| `{feature}` \|", readme, re.MULTILINE), feature


def test_every_command_reads_a_paste_file_and_an_app_s_own_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ini = tmp_path / "app.ini"
    ini.write_text((ROOT / "examples/pyramid.ini").read_text())
    client = run(capsys, "client", "create", "--scope", "read", "--config", str(ini))
    assert client["scope"] == "read" and (tmp_path / "oauth_gateway.db").exists(), "beside the file that names it"
    assert run(capsys, "routes", "test", "GET", "/me", "--config", str(ini))["scopes"] == ["read"]
    assert str(ini) in str(run(capsys, "check", "--config", str(ini)))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrapped_for_a_test.py").write_text(
        "from flask import Flask\nfrom oauth_gateway import OAuthGateway\napp = Flask('x')\n"
        "app.wsgi_app = OAuthGateway(app.wsgi_app, database='sqlite:///mine.db', scopes=['a', 'b'], routes='* /x scope=a')\n"
    )
    target = ["--app", "wrapped_for_a_test:app"]
    assert run(capsys, "client", "create", *target)["scope"] == "a b" and (tmp_path / "mine.db").exists()
    assert len(run(capsys, "client", "list", *target)) == 1
    assert run(capsys, "routes", "test", "GET", "/x", *target)["scopes"] == ["a"]
    assert run(capsys, "routes", "test", "GET", "/token", *target)["decision"] == "gateway"
    (tmp_path / "bad.ini").write_text("[app:main]\nuse = egg:other\n")
    assert main(["client", "list", "--config", "bad.ini"]) == 1 and "egg:oauth-gateway" in capsys.readouterr().err
    assert main(["client", "list", "--app", "examples.pyramid_app:files"]) == 1 and "WSGI app" in capsys.readouterr().err
    assert main(["client", "list", "--app", "wsgiref.simple_server:demo_app"]) == 1
    assert "not behind an OAuthGateway" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "level", "says"),
    [
        ('scopes = ["read"]\nroutes = "GET /x scope=nope"', "error", "no token can ever have it"),
        ('routes = "GETT /x public"', "warning", "typing mistake"),
        ('features = "refresh_token"', "error", "issues tokens"),
        ('features = "client_credentials refresh_token"', "warning", "no effect"),
        ('routes = "* /** public"', "warning", "makes every path public"),
        ('issuer = "https://a.test/api"', "warning", "has a path"),
        ('templates = "pages"', "error", "no field named password"),
        ('templates = "pages"', "warning", "replaces no page"),
        ('templates = "pages"', "error", "consent.html"),
    ],
)
def test_check_finds_what_cannot_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, level: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/login.html").write_text('<input name="csrf"><input name="username">')
    (tmp_path / "pages/consent.html").write_text("{% if %}")
    (tmp_path / "pages/logn.html").write_text("x")
    (tmp_path / "oauth_gateway.toml").write_text(f"[oauth_gateway]\n{text}\n")
    main(["check", "--json"])
    findings = json.loads(capsys.readouterr().out)
    assert any(finding["level"] == level and says in finding["message"] for finding in findings), findings


def test_a_token_is_never_taken_from_the_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = ["--database", f"sqlite:///{tmp_path}/x.db"]
    run(capsys, "client", "create", *database)
    for verb in ("inspect", "revoke"):
        assert main(["token", verb, "oga1_at_x", *database]) == 1
        told = capsys.readouterr().err
        assert "standard input" in told and "oga1" not in told
