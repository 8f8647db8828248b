"""People whom the server or the application vouches for: read anew at each request, never a loop, never somebody else."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from oauth_gateway import ConfigurationError, OAuthGateway
from oauth_gateway.cli import main
from oauth_gateway.settings import gate
from oauth_gateway.testing import Clock
from oauth_gateway.users import normalise

from .conftest import CALLBACK, VERIFIER, Browser, World, hidden, make_world, query_of, send


class Who:
    """The application's answer about every browser, as a test sets it; `seen` are the environs that it was asked with."""

    def __init__(self, says: Any = None) -> None:
        self.says = says
        self.seen: list[dict[str, Any]] = []

    def __call__(self, environ: dict[str, Any]) -> Any:
        self.seen.append(environ)
        if isinstance(self.says, BaseException):
            raise self.says
        return self.says


@pytest.fixture
def who() -> Who:
    return Who()


@pytest.fixture
def outside(clock: Clock, who: Who) -> World:
    return make_world("sqlite://", clock, authenticate=who, login_url="/login", routes=["GET /login public"])


def sent_to_login(answer: Any) -> str:
    """Where the login page is to lead back to; it was gone to, and to nowhere else."""
    assert answer.status_code == 303, answer.text
    parts = urlsplit(answer.location)
    assert (parts.scheme, parts.netloc, parts.path) == ("https", "api.example.com", "/login")
    (back,) = parse_qs(parts.query)["next"]
    assert back.startswith("/authorize/login?")
    return back


def test_who_is_signed_in_at_the_app_gets_a_consent_page_and_a_code(outside: World, who: Who) -> None:
    """R020, R021: the flow without any page of ours but consent"""
    browser = outside.browser()
    back = sent_to_login(browser.open(outside.authorize_url()))
    who.says = "Ann"
    again = browser.open(back)
    assert again.status_code == 303 and again.location.startswith("https://api.example.com/authorize?")
    page = browser.open(again.location)
    assert "Signed in as <strong><bdi>Ann</bdi></strong>" in page.text
    assert outside.gateway.store.user_named("application", "ann") is None, "a row comes with the first consent"
    answer = browser.open("/authorize", {**hidden(page), "decision": "allow"})
    tokens = outside.redeem(query_of(answer.location)["code"]).json
    assert outside.call(tokens["access_token"]).text == "app"
    seen = outside.app.environ
    user = outside.gateway.store.user_named("application", "ann")
    assert user is not None and seen["REMOTE_USER"] == "Ann" and seen["oauth_gateway.token"].user_id == user.user_id
    assert seen["oauth_gateway.token"].auth_time is None and list(outside.gateway.store.sessions()) == []
    twice = browser.open("/authorize", {**hidden(page), "decision": "allow"})
    assert query_of(twice.location).get("error") != "server_error", "a double click"


def test_a_double_click_on_the_first_consent_gives_the_same_code(outside: World, who: Who) -> None:
    """A053"""
    browser, who.says = outside.browser(), "ann"
    form = {**hidden(browser.open(outside.authorize_url())), "decision": "allow"}
    first, second = browser.open("/authorize", form), browser.open("/authorize", form)
    assert query_of(first.location)["code"] == query_of(second.location)["code"]


def test_there_is_no_loop_where_the_app_still_knows_nobody(outside: World, who: Who) -> None:
    browser = outside.browser()
    back = sent_to_login(browser.open(outside.authorize_url()))
    for _ in range(2):
        page = browser.open(back)
        assert page.status_code == 403 and "You are not signed in yet" in page.text and "Shop" in page.text
    link = page.text.partition('class="button" href="')[2].partition('"')[0].replace("&amp;", "&")
    assert link.startswith("https://api.example.com/login?next=/authorize/login"), "a way on for the person"
    alone = browser.open(sent_to_login(browser.open("/authorize/login")))
    assert alone.status_code == 403 and "You are not signed in yet" in alone.text
    who.says = "ann"
    assert "ann" in browser.open(browser.open("/authorize/login").location).text


