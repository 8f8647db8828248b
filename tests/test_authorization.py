"""The authorization endpoint: what is refused where, login, consent, and the code."""

from __future__ import annotations

import html
import itertools
import re
from urllib.parse import urlencode

import pytest

from .conftest import CALLBACK, CHALLENGE, PASSWORD, VERIFIER, Browser, World, hidden, make_world, query_of, s256, send


def test_the_verifier_of_rfc_7636_appendix_b_verifies() -> None:
    """R064"""
    assert s256(VERIFIER) == CHALLENGE


def test_the_whole_way_from_login_to_a_protected_call(world: World) -> None:
    """R001, R016, R019, R040, R169"""
    browser = world.browser()
    page = browser.open(world.authorize_url(scope="read write"))
    assert page.status_code == 200 and "Sign in" in page.text and "Shop" in page.text
    answer = browser.open(f"{world.prefix}/authorize/login", {**hidden(page), "username": " Ann ", "password": PASSWORD})
    assert answer.status_code == 303 and answer.location.startswith(f"{world.base}{world.prefix}/authorize?")
    page = browser.open(answer.location)
    assert "Read your things" in page.text and "client.test" in page.text and "Change your things" in page.text
    answer = browser.open(f"{world.prefix}/authorize", {**hidden(page), "decision": "allow"})
    assert answer.status_code == 303 and answer.location.startswith(CALLBACK + "?")
    back = query_of(answer.location)
    assert back["state"] == "st" and back["iss"] == world.base and set(back) == {"code", "state", "iss"}
    response = world.redeem(back["code"])
    assert response.status_code == 200 and response.headers["Cache-Control"] == "no-store"
    tokens = response.json
    assert tokens["token_type"] == "Bearer" and tokens["expires_in"] == 3600 and tokens["scope"] == "read write"
    assert world.call(tokens["access_token"], "/write", "POST").text == "app"
    seen = world.app.environ
    token = seen["oauth_gateway.token"]
    assert seen["REMOTE_USER"] == "ann" and seen["AUTH_TYPE"] == "Bearer" and "HTTP_AUTHORIZATION" not in seen
    assert token.client_id == world.confidential.client_id and token.scopes == {"read", "write"}
    assert token.username == "ann" and token.subject == token.user_id and token.audience == world.base
    assert token.issuer == world.base and token.grant_id and token.auth_time == world.clock()


BAD_REQUESTS = {
    "response_type missing": {"response_type": None},
    "R007 response_type": {"response_type": "zzz"},
    "R007 token": {"response_type": "token"},
    "trap 1 quote": {"response_type": 'co"de'},
    "R025 scope charset": {"scope": 'a"b'},
    "unknown scope": {"scope": "admin"},
    "R065 no challenge": {"code_challenge": None},
    "R066 plain": {"code_challenge_method": "plain"},
    "R066 S512": {"code_challenge_method": "S512"},
    "R066 no method": {"code_challenge_method": None},
    "R067 42 characters": {"code_challenge": "a" * 42},
    "R067 129 characters": {"code_challenge": "a" * 129},
    "R067 equals sign": {"code_challenge": "a" * 43 + "="},
    "R067 newline": {"code_challenge": "a" * 43 + "\n"},
    "request object": {"request": "x"},
    "request_uri": {"request_uri": "https://evil.test/x"},
    "response_mode": {"response_mode": "web_message"},
    "prompt": {"prompt": "none login"},
    "prompt unknown": {"prompt": "dance"},
    "prompt none, nobody signed in": {"prompt": "none"},
    "resource": {"resource": "https://other.test"},
}


