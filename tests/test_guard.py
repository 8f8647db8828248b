"""Protected requests: paths, headers, identity, and revocation that is never stale."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from oauth_gateway import OAuthGateway
from oauth_gateway.policy import Policy, parse_rule
from oauth_gateway.testing import NOW, Clock

from .conftest import World, make_world, send

CONFUSED = """//admin ///admin /./admin /x/../admin /admin/. /admin/..;/admin /%2e%2e/admin /public/%2e%2e/admin
/public/%2e%2e%2fadmin /public%2f..%2fadmin /public;/../admin /public/../admin /admin%00 /%00admin /admin%0a /admin%09 /%ff
/%c0%ae%c0%ae/admin /admin%5c /%5cadmin /public%5c..%5cadmin /public/. /public/..;x/admin /public//x /..""".split()
PLAIN = """/admin;x=1 /;/admin /admin%3bx /admin/ /ADMIN /Admin /admin%20 /admin. /%61dmin /%2561dmin
/caf%C3%A9 /publicX /PUBLIC/x
/x/authorize /authorizeX /.well-known/x
/ /publicfoo/x /token.json""".split()


@pytest.mark.parametrize("path", CONFUSED)
def test_paths_that_are_not_canonical_are_refused_with_and_without_a_token(memory_world: World, path: str) -> None:
    """A001-A008, A013"""
    token = memory_world.machine_token()
    for sent in (None, token):
        answer = memory_world.call(sent, path)
        assert answer.status_code in (400, 401), path
    assert memory_world.app.calls == 0


@pytest.mark.parametrize("path", PLAIN)
def test_spellings_of_protected_paths_need_a_token(memory_world: World, path: str) -> None:
    """A003-A006, A009, A013"""
    assert memory_world.call(None, path).status_code == 401
    assert memory_world.app.calls == 0


@pytest.mark.parametrize("path", ["", "admin", "*", "http://evil.test/admin"])
def test_path_info_as_odd_servers_send_it(memory_world: World, path: str) -> None:
    """A008, A010, F17"""
    from wsgiref.util import setup_testing_defaults

    environ: dict[str, Any] = {"PATH_INFO": path, "REMOTE_ADDR": "127.0.0.1"}
    setup_testing_defaults(environ)
    environ["PATH_INFO"] = path
    seen: list[str] = []
    list(memory_world.gateway(environ, lambda status, headers: seen.append(status)))
    assert seen[0][:3] in ("400", "401") and memory_world.app.calls == 0


@pytest.mark.parametrize("left_out", [("SCRIPT_NAME",), ("PATH_INFO",), ("SCRIPT_NAME", "PATH_INFO"), ("QUERY_STRING",)])
def test_what_is_empty_may_be_left_out(memory_world: World, left_out: tuple[str, ...]) -> None:
    """PEP 3333, and the second time as well; whatever else is wrong is no consequence of that"""
    token, answers = memory_world.machine_token(), []
    for header, status in (("Bearer nonsense", "401"), (f"Bearer {token}", "200"), (f"Bearer {token}", "200"), (None, "401")):
        environ: dict[str, Any] = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/", "QUERY_STRING": ""}
        environ |= {"HTTP_AUTHORIZATION": header} if header else {}
        memory_world.gateway.app = memory_world.app
        for name in left_out:
            del environ[name]
        memory_world.gateway(environ | {"wsgi.url_scheme": "https"}, lambda status, *_: answers.append(status))
        assert answers.pop()[:3] == status


@pytest.mark.parametrize("header", ["Basic eDp5", "Digest x", "bearerx y", "BearerX", ""])
def test_nobody_is_asked_about_another_scheme(memory_world: World, monkeypatch: pytest.MonkeyPatch, header: str) -> None:
    def asked() -> bytes:
        raise AssertionError("the epoch")

    assert memory_world.call(memory_world.machine_token()).status_code == 200
    monkeypatch.setattr(memory_world.gateway.guard._tokens, "_epoch", asked)
    answer = send(memory_world.gateway, "GET", "/thing", headers={"Authorization": header})
    assert answer.status_code in (400, 401) and "WWW-Authenticate" in answer.headers


