"""Routes that take the session of a browser: who is led to the login page, what another site may not do, and its end."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from oauth_gateway import ConfigurationError, OAuthGateway
from oauth_gateway import seen as seen_module
from oauth_gateway.cli import main
from oauth_gateway.errors import OAuthError, StoreUnavailable
from oauth_gateway.gateway import OAuthGateway as Gateway
from oauth_gateway.policy import Policy, parse_rule
from oauth_gateway.seen import Seen
from oauth_gateway.settings import gate
from oauth_gateway.testing import Clock

from .conftest import PASSWORD, Browser, World, hidden, make_world, send

ROUTES = [
    "* /shop/** session",
    "* /read session scope=read",
    "* /both/a session",
    "* /both/a/ token",
    "* /fresh session max_age=5m",
    "* /strong session acr=urn:two",
    "* /weak session acr=urn:two,0 max_age=1h",
    "GET /public/** public",
]
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
NAVIGATION = {**HTML, "Sec_Fetch_Dest": "document", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Site": "none"}


@pytest.fixture(params=["", "/oauth"])
def shop(request: pytest.FixtureRequest, clock: Clock) -> World:
    return make_world("sqlite://", clock, prefix=request.param, routes=ROUTES, scope_implies={"write": "read"})


@pytest.fixture
def ann(shop: World) -> Browser:
    browser = shop.browser()
    shop.log_in(browser)
    return browser


def post(browser: Browser, path: str, **headers: str) -> Any:
    """A POST as a browser's form makes it; None leaves a header out."""
    parts = urlsplit(browser.base)
    sent = {"Origin": f"{parts.scheme}://{parts.netloc}", "Sec-Fetch-Site": "same-origin", **HTML}
    sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    for name, value in headers.items():
        sent[name.replace("_", "-")] = value
    return send(browser.gateway, "POST", path, {"a": "b"}, base=browser.base, headers={k: v for k, v in sent.items() if v})


# -- who is led where


def test_a_browser_is_led_to_the_login_page_and_comes_back_to_where_it_was(shop: World) -> None:
    browser = shop.browser()
    answer = browser.open("/shop/caf%C3%A9;a=1/x?q=1&r=%2F..", **NAVIGATION)
    assert answer.status_code == 303 and answer.headers["Cache-Control"] == "no-store"
    assert "Sec-Fetch-Mode" in answer.headers["Vary"] and shop.app.calls == 0
    assert answer.location.startswith(f"https://api.example.com{shop.prefix}/authorize/login?next=")
    page = browser.open(answer.location)
    form = {**hidden(page), "username": "ann", "password": PASSWORD}
    back = browser.open(f"{shop.prefix}/authorize/login", form)
    assert back.status_code == 303 and back.location == "https://api.example.com/shop/caf%C3%A9;a=1/x?q=1&r=%2F.."
    assert browser.open(back.location, **NAVIGATION).text == "app"
    page = browser.open(answer.location)
    assert page.status_code == 200 and 'href="/shop/caf%C3%A9;a=1/x?q=1&amp;r=%2F.."' in page.text, (
        "signed in already: no circle"
    )


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Accept": "application/json"},
        {"Accept": "*/*"},
        {**NAVIGATION, "Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"},
        {**NAVIGATION, "Sec_Fetch_Dest": "iframe"},
        {**NAVIGATION, "Sec_Fetch_Dest": "image", "Sec_Fetch_Mode": "no-cors"},
        {**HTML, "Authorization": "Basic eDp5"},
    ],
)
def test_programs_and_scripts_get_401_as_everywhere(shop: World, headers: dict[str, str]) -> None:
    answer = shop.browser().open("/shop", **headers)
    assert answer.status_code == 401 and answer.headers["WWW-Authenticate"].startswith("Bearer realm=")
    assert shop.app.calls == 0


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_programs_get_401_with_every_method(shop: World, method: str) -> None:
    assert send(shop.gateway, method, "/shop", base=shop.base).status_code == 401
    assert shop.call("nonsense", "/shop", method, **HTML).status_code == 401


