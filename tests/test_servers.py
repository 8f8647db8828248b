"""Raw requests against real servers: no spelling and no broken framing reaches the app without a token.

gunicorn is what we recommend; waitress and the standard library's server parse differently and must not open a way either.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from .test_command_line import ROOT, free_port, running

APP = """
from oauth_gateway import OAuthGateway

def app(environ, start_response):
    body = ("REACHED " + repr((environ.get("SCRIPT_NAME"), environ["PATH_INFO"]))).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

app = OAuthGateway(app, routes=["GET,HEAD /public/** public", "GET /static/** public"])

if __name__ == "__main__":
    import sys
    from wsgiref.simple_server import make_server
    port = int(sys.argv[2])
    if sys.argv[1] == "waitress":
        import waitress
        waitress.serve(app, host="127.0.0.1", port=port)
    else:
        make_server("127.0.0.1", port, app).serve_forever()
"""
GUNICORN = ["gunicorn", "-c", f"{ROOT}/gunicorn.conf.py", "--workers", "1", "raw:app"]
SERVERS = {"gthread": GUNICORN, "sync": [*GUNICORN, "-k", "sync"], "waitress": [], "wsgiref": []}

TARGETS = """//admin ///admin /./admin /x/../admin /admin/. /admin/..;/admin /%2e%2e/admin /pub/%2e%2e/admin /pub/%2e%2e%2fadmin
/pub%2f..%2fadmin /admin;x=1 /;/admin /public;/../admin /admin%3bx /admin/ /ADMIN /Admin /admin%20 /admin%09 /admin. /admin%00
/%00admin /admin%0a /%61dmin /%2561dmin /%ff /%c0%ae%c0%ae/admin /caf%c3%a9 /cafe%cc%81 /%ef%bc%8fadmin /admin\\ /\\admin
/public\\..\\admin http://evil.test/admin http://evil.test //evil.test/admin admin /x/authorize /authorizeX /token/x
/.well-known/../admin /.well-known/oauth-authorization-serverX /static/../admin /static%2f..%2fadmin /staticfoo /STATIC/x
/public/../admin /public/%2e%2e/admin
/public/..%2fadmin /public/..;/admin /publicx /admin?/../public /admin?/public /public/..""".split()
TARGETS += ["/" + "a" * 4000, "/" * 3000, "/admin#/../public", "*"]


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    folder: Path = tmp_path_factory.mktemp("raw")
    (folder / "raw.py").write_text(APP)
    port, name = free_port(), request.param
    command = [*SERVERS[name], "--bind", f"127.0.0.1:{port}"] if SERVERS[name] else ["raw", name, str(port)]
    with running(command, port, folder):
        for _ in range(200):
            if b" 401 " in talk(port, b"GET /warm HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")[:20]:
                break
        yield name, port


def talk(port: int, data: bytes, seconds: float = 2) -> bytes:
    """Everything that the server says to `data`."""
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            connection.settimeout(seconds)
            connection.sendall(data)
            while more := connection.recv(65536):
                answer += more
    except OSError:
        pass  # the server hung up or went silent: it has said what it had to say
    return answer


def request(target: str, *headers: str, method: str = "GET") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def test_no_spelling_of_a_path_reaches_the_app(server: tuple[str, int]) -> None:
    """A001-A010, A013, A015, A016, F4, F17"""
    name, port = server
    for target in TARGETS:
        answer = talk(port, request(target))
        assert b"REACHED" not in answer, (name, target)
        assert re.match(rb"HTTP/1\.[01] 4\d\d ", answer) or not answer, (name, target, answer[:80])
    assert b"REACHED" in talk(port, request("/public/x")), "what is public is reached"


def test_no_header_moves_the_path_or_gives_an_identity(server: tuple[str, int]) -> None:
    """A012, A014, A017-A021, A030, F1, F2, F18"""
    name, port = server
    for headers in (
        ["SCRIPT_NAME: /public"],
        ["SCRIPT_NAME: /admin"],
        ["Script-Name: /adm"],
        ["SCRIPT-NAME: /public"],
        ["X-HTTP-Method-Override: GET"],
        ["X-Original-URL: /public/x", "X-Rewrite-URL: /public/x"],
        ["Remote-User: ann", "X-Remote-User: ann", "REMOTE_USER: ann"],
        ["Connection: authorization, x-remote-user"],
        ["Authorization: Bearer a,Bearer b"],
        ["Authorization: Bearer a", "Authorization: Basic x"],
        ["Authorization: Bearer \xe9"],
    ):
        for target in ("/public/../admin", "/admin", "/public/admin/.."):
            answer = talk(port, request(target, *headers))
            assert b"REACHED" not in answer and b" 500 " not in answer[:20], (name, target, headers, answer[:80])


@pytest.mark.parametrize(
    "host", ["evil.test", "127.0.0.1:99999", "127.0.0.1/public?", "127.0.0.1#", "127.0.0.1@evil", "a b", "localhost.evil.test"]
)
def test_a_host_that_is_not_this_machine_is_told_so(server: tuple[str, int], host: str) -> None:
    """A032, F3, F4"""
    name, port = server
    for target in ("/admin", "/public/x", "/token", "/.well-known/oauth-authorization-server"):
        answer = talk(port, f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert b"REACHED" not in answer and re.match(rb"HTTP/1\.[01] 4\d\d ", answer), (name, target, answer[:80])
        assert b"evil" not in answer.partition(b"\r\n\r\n")[0].lower(), "no link follows Host"


BROKEN = {
    "both lengths": "POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": "POST /token HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "a list of lengths": "POST /token HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4, 4\r\n\r\nabcd",
    "plus": "POST /token HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: +4\r\n\r\nabcd",
    "minus": "POST /token HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
    "bad chunk": "POST /token HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcdX\r\n0\r\n\r\n",
    "obs-fold": "GET /admin HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: a\r\n b\r\n\r\n",
    "space before colon": "GET /admin HTTP/1.1\r\nHost : 127.0.0.1\r\n\r\n",
    "NUL": "GET /admin HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: a\0b\r\n\r\n",
    "no version": "GET /admin\r\n\r\n",
    "two hosts": "GET /admin HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: 127.0.0.1\r\n\r\n",
}


@pytest.mark.parametrize("broken", BROKEN)
def test_broken_framing_is_refused_by_gunicorn_and_reaches_nothing_anywhere(server: tuple[str, int], broken: str) -> None:
    """A025"""
    name, port = server
    answer = talk(port, BROKEN[broken].encode("latin-1"), 0.7)
    assert b"REACHED" not in answer
    if name in ("gthread", "sync"):
        assert re.match(rb"HTTP/1\.[01] 4\d\d ", answer) or not answer, (name, answer[:80])


def test_a_huge_announced_body_is_refused_without_being_read(server: tuple[str, int]) -> None:
    """A027, A079, A080"""
    name, port = server
    for target in ("/token", "/admin"):
        head = f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10000000000\r\nExpect: 100-continue\r\n"
        answer = talk(port, (head + "Content-Type: application/x-www-form-urlencoded\r\n\r\n").encode(), 1)
        if name != "waitress":  # which reads bodies itself before it calls anybody, up to its own limit
            assert re.search(rb"HTTP/1\.[01] 4\d\d ", answer), (name, target, answer[:200])
        assert b"REACHED" not in answer


def test_slow_clients_do_not_keep_a_buffering_server_from_answering_others(server: tuple[str, int]) -> None:
    """A079: gunicorn's workers wait for slow headers, so it belongs behind a proxy that buffers (docs/deployment.md)"""
    name, port = server
    if name != "waitress":
        return
    slow = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(40)]
    try:
        for connection in slow:
            connection.sendall(b"POST /token HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ")
        assert b" 401 " in talk(port, request("/admin"), 5)[:20]
    finally:
        for connection in slow:
            connection.close()


def test_idle_connections_and_slow_bodies_leave_a_thread_for_others(server: tuple[str, int]) -> None:
    """A079: gthread keeps idle connections without a thread; a slow body takes one, so there must be more or a proxy"""
    name, port = server
    if name != "gthread":
        return
    slow = b"Host: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\na"
    idle = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(103)]
    try:
        for connection in idle[:100]:
            connection.sendall(b"GET /public/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert connection.recv(20).startswith(b"HTTP/1.1 200 ")  # and is kept
        for connection in idle[100:103]:
            connection.sendall(b"POST /token HTTP/1.1\r\n" + slow)  # of four threads
        answer = talk(port, request("/token", "Content-Length: 0", method="POST"), 10)
        assert re.match(rb"HTTP/1\.1 4\d\d ", answer) and b"error" in answer
    finally:
        for connection in idle:
            connection.close()
