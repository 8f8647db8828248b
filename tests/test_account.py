"""The account page: what has access, where one is signed in, and the password; on every store and under a prefix (R265)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import webob

from oauth_gateway import OAuthGateway, near
from oauth_gateway.account import SHOWN
from oauth_gateway.devices import device_of
from oauth_gateway.errors import StoreUnavailable
from oauth_gateway.languages import TAGS
from oauth_gateway.models import Consent, Grant, Session, User, digest, public_id
from oauth_gateway.sealing import new_number
from oauth_gateway.store import logins
from oauth_gateway.store.records import logins as record_logins
from oauth_gateway.testing import Clock, race

from .conftest import PASSWORD, Browser, RecordingApp, World, hidden, make_world, query_of, send

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
NEW = "another battery, a new horse"


def path(world: World) -> str:
    return f"{world.prefix}/authorize/account"


def page(world: World, browser: Browser) -> str:
    answer = browser.open(path(world))
    assert answer.status_code == 200, answer.status
    return answer.text


def post(world: World, browser: Browser, **form: str) -> webob.Response:
    """What a button of the page's forms for access and sessions sends."""
    text = page(world, browser)
    csrf = re.search(r'action="[^"]*/authorize/account[^"]*">\s*<input type="hidden" name="csrf" value="([^"]+)"', text)
    assert csrf
    return browser.open(path(world), {"csrf": csrf[1], **form})


def signed_in(world: World, name: str = "ann", **headers: str) -> Browser:
    browser = world.browser()
    form = {**hidden(browser.open(f"{world.prefix}/authorize/login")), "username": name, "password": PASSWORD}
    assert browser.open(f"{world.prefix}/authorize/login", form, **headers).status_code == 303
    return browser


def change(world: World, browser: Browser, current: str = PASSWORD, new: str = NEW, **more: str) -> webob.Response:
    form = hidden(browser.open(f"{path(world)}/password"))
    return browser.open(
        f"{path(world)}/password", {**form, "password": current, "new_password": new, "new_password_again": new, **more}
    )


def test_what_has_access_is_listed_and_taken_back_at_once(world: World) -> None:
    """R265"""
    browser = signed_in(world)
    tokens = world.redeem(world.code(browser=browser)).json
    others = world.redeem(world.code(world.public, browser=browser, scope="read write"), world.public).json
    world.clock.advance(1800)
    tokens = world.refresh(tokens["refresh_token"]).json
    text = page(world, browser)
    shop, phone = text.index("Shop"), text.index("Phone")
    assert shop < phone, "the one that was used last comes first"
    assert "Read your things" in text[shop:phone] and "Change your things" not in text[shop:phone]
    assert "Change your things" in text[phone:]
    assert [world.call(each["access_token"]).status_code for each in (tokens, others)] == [200, 200]
    answer = post(world, browser, client=public_id(world.confidential.number))
    assert answer.status_code == 303
    assert world.call(tokens["access_token"]).status_code == 401, "at once, also where it was remembered"
    assert world.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"
    assert world.call(others["access_token"]).status_code == 200, "and nothing else"
    told = browser.open(answer.location).text
    assert "The application no longer has access" in told and "Shop" not in told and "Phone" in told