def test_a_token_is_as_good_as_a_session_and_needs_the_scope(shop: World) -> None:
    assert shop.call(shop.machine_token(scope="read"), "/shop").text == "app"
    assert shop.call(shop.machine_token(scope="read"), "/read", "POST").text == "app", "no Origin: a token is no cookie"
    assert shop.call(shop.machine_token(scope="write"), "/read").text == "app", "implied"
    refused = shop.call(
        shop.token({"grant_type": "client_credentials", "scope": ""}, shop.machine).json["access_token"], "/strong"
    )
    assert refused.status_code == 401
    assert shop.call("nonsense", "/shop", **NAVIGATION).status_code == 401, "a bad token is told so, whoever sends it"


def test_a_form_that_comes_without_a_session_stays_in_its_window(shop: World, ann: Browser) -> None:
    """POST data is not lost silently"""
    cookies = dict(ann.cookies)
    ann.cookies.clear()
    page = post(ann, "/shop/order")
    assert page.status_code == 401 and "stays in this window" in page.text and shop.app.calls == 0
    assert page.headers["WWW-Authenticate"].startswith("Bearer")
    assert f'href="https://api.example.com{shop.prefix}/authorize/login?next=' in page.text and 'target="_blank"' in page.text
    for other in ({"Origin": "https://evil.test"}, {"Sec_Fetch_Site": "cross-site"}, {"Accept": "application/json"}):
        answer = post(ann, "/shop/order", **other)
        assert answer.status_code == 401 and "stays in this window" not in answer.text, "nobody is asked to send that"
    ann.cookies.update(cookies)
    assert post(ann, "/shop/order").text == "app", "the reload"


def test_an_address_that_is_too_long_to_come_back_to_stays_in_its_window(shop: World) -> None:
    page = shop.browser().open("/shop?q=" + "x" * 3000, **NAVIGATION)
    assert page.status_code == 401 and "in a new window" in page.text


# -- who is refused