@pytest.mark.parametrize("change", ["since", "query", "old", "none"])
def test_a_marker_that_is_not_ours_or_is_old_is_none(outside: World, who: Who, clock: Clock, change: str) -> None:
    browser = outside.browser()
    back = sent_to_login(browser.open(outside.authorize_url(prompt="login")))
    before, _, marker = back.partition("&signed_in_since=")
    if change == "since":
        back = f"{before}&signed_in_since=1{marker}"
    elif change == "query":
        back = f"{before}&x=1&signed_in_since={marker}"
    elif change == "none":
        back = before
    else:
        clock.advance(3601)
    sent_to_login(browser.open(back))
    who.says = {"name": "ann", "auth_time": clock()}
    assert browser.open(back).location.startswith("https://api.example.com/authorize?"), "and so the request starts again"
    sent_to_login(browser.open(browser.open(back).location))


def test_prompt_login_asks_for_a_new_login_and_believes_only_what_is_told(outside: World, who: Who, clock: Clock) -> None:
    """OpenID Connect Core 3.1.2.1: an error where the person cannot be signed in again"""
    browser = outside.browser()
    for said, works in (
        ("ann", False),
        ({"name": "ann", "auth_time": clock() - 10}, False),
        ({"name": "ann", "auth_time": clock()}, True),
    ):
        who.says = said
        answer = browser.open(outside.authorize_url(prompt="login"))
        assert "&prompt=login" in answer.location, "the app learns that its own session will not do"
        back = browser.open(sent_to_login(answer))
        if works:
            page = browser.open(back.location)
            assert "asks for access" in page.text, page.text
        else:
            assert query_of(back.location)["error"] == "login_required" and back.location.startswith(CALLBACK)


def test_max_age_and_prompt_none_with_what_is_known(outside: World, who: Who, clock: Clock) -> None:
    browser = outside.browser()
    for said, sent in (("ann", True), ({"name": "ann", "auth_time": clock() - 100}, True)):
        who.says = said
        none = browser.open(outside.authorize_url(prompt="none", max_age="60"))
        assert query_of(none.location)["error"] == "login_required"
        back = browser.open(sent_to_login(browser.open(outside.authorize_url(max_age="60"))))
        assert sent and query_of(back.location)["error"] == "login_required"
    who.says = {"name": "ann", "auth_time": clock() - 30}
    assert "asks for access" in browser.open(outside.authorize_url(max_age="60")).text


def test_the_id_token_says_what_is_known_and_no_session(outside: World, who: Who, clock: Clock) -> None:
    who.says = {
        "name": "ann",
        "auth_time": int(clock()) - 5,
        "amr": ["pwd", "otp"],
        "acr": "urn:two",
        "claims": {"email": "a@b.c"},
    }
    browser = outside.browser()
    code = outside.code(browser=browser, scope="openid email", acr_values="urn:two")
    token = outside.redeem(code).json["id_token"]
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["auth_time"] == clock() - 5 and claims["amr"] == ["pwd", "otp"] and claims["acr"] == "urn:two"
    assert "sid" not in claims
    user = outside.gateway.store.user_named("application", "ann")
    assert user is not None and user.claims == {"email": "a@b.c"}
    document = send(outside.gateway, "GET", "/.well-known/openid-configuration").json
    assert "end_session_endpoint" not in document and document["backchannel_logout_supported"] is False  # R103


def test_a_kind_of_login_that_is_asked_for_is_worth_one_visit(outside: World, who: Who) -> None:
    browser, who.says = outside.browser(), "ann"
    answer = browser.open(outside.authorize_url(acr_values="urn:two"))
    assert "acr_values=urn%3Atwo" in answer.location
    back = browser.open(sent_to_login(answer))
    assert "asks for access" in browser.open(back.location).text, "acr_values are a wish"
    asked = {"id_token": {"acr": {"essential": True, "values": ["urn:two"]}}}
    url = outside.authorize_url(scope="openid read", claims=json.dumps(asked))
    back = browser.open(sent_to_login(browser.open(url)))
    assert query_of(back.location)["error"] == "unmet_authentication_requirements"


@pytest.mark.parametrize("hint", ["ann@example.com", "名前 & <b>", "a" * 400, "x\r\nSet-Cookie: a=b", "&prompt=none", ""])
def test_the_name_that_a_client_expects_goes_along_to_the_login_page(outside: World, who: Who, hint: str) -> None:
    """A044, A054: as one parameter, whatever is in it"""
    answer = outside.browser().open(outside.authorize_url(login_hint=hint))
    back = sent_to_login(answer)
    given = parse_qs(urlsplit(answer.location).query)
    assert given.get("login_hint", [""]) == [hint[:255]] and given.keys() <= {"next", "login_hint"}
    assert "\r" not in answer.location and urlsplit(answer.location).fragment == ""
    page = outside.browser().open(back)
    assert page.status_code == 403 and "<b>" not in page.text