def test_every_worker_refuses_the_token_once_the_page_has_answered(world: World) -> None:
    """Another process, which has let the token through before."""
    if world.gateway.settings.database == "sqlite://":
        pytest.skip("a database in memory is that of one process")
    settings = {name: getattr(world.gateway.settings, name) for name in ("issuer", "database", "prefix", "secret", "scopes")}
    other = OAuthGateway(RecordingApp(), **{name: value for name, value in settings.items() if value})
    browser = signed_in(world)
    token = world.redeem(world.code(browser=browser)).json["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert send(other, "GET", "/thing", base=world.base, headers=headers).status_code == 200
    post(world, browser, client=public_id(world.confidential.number))
    assert send(other, "GET", "/thing", base=world.base, headers=headers).status_code == 401
    other.store.close()


def test_a_client_whose_access_was_taken_back_has_to_ask_again(world: World) -> None:
    """A052"""
    browser = signed_in(world)
    world.code(browser=browser)
    assert browser.open(world.authorize_url()).status_code == 303, "remembered"
    post(world, browser, client=public_id(world.confidential.number))
    assert "asks for access" in browser.open(world.authorize_url()).text


def test_a_code_that_was_not_redeemed_yet_is_worth_nothing_afterwards(world: World) -> None:
    browser = signed_in(world)
    code = world.code(browser=browser)
    post(world, browser, client=public_id(world.confidential.number))
    assert world.redeem(code).json["error"] == "invalid_grant"


def test_a_consent_that_is_taken_back_while_its_client_comes_again_buys_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client was looked up as agreed to, and is not any more when the grant would be stored."""
    browser = signed_in(world)
    world.code(browser=browser)
    store = world.gateway.store
    user_id = world.gateway.server.users.named("ann").user_id
    authorize = type(store).authorize

    def too_late(self: Any, grant: Any, tokens: Any, agreed: Any) -> Any:
        store.revoke_access(user_id, world.confidential.number, world.clock())
        return authorize(self, grant, tokens, agreed)

    monkeypatch.setattr(type(store), "authorize", too_late)
    answer = browser.open(world.authorize_url())
    assert answer.status_code == 303 and query_of(answer.location)["error"] == "login_required"


@pytest.mark.parametrize("forged", ["", "0", "0000000000000000", "7fffffffffffffff", "ffffffffffffffff", "x" * 99, "-1", "１"])
def test_a_name_that_is_nobodys_ends_nothing_and_gets_the_same_answer(world: World, forged: str) -> None:
    browser = signed_in(world)
    token = world.redeem(world.code(browser=browser)).json["access_token"]
    for field in ("client", "session"):
        answer = post(world, browser, **{field: forged})
        assert answer.status_code == 303 and answer.location.startswith(f"{world.base}{path(world)}")
    assert world.call(token).status_code == 200 and "You are signed in" in page(world, browser)


def test_one_person_neither_sees_nor_ends_what_is_anothers(world: World) -> None:
    world.gateway.server.users.create("bob", PASSWORD, world.clock())
    ann, bob = signed_in(world), signed_in(world, "bob")
    token = world.redeem(world.code(browser=ann)).json["access_token"]
    sid = world.gateway.store.sessions(world.gateway.server.users.named("ann").user_id)[0].sid
    text = page(world, bob)
    assert "Shop" not in text and sid not in text
    mine = post(world, bob, client="7fffffffffffffff")
    theirs = post(world, bob, client=public_id(world.confidential.number))
    assert (theirs.status_code, theirs.location) == (mine.status_code, mine.location), "nothing tells that there is such a one"
    assert post(world, bob, session=sid).status_code == 303
    assert world.call(token).status_code == 200 and "Shop" in page(world, ann)


def test_sessions_have_devices_and_times_and_are_signed_out_one_by_one(world: World) -> None:
    there = signed_in(world, User_Agent=FIREFOX)
    world.clock.advance(7200)
    here = signed_in(world)
    text = page(world, here)
    assert text.count("last seen 15 January 2027, 08:00 UTC") == 2 and "last seen 15 January 2027, 10:00 UTC" in text
    assert "Firefox on Linux" in text and "This browser" in text
    sid = re.search(r'name="session" value="([^"]+)"', text)
    assert sid
    answer = post(world, here, session=sid[1])
    assert "You are signed out there." in here.open(answer.location).text
    assert there.open(path(world)).location.endswith("/authorize/login")
    assert "Firefox" not in page(world, here)
    assert post(world, here, session=sid[1]).status_code == 303, "twice is no error"


def test_signing_out_everywhere_else_and_everywhere(world: World) -> None:
    here, *elsewhere = (signed_in(world) for _ in range(3))
    assert post(world, here, sessions="others").status_code == 303
    assert all(browser.open(path(world)).status_code == 303 for browser in elsewhere)
    assert "You are signed in" in page(world, here)
    another = signed_in(world)
    form = {**hidden(here.open(path(world))), "everywhere": "yes"}
    assert "You are signed out" in here.open(f"{world.prefix}/authorize/logout", form).text
    assert here.open(path(world)).status_code == another.open(path(world)).status_code == 303


def test_signing_out_everywhere_happens_as_a_whole_or_not_at_all(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A094: the store fails in the middle; nobody is signed out at half of the browsers"""
    browsers = [signed_in(world) for _ in range(3)]
    tokens = [world.redeem(world.code(browser=each, scope="openid")).json["access_token"] for each in browsers]
    made: list[int] = []

    def fails() -> int:
        made.append(new_number())
        if len(made) == 2:
            raise StoreUnavailable("in the middle")
        return made[-1]

    form = {**hidden(browsers[0].open(path(world))), "everywhere": "yes"}
    with monkeypatch.context() as patch:
        for each in (logins, record_logins):
            patch.setattr(each, "new_number", fails)
        assert browsers[0].open(f"{world.prefix}/authorize/logout", form).status_code == 503
    assert len(made) == 2, "of the jobs that tell the parties"
    assert [each.open(path(world)).status_code for each in browsers] == [200] * 3
    assert [world.call(each).status_code for each in tokens] == [200] * 3 and world.gateway.store.next_job() is None
    assert "You are signed out" in browsers[0].open(f"{world.prefix}/authorize/logout", form).text
    assert [each.open(path(world)).status_code for each in browsers] == [303] * 3
    assert [world.call(each).status_code for each in tokens] == [401] * 3


def test_a_session_that_is_used_is_noted_every_five_minutes(memory_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world = memory_world
    browser, store, notes = signed_in(world), world.gateway.store, []
    see = type(store).see_sessions

    def counted(self: Any, seen: Any) -> None:
        notes.append(seen)
        see(self, seen)

    monkeypatch.setattr(type(store), "see_sessions", counted)
    for _ in range(5):
        world.clock.advance(80)
        page(world, browser)
    assert len(notes) == 1
    world.clock.advance(300)
    page(world, browser)
    assert len(notes) == 2 and store.sessions()[0].seen == world.clock()


def test_a_changed_password_ends_the_other_sessions_and_renews_this_one(world: World) -> None:
    """A050"""
    other, browser = signed_in(world), signed_in(world)
    token = world.redeem(world.code(browser=browser)).json["access_token"]
    before = dict(browser.cookies)
    answer = change(world, browser)
    assert answer.status_code == 303 and "Your password is changed" in browser.open(answer.location).text
    assert other.open(path(world)).location.endswith("/authorize/login")
    stolen = replace(browser, cookies=before)
    assert before != browser.cookies and stolen.open(path(world)).status_code == 303, "the old cookie is worth nothing"
    assert world.call(token).status_code == 200, "what was allowed to applications stays"
    assert "not right" in world.log_in(world.browser()).text
    assert world.log_in(world.browser(), password=NEW).status_code == 303


def test_a_changed_password_takes_the_access_of_applications_where_that_is_wanted(world: World) -> None:
    browser = signed_in(world)
    token = world.redeem(world.code(browser=browser)).json["access_token"]
    assert "done=password" in change(world, browser, apps="yes").location
    assert world.call(token).status_code == 401 and "No application has access" in page(world, browser)


@pytest.mark.parametrize(
    ("current", "new", "again", "message"),
    [
        ("wrong", NEW, NEW, "The current password is not right."),
        ("", NEW, NEW, "The current password is not right."),
        (PASSWORD, "short", "short", "The new password must have at least 8 characters"),
        (PASSWORD, "", "", "The new password must have at least 8 characters"),
        (PASSWORD, "ü" * 513, "ü" * 513, "at most 1024 bytes"),
        (PASSWORD, NEW, NEW + "x", "The two new passwords are not the same."),
        (PASSWORD, NEW, "", "The two new passwords are not the same."),
    ],
)
def test_a_password_that_will_not_do_gets_the_form_again(
    memory_world: World, current: str, new: str, again: str, message: str
) -> None:
    browser = signed_in(memory_world)
    answer = change(memory_world, browser, current, new, new_password_again=again)
    assert answer.status_code == 303, "so that the back button finds a page"
    text = browser.open(answer.location).text
    assert message in text and "new_password_again" in text and (new not in text or not new) and PASSWORD not in text
    assert message not in signed_in(memory_world).open(answer.location).text, "in this browser only"
    assert memory_world.log_in(memory_world.browser()).status_code == 303, "the old one holds"


def test_guessing_the_current_password_counts_with_guessing_at_the_sign_in_page(world: World) -> None:
    """A056"""
    browser = signed_in(world)
    for _ in range(5):
        assert "wrong=password&" in change(world, browser, "guess").location
        assert world.log_in(world.browser(), password="guess").status_code == 400
    answer = change(world, browser)
    assert answer.status_code == 429 and int(answer.headers["Retry-After"]) > 0
    assert "Too many attempts" in answer.text and "Back to your account" in answer.text
    assert world.log_in(world.browser()).status_code == 429
    world.clock.advance(901)
    assert "done=password" in change(world, browser).location


def test_an_unfit_new_password_is_no_guess(memory_world: World) -> None:
    browser = signed_in(memory_world)
    for _ in range(12):
        assert "wrong=new_password&" in change(memory_world, browser, new="short").location
    assert "done=password" in change(memory_world, browser).location


def test_of_two_changes_at_once_one_wins_and_the_other_changes_nothing(world: World) -> None:
    browsers = [signed_in(world) for _ in range(2)]
    news = [f"the new one of {number}" for number in range(2)]
    answers = race(*(lambda b=b, n=n: change(world, b, new=n) for b, n in zip(browsers, news, strict=True)))
    changed = [getattr(answer, "location", None) or "" for answer in answers]
    won = [number for number in range(2) if "done=password" in changed[number]]
    assert len(won) == 1, answers
    assert world.log_in(world.browser(), password=news[won[0]]).status_code == 303
    assert world.log_in(world.browser(), password=news[1 - won[0]]).status_code == 400
    assert browsers[1 - won[0]].open(path(world)).status_code == 303, "and is signed out"


def filled(world: World, browser: Browser, current: str = PASSWORD) -> dict[str, str]:
    """The form for the password as it is sent."""
    form = hidden(browser.open(f"{path(world)}/password"))
    return {**form, "password": current, "new_password": NEW, "new_password_again": NEW}


@pytest.mark.parametrize("waits", [True, False])
def test_a_form_that_is_sent_twice_says_twice_that_the_password_is_changed(world: World, waits: bool) -> None:
    """A double click: with the cookie that the first answer brought, or with the old one where the browser dropped it"""
    signed_in(world)
    browser = signed_in(world)
    form, before = filled(world, browser), dict(browser.cookies)
    assert "done=password" in browser.open(f"{path(world)}/password", form).location
    after = dict(browser.cookies)
    if not waits:
        browser.cookies = before
    second = browser.open(f"{path(world)}/password", form)
    assert second.status_code == 303 and (waits or browser.cookies == after)
    assert "Your password is changed" in browser.open(second.location).text
    assert len(world.gateway.store.sessions()) == 1, "and it is one session"
    assert world.log_in(world.browser(), password=NEW).status_code == 303
    for _ in range(9):
        assert world.log_in(world.browser(), password="guess").status_code == 400, "nobody has been locked out"


def test_a_form_that_is_sent_twice_at_once_says_twice_that_the_password_is_changed(world: World) -> None:
    browser = signed_in(world)
    form = filled(world, browser)
    twins = [replace(browser, cookies=dict(browser.cookies)) for _ in range(2)]
    answers = race(*(lambda twin=twin: twin.open(f"{path(world)}/password", form) for twin in twins))
    assert ["done=password" in (getattr(answer, "location", None) or "") for answer in answers] == [True, True], answers
    assert twins[0].cookies == twins[1].cookies != browser.cookies
    assert "Your password is changed" in twins[1].open(answers[0].location).text


def test_the_old_cookie_and_the_old_form_are_worth_nothing_without_the_new_password(world: World) -> None:
    """A050: who has stolen both gets no new cookie for them"""
    browser = signed_in(world)
    thief, form = replace(browser, cookies=dict(browser.cookies)), filled(world, browser)
    browser.open(f"{path(world)}/password", form)
    had = dict(thief.cookies)
    for guess in ("another guess", PASSWORD):
        tried = {**form, "password": guess, "new_password": guess, "new_password_again": guess}
        answer = thief.open(f"{path(world)}/password", tried)
        assert answer.location.endswith("/authorize/login") and thief.cookies == had
    for _ in range(6):
        answer = thief.open(
            f"{path(world)}/password",
            {**form, "password": "x", "new_password": "another guess", "new_password_again": "another guess"},
        )
        assert answer.location.endswith("/authorize/login") and thief.cookies == had and "ann" not in answer.text
    assert world.log_in(world.browser(), password=NEW).status_code == 429, "guesses count"
    assert thief.open(f"{path(world)}/password").location.endswith("/authorize/login")
    foreign = {**form, "csrf": filled(world, browser)["csrf"][::-1]}
    assert thief.open(f"{path(world)}/password", foreign).status_code == 403


def in_the_middle(world: World, monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    """Have `act()` happen once, after the current password was verified."""
    users, done = world.gateway.server.users, []
    log_in = type(users).log_in

    def and_then(self: Any, *given: Any) -> Any:
        found = log_in(self, *given)
        if not done:
            done.append(act())
        return found

    monkeypatch.setattr(type(users), "log_in", and_then)


def test_an_account_that_is_disabled_meanwhile_stays_disabled(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, users = signed_in(world), world.gateway.server.users
    in_the_middle(world, monkeypatch, lambda: users.set_disabled(users.named("ann"), True, world.clock()))
    answer = change(world, browser)
    assert answer.status_code == 303 and answer.location.endswith("/authorize/login"), "it is signed out"
    user = users.named("ann")
    assert user.disabled is not None and users._verify(user, PASSWORD) and not users._verify(user, NEW)


def test_an_account_that_changes_meanwhile_gets_the_form_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, users = signed_in(world), world.gateway.server.users
    in_the_middle(world, monkeypatch, lambda: users.set_claims(users.named("ann"), {"name": "Ann"}, world.clock()))
    answer = change(world, browser)
    assert answer.status_code == 409 and "was changed meanwhile" in answer.text and "new_password" in answer.text
    assert users.named("ann").claims == {"name": "Ann"}
    assert "done=password" in change(world, browser).location, "again it works"


def test_a_login_that_is_verified_while_the_password_changes_does_not_survive(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, late, changed = signed_in(world), world.browser(), []
    users = world.gateway.server.users
    form = {**hidden(late.open(f"{world.prefix}/authorize/login")), "username": "ann", "password": PASSWORD}
    log_in = type(users).log_in

    def slow(self: Any, *given: Any) -> Any:
        found = log_in(self, *given)
        if not changed:
            changed.append(True)
            assert "done=password" in change(world, browser).location
        return found

    monkeypatch.setattr(type(users), "log_in", slow)
    assert late.open(f"{world.prefix}/authorize/login", form).status_code == 403
    assert late.open(path(world)).status_code == 303


def test_a_session_that_ended_in_the_middle_leads_to_the_sign_in_page(world: World) -> None:
    browser = signed_in(world)
    text = page(world, browser)
    form = hidden(browser.open(f"{path(world)}/password"))
    world.clock.advance(15 * 86400)
    csrf = text.rpartition('name="csrf" value="')[2].partition('"')[0]
    assert browser.open(path(world), {"csrf": csrf, "sessions": "others"}).location.endswith("/authorize/login")
    form |= {"password": PASSWORD, "new_password": NEW, "new_password_again": NEW}
    assert browser.open(f"{path(world)}/password", form).location.endswith("/authorize/login")
    assert browser.open(f"{path(world)}/password").location.endswith("/authorize/login")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.test"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"},
        {"Sec_Fetch_Dest": "iframe"},
    ],
)
def test_no_other_site_and_no_script_drives_the_forms(memory_world: World, headers: dict[str, str]) -> None:
    """A048"""
    world = memory_world
    browser = signed_in(world)
    token = world.redeem(world.code(browser=browser)).json["access_token"]
    csrf = page(world, browser).rpartition('name="csrf" value="')[2].partition('"')[0]
    form = hidden(browser.open(f"{path(world)}/password")) | {
        "password": PASSWORD,
        "new_password": NEW,
        "new_password_again": NEW,
    }
    client = public_id(world.confidential.number)
    account = re.findall(r'name="csrf" value="([^"]+)"', page(world, browser))
    for value in {csrf, *account}:
        assert browser.open(path(world), {"csrf": value, "client": client}, **headers).status_code == 403
    assert browser.open(f"{path(world)}/password", form, **headers).status_code == 403
    assert world.call(token).status_code == 200 and world.log_in(world.browser()).status_code == 303


def test_a_form_of_another_browser_or_page_does_nothing_and_leads_back(world: World) -> None:
    """A048"""
    here, there = signed_in(world), signed_in(world)
    theirs = hidden(there.open(f"{path(world)}/password"))["csrf"]
    mine = hidden(here.open(f"{path(world)}/password"))["csrf"]
    form = {"password": PASSWORD, "new_password": NEW, "new_password_again": NEW}
    for address, csrf in ((path(world), mine), (f"{path(world)}/password", theirs), (f"{path(world)}/password", "")):
        answer = here.open(address, {"csrf": csrf, "sessions": "others", **form})
        assert answer.status_code == 403 and f'href="{world.base}{path(world)}"' in answer.text, "no dead end"
    assert "You are signed in" in page(world, there) and world.log_in(world.browser()).status_code == 303


def test_only_our_own_links_make_the_page_say_that_something_was_done(memory_world: World) -> None:
    browser = signed_in(memory_world)
    for query in ("done=password", "done=password&proof=x", "done=x&proof=x", "after=x", "after=ffffffffffffffff"):
        text = browser.open(f"{path(memory_world)}?{query}").text
        assert "You are signed in" in text and "Your password is changed" not in text
    other = signed_in(memory_world)
    told = post(memory_world, other, sessions="others").location
    assert "everywhere else." in other.open(told).text
    again = signed_in(memory_world)
    assert "signed out everywhere else." not in again.open(told).text, "another browser's"


def test_whoever_has_no_password_here_gets_no_form_for_it(memory_world: World) -> None:
    world = memory_world
    now = world.clock()
    user = User("user-of-elsewhere", "eve", "application", None, now)
    world.gateway.store.add_user(user, "eve")
    from oauth_gateway.sessions import Sessions

    value, _ = Sessions(world.gateway.settings, world.gateway.store, world.gateway.server.sealer).start(user, None, now)
    browser = signed_in(world)
    (name,) = browser.cookies
    browser.cookies = {name: value}
    assert "Change the password" not in page(world, browser)
    assert browser.open(f"{path(world)}/password").status_code == 404


def grants(world: World, number: int, *, of_one: bool = False) -> None:
    """Consents and grants of ann, to as many clients or all to one."""
    store, user_id = world.gateway.store, world.gateway.server.users.named("ann").user_id
    for count in range(number):
        client = world.confidential if of_one else world.clients.create(now=0, client_name=f"App {count:04}")[0]
        now = world.clock() + count
        consent = Consent(new_number(), user_id, client.number, "https://a.test/", "aud", "read", now)
        grant = Grant(new_number(), client.number, user_id, user_id, "read", "aud", now, consent_id=consent.id)
        store.authorize(grant, (), consent)


def test_a_thousand_grants_come_in_pages_that_cost_no_more_than_one(
    memory_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page stays below 30 KiB; the statements are counted, for a full page and for one of one."""
    world = memory_world
    browser, counts = signed_in(world), []
    grants(world, 1)
    monkeypatch.setattr(near, "monotonic", lambda: 0.0)  # however long a busy machine takes, the person stays known
    database = world.gateway.store.database  # type: ignore[attr-defined]
    read = type(database).read

    def counted(self: Any) -> Any:
        counts.append(1)
        return read(self)

    page(world, browser)  # the person is known from here on
    monkeypatch.setattr(type(database), "read", counted)
    page(world, browser)
    one = len(counts)
    monkeypatch.setattr(type(database), "read", read)
    grants(world, 1000)
    monkeypatch.setattr(type(database), "read", counted)
    seen: list[str] = []
    address = path(world)
    while address:
        counts.clear()
        text = browser.open(address).text
        assert len(counts) == one and len(text.encode()) < 30 * 1024
        seen += re.findall(r"<bdi>(App [0-9]+)</bdi>", text)
        following = re.search(r'<a href="([^"]+)">More applications', text)
        address = following[1] if following else ""
    assert len(seen) == len(set(seen) | {"App 0000"}) + 1 == 1001


@pytest.mark.parametrize("tag", TAGS)
def test_a_full_page_stays_below_30_kib_in_every_language(clock: Clock, tag: str) -> None:
    scopes = {f"scope{number}": f"Look at and change your things of kind number {number}" for number in range(5)}
    world = make_world("sqlite://", clock, scopes={"read": "Read", "write": "Write", **scopes})
    store, user_id, now = world.gateway.store, world.gateway.server.users.named("ann").user_id, clock()
    for number in range(SHOWN + 5):
        sid = f"{number:032x}"
        store.add_session(Session(digest(sid), sid, user_id, now, now, now + 99, device="Samsung Internet on Android"))
        client, _ = world.clients.create(now=0, client_name=f"Some Application {number:04}")
        consent = Consent(new_number(), user_id, client.number, "https://a.test/", "aud", " ".join(scopes), now)
        grant = Grant(new_number(), client.number, user_id, "s", " ".join(scopes), "aud", now, consent_id=consent.id)
        store.authorize(grant, (), consent)
    answer = signed_in(world).open(path(world), Accept_Language=tag)
    assert answer.headers["Content-Language"] == tag and answer.text.count('name="session"') == SHOWN - 1
    assert len(answer.body) < 30 * 1024


def test_a_thousand_grants_of_one_client_are_taken_back_together(world: World) -> None:
    browser = signed_in(world)
    grants(world, 1000, of_one=True)
    token = world.redeem(world.code(browser=browser)).json["access_token"]
    assert world.call(token).status_code == 200 and page(world, browser).count("Remove access</button>") == 1
    post(world, browser, client=public_id(world.confidential.number))
    assert world.call(token).status_code == 401 and "No application has access" in page(world, browser)


def test_taking_back_on_a_later_page_stays_there(memory_world: World) -> None:
    world = memory_world
    browser = signed_in(world)
    grants(world, 45)
    first = page(world, browser)
    second = re.search(r'<a href="([^"]+)">More applications', first)
    assert second
    text = browser.open(second[1]).text
    action = re.search(r'action="([^"]+after=[^"]+)">\s*<input type="hidden" name="csrf" value="([^"]+)"', text)
    button = re.search(r'name="client" value="([^"]+)"', text)
    assert action and button
    answer = browser.open(action[1], {"csrf": action[2], "client": button[1]})
    following = browser.open(answer.location).text
    assert "First applications" in following and button[1] not in following and following.count('name="client"') == SHOWN


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        "\" onclick='x' \"",
        "متجر الصور",
        "写真館",
        "Ωμέγα & Söhne",
        "👩‍👩‍👧",
        "%(client)s %s {{ 7*7 }}",
        "x" * 200,
        "ü" * 200,
    ],
)
def test_names_in_every_script_and_with_markup_stay_names(memory_world: World, name: str) -> None:
    """A054, R023"""
    world = memory_world
    world.clients.update(world.confidential, {"client_name": name}, 0)
    browser = signed_in(world)
    world.code(browser=browser)
    text = page(world, browser)
    from markupsafe import escape

    assert f"<bdi>{escape(name)}</bdi>" in text and f"Remove access: {escape(name)}" in text
    assert "<script>" not in text and "onclick='" not in text


def test_a_client_without_a_name_is_called_by_its_id(memory_world: World) -> None:
    world = memory_world
    client, _ = world.clients.create(now=0, redirect_uris=["https://client.test/cb"])
    browser = signed_in(world)
    world.code(client, browser=browser)
    assert f"<bdi>{client.client_id}</bdi>" in page(world, browser)


def test_each_act_is_an_event(world: World) -> None:
    events: list[dict[str, Any]] = []
    browser, _ = signed_in(world), signed_in(world)
    world.code(browser=browser)
    world.gateway.events.subscribe(events.append)
    post(world, browser, client=public_id(world.confidential.number))
    post(world, browser, client=public_id(world.confidential.number))
    post(world, browser, sessions="others")
    change(world, browser, "wrong")
    change(world, browser)
    names = [event["name"] for event in events]
    assert names == ["access.revoked", "session.ended", "login.failed", "user.password_changed"]
    user_id = world.gateway.server.users.named("ann").user_id
    assert {event["user_id"] for event in events} == {user_id} and {event["address"] for event in events} == {"127.0.0.1"}
    assert events[0]["client_id"] == world.confidential.client_id
    assert PASSWORD not in str(events) and NEW not in str(events)


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        (FIREFOX, "Firefox on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0 Safari/537.36 Edg/142.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.0 Safari/605.1.15",
            "Safari on macOS",
        ),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) CriOS/142.0 Mobile Safari/604.1", "Chrome on iPhone"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/142.0 Mobile Safari/537.36", "Chrome on Android"),
        (
            "Mozilla/5.0 (Linux; Android 15) SamsungBrowser/27.0 Chrome/125.0 Mobile Safari/537.36",
            "Samsung Internet on Android",
        ),
        ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 Chrome/142.0 Safari/537.36", "Chrome on ChromeOS"),
        ("Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/142.0 Safari/537.36", "Chrome on Linux"),
        ("curl/8.5.0", ""),
        ("<script>alert(1)</script>", ""),
        ("Linux", "Linux"),
        ("", ""),
        ("x" * 100_000 + "Firefox/1", ""),
    ],
)
def test_a_device_is_named_by_browser_and_system_and_nothing_else_of_the_header(agent: str, device: str) -> None:
    assert device_of(agent) == device


def test_the_pages_forbid_framing_scripts_and_caches(memory_world: World, clock: Clock) -> None:
    """A049, R022, R254"""
    browser = signed_in(memory_world)
    for address in (path(memory_world), f"{path(memory_world)}/password"):
        headers = browser.open(address).headers
        assert headers["X-Frame-Options"] == "DENY" and headers["Cache-Control"] == "no-store"
        policy = headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy and "script-src" not in policy and "default-src 'none'" in policy
    assert send(memory_world.gateway, "DELETE", path(memory_world)).status_code == 405
    assert make_world("sqlite://", clock).browser().open("/authorize/account/password").status_code == 303