def wants_admin(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    environ["oauth_gateway.require"]("admin")
    raise AssertionError("nobody has it")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_person_whom_the_app_refuses_meets_a_page_that_says_who_they_are(
    shop: World, ann: Browser, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """403 insufficient_scope, also as the answer to a form; no error page, and programs get JSON"""
    monkeypatch.setattr(shop.gateway, "app", wants_admin)
    page = post(ann, "/shop/admin") if method == "POST" else ann.open("/shop/admin", **NAVIGATION)
    assert page.status_code == 403 and "insufficient_scope" in page.headers["WWW-Authenticate"]
    assert "<h1>Not allowed</h1>" in page.text and "Your account does not have the right" in page.text
    assert "Signed in as <strong><bdi>ann</bdi></strong>" in page.text
    other = f"https://api.example.com{shop.prefix}/authorize/logout"
    assert f'href="{other}">Use another account' in page.text and "Sign out?" in ann.open(other).text
    told = post(ann, "/shop", Accept="application/json")
    assert told.status_code == 403 and told.json["error"] == "insufficient_scope"
    told = shop.call(shop.machine_token(), "/shop", "POST", Accept="text/html")
    assert told.status_code == 403 and told.json["error"] == "insufficient_scope"
    page = shop.call(shop.machine_token(), "/shop", Accept="text/html")
    assert "<h1>Not allowed</h1>" in page.text and "The token lacks a scope" in page.text and "Signed in" not in page.text


def test_a_person_whom_a_rule_refuses_meets_the_same_page(shop: World, ann: Browser) -> None:
    page = ann.open("/strong", **NAVIGATION)
    assert page.status_code == 401 and "<h1>Not allowed</h1>" in page.text and "<bdi>ann</bdi>" in page.text
    assert "authentication is required" in page.text and "This needs a token" not in page.text

    def never(token: Any, value: str, environ: dict[str, Any]) -> bool:
        raise OAuthError("access_denied", "Not today.", 403)

    shop.gateway.server.judges["acr"] = never
    page = ann.open("/weak", **NAVIGATION)
    assert page.status_code == 403 and "Not today." in page.text and "<bdi>ann</bdi>" in page.text
    page = ann.open("/shop", **{**NAVIGATION, "Origin": "https://evil.test"})
    assert page.status_code == 403 and "<h1>Not allowed</h1>" in page.text and "ann" not in page.text, "not the person's fault"


# -- what the app sees


def test_what_the_app_sees_of_a_session(shop: World, ann: Browser) -> None:
    assert ann.open("/read", **NAVIGATION).text == "app"
    seen, token = shop.app.environ, shop.app.environ["oauth_gateway.token"]
    user = shop.gateway.server.users.named("ann")
    assert seen["REMOTE_USER"] == "ann" and seen["AUTH_TYPE"] == "Session" and "HTTP_COOKIE" not in seen
    assert token.client_id is None and token.get_client() is None and token.kind == "session" and token.grant_id is None
    assert token.user_id == token.subject == user.user_id and token.username == "ann" and token.acr == "0"
    assert token.amr == ("pwd",) and token.auth_time == shop.clock() and token.scopes == {"read"}
    ann.open("/shop", **NAVIGATION)
    assert shop.app.environ["oauth_gateway.token"].scopes == frozenset(), "what the rule names, and no more"
    ann.cookies["other"] = "1"
    ann.open("/shop", **NAVIGATION)
    assert shop.app.environ["HTTP_COOKIE"] == "other=1", "ours never reaches the app"


@pytest.mark.parametrize("path", ["/thing", "/public/x", "/authorized", "/SHOP/../thing", "/both/a", "/both/a/"])
def test_a_session_opens_nothing_else(shop: World, ann: Browser, path: str) -> None:
    """Path tricks: where a spelling falls under a rule that wants a token, a session will not do"""
    answer = ann.open(path, **NAVIGATION)
    if path == "/public/x":
        assert answer.text == "app" and shop.app.environ["oauth_gateway.token"] is None
    else:
        assert answer.status_code in (400, 401) and shop.app.calls == 0


@pytest.mark.parametrize(
    "path", ["//shop", "/shop/../x", "/shop/%2e%2e/x", "/shop%5c..%5cx", "/%2fshop", "/shop//x", "/shop/%0a"]
)
def test_paths_that_mean_two_things_are_refused_before_anybody_is_led_anywhere(shop: World, ann: Browser, path: str) -> None:
    for browser in (ann, shop.browser()):
        answer = browser.open(path, **NAVIGATION)
        assert answer.status_code == 400 and "Location" not in answer.headers


# -- other sites


CROSS: list[dict[str, str]] = [
    {"Origin": "https://evil.test", "Sec_Fetch_Site": "cross-site"},
    {"Origin": "https://evil.test"},
    {"Origin": "null"},
    {"Origin": "https://api.example.com.evil.test"},
    {"Origin": "http://api.example.com"},
    {"Origin": "https://api.example.com:444"},
    {"Origin": "https://shop.example.com", "Sec_Fetch_Site": "same-site"},
    {"Origin": "https://api.example.com", "Sec_Fetch_Site": "cross-site"},
    {"Origin": "", "Sec_Fetch_Site": "none"},
    {"Origin": "", "Sec_Fetch_Site": ""},
]


@pytest.mark.parametrize("headers", CROSS, ids=str)
def test_what_changes_something_comes_from_a_page_of_ours(shop: World, ann: Browser, headers: dict[str, str]) -> None:
    """Fails closed where the browser says nothing"""
    answer = post(ann, "/shop", **headers)
    assert answer.status_code == 403 and shop.app.calls == 0
    for override in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"):
        sent = {"Cookie": "; ".join(f"{k}={v}" for k, v in ann.cookies.items()), override: "DELETE"}
        sent.update({name.replace("_", "-"): value for name, value in headers.items() if value})
        assert send(shop.gateway, "GET", "/shop", base=shop.base, headers=sent).status_code == 403
    assert shop.app.calls == 0


@pytest.mark.parametrize("headers", [{"Origin": ""}, {"Sec_Fetch_Site": ""}, {}], ids=str)
def test_one_of_the_two_headers_is_enough(shop: World, ann: Browser, headers: dict[str, str]) -> None:
    assert post(ann, "/shop", **headers).text == "app"


def test_reading_by_another_site(shop: World, ann: Browser) -> None:
    for headers in (
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"},
        {
            "Sec_Fetch_Site": "cross-site",
            "Sec_Fetch_Mode": "websocket",
            "Sec_Fetch_Dest": "empty",
            "Origin": "https://evil.test",
        },
        {"Origin": "https://evil.test"},
    ):
        assert ann.open("/shop", **headers).status_code == 403
    assert shop.app.calls == 0
    for headers in (
        {},
        {**NAVIGATION, "Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "cors"},
    ):
        assert ann.open("/shop", **headers).text == "app", "a link, a page of ours, an old browser"


def test_a_cookie_that_was_tossed_or_fixed_is_nobody(shop: World, ann: Browser) -> None:
    """A050: a value from before the login, one of two, or one that nobody was given"""
    name, value = next(iter(ann.cookies.items()))
    before = shop.browser()
    before.open(f"{shop.prefix}/authorize/login")
    fixed = dict(before.cookies)
    shop.log_in(before)
    for header in (
        f"{name}={fixed[name]}",
        f"{name}={value}; {name}={value}",
        f"{name}={value}x",
        f"x{name}={value}",
        f"{name}={'A' * 43}",
        f"{name}={value[:-1]};",
        f"{name}={value[:42]};",
        f"{name}= ; a={value}",
        f"{name.removeprefix('__Host-')}={value}",
    ):
        answer = send(shop.gateway, "GET", "/shop", base=shop.base, headers={"Cookie": header})
        assert answer.status_code == 401, header
    for header in (f"{name}={value}", f"a=b; {name}={value}", f"{name}={value};c=d"):
        assert send(shop.gateway, "GET", "/shop", base=shop.base, headers={"Cookie": header}).text == "app"


# -- open redirects

ELSEWHERE = [
    *("//evil.test", "/\\evil.test", "\\\\evil.test", "https:evil.test", "https://evil.test", "http:/evil.test", "evil.test"),
    *("/\t/evil.test", "/\n/evil.test", " //evil.test", "/ /evil.test", "\t//evil.test", "javascript:alert(1)", "///evil.test"),
    *(
        "https://api.example.com@evil.test",
        "@evil.test",
        "/%0d%0aLocation:x\r\n",
        "/é",
        "data:text/html,x",
        "/x\0",
        "/" + "x" * 5000,
    ),
]


@pytest.mark.parametrize("target", ELSEWHERE, ids=range(len(ELSEWHERE)))
def test_no_next_leads_to_another_place(shop: World, ann: Browser, target: str) -> None:
    """R024, A044"""
    login = f"{shop.prefix}/authorize/login"
    here = ann.open(f"{login}?next={quote(target)}")
    if "\0" in target:
        assert here.status_code == 400
        return
    assert here.location == f"https://api.example.com{shop.prefix}/authorize/account"
    page = shop.browser().open(f"{login}?next={quote(target)}")
    assert page.status_code == 200 and hidden(page)["next"] == ""
    browser = shop.browser()
    answer = shop.log_in(browser, next=target)
    location = urlsplit(answer.location)
    assert (location.scheme, location.netloc) == ("https", "api.example.com") and "evil" not in location.path


@pytest.mark.parametrize(
    "target", ["/%2f/evil.test", "/%5cevil.test", "/.//evil.test", "/x//evil.test", "/@evil.test", "/x?u=//evil"]
)
def test_odd_paths_stay_on_our_origin(shop: World, ann: Browser, target: str) -> None:
    answer = shop.log_in(shop.browser(), next=target)
    assert answer.location == f"https://api.example.com{target}"


def test_a_next_that_comes_twice_is_an_error(shop: World, ann: Browser) -> None:
    assert ann.open(f"{shop.prefix}/authorize/login?next=/a&next=/b").status_code == 400


# -- its end


def test_signing_out_ends_it_in_every_worker_at_once(tmp_path: Any, clock: Clock) -> None:
    """A050: two gateways on one database, each of which remembers the session"""
    world = make_world(f"sqlite:///{tmp_path}/x.db", clock, routes=ROUTES)
    other = Gateway.from_settings(world.app, world.gateway.settings)
    for way in ("logout", "account", "disabled", "password", "again", "deleted"):
        browser = world.browser()
        world.log_in(browser)
        elsewhere = Browser(other, world.base, dict(browser.cookies))
        for each in (browser, elsewhere, browser, elsewhere):
            assert each.open("/shop").text == "app"
        users, store = world.gateway.server.users, world.gateway.store
        user = users.named("ann")
        if way == "logout":
            browser.open("/authorize/logout", hidden(browser.open("/authorize/logout")))
        elif way == "account":
            (session,) = store.sessions(user.user_id)
            store.end_session(clock(), sid=session.sid, user_id=user.user_id)
        elif way == "disabled":
            users.set_disabled(user, True, clock())
        elif way == "password":
            users.set_password(user, PASSWORD, clock())
        elif way == "again":
            form = {**hidden(browser.open("/authorize/login?max_age=0&next=/shop")), "username": "ann", "password": PASSWORD}
            clock.advance(1)
            form = {**hidden(browser.open("/authorize/login?max_age=0&next=/shop")), "username": "ann", "password": PASSWORD}
            assert browser.open("/authorize/login", form).location == "https://api.example.com/shop"
            assert browser.open("/shop").text == "app", "under its new value"
        else:
            users.delete(user, clock())
        assert elsewhere.open("/shop").status_code == 401, way
        if way == "disabled":
            users.set_disabled(users.named("ann"), False, clock())
        if way == "again":
            assert browser.open("/shop").text == "app"
            browser.open("/authorize/logout", hidden(browser.open("/authorize/logout")))
        assert browser.open("/shop").status_code == 401, way


def test_it_expires_and_is_not_remembered_beyond(shop: World, ann: Browser) -> None:
    assert ann.open("/shop").text == "app"
    shop.clock.advance(14 * 86400 - 1)
    assert ann.open("/shop").text == "app"
    shop.clock.advance(1)
    assert ann.open("/shop").status_code == 401 and ann.open("/shop", **NAVIGATION).status_code == 303


def test_a_remembered_session_costs_no_question_of_the_store(
    shop: World, ann: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ann.open("/shop").text == "app"
    store = shop.gateway.store

    def asked(*_: Any) -> Any:
        raise AssertionError("the store was asked")

    monkeypatch.setattr(store, "session", asked)
    monkeypatch.setattr(store, "user", asked)
    for _ in range(3):
        assert ann.open("/shop").text == "app"


def test_a_store_that_does_not_answer_lets_nobody_in(shop: World, ann: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: Any) -> Any:
        raise StoreUnavailable("down")

    monkeypatch.setattr(shop.gateway.store, "session", down)
    answer = ann.open("/shop", **NAVIGATION)
    assert answer.status_code == 503 and "Retry-After" in answer.headers and shop.app.calls == 0
    assert shop.browser().open("/shop", **NAVIGATION).status_code == 303, "who brings nothing is led to the login page"


# -- RFC 9470 with a browser


def test_a_browser_is_asked_to_sign_in_again_and_a_program_is_told(shop: World, ann: Browser) -> None:
    assert ann.open("/fresh", **NAVIGATION).text == "app"
    shop.clock.advance(301)
    told = ann.open("/fresh", Accept="application/json")
    assert told.status_code == 401 and told.json["error"] == "insufficient_user_authentication"
    assert 'max_age="300"' in told.headers["WWW-Authenticate"]
    answer = ann.open("/fresh", **NAVIGATION)
    assert answer.status_code == 303 and parse_qs(urlsplit(answer.location).query) == {"next": ["/fresh"], "max_age": ["300"]}
    page = ann.open(answer.location)
    assert "sign in again" in page.text
    form = {**hidden(page), "username": "ann", "password": PASSWORD}
    back = ann.open(f"{shop.prefix}/authorize/login", form)
    assert ann.open(back.location, **NAVIGATION).text == "app"
    shop.clock.advance(301)
    assert "stays in this window" in post(ann, "/fresh").text


def test_no_browser_is_sent_around_for_a_login_that_nobody_can_have(shop: World, ann: Browser) -> None:
    page = ann.open("/strong", **NAVIGATION)
    assert page.status_code == 401 and "Location" not in page.headers
    assert 'acr_values="urn:two"' in page.headers["WWW-Authenticate"]
    assert ann.open("/weak", **NAVIGATION).text == "app"


# -- rules


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("GET /x session token", "contradict"),
        ("GET /x session public", "contradict"),
        ("GET /x optional acr=a", "contradict"),
        ("GET /x public max_age=5", "contradict"),
        ("GET /x sesion", "is unknown; ACCESS is public, optional, token, session"),
        ("GET /x max_age=0", "max_age is seconds"),
        ("GET /x max_age=soon", "max_age is seconds"),
        ("GET /x max_age", "max_age is seconds"),
        ("GET /x acr=", "acr is one or more values"),
        ('GET /x acr=a"b', "acr is one or more values"),
        ("GET /x acr=a acr=b", "a word comes twice"),
        ("GET /x session=1", "is unknown"),
    ],
)
def test_rules_that_do_not_make_sense_are_refused(rule: str, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("=", ".")):
        parse_rule(rule)


def test_several_rules_decide_together() -> None:
    policy = Policy([parse_rule(line) for line in ROUTES])
    assert policy.decide("GET", "/both/a").kind == "token" and policy.decide("GET", "/shop").kind == "session"
    decision = Policy([parse_rule("GET /a session max_age=1h"), parse_rule("GET /a/ session scope=x")]).decide("GET", "/a")
    assert (decision.kind, decision.scopes, decision.words) == ("session", {"x"}, (("max_age", "3600"),))


def test_settings_that_a_session_needs() -> None:
    with pytest.raises(ConfigurationError, match="session needs the feature authorization_code"):
        OAuthGateway(None, database="sqlite://", features="client_credentials", routes=["* /x session"])
    with pytest.raises(ConfigurationError, match="session is for logins with us"):
        gate({"authenticate": "remote_user", "routes": ["* /x session"]})


def test_a_word_of_one_s_own_is_asked_at_every_request(
    clock: Clock, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """DESIGN section 3: whoever does not say True does not let pass"""
    (tmp_path / "house.py").write_text("said = []\ndef is_open(token, value, environ):\n    return said[-1]\n")
    monkeypatch.syspath_prepend(tmp_path)
    world = make_world("sqlite://", clock, routes=["* /x session house:is_open scope=read"])
    import house  # type: ignore[import-not-found]

    token, browser = world.machine_token(scope="read"), world.browser()
    world.log_in(browser)
    for said, passes in ((True, True), (False, False), (None, False), (1, False)):
        house.said.append(said)
        for answer in (world.call(token, "/x"), browser.open("/x")):
            assert (answer.text == "app") is passes and answer.status_code in (200, 403)
    world.gateway.server.access("house:is_open", lambda token, value, environ: 1 / 0 > 0)
    before = world.app.calls
    assert world.call(token, "/x").status_code == 500 and world.app.calls == before
    with pytest.raises(ConfigurationError, match="has no attribute"):
        OAuthGateway(None, database="sqlite://", routes=["* /x house:nobody"])
    assert main(["routes", "test", "GET", "/x", "--config", _config(tmp_path)]) == 0
    assert "session scope=read max_age=300 house:is_open" in capsys.readouterr().out


def _config(folder: Any) -> str:
    (folder / "x.toml").write_text('[oauth_gateway]\nroutes = ["* /x session house:is_open scope=read max_age=5m"]\n')
    return str(folder / "x.toml")


# -- when it was seen last


def seen(world: World) -> float | None:
    return world.gateway.store.sessions()[0].seen


def test_what_is_used_moves_when_it_was_seen_behind_the_answers(
    shop: World, ann: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most once in five minutes, and no request writes or reads anything for it"""
    store, tokens, told = shop.gateway.store, shop.gateway.guard._browsers._tokens, []
    see = store.see_sessions
    monkeypatch.setattr(store, "see_sessions", lambda notes: (told.append(len(notes)), see(notes)))
    assert ann.open("/shop", **NAVIGATION).text == "app"
    for method in ("session", "user"):
        monkeypatch.setattr(store, method, None)  # what is remembered stays remembered
    for _ in range(20):
        shop.clock.advance(60)
        assert ann.open("/shop", **NAVIGATION).text == "app"
        tokens.seen.write()
    assert told == [1, 1, 1, 1] and seen(shop) == shop.clock()


def test_many_sessions_are_noted_in_one_transaction(shop: World) -> None:
    browsers, store = [shop.browser() for _ in range(7)], shop.gateway.store
    for browser in browsers:
        shop.log_in(browser)
    shop.clock.advance(400)
    for browser in browsers:
        assert browser.open("/shop", **NAVIGATION).text == "app"
    assert {session.seen for session in store.sessions()} == {None}, "not by the requests"
    before = store.changes(-1).head, store.epoch()
    shop.gateway.guard._browsers._tokens.seen.write()
    assert {session.seen for session in store.sessions()} == {shop.clock()}
    assert (store.changes(-1).head, store.epoch()) == before, "it is no revocation"


def test_a_note_brings_no_session_back_and_hinders_no_request(
    shop: World, ann: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens, store = shop.gateway.guard._browsers._tokens, shop.gateway.store
    assert ann.open("/shop", **NAVIGATION).text == "app"
    shop.clock.advance(400)
    assert ann.open("/shop", **NAVIGATION).text == "app"
    store.end_session(shop.clock(), sid=store.sessions()[0].sid)
    tokens.seen.write()
    assert store.sessions() == [] and ann.open("/shop", **NAVIGATION).status_code == 303
    shop.log_in(ann)
    shop.clock.advance(400)

    def fails(seen: object) -> None:
        raise StoreUnavailable("locked")

    monkeypatch.setattr(store, "see_sessions", fails)
    assert ann.open("/shop", **NAVIGATION).text == "app"
    with pytest.raises(StoreUnavailable):
        tokens.seen.write()
    assert ann.open("/shop", **NAVIGATION).text == "app"


def test_the_thread_of_the_notes_ends_when_there_are_none(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # of the fixture that keeps it from starting
    monkeypatch.setattr(seen_module, "BATCH_SECONDS", 0.05)
    noted: list[object] = []
    notes = Seen(shop.gateway.store)
    monkeypatch.setattr(shop.gateway.store, "see_sessions", noted.append)
    notes.add(b"a", 1)
    notes.add(b"b", 2)
    thread = notes._thread
    assert thread is not None and noted == []
    thread.join(10)
    assert noted == [[(b"a", 1), (b"b", 2)]] and notes._thread is None
    notes.add(b"c", 3)
    assert notes._thread is not None
    notes._thread.join(10)
    assert noted[1:] == [[(b"c", 3)]]