def test_somebody_else_than_the_page_was_shown_to_decides_nothing(outside: World, who: Who) -> None:
    """A051, A052"""
    browser, who.says = outside.browser(), "ann"
    page = browser.open(outside.authorize_url())
    for other in ("bob", {"name": "bob"}, None):
        who.says = other
        answer = browser.open("/authorize", {**hidden(page), "decision": "allow"})
        assert answer.location.startswith("https://api.example.com/authorize?"), "asked anew, and nothing was issued"
        assert outside.gateway.store.user_named("application", "bob") is None


def test_a_consent_page_is_good_in_its_own_browser_only(outside: World, who: Who) -> None:
    """R021, A048, A051: even where both are signed in as the same person"""
    one, other, who.says = outside.browser(), outside.browser(), "ann"
    form = {**hidden(one.open(outside.authorize_url())), "decision": "allow"}
    other.open(outside.authorize_url())
    assert other.open("/authorize", form).status_code == 403
    assert outside.browser().open("/authorize", form).status_code == 403
    tossed = Browser(outside.gateway, outside.base, dict(other.cookies))  # a cookie that somebody else put there
    who.says = "mallory"
    hers = {**hidden(other.open(outside.authorize_url())), "decision": "allow"}
    who.says = "ann"
    assert "code=" not in tossed.open("/authorize", hers).location
    assert one.open("/authorize", form, Origin="https://evil.test").status_code == 403
    assert one.open("/authorize", form, Sec_Fetch_Site="cross-site").status_code == 403
    assert "code=" in one.open("/authorize", form).location


def test_the_cookie_is_set_with_the_page_and_kept(outside: World, who: Who) -> None:
    """A050"""
    browser, who.says = outside.browser(), "ann"
    header = browser.open(outside.authorize_url()).headers.getall("Set-Cookie")
    assert len(header) == 1 and header[0].startswith("__Host-oauth_gateway-")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= {part.strip() for part in header[0].split(";")}
    assert browser.open(outside.authorize_url()).headers.getall("Set-Cookie") == []
    assert browser.open("/authorize/account").status_code == 200


def test_an_account_that_is_disabled_is_refused_and_its_tokens_die(outside: World, who: Who, clock: Clock) -> None:
    browser, who.says = outside.browser(), "ann"
    token = outside.redeem(outside.code(browser=browser)).json["access_token"]
    users = outside.gateway.server.users
    with pytest.raises(ConfigurationError, match="write builtin:ann or application:ann"):
        users.named("ann")
    users.set_disabled(users.named("application:ann"), True, clock())
    assert outside.call(token).status_code == 401
    page = browser.open(outside.authorize_url())
    assert page.status_code == 403 and "disabled" in page.text
    users.set_disabled(users.named("application:ANN"), False, clock())
    assert "code=" in browser.open(outside.authorize_url()).location


RUBBISH: list[tuple[Any, str]] = [
    (True, "gave bool"),
    (b"ann", "gave bytes"),
    (7, "gave int"),
    (["ann"], "gave list"),
    (object(), "gave object"),
    ({}, "`name` that is NoneType"),
    ({"name": 7}, "`name` that is int"),
    ({"name": b"ann"}, "`name` that is bytes"),
    ({"name": "ann", "roles": []}, "the member 'roles'"),
    ({"name": "ann", 7: 7}, "the member '7'"),
    ({"name": "ann", "auth_time": "now"}, "`auth_time`"),
    ({"name": "ann", "auth_time": True}, "`auth_time`"),
    ({"name": "ann", "auth_time": float("nan")}, "`auth_time`"),
    ({"name": "ann", "auth_time": -1}, "`auth_time`"),
    ({"name": "ann", "auth_time": 1e12}, "`auth_time`"),
    ({"name": "ann", "amr": "pwd"}, "`amr`"),
    ({"name": "ann", "amr": [1]}, "`amr`"),
    ({"name": "ann", "amr": ["a b"]}, "`amr`"),
    ({"name": "ann", "acr": 'a"b'}, "`acr`"),
    ({"name": "ann", "acr": 1}, "`acr`"),
    ({"name": "ann", "claims": "x"}, "`claims`"),
    ({"name": "ann", "claims": {"sub": "x"}}, "claim 'sub'"),
    ({"name": "ann", "claims": {7: "x"}}, "claim 7"),
    ({"name": "ann", "claims": {"x": object()}}, "claims: must be JSON"),
    ({"name": "ann", "claims": {"x": "y" * 20_000}}, "claims: must be JSON"),
    ("ann\nbob", "1 to 255 visible characters"),
    ("x" * 256, "1 to 255 visible characters"),
    ("\ufdfa" * 200, "1 to 255 visible characters"),
    ("   ", "1 to 255 visible characters"),
    ("a\0b", "1 to 255 visible characters"),
    ("\ud800", "1 to 255 visible characters"),
    (KeyError("hunter2"), "failed"),
    (SystemError(), "failed"),
]