def test_what_goes_wrong_behind_an_unknown_path_is_told_alone(
    memory_world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No KeyError of a look-up stands before it in the log"""
    monkeypatch.setattr(memory_world.gateway.guard, "decide", lambda place: 1 / 0)
    assert memory_world.call(None, "/new").status_code == 500
    assert "ZeroDivisionError" in caplog.text and "KeyError" not in caplog.text


def test_public_paths_take_no_look_at_the_token_but_hide_it(memory_world: World) -> None:
    """Contract section 4"""
    for token in (None, "nonsense", memory_world.machine_token()):
        assert memory_world.call(token, "/public/x").text == "app"
        assert "HTTP_AUTHORIZATION" not in memory_world.app.environ
        assert memory_world.app.environ["oauth_gateway.token"] is None and "REMOTE_USER" not in memory_world.app.environ
    send(memory_world.gateway, "GET", "/public/x", headers={"Authorization": "Basic eDp5"})
    assert memory_world.app.environ["HTTP_AUTHORIZATION"] == "Basic eDp5", "other schemes are the app's own"


def test_optional_uses_a_good_token_and_refuses_a_bad_one(memory_world: World) -> None:
    assert memory_world.call(None, "/maybe").text == "app"
    assert memory_world.call(memory_world.machine_token(), "/maybe").text == "app"
    assert memory_world.app.environ["oauth_gateway.token"].client_id == memory_world.machine.client_id
    assert memory_world.call("nonsense", "/maybe").status_code == 401
    assert send(memory_world.gateway, "GET", "/maybe", headers={"Authorization": "Basic eDp5"}).status_code == 401


def test_a_scope_that_is_missing_is_named(memory_world: World) -> None:
    """R058"""
    answer = memory_world.call(memory_world.machine_token(scope="read"), "/write")
    assert answer.status_code == 403 and answer.json["error"] == "insufficient_scope"
    assert 'scope="read write"' in answer.headers["WWW-Authenticate"]
    assert memory_world.call(memory_world.machine_token(), "/write").status_code == 200


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        (None, 401, None),
        ("Basic eDp5", 401, None),
        ("Digest x", 401, None),
        ("Bearer nonsense", 401, "invalid_token"),
        ("Bearer", 400, "invalid_request"),
        ("Bearer ", 400, "invalid_request"),
        ("BearerX t", 400, "invalid_request"),
        ("Bearer a b", 400, "invalid_request"),
        ("Bearer a,b", 400, "invalid_request"),
        ("Bearer a,Bearer b", 400, "invalid_request"),
        ("Bearer a=b", 400, "invalid_request"),
        ('Bearer a"b', 400, "invalid_request"),
        ("Bearer \xe9", 400, "invalid_request"),
    ],
)
def test_what_a_refused_caller_gets(memory_world: World, header: str | None, status: int, code: str | None) -> None:
    """R052, R056, R057, R059, R060, R062, A022"""
    answer = send(memory_world.gateway, "GET", "/thing", headers={"Authorization": header} if header else {})
    challenge = answer.headers["WWW-Authenticate"]
    assert answer.status_code == status and challenge.startswith('Bearer realm="https://api.example.com"')
    assert (f'error="{code}"' in challenge) if code else ("error" not in challenge)
    assert 'resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"' in challenge  # R171
    assert answer.headers["Cache-Control"] == "no-store" and memory_world.app.calls == 0


@pytest.mark.parametrize("spelling", ["Bearer {}", "bearer {}", "BEARER {}", "Bearer  {}", "Bearer\t{}"])
def test_the_scheme_is_case_insensitive(memory_world: World, spelling: str) -> None:
    """R051"""
    header = {"Authorization": spelling.format(memory_world.machine_token())}
    assert send(memory_world.gateway, "GET", "/thing", headers=header).status_code == 200


def test_a_flipped_character_is_another_token(memory_world: World) -> None:
    """R048"""
    token = memory_world.machine_token()
    for index in range(len(token)):
        changed = token[:index] + ("A" if token[index] != "A" else "B") + token[index + 1 :]
        assert memory_world.call(changed).status_code == 401


def test_a_token_elsewhere_is_not_a_token(memory_world: World) -> None:
    """R053-R055, A024"""
    world, token = memory_world, memory_world.machine_token()
    for query in (f"access_token={token}", f"access%5Ftoken={token}", f"x=1&access_token={token}", "access_token"):
        assert world.call(None, f"/thing?{query}").status_code == 400
        assert world.call(token, f"/thing?{query}").status_code == 400
        assert world.call(None, f"/public/x?{query}").status_code == 200
    assert world.call(token, "/thing?q=%61access_tokens").status_code == 200
    assert send(world.gateway, "POST", "/thing", {"access_token": token}).status_code == 401
    for header in ({"X-Access-Token": token}, {"Proxy-Authorization": f"Bearer {token}"}, {"Cookie": f"access_token={token}"}):
        assert send(world.gateway, "GET", "/thing", headers=header).status_code == 401


SPOOFED = """Remote-User X-Remote-User X-Forwarded-User X-Forwarded-Email X-Auth-Request-User X-Auth-Request-Email
X-Auth-Request-Groups X-Auth-Request-Preferred-Username X-Auth-Request-Access-Token X-Auth-Subject X-Auth-Username
X-Auth-Client-Id X-Auth-Scope X-Forwarded-Client-Cert X-SSL-Client-Cert X-Client-DN SSL-Client-Verify""".split()


@pytest.mark.parametrize(("path", "method"), [("/public/x", "GET"), ("/thing", "GET"), ("/public/x", "OPTIONS")])
def test_identity_from_outside_is_dropped_everywhere(memory_world: World, path: str, method: str) -> None:
    """A017-A020, I2"""
    headers = dict.fromkeys(SPOOFED, "admin") | {"Authorization": f"Bearer {memory_world.machine_token()}"}
    environ = {"REMOTE_USER": "admin", "AUTH_TYPE": "Basic", "oauth_gateway.token": "admin"}
    assert send(memory_world.gateway, method, path, headers=headers, environ=environ).status_code == 200
    assert "admin" not in [value for value in memory_world.app.environ.values() if isinstance(value, str)]


def test_our_cookies_are_not_the_apps(memory_world: World) -> None:
    browser = memory_world.browser()
    memory_world.log_in(browser)
    browser.cookies["theirs"] = "1"
    browser.open("/public/x")
    assert memory_world.app.environ["HTTP_COOKIE"] == "theirs=1"
    del browser.cookies["theirs"]
    browser.open("/public/x")
    assert "HTTP_COOKIE" not in memory_world.app.environ


def test_a_preflight_passes_without_credentials_and_any_other_options_follows_the_rules(memory_world: World) -> None:
    """R062, contract section 4"""
    preflight = {
        "Origin": "https://x.test",
        "Access-Control-Request-Method": "GET",
        "Cookie": "a=b",
        "Authorization": "Bearer x",
    }
    assert send(memory_world.gateway, "OPTIONS", "/thing", headers=preflight).text == "app"
    assert not {"HTTP_AUTHORIZATION", "HTTP_COOKIE"} & set(memory_world.app.environ)
    assert send(memory_world.gateway, "OPTIONS", "/thing", headers={"Origin": "https://x.test"}).status_code == 401
    assert send(memory_world.gateway, "OPTIONS", "/thing", "a=b", headers=preflight).status_code == 401


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
def test_a_method_that_a_header_names_must_be_allowed_too(clock: Clock, name: str) -> None:
    """A014"""
    world = make_world("sqlite://", clock, routes=["GET /x public", "DELETE /x scope=write"])
    assert send(world.gateway, "GET", "/x").status_code == 200
    assert send(world.gateway, "GET", "/x", headers={name: "DELETE"}).status_code == 401
    assert send(world.gateway, "GET", "/x", headers={name: "delete"}).status_code == 401
    assert send(world.gateway, "HEAD", "/x").status_code == 401
    assert send(world.gateway, "get", "/x").status_code == 401


def test_wildcards_match_what_they_say_and_in_linear_time() -> None:
    """A015, A082"""
    import time as real

    policy = Policy([parse_rule(f"GET {p} public") for p in ("/f/*-*-*.pdf", "/s/*.*.js", "/d/**/a/**/b", "/x/*", "/y/**")])
    for path in (
        "/f/a-b-c.pdf",
        "/f/--.pdf",
        "/s/a.b.js",
        "/d/a/b",
        "/d/1/2/a/3/b",
        "/d/a/a/b/b",
        "/x/",
        "/x/1",
        "/y",
        "/y/1/2",
    ):
        assert policy.decide("GET", path).kind == "public", path
    for path in ("/f/a-b.pdf", "/s/a.js", "/d/ab", "/d/a", "/d/xa/b", "/x", "/x/1/2", "/yy"):
        assert policy.decide("GET", path).kind == "token" or path == "/x", path
    start = real.process_time()
    for path in ("/f/" + "-" * 8000, "/s/" + "." * 8000, "/d" + "/a" * 4000):
        policy.decide("GET", path)
    assert real.process_time() - start < 0.5


def test_rules_of_every_spelling_must_allow() -> None:
    policy = Policy([parse_rule(r) for r in ("GET /a/** public", "* /a/Secret scope=s", "* /b/ scope=s", "* /** public")])
    assert policy.decide("GET", "/a/x").kind == "public"
    assert policy.decide("POST", "/a/secret").scopes == {"s"}
    for path in ("/b", "/b/", "/B", "/b;x", "/b;x/"):
        assert policy.decide("GET", path).kind == "token", path
    assert policy.decide("GET", "/c").kind == "public"


@pytest.mark.parametrize("rule", ["GET", "GET /x", "get /x public", "GET x public", "GET /x/../y public", "GET /x* /y public"])
def test_bad_rules_say_what_is_allowed(rule: str) -> None:
    with pytest.raises(ValueError, match="route"):
        parse_rule(rule)


def test_a_page_for_browsers_and_json_for_programs(memory_world: World) -> None:
    """Contract 9.9"""
    page = memory_world.call(None, "/thing", Accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert page.status_code == 401 and page.headers["Content-Type"].startswith("text/html") and page.headers["Vary"] == "Accept"
    assert "WWW-Authenticate" in page.headers
    for accept in ("*/*", "application/json", "text/html;q=0.5,application/json"):
        assert memory_world.call(None, "/thing", Accept=accept).headers["Content-Type"] == "application/json"
    assert memory_world.call(None, "/thing", "POST", Accept="text/html").headers["Content-Type"] == "application/json"


def test_tokens_expire_and_are_for_this_audience_only(world: World, clock: Clock, tmp_path: Path) -> None:
    """R057, R236"""
    token = world.machine_token()
    assert world.call(token).status_code == 200
    clock.advance(3600)
    assert world.call(token).status_code == 401
    token = world.machine_token()
    if world.gateway.settings.database != "sqlite://":
        known = world.gateway.settings
        other = OAuthGateway(
            world.app,
            issuer=world.base,
            database=known.database,
            secret=list(known.secret) or None,
            resource="https://other.example.com",
        )
        assert send(other, "GET", "/thing", headers={"Authorization": f"Bearer {token}"}).status_code == 401
        other.store.close()


def test_without_an_issuer_only_this_machine_is_served(clock: Clock) -> None:
    """A032, contract section 3"""
    world = make_world("sqlite://", clock, issuer=None, base="http://127.0.0.1:8000")
    good = {"base": "http://localhost:8000"}
    assert send(world.gateway, "GET", "/public/x", **good).status_code == 200  # type: ignore[arg-type]
    for headers in (
        {"Host": "evil.test"},
        {"Host": "127.0.0.1.evil.test"},
        {"Host": "localhost:80@x"},
        {"Host": "localhost:99999"},
        {"Host": "127.0.0.1/public?"},
        {"X-Forwarded-For": "1.2.3.4"},
        {"Forwarded": "for=1.2.3.4"},
        {"Via": "1.1 x"},
    ):
        for path in ("/public/x", "/token", "/authorize", "/.well-known/oauth-authorization-server"):
            assert send(world.gateway, "GET", path, headers=headers, **good).status_code == 421  # type: ignore[arg-type]
    outside = send(world.gateway, "GET", "/public/x", environ={"REMOTE_ADDR": "10.0.0.9"}, **good)  # type: ignore[arg-type]
    assert outside.status_code == 421 and "issuer" in outside.json["error_description"]


@pytest.mark.parametrize("mount", ["/public", "/api", "/adm"])
def test_a_script_name_that_is_not_the_issuers_path_is_refused(memory_world: World, mount: str) -> None:
    """A012, F1"""
    for path in ("/admin", "/public/x", "/token"):
        assert send(memory_world.gateway, "GET", path, environ={"SCRIPT_NAME": mount}).status_code == 400


def test_host_reaches_neither_metadata_nor_challenges(memory_world: World) -> None:
    """A032, A034, F4, R098, R171"""
    path = "/.well-known/oauth-authorization-server"
    usual = send(memory_world.gateway, "GET", path).body
    for host in ("evil.test", "a.test/public?", "a.test#", "x@y", "a.test:99999"):
        headers = {"Host": host, "X-Forwarded-Host": host, "X-Forwarded-Proto": "http"}
        assert send(memory_world.gateway, "GET", path, headers=headers).body == usual
        refused = send(memory_world.gateway, "GET", "/thing", headers=headers)
        assert refused.status_code == 401 and "evil" not in refused.headers["WWW-Authenticate"]


def test_metadata_names_what_exists_and_both_forms_of_its_place(clock: Clock) -> None:
    """R096-R103, R105, R169, R170, R172"""
    world = make_world("sqlite://", clock, base="https://h.test/t1", prefix="/oauth")
    for path in ("/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/t1"):
        answer = send(world.gateway, "GET", path)
        document = answer.json
        assert document["issuer"] == "https://h.test/t1" and answer.headers["Access-Control-Allow-Origin"] == "*"
        assert send(world.gateway, "POST", path, "").status_code == 405
        assert send(world.gateway, "HEAD", path).status_code == 200
    assert document["authorization_endpoint"] == "https://h.test/t1/oauth/authorize"
    assert document["code_challenge_methods_supported"] == ["S256"] and document["response_types_supported"] == ["code"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert document["grant_types_supported"] == ["authorization_code", "refresh_token", "client_credentials"]
    assert all(value not in ([], None) for value in document.values())
    for name, url in document.items():
        if name.endswith("_endpoint"):
            assert send(world.gateway, "POST", url.removeprefix("https://h.test/t1"), "").status_code in (400, 401, 303)
    resource = send(world.gateway, "GET", "/.well-known/oauth-protected-resource/t1").json
    assert resource["resource"] == "https://h.test/t1" and resource["authorization_servers"] == ["https://h.test/t1"]
    assert send(world.gateway, "GET", "/.well-known/oauth-protected-resource/x").status_code == 404


def test_unknown_paths_below_ours_never_reach_the_app(memory_world: World) -> None:
    """A009, contract section 2"""
    for path in ("/authorize/", "/authorize/x", "/token/", "/token/device", "/.well-known/jwks.json/x"):
        assert memory_world.call(memory_world.machine_token(), path).status_code == 404
    assert memory_world.app.calls == 0


def test_an_app_of_none_is_a_server_alone(clock: Clock) -> None:
    gateway = OAuthGateway(None, issuer="https://a.test", database="sqlite://", routes="* /** public")
    assert send(gateway, "GET", "/x").status_code == 404
    assert send(gateway, "GET", "/.well-known/oauth-authorization-server").status_code == 200


def test_an_exception_in_the_gateway_never_lets_a_request_through(memory_world: World, monkeypatch: Any) -> None:
    """I3"""

    def broken(*args: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(memory_world.gateway.guard, "_token", broken)
    assert memory_world.call("x").status_code == 500 and memory_world.app.calls == 0


def test_a_store_that_is_gone_means_503_but_public_paths_and_garbage_go_on(clock: Clock, tmp_path: Path) -> None:
    """A096, contract section 5"""
    world = make_world(f"sqlite:///{tmp_path / 'x.db'}", clock)
    token = world.machine_token()
    assert world.call(token).status_code == 200
    for file in tmp_path.iterdir():
        file.rename(tmp_path.parent / f"gone-{file.name}")
    clock.advance(2)
    answer = world.call(token)
    assert answer.status_code == 503 and answer.headers["Retry-After"]
    assert world.call("garbage").status_code == 401
    assert world.call(None, "/public/x").status_code == 200


def test_a_locked_database_stops_writes_with_503_and_no_reads(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A095, R085"""
    import sqlite3

    monkeypatch.setattr("oauth_gateway.store.sqlite.BUSY_SECONDS", 0.2)
    world = make_world(f"sqlite:///{tmp_path / 'x.db'}", clock)
    cached, fresh = world.machine_token(), world.machine_token()
    assert world.call(cached).status_code == 200
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for answer in (world.token({"grant_type": "client_credentials"}, world.machine), world.revoke(cached, world.machine)):
        assert answer.status_code == 503 and answer.headers["Retry-After"]
    assert world.call(cached).status_code == 200 and world.call(fresh).status_code == 200
    other.execute("ROLLBACK")
    other.close()
    assert world.revoke(cached, world.machine).status_code == 200 and world.call(cached).status_code == 401


def test_a_stream_and_a_large_upload_pass_untouched(clock: Clock) -> None:
    """Contract section 5: the body and the iterable are the app's own"""

    class Stream:
        closed = False

        def __iter__(self) -> Any:
            return iter([b"a", b"b"])

        def close(self) -> None:
            self.closed = True

    stream, body = Stream(), io.BytesIO(b"x" * 10)

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        assert environ["wsgi.input"] is body and body.tell() == 0
        assert start_response is given
        start_response("200 OK", [])
        return stream

    gateway = OAuthGateway(app, issuer="https://a.test", database="sqlite://", routes="* /** public")

    def given(status: str, headers: list[tuple[str, str]]) -> None:
        assert status == "200 OK"

    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/up", "wsgi.input": body, "CONTENT_LENGTH": "10"}
    assert gateway(environ, given) is stream


def test_identity_headers_are_encoded(clock: Clock) -> None:
    """A020"""
    world = make_world("sqlite://", clock, identity_headers=True)
    world.gateway.server.users.create("Zoë", "a long password", NOW)
    browser = world.browser()
    world.log_in(browser, "zoë", "a long password")
    tokens = world.redeem(world.code(browser=browser)).json
    world.call(tokens["access_token"])
    seen = world.app.environ
    assert seen["HTTP_X_AUTH_USERNAME"] == "Zo%C3%AB" and seen["HTTP_X_AUTH_SCOPE"] == "read"
    assert seen["REMOTE_USER"].encode("latin-1").decode() == "Zoë" == seen["oauth_gateway.token"].username


def test_no_reader_accepts_a_token_after_its_revocation_was_answered(tmp_path: Path) -> None:
    """A075, R084: the four rules under threads; benchmarks/stale.py does it longer and with processes"""
    with pytest.MonkeyPatch.context():
        import time as real

        world = make_world(f"sqlite:///{tmp_path / 'x.db'}", lambda: real.time())  # type: ignore[arg-type]
    stop, stale = threading.Event(), []
    current: list[tuple[str, threading.Event]] = [(world.machine_token(), threading.Event())]

    def read() -> None:
        while not stop.is_set():
            token, revoked = current[0]
            ended_before = revoked.is_set()
            if world.call(token).status_code == 200 and ended_before:
                stale.append(token)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    end = time.monotonic() + 3
    while time.monotonic() < end:
        token, revoked = current[0]
        assert world.revoke(token, world.machine).status_code == 200
        revoked.set()
        current[0] = (world.machine_token(), threading.Event())
    stop.set()
    for reader in readers:
        reader.join()
    assert not stale


@pytest.mark.parametrize("mount", ["", "/t1"])
def test_a_gateway_below_a_path_answers_with_the_issuer_s_urls(clock: Clock, mount: str) -> None:
    """A011: SCRIPT_NAME is the issuer's path, or a front server has cut it off"""
    world = make_world("sqlite://", clock, base="https://h.test/t1")
    mounted = {"SCRIPT_NAME": mount}

    def get(path: str, **headers: str) -> Any:
        return send(world.gateway, "GET", path, base="https://h.test", environ=mounted, headers=headers)

    assert get("/.well-known/oauth-authorization-server").json["token_endpoint"] == "https://h.test/t1/token"
    page = get(world.authorize_url())
    assert page.status_code == 200 and 'action="https://h.test/t1/authorize/login"' in page.text
    refused = get("/thing").headers["WWW-Authenticate"]
    assert 'resource_metadata="https://h.test/.well-known/oauth-protected-resource/t1"' in refused
    assert get("/thing", Authorization=f"Bearer {world.machine_token()}").text == "app"
    assert send(world.gateway, "GET", "/thing", environ={"SCRIPT_NAME": "/t2"}).status_code == 400


def test_two_gateways_in_one_process_keep_apart(clock: Clock) -> None:
    """A045"""
    one, two = make_world("sqlite://", clock), make_world("sqlite://", clock, base="https://other.example.com")
    token = one.machine_token()
    assert one.call(token).status_code == 200 and two.call(token).status_code == 401
    browser, other = one.browser(), two.browser()
    one.log_in(browser)
    two.log_in(other)
    assert set(browser.cookies).isdisjoint(other.cookies)
    other.cookies = {name: next(iter(browser.cookies.values())) for name in other.cookies}
    assert "Password" in other.open("/authorize/login").text
    assert two.redeem(one.code()).status_code in (400, 401)


def test_paths_that_are_decided_alike_share_their_decision(memory_world: World) -> None:
    """A thousand paths take the memory of their names; what differs is not shared"""
    world = memory_world
    token = world.machine_token()
    for number in range(50):
        assert world.call(token, f"/things/{number}").status_code == 200
    world.call(token, "/things/0", method="POST")
    known = world.gateway.guard.known
    things = [decision for (method, _, path), decision in known.items() if path.startswith("/things/") and method == "GET"]
    assert len(things) == 50 and len({id(decision) for decision in things}) == 1
    assert known["POST", "", "/things/0"] is not things[0] and not known["POST", "", "/things/0"].safe and things[0].safe