@pytest.mark.parametrize("changes", BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
def test_a_bad_request_of_a_trusted_client_is_an_error_redirect(memory_world: World, changes: dict[str, str | None]) -> None:
    """R006, R014, R015, R065-R067, R196"""
    answer = memory_world.browser().open(memory_world.authorize_url(**changes))
    assert answer.status_code == 303 and answer.location.startswith(CALLBACK + "?")
    back = query_of(answer.location)
    assert back["state"] == "st" and back["iss"] == memory_world.base and "code" not in back
    legal = {chr(c) for c in (*range(0x20, 0x22), *range(0x23, 0x5C), *range(0x5D, 0x7F))}
    assert back["error"] and set(back.get("error_description", "")) <= legal


@pytest.mark.parametrize("changes", BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
@pytest.mark.parametrize("uri", ["https://evil.test/cb", "https://client.test/cb/"])
def test_the_same_with_an_unregistered_redirect_uri_is_a_page(
    memory_world: World, changes: dict[str, str | None], uri: str
) -> None:
    """R011, R013, A043"""
    answer = memory_world.browser().open(memory_world.authorize_url(**{**changes, "redirect_uri": uri}))
    assert answer.status_code == 400 and answer.location is None and "evil.test" not in answer.text
    assert "http-equiv" not in answer.text and "<script" not in answer.text


REDIRECTS = (
    """https://client.test/cb/ https://client.test/cb/.. https://client.test/cb/../x https://client.test/cb%2f..%2fx
https://client.test/cb?x=1 https://client.test/cb? https://client.test/cb# https://client.test/cb#x https://client.test/cb;evil=1
https://client.test/CB https://CLIENT.test/cb https://client.test:443/cb http://client.test/cb https://client.test.evil.test/cb
https://client.test@evil.test/cb https://evil.test@client.test/cb https://client.test\\@evil.test/cb
https://client.test%2f@evil.test https://client.test%00.evil.test //client.test/cb https:/client.test/cb https:client.test/cb
https://client.test/cb%0d%0aX:y https://сlient.test/cb https://client。test/cb https://client.test/cb,https://evil.test
javascript:alert(1) data:text/html,x about:blank blob:x view-source:x ftp://client.test/cb
http://127.0.0.1.evil.test/cb http://127.0.0.1:80@evil.test/cb http://127.1/cb http://2130706433/cb http://0.0.0.0/cb
http://localhost/cb http://[::ffff:127.0.0.1]/cb http://127.0.0.1:99999/cb http://127.0.0.1:/cb http://127.0.0.1:0/cb
http://127.0.0.1/cb/ http://127.0.0.1:5/CB http://[::1]/cb""".split()
    + [" https://client.test/cb", "https://client.test/" + "a" * 60000]
)


@pytest.mark.parametrize("uri", REDIRECTS, ids=lambda uri: uri[:60])
def test_a_redirect_uri_that_only_looks_right_is_a_page(memory_world: World, uri: str) -> None:
    """A037, A038, A041, R008, R173"""
    answer = memory_world.browser().open(memory_world.authorize_url(memory_world.public, redirect_uri=uri))
    assert answer.status_code in (400, 413, 414) and answer.location is None


@pytest.mark.parametrize("port", ["", ":1", ":51004", ":65535"])
def test_a_loopback_redirect_uri_may_have_any_port(memory_world: World, port: str) -> None:
    """R173, A041"""
    browser = memory_world.browser()
    memory_world.log_in(browser)
    uri = f"http://127.0.0.1{port}/cb"
    answer = memory_world.consent(browser, memory_world.authorize_url(memory_world.public, redirect_uri=uri))
    assert answer.location.startswith(uri + "?code=")


def test_unknown_clients_and_repeated_parameters_are_pages_or_errors(memory_world: World) -> None:
    """R005, R010, R012"""
    world, browser = memory_world, memory_world.browser()
    assert browser.open(world.authorize_url(client_id="nobody")).status_code == 400
    assert browser.open(world.authorize_url(client_id=None)).status_code == 400
    assert browser.open(world.authorize_url(world.public, redirect_uri=None)).status_code == 400  # two are registered
    url = world.authorize_url()
    for name in ("client_id", "redirect_uri"):
        answer = browser.open(f"{url}&{name}=x")
        assert answer.status_code == 400 and answer.location is None
    for name in ("response_type", "scope", "state", "code_challenge", "code_challenge_method"):
        answer = browser.open(f"{url}&{name}=x")
        assert query_of(answer.location)["error"] == "invalid_request"
        assert ("state" in query_of(answer.location)) == (name != "state")


def test_what_must_not_matter_does_not(memory_world: World) -> None:
    """R003, R004, R007, R017, R201"""
    world, browser = memory_world, memory_world.browser()
    world.log_in(browser)
    for extra in ({"extra": "foobar"}, {"scope": ""}, {"display": "popup"}, {"ui_locales": "de"}, {"login_hint": "ann"}):
        assert "code" in query_of(world.consent(browser, world.authorize_url(**extra)).location)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", ["a b", "a+b", "a&b=c", "ü–日本", "x" * 2000, "'\"<>", "%20", "\r\nSet-Cookie: a=b"])
def test_state_comes_back_as_it_went(memory_world: World, state: str) -> None:
    """R015, R016, A035"""
    browser = memory_world.browser()
    memory_world.log_in(browser)
    answer = memory_world.consent(browser, memory_world.authorize_url(state=state))
    assert query_of(answer.location)["state"] == state and "\n" not in answer.location
    denied = memory_world.consent(browser, memory_world.authorize_url(state=state, prompt="consent"), "deny")
    assert query_of(denied.location) == {"error": "access_denied", "state": state, "iss": memory_world.base} | {
        "error_description": "The person denied the request."
    }


def test_a_posted_request_is_the_same_as_a_get(world: World) -> None:
    """R002"""
    query = query_of(world.authorize_url())
    answer = send(world.gateway, "POST", f"{world.prefix}/authorize", query, base=world.base)
    assert answer.status_code == 303 and query_of(answer.location) == query


def test_prompt_login_asks_for_the_password_again_and_prompt_consent_for_the_decision(world: World) -> None:
    """R197, A052"""
    browser = world.browser()
    world.log_in(browser)
    assert "code" in query_of(world.consent(browser, world.authorize_url()).location)
    assert browser.open(world.authorize_url()).status_code == 303  # remembered
    assert "asks for access" in browser.open(world.authorize_url(prompt="consent")).text
    page = browser.open(world.authorize_url(prompt="login"))
    assert "Password" in page.text
    answer = browser.open(f"{world.prefix}/authorize/login", {**hidden(page), "username": "ann", "password": PASSWORD})
    assert "prompt" not in query_of(answer.location)
    assert "code" in query_of(browser.open(answer.location).location)


def test_consent_is_remembered_for_the_same_and_asked_again_for_more(world: World) -> None:
    """A052, R264"""
    browser = world.browser()
    world.log_in(browser)
    world.consent(browser, world.authorize_url(scope="read"))
    assert browser.open(world.authorize_url(scope="read")).status_code == 303
    assert "code" in query_of(browser.open(world.authorize_url(scope="read", prompt="none")).location)
    assert browser.open(world.authorize_url(scope="read write")).status_code == 200
    refused = browser.open(world.authorize_url(scope="read write", prompt="none"))
    assert query_of(refused.location)["error"] == "consent_required"
    world.consent(browser, world.authorize_url(world.public))
    assert browser.open(world.authorize_url(world.public)).status_code == 200, "anybody can claim to be a public client"


def test_a_double_click_gives_the_same_code_and_a_late_one_a_page(world: World) -> None:
    """A053, contract 9.8"""
    browser = world.browser()
    world.log_in(browser)
    page = browser.open(world.authorize_url())
    form = {**hidden(page), "decision": "allow"}
    first = browser.open(f"{world.prefix}/authorize", form)
    second = browser.open(f"{world.prefix}/authorize", form)
    assert query_of(first.location)["code"] == query_of(second.location)["code"]
    assert world.redeem(query_of(first.location)["code"]).status_code == 200
    third = browser.open(f"{world.prefix}/authorize", form)
    assert third.status_code == 409 and "answered before" in third.text


def test_a_denied_request_cannot_be_allowed_afterwards(world: World) -> None:
    browser = world.browser()
    world.log_in(browser)
    form = hidden(browser.open(world.authorize_url()))
    denied = browser.open(f"{world.prefix}/authorize", {**form, "decision": "deny"})
    assert query_of(denied.location)["error"] == "access_denied"
    assert browser.open(f"{world.prefix}/authorize", {**form, "decision": "allow"}).status_code == 409


def test_an_allowed_request_cannot_be_denied_afterwards(world: World) -> None:
    """A053, A072"""
    browser = world.browser()
    world.log_in(browser)
    form = hidden(browser.open(world.authorize_url()))
    assert "code" in query_of(browser.open(f"{world.prefix}/authorize", {**form, "decision": "allow"}).location)
    assert browser.open(f"{world.prefix}/authorize", {**form, "decision": "deny"}).status_code == 409


def test_nobody_can_lock_out_another_address(memory_world: World) -> None:
    """A056, contract 9.13"""
    browser = memory_world.browser()
    for _ in range(12):
        memory_world.log_in(browser, "ann\n127.0.0.1", "a wrong one")
    assert memory_world.log_in(browser).status_code == 303


def test_a_long_state_survives_the_login(memory_world: World) -> None:
    """R016"""
    browser = memory_world.browser()
    page = browser.open(memory_world.authorize_url(state="x").replace("state=x", "state=" + ":" * 2048))
    answer = browser.open("/authorize/login", {**hidden(page), "username": "ann", "password": PASSWORD})
    assert answer.status_code == 303
    assert query_of(answer.location)["state"] == ":" * 2048


def test_two_tabs_do_not_swap_parameters(world: World) -> None:
    """A053"""
    browser = world.browser()
    world.log_in(browser)
    one = hidden(browser.open(world.authorize_url(state="one", prompt="consent")))
    two = hidden(browser.open(world.authorize_url(state="two", prompt="consent")))
    for form, state in ((one, "one"), (two, "two")):
        answer = browser.open(f"{world.prefix}/authorize", {**form, "decision": "allow"})
        assert query_of(answer.location)["state"] == state


def test_a_transaction_of_one_browser_cannot_be_finished_in_another(world: World) -> None:
    """A051, R021"""
    attacker, victim = world.browser(), world.browser()
    world.log_in(attacker)
    world.log_in(victim)
    stolen = hidden(attacker.open(world.authorize_url()))
    own = hidden(victim.open(world.authorize_url()))
    path = f"{world.prefix}/authorize"
    assert victim.open(path, {**stolen, "decision": "allow"}).status_code == 403
    assert victim.open(path, {**own, "transaction": stolen["transaction"], "decision": "allow"}).status_code == 403
    assert victim.open(path, {**own, "csrf": "", "decision": "allow"}).status_code == 403
    assert victim.open(path, {"decision": "allow"}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.test"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"},
        {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"},
    ],
    ids=str,
)
def test_forms_from_elsewhere_are_refused(memory_world: World, headers: dict[str, str]) -> None:
    """A048, R021"""
    world, browser = memory_world, memory_world.browser()
    world.log_in(browser)
    form = {**hidden(browser.open(world.authorize_url())), "decision": "allow"}
    assert browser.open("/authorize", form, **headers).status_code == 403
    login = hidden(browser.open("/authorize/login?"))
    answer = browser.open("/authorize/login", {**login, "username": "ann", "password": PASSWORD}, **headers)
    assert answer.status_code == 403 and "Set-Cookie" not in answer.headers


def test_a_form_without_an_origin_is_refused(memory_world: World) -> None:
    """A048"""
    browser = memory_world.browser()
    memory_world.log_in(browser)
    form = {**hidden(browser.open(memory_world.authorize_url())), "decision": "allow"}
    cookie = {"Cookie": "; ".join(f"{k}={v}" for k, v in browser.cookies.items())}
    assert send(memory_world.gateway, "POST", "/authorize", form, headers=cookie).status_code == 403


def test_the_cookie_is_another_after_login_and_dead_after_logout(world: World) -> None:
    """A050"""
    browser = world.browser()
    browser.open(f"{world.prefix}/authorize/login")
    before = dict(browser.cookies)
    answer = world.log_in(browser)
    after = dict(browser.cookies)
    assert list(before) == list(after) and before != after
    (name,) = after
    assert name.startswith("__Host-oauth_gateway-")
    for attribute in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert attribute in answer.headers["Set-Cookie"]
    assert browser.open(f"{world.prefix}/authorize/login").location.endswith("/authorize/account")
    page = browser.open(f"{world.prefix}/authorize/account")
    assert "signed in" in page.text and "ann" in page.text
    assert browser.open(f"{world.prefix}/authorize/logout", hidden(page)).status_code == 200
    browser.cookies = after
    assert "Password" in browser.open(f"{world.prefix}/authorize/login").text


def test_logging_out_needs_our_form(memory_world: World) -> None:
    browser = memory_world.browser()
    memory_world.log_in(browser)
    assert browser.open("/authorize/logout", {"csrf": "x"}).status_code == 403
    assert browser.open("/authorize/logout", {}).status_code == 303  # as another site would post: the same as a GET
    assert "Sign out?" in browser.open("/authorize/logout").text
    assert "signed in" in browser.open("/authorize/account").text


def test_there_is_no_open_redirect_after_login(memory_world: World) -> None:
    """A044, R024, R224"""
    for target in ("//evil.test", "https://evil.test", "/\\evil.test", "\r\nLocation: https://evil.test", "?x=1"):
        answer = memory_world.log_in(memory_world.browser(), next=target)
        assert answer.status_code == 303 and answer.location.startswith("https://api.example.com/authorize"), target


def test_wrong_names_and_wrong_passwords_read_the_same(memory_world: World) -> None:
    """A056"""
    pages = []
    for name, password in (("ann", "wrong password"), ("nobody", "wrong password"), ("ann", "x\0y"), ("ann", "y" * 5000)):
        answer = memory_world.log_in(memory_world.browser(), name, password)
        assert answer.status_code == 400
        pages.append(answer.text.partition('role="alert">')[2].partition("<")[0])
    assert len(set(pages[:2])) == 1 and "not right" in pages[0]


def failing(world: World, browser: Browser, url: str, name: str = "ann") -> str:
    """Where a wrong password at the login page of `url` leads."""
    form = {**hidden(browser.open(url)), "username": name, "password": "a wrong one"}
    answer = browser.open(f"{world.prefix}/authorize/login", form)
    assert answer.status_code == 303
    return str(answer.location)


def test_a_wrong_password_leads_to_a_page_that_the_back_button_can_show(world: World) -> None:
    """A053: by a redirect that keeps the request; later, when somebody is signed in, it goes on with it"""
    browser, url = world.browser(), world.authorize_url(state="kept")
    again = failing(world, browser, url, 'a"<b>')
    assert again.startswith(f"{world.base}{world.prefix}/authorize/login?failed=") and "%3Cb" not in again
    page = browser.open(again)
    assert "not right" in page.text and "to continue to" in page.text and 'value="a&#34;&lt;b&gt;"' in page.text
    answer = browser.open(f"{world.prefix}/authorize/login", {**hidden(page), "username": "ann", "password": PASSWORD})
    assert query_of(answer.location)["state"] == "kept"
    back = browser.open(again)
    assert query_of(back.location)["state"] == "kept" and "asks for access" in browser.open(back.location).text


def test_what_a_wrong_password_left_in_an_address_is_read_by_its_browser_only(world: World) -> None:
    """A044, A054: and leads nowhere else"""
    mine, other = world.browser(), world.browser()
    again = failing(world, mine, world.authorize_url(), "my password")
    assert "not right" in mine.open(again).text
    for text in (other.open(again).text, mine.open(re.sub("failed=.{9}", "failed=AAAAAAAAA", again)).text):
        assert "not right" not in text and "my password" not in text and 'name="password"' in text
    world.log_in(mine)
    for target in ("//evil.test", "https://evil.test", "/\\evil.test", "\r\nLocation: https://evil.test", "/x"):
        answer = mine.open(f"{world.prefix}/authorize/login?{urlencode({'request': target})}")
        assert answer.status_code == 400 or answer.location.startswith(f"{world.base}{world.prefix}/authorize"), target
    long = world.authorize_url(state="s" * 3900)
    form = {**hidden(other.open(long)), "username": "ann", "password": "no"}
    page = other.open(f"{world.prefix}/authorize/login", form)
    assert page.status_code == 400 and "not right" in page.text, "too long for an address"


def test_guessing_is_throttled_by_name_and_address(world: World) -> None:
    """A056, contract 9.13"""
    browser = world.browser()
    for _ in range(10):
        assert world.log_in(browser, password="a wrong one").status_code == 400
    locked = world.log_in(browser)
    assert locked.status_code == 429 and int(locked.headers["Retry-After"]) > 0 and "Too many" in locked.text
    world.clock.advance(901)
    assert world.log_in(browser).status_code == 303


def test_pages_forbid_framing_scripts_and_caching(memory_world: World) -> None:
    """R022, R027, A049, R244"""
    browser = memory_world.browser()
    pages = [browser.open(memory_world.authorize_url()), browser.open("/authorize?"), browser.open("/authorize/nothing")]
    memory_world.log_in(browser)
    pages += [browser.open(memory_world.authorize_url()), browser.open("/authorize/account"), browser.open("/authorize/logout")]
    for page in pages:
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert page.headers["X-Frame-Options"] == "DENY" and page.headers["Referrer-Policy"] == "same-origin"
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in page.headers  # R105, R242
        assert "<script" not in page.text and "http://" not in page.text and len(page.body) < 30 * 1024


XSS = ['"><script>alert(1)</script>', "<b>x</b>", "'-alert(1)-'", "{{7*7}}", "</title><script>"]


@pytest.mark.parametrize("text", XSS)
def test_what_comes_from_outside_is_escaped(clock: object, text: str) -> None:
    """R023, A054"""
    world = make_world("sqlite://", clock, scopes={"read": text})  # type: ignore[arg-type]
    world.gateway.store.update_client(_renamed(world, text), 0)
    browser = world.browser()
    page = browser.open(world.authorize_url(login_hint=text, ui_locales=text, state=text))
    filled = re.search(r'name="username" value="([^"]*)"', page.text)
    assert filled and html.unescape(filled[1]) == text, "the hint stands in the field, and is no more than that"
    world.log_in(browser)
    consent = browser.open(world.authorize_url(state=text))
    for shown in (page, consent):
        assert shown.status_code == 200 and "<script" not in shown.text and "<b>" not in shown.text
        assert "{{" not in text or "49" not in shown.text.partition("<main>")[2].split("<form")[0]


def _renamed(world: World, name: str):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    return replace(world.confidential, metadata={**world.confidential.metadata, "client_name": name})


def test_a_password_changed_during_a_login_ends_that_login(memory_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A050, A072"""
    world, users = memory_world, memory_world.gateway.server.users
    log_in = users.log_in

    def overtaken(*arguments: object) -> object:
        user = log_in(*arguments)  # type: ignore[arg-type]
        users.set_password(users.named("ann"), "a new password", world.clock())
        return user

    monkeypatch.setattr(users, "log_in", overtaken)
    browser = world.browser()
    assert world.log_in(browser).status_code == 403
    assert "Password" in browser.open("/authorize/login").text


def test_a_disabled_person_is_signed_out(world: World) -> None:
    browser = world.browser()
    world.log_in(browser)
    users = world.gateway.server.users
    users.set_disabled(users.named("ann"), True, world.clock())
    assert "Password" in browser.open(f"{world.prefix}/authorize/login").text
    assert world.log_in(browser).status_code == 400


def test_codes_and_tokens_are_long_and_differ(memory_world: World) -> None:
    """R047, R049"""
    tokens = [memory_world.machine_token() for _ in range(200)]
    secrets = [token.removeprefix("oga1_at_") for token in tokens]
    assert len(set(tokens)) == 200 and all(len(secret) >= 43 for secret in secrets)
    assert not any(a[:6] == b[:6] for a, b in itertools.combinations(secrets, 2))


def test_a_request_that_is_too_long_for_an_address_goes_along_in_forms(world: World) -> None:
    """R002, DESIGN section 8: nothing is stored before login, and a form from elsewhere costs nobody the session"""
    query = {**query_of(world.authorize_url()), "state": "s" * 6000}
    path = f"{world.prefix}/authorize"
    browser = world.browser()
    page = browser.open(path, query, Origin="https://client.test", Sec_Fetch_Site="cross-site")
    assert page.status_code == 200 and "Set-Cookie" not in page.headers and "Continue" in page.text
    assert "form-action" not in page.headers["Content-Security-Policy"], "browsers apply it to where the client redirects"
    page = browser.open(path, hidden(page))
    assert 'name="password"' in page.text and "Shop" in page.text
    page = browser.open(f"{path}/login", {**hidden(page), "username": "ann", "password": PASSWORD})
    assert page.status_code == 200 and page.headers["Set-Cookie"] and hidden(page)["state"] == query["state"]
    page = browser.open(path, hidden(page))
    assert "asks for access" in page.text
    answer = browser.open(path, {**hidden(page), "decision": "allow"})
    assert query_of(answer.location)["state"] == query["state"] and "code" in query_of(answer.location)
    page = browser.open(path, {**query, "state": "s" * 20000}, Origin="https://client.test", Sec_Fetch_Site="cross-site")
    assert page.status_code == 413


def test_an_unknown_name_costs_the_same_hash_and_reads_the_same(memory_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A056"""
    users, verified = memory_world.gateway.server.users, []
    verify = users._hasher.verify

    class Counting:
        def hash(self, raw: bytes) -> str:
            return hasher.hash(raw)

        def verify(self, stored: str, raw: bytes) -> bool:
            verified.append(stored)
            return bool(verify(stored, raw))

    hasher = users._hasher
    monkeypatch.setattr(users, "_hasher", Counting())
    browser, pages = memory_world.browser(), []
    for name in ("ann", "nobody"):
        page = memory_world.log_in(browser, name, "a wrong one")
        pages.append(page.text.replace(name, "NAME"))
        assert page.status_code == 400
    assert len(verified) == 2 and pages[0] == pages[1]