@pytest.mark.parametrize(("said", "logged"), RUBBISH, ids=[str(number) for number in range(len(RUBBISH))])
def test_rubbish_lets_nobody_in_and_is_named_in_the_log(
    outside: World, who: Who, said: Any, logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    who.says = said
    with caplog.at_level(logging.ERROR, "oauth_gateway"):
        for url in (outside.authorize_url(), "/authorize/login", "/authorize/account"):
            page = outside.browser().open(url)
            assert page.status_code == 500 and "<h1>Something went wrong" in page.text and "hunter2" not in page.text
    assert logged in caplog.text and "authenticate = " in caplog.text
    assert outside.app.calls == 0


@pytest.mark.parametrize("nobody", [None, ""])
def test_nobody_is_nobody(outside: World, who: Who, nobody: Any) -> None:
    who.says = nobody
    sent_to_login(outside.browser().open(outside.authorize_url()))


@pytest.mark.parametrize("name", ["Ann", "ＡＮＮ", " ann ", "<b>x</b>", "عائشة", "李", "x" * 255])
def test_names_in_every_script_are_people(outside: World, who: Who, name: str) -> None:
    """R023: escaped, and the same person in every spelling"""
    browser, who.says = outside.browser(), name
    page = browser.open(outside.authorize_url())
    assert "<b>" not in page.text.partition("Signed in as")[2]
    assert "code=" in browser.open("/authorize", {**hidden(page), "decision": "allow"}).location
    assert outside.gateway.store.user_named("application", normalise(name)) is not None


def test_what_the_callable_sees(outside: World, who: Who) -> None:
    """A017: no identity header of a stranger's, no cookie of ours and no body, which is ours to read"""
    browser, who.says = outside.browser(), "ann"
    page = browser.open(outside.authorize_url())
    browser.cookies["app"] = "1"
    form = {**hidden(page), "decision": "deny"}
    answer = browser.open("/authorize", form, X_Remote_User="admin", Remote_User="admin", X_Forwarded_User="admin")
    assert "error=access_denied" in answer.location
    seen = who.seen[-1]
    assert seen["HTTP_COOKIE"] == "app=1" and seen["wsgi.input"].read() == b"" and seen["REQUEST_METHOD"] == "GET"
    assert not {"HTTP_REMOTE_USER", "HTTP_X_REMOTE_USER", "HTTP_X_FORWARDED_USER", "REMOTE_USER"} & set(seen)


def test_a_name_of_the_app_is_not_a_built_in_account(outside: World, who: Who) -> None:
    browser, who.says = outside.browser(), "ann"
    token = outside.redeem(outside.code(browser=browser)).json["access_token"]
    outside.call(token)
    built_in = outside.gateway.server.users.named("builtin:ann")
    assert outside.app.environ["oauth_gateway.token"].user_id != built_in.user_id
    form = {"username": "ann", "password": "correct horse battery"}
    assert browser.open("/authorize/login", form).status_code == 405, "and there is no password form"


def test_somebody_else_signs_in_as_who_they_are(outside: World, who: Who) -> None:
    browser, who.says = outside.browser(), "ann"
    page = browser.open(outside.authorize_url())
    leave = hidden(type(page)(body=page.body.partition(b"</form>")[2]))
    assert browser.open("/authorize/logout", {**leave, "csrf": "x"}).status_code == 403  # A048
    there = browser.open("/authorize/logout", leave)
    assert there.status_code == 200 and "/login?next=/authorize/login" in there.text and "prompt=login" in there.text
    choose = browser.open(outside.authorize_url(prompt="select_account"))
    assert "Continue as <strong><bdi>ann" in choose.text
    assert "Sign out there" in browser.open("/authorize/logout").text


def test_a_request_for_somebody_else_is_no_loop(outside: World, who: Who) -> None:
    browser, who.says = outside.browser(), "ann"
    tokens = outside.redeem(outside.code(browser=browser, scope="openid")).json
    who.says = "bob"
    url = outside.authorize_url(scope="openid", id_token_hint=tokens["id_token"])
    page = browser.open(sent_to_login(browser.open(url)))
    assert page.status_code == 403 and "another account" in page.text
    who.says = "ann"
    assert "code=" in browser.open(url).location


def test_a_request_that_is_too_long_for_an_address_goes_along_in_a_form(outside: World, who: Who) -> None:
    browser = outside.browser()
    url = outside.authorize_url(state="s" * 3000)
    page = browser.open(url)
    assert page.status_code == 403 and 'target="_blank"' in page.text and 'value="' + "s" * 3000 in page.text
    who.says = "ann"
    went = browser.open("/authorize", hidden(page))
    assert went.status_code == 303 and "asks for access" in browser.open(went.location).text


def test_remembered_consent_is_for_the_same_person_only(outside: World, who: Who) -> None:
    """A052, R264: and another site that opens /authorize gets a code for who is signed in and for nobody else"""
    browser, who.says = outside.browser(), "ann"
    outside.code(browser=browser)
    assert "code=" in browser.open(outside.authorize_url(), Sec_Fetch_Site="cross-site").location
    who.says = "bob"
    assert "asks for access" in browser.open(outside.authorize_url()).text
    who.says = "ann"
    for changes in ({"scope": "read write"}, {"prompt": "consent"}):
        assert "asks for access" in browser.open(outside.authorize_url(**changes)).text


# -- REMOTE_USER


@pytest.fixture
def server_knows(clock: Clock) -> World:
    return make_world("sqlite://", clock, authenticate="remote_user")


def ask(world: World, url: str, remote_user: str | None = None, **headers: str) -> Any:
    environ = {} if remote_user is None else {"REMOTE_USER": remote_user}
    return send(world.gateway, "GET", url, base=world.base, headers=headers, environ=environ)


def test_remote_user_is_believed_for_signing_in_and_for_nothing_else(server_knows: World) -> None:
    """A017-A020"""
    world = server_knows
    page = ask(world, world.authorize_url(), "é".encode().decode("latin-1"))
    assert "Signed in as <strong><bdi>é</bdi></strong>" in page.text
    cookie = page.headers["Set-Cookie"].partition(";")[0]
    same = {"Origin": world.base, "Sec-Fetch-Site": "same-origin", "Cookie": cookie}
    form = {**hidden(page), "decision": "allow"}
    nobody = send(world.gateway, "POST", "/authorize", form, base=world.base, headers=same)
    assert "code=" not in nobody.location
    environ = {"REMOTE_USER": "\u00c3\u00a9"}
    answer = send(world.gateway, "POST", "/authorize", form, base=world.base, headers=same, environ=environ)
    token = world.redeem(query_of(answer.location)["code"], code_verifier=VERIFIER).json["access_token"]
    assert world.call(token).text == "app"
    user = world.gateway.store.user_named("remote_user", "é")
    assert user is not None and world.app.environ["oauth_gateway.token"].user_id == user.user_id
    assert send(world.gateway, "GET", "/thing", base=world.base, environ=environ).status_code == 401
    assert send(world.gateway, "GET", "/public/x", base=world.base, environ=environ).text == "app"
    assert "REMOTE_USER" not in world.app.environ


@pytest.mark.parametrize("header", ["Remote-User", "X-Remote-User", "X-Forwarded-User", "REMOTE_USER", "X-Auth-Request-User"])
def test_no_header_is_remote_user(server_knows: World, header: str) -> None:
    """A017, DESIGN section 7"""
    page = ask(server_knows, server_knows.authorize_url(), None, **{header: "admin"})
    assert page.status_code == 403 and "does not say who you are" in page.text and "admin" not in page.text
    page = ask(server_knows, server_knows.authorize_url(), "ann", **{header: "admin"})
    assert "Signed in as <strong><bdi>ann</bdi></strong>" in page.text


def test_remote_user_that_is_not_text_and_requests_for_a_new_login(
    server_knows: World, caplog: pytest.LogCaptureFixture
) -> None:
    world = server_knows
    assert ask(world, world.authorize_url(), "\xff").status_code == 500 and "not UTF-8" in caplog.text
    assert ask(world, world.authorize_url(), "").status_code == 403
    for changes in ({"prompt": "login"}, {"max_age": "10"}):
        answer = ask(world, world.authorize_url(**changes), "ann")
        assert query_of(answer.location)["error"] == "login_required"


def test_built_in_accounts_do_not_believe_remote_user(memory_world: World) -> None:
    answer = send(memory_world.gateway, "GET", memory_world.authorize_url(), environ={"REMOTE_USER": "ann"})
    assert 'name="password"' in answer.text


# -- settings

BAD: list[tuple[dict[str, Any], str]] = [
    ({"authenticate": "shop"}, "authenticate = 'shop': must be builtin, remote_user, or MODULE:NAME"),
    ({"authenticate": 7}, "must be builtin, remote_user"),
    ({"login_url": "/login"}, "login_url = '/login': is where"),
    ({"authenticate": "a:b", "login_url": "//evil.test/login"}, "https URL"),
    ({"authenticate": "a:b", "login_url": "login"}, "https URL"),
    ({"authenticate": "a:b", "login_url": "javascript:alert(1)"}, "https URL"),
    ({"authenticate": "a:b", "login_url": "http://evil.test/"}, "https URL"),
    ({"authenticate": "a:b", "login_url": "/a\\b"}, "without blanks, backslashes"),
    ({"authenticate": "a:b", "login_url": "/login#x"}, "a fragment"),
    ({"authenticate": "a:b", "login_url": "/login?next=/"}, "parameter next"),
    ({"authenticate": "remote_user", "features": "default password"}, "features: password"),
]


@pytest.mark.parametrize(("given", "says"), BAD)
def test_settings_that_do_not_fit_are_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        gate(given)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_callable_that_is_not_there_is_one_line_at_start() -> None:
    with pytest.raises(ConfigurationError, match="authenticate = 'no_such_module:who'"):
        OAuthGateway(None, database="sqlite://", authenticate="no_such_module:who", login_url="/login")


@pytest.mark.parametrize(
    ("login_url", "starts"),
    [
        ("/login?x=1", "https://api.example.com/login?x=1&next=/oauth/authorize/login%3F"),
        ("https://api.example.com/in", "https://api.example.com/in?next=/oauth/authorize/login%3F"),
        ("https://id.example.com/in", "https://id.example.com/in?next=https%3A//api.example.com/oauth/authorize/login%3F"),
    ],
)
def test_where_the_login_page_is(clock: Clock, login_url: str, starts: str) -> None:
    world = make_world("sqlite://", clock, prefix="/oauth", authenticate=Who(), login_url=login_url)
    assert world.browser().open(world.authorize_url()).location.startswith(starts)


def test_the_command_line_knows_people_of_every_source(tmp_path: Any, capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    """Contract 9.6: `user disable` applies to them too"""
    world = make_world(f"sqlite:///{tmp_path}/x.db", clock, authenticate=Who("bob"), login_url="/login")
    world.code(browser=world.browser())
    arguments = ["--database", f"sqlite:///{tmp_path}/x.db"]
    assert main(["user", "disable", "bob", *arguments]) == 0
    assert world.browser().open(world.authorize_url()).status_code == 403
    assert main(["user", "list", *arguments]) == 0 and "application" in capsys.readouterr().out
    assert main(["user", "set-password", "bob", "--password-stdin", *arguments]) == 1
    assert "no such account" in capsys.readouterr().err


def test_check_looks_at_how_people_sign_in(
    tmp_path: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "who.py").write_text("def who(environ):\n    return None\n")
    monkeypatch.chdir(tmp_path)
    for settings, says in (
        ('authenticate = "remote_user"', "by REMOTE_USER of the server"),
        ('authenticate = "who:nobody"', "has no attribute"),
        ('authenticate = "who:who"', "login_url is not set"),
        ('authenticate = "who:who"\nlogin_url = "/login"', "POST /login needs a token"),
    ):
        (tmp_path / "x.toml").write_text(f'[oauth_gateway]\ndatabase = "sqlite://"\n{settings}\n')
        main(["check", "--config", "x.toml"])
        assert says in capsys.readouterr().out
    (tmp_path / "x.toml").write_text(
        '[oauth_gateway]\ndatabase = "sqlite://"\nauthenticate = "who:who"\nlogin_url = "/login"\n'
        'routes = ["* /login public"]\n'
    )
    assert main(["check", "--config", "x.toml"]) == 0 and "needs a token" not in capsys.readouterr().out
