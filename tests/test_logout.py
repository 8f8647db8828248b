"""RP-initiated, back-channel and front-channel logout, and sessions (CHECKS 2.17)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import webob

from oauth_gateway import OAuthGateway, jose
from oauth_gateway.fetch import FetchError
from oauth_gateway.jobs import DELAYS, LEASE_SECONDS
from oauth_gateway.testing import Clock, race

from .conftest import PASSWORD, Browser, World, hidden, make_world, query_of, send

AFTER = "https://client.test/bye"
BACK = "https://client.test/backchannel"


@pytest.fixture
def party(world: World) -> World:
    """A world whose confidential client wants to know of logouts."""
    changes = {"post_logout_redirect_uris": [AFTER, "https://client.test/bye?x=1"], "backchannel_logout_uri": BACK}
    world.confidential = world.clients.update(world.confidential, changes, world.clock())
    return world


class Receiver:
    """The relying parties' ends of the back channel."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.got: list[tuple[str, dict[str, str]]] = []
        self.answers: dict[str, int | Exception] = {}
        monkeypatch.setattr("oauth_gateway.fetch.Fetcher.post", self.post)
        monkeypatch.setattr("oauth_gateway.jobs.Jobs.start", lambda self: None)  # the test does the work itself

    def post(self, url: str, form: dict[str, str]) -> int:
        self.got.append((url, dict(form)))
        answer = self.answers.get(url, 200)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Receiver:
    return Receiver(monkeypatch)


def signed_in(world: World, **changes: str | None) -> tuple[Browser, dict[str, Any]]:
    browser = world.browser()
    world.log_in(browser)
    code = world.code(browser=browser, **{"scope": "openid", **changes})
    return browser, world.redeem(code).json


def log_out(world: World, browser: Browser, **members: str) -> webob.Response:
    return browser.open(f"{world.prefix}/authorize/logout?{urlencode(members)}")


def is_signed_in(world: World, browser: Browser) -> bool:
    answer = browser.open(world.authorize_url(scope="openid", prompt="none"))
    return "code" in query_of(answer.location)


def confirm(world: World, browser: Browser, page: webob.Response) -> webob.Response:
    assert "Sign out?" in page.text
    return browser.open(f"{world.prefix}/authorize/logout", hidden(page))


def test_a_client_with_an_id_token_of_the_session_ends_it(party: World) -> None:
    """R214, R218; oidcc-rp-initiated-logout, -no-state"""
    for state in ({"state": "a b+c"}, {}):
        browser, tokens = signed_in(party)
        assert is_signed_in(party, browser)
        party.clock.advance(7200)  # an expired hint is a hint
        answer = log_out(party, browser, id_token_hint=tokens["id_token"], post_logout_redirect_uri=AFTER, **state)
        assert answer.status_code == 303
        assert answer.location == (f"{AFTER}?state=a+b%2Bc" if state else AFTER)
        assert not is_signed_in(party, browser)


def test_a_posted_request_means_the_same(party: World) -> None:
    """R214: without our cookie, as browsers send it from another site; the redirect that follows brings it"""
    browser, tokens = signed_in(party)
    form = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": AFTER, "state": "s"}
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "https://client.test"}
    posted = send(party.gateway, "POST", f"{party.prefix}/authorize/logout", form, base=party.base, headers=headers)
    assert posted.status_code == 303
    assert browser.open(posted.location).location == f"{AFTER}?state=s" and not is_signed_in(party, browser)


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.test/",
        AFTER + "?foo=bar",
        AFTER + "/",
        AFTER + "#x",
        "http://client.test/bye",
        "//client.test/bye",
        "javascript:1",
    ],
)
def test_an_address_that_is_not_registered_is_not_gone_to(party: World, uri: str) -> None:
    """R215, R224, A044; oidcc-rp-initiated-logout-bad-post-logout-redirect-uri, -query-added-to-post-logout-redirect-uri"""
    browser, tokens = signed_in(party)
    answer = log_out(party, browser, id_token_hint=tokens["id_token"], post_logout_redirect_uri=uri, state="s")
    assert answer.status_code == 400 and "Location" not in answer.headers and "evil" not in answer.text
    assert is_signed_in(party, browser)


def test_a_hint_that_is_not_ours_leads_nowhere(party: World) -> None:
    """R216; oidcc-rp-initiated-logout-modified-id-token-hint, -bad-id-token-hint"""
    browser, tokens = signed_in(party)
    header, claims = jose.peek(tokens["id_token"])
    keys, now = party.gateway.server.keys, party.clock()
    foreign = jose.encode(jose.generate("RS256"), "RS256", header["kid"], "JWT", claims)
    unsigned = "eyJhbGciOiJub25lIn0." + tokens["id_token"].split(".")[1] + "."
    other = keys.sign("RS256", "JWT", {**claims, "iss": "https://other.test"}, now)
    for hint in (foreign, unsigned, other, tokens["id_token"][:-3], "x", tokens["access_token"], "eyJhbGciOiJub25lIn0.W10."):
        asked = {"id_token_hint": hint, "client_id": party.confidential.client_id, "post_logout_redirect_uri": AFTER}
        page = log_out(party, browser, **asked)
        assert page.status_code == 200 and "Sign out?" in page.text and "client.test" not in page.headers.values()
        assert is_signed_in(party, browser)
    done = confirm(party, browser, page)
    assert done.status_code == 200 and "You are signed out" in done.text, "and the browser goes nowhere"


def test_client_id_and_hint_must_agree(party: World) -> None:
    """R217"""
    browser, tokens = signed_in(party)
    hint = tokens["id_token"]
    assert log_out(party, browser, id_token_hint=hint, client_id=party.public.client_id).status_code == 400
    assert log_out(party, browser, client_id="nobody").status_code == 400
    answer = log_out(party, browser, id_token_hint=hint, client_id=party.confidential.client_id, post_logout_redirect_uri=AFTER)
    assert answer.location == AFTER


def test_without_a_hint_the_person_is_asked(party: World) -> None:
    """R217, R218; oidcc-rp-initiated-logout-no-id-token-hint, -no-params, -only-state, -no-post-logout-redirect-uri"""
    for members in ({}, {"state": "s"}, {"post_logout_redirect_uri": AFTER}, {"post_logout_redirect_uri": AFTER, "state": "s"}):
        browser, _ = signed_in(party)
        page = log_out(party, browser, **members)
        assert is_signed_in(party, browser), "nothing happened yet"
        done = confirm(party, browser, page)
        assert done.status_code == 200 and "You are signed out" in done.text
        assert not is_signed_in(party, browser)
    browser, tokens = signed_in(party)
    done = log_out(party, browser, id_token_hint=tokens["id_token"])
    assert "You are signed out" in done.text and not is_signed_in(party, browser)
    browser, _ = signed_in(party)
    page = log_out(party, browser, client_id=party.confidential.client_id, post_logout_redirect_uri=AFTER, state="s")
    assert "<strong><bdi>Shop</bdi></strong> asks" in page.text
    assert confirm(party, browser, page).location == f"{AFTER}?state=s"


def test_nobody_to_sign_out_is_no_error(party: World) -> None:
    _, tokens = signed_in(party)
    nobody = party.browser()
    assert "You are signed out" in log_out(party, nobody).text
    assert (
        "You are signed out"
        in log_out(party, nobody, client_id=party.confidential.client_id, post_logout_redirect_uri=AFTER).text
    )
    answer = log_out(party, nobody, id_token_hint=tokens["id_token"], post_logout_redirect_uri=AFTER)
    assert answer.location == AFTER


def test_an_id_token_of_somebody_else_signs_nobody_out(party: World) -> None:
    """A048: otherwise whoever has an account could sign others out"""
    party.gateway.server.users.create("bob", PASSWORD, 0)
    _, tokens = signed_in(party)
    bob = party.browser()
    party.log_in(bob, "bob")
    page = log_out(party, bob, id_token_hint=tokens["id_token"], post_logout_redirect_uri=AFTER)
    assert page.status_code == 200 and "Sign out?" in page.text


def test_frames_scripts_and_forged_forms_sign_nobody_out(party: World) -> None:
    browser, tokens = signed_in(party)
    url = f"{party.prefix}/authorize/logout?{urlencode({'id_token_hint': tokens['id_token']})}"
    assert browser.open(url, Sec_Fetch_Dest="iframe", Sec_Fetch_Mode="navigate").status_code == 403
    assert browser.open(url, Sec_Fetch_Dest="empty", Sec_Fetch_Mode="cors").status_code == 403
    page = log_out(party, browser)
    form = hidden(page)
    assert browser.open(f"{party.prefix}/authorize/logout", form, Origin="https://evil.test").status_code == 403
    assert browser.open(f"{party.prefix}/authorize/logout", {**form, "csrf": "x"}).status_code == 403
    assert is_signed_in(party, browser)


def test_logout_tokens_are_told_to_every_party(party: World, receiver: Receiver) -> None:
    """R219, R220, R222; oidcc-backchannel-rp-initiated-logout"""
    browser, tokens = signed_in(party)
    id_token = jose.peek(tokens["id_token"])[1]
    answer = log_out(party, browser, id_token_hint=tokens["id_token"], post_logout_redirect_uri=AFTER)
    assert answer.status_code == 303 and receiver.got == [], "nobody waits for it"
    now = int(party.clock())
    assert party.gateway.server.jobs.work() == 1
    ((url, form),) = receiver.got
    assert url == BACK and list(form) == ["logout_token"]
    header, claims = jose.peek(form["logout_token"])
    keys = send(party.gateway, "GET", "/.well-known/jwks.json", base=party.base).json
    assert jose.verify_with(form["logout_token"], keys, ["RS256"]) == claims
    assert header["typ"] == "logout+jwt" and claims.pop("jti")
    assert claims == {
        "iss": party.base,
        "aud": party.confidential.client_id,
        "sub": id_token["sub"],
        "sid": id_token["sid"],
        "iat": now,
        "exp": now + 120,
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    }
    party.clock.advance(10**6)
    assert party.gateway.server.jobs.work() == 0


def test_a_party_that_does_not_answer_is_told_again_and_stops_no_other(party: World, receiver: Receiver) -> None:
    """R220, R222"""
    other = "https://other.test/back"
    second, secret = party.clients.create(now=0, redirect_uris=["https://client.test/cb"], backchannel_logout_uri=other)
    browser, tokens = signed_in(party)
    code = party.code(second, browser, scope="openid")
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": "https://client.test/cb"}
    party.secret, first = secret or "", party.secret
    assert party.redeem(code, second).status_code == 200, form
    party.secret = first
    receiver.answers = {BACK: FetchError("timed out"), other: 200}
    log_out(party, browser, id_token_hint=tokens["id_token"])
    jobs = party.gateway.server.jobs
    assert jobs.work() == 2 and sorted(url for url, _ in receiver.got) == [BACK, other]
    receiver.answers[BACK] = 503
    for delay in DELAYS:
        receiver.got.clear()
        party.clock.advance(delay - 1)
        assert jobs.work() == 0, "not before its time"
        party.clock.advance(1)
        assert jobs.work() == 1 and [url for url, _ in receiver.got] == [BACK]
    party.clock.advance(10**7)
    assert jobs.work() == 0, "and in the end no more"


def test_a_party_that_refuses_is_not_told_again(party: World, receiver: Receiver) -> None:
    browser, tokens = signed_in(party)
    receiver.answers = {BACK: 400}
    log_out(party, browser, id_token_hint=tokens["id_token"])
    jobs = party.gateway.server.jobs
    assert jobs.work() == 1
    party.clock.advance(10**7)
    assert jobs.work() == 0


def test_a_delivery_that_died_with_its_worker_is_taken_over(clock: Clock, tmp_path: Path, receiver: Receiver) -> None:
    """R220: the queue is in the database"""
    database = f"sqlite:///{tmp_path}/g.db"
    world = make_world(database, clock)
    world.confidential = world.clients.update(world.confidential, {"backchannel_logout_uri": BACK}, 0)
    browser, tokens = signed_in(world)
    log_out(world, browser, id_token_hint=tokens["id_token"])
    now = clock()
    assert len(world.gateway.store.take_jobs(now, now + LEASE_SECONDS)) == 1  # and dies
    other = OAuthGateway(None, issuer=world.base, database=database)
    clock.advance(LEASE_SECONDS - 1)
    assert other.server.jobs.work() == 0
    clock.advance(1)
    assert other.server.jobs.work() == 1 and len(receiver.got) == 1


def test_two_workers_never_take_the_same_job(clock: Clock, tmp_path: Path, receiver: Receiver) -> None:
    database = f"sqlite:///{tmp_path}/g.db"
    world = make_world(database, clock)
    world.confidential = world.clients.update(world.confidential, {"backchannel_logout_uri": BACK}, 0)
    for _ in range(3):
        browser, tokens = signed_in(world)
        log_out(world, browser, id_token_hint=tokens["id_token"])
    others = [OAuthGateway(None, issuer=world.base, database=database) for _ in range(4)]
    done = race(*((lambda gateway=gateway: gateway.server.jobs.work()) for gateway in others))
    assert sum(done) == len(receiver.got) == 3  # type: ignore[arg-type]


def test_grants_end_with_the_session_unless_they_are_for_offline_access(party: World, receiver: Receiver) -> None:
    """R221"""
    browser, online = signed_in(party, scope="openid read")
    offline = party.redeem(party.code(browser=browser, scope="openid read offline_access")).json
    plain = party.redeem(party.code(browser=browser, scope="read")).json
    for tokens in (online, offline, plain):
        assert party.call(tokens["access_token"]).status_code == 200
    log_out(party, browser, id_token_hint=online["id_token"])
    assert party.call(online["access_token"]).status_code == 401
    assert party.refresh(online["refresh_token"]).json["error"] == "invalid_grant"
    for tokens in (offline, plain):
        assert party.call(tokens["access_token"]).status_code == 200
        assert party.refresh(tokens["refresh_token"]).status_code == 200


def test_a_code_that_is_allowed_while_its_session_ends_dies_or_is_told(party: World, receiver: Receiver) -> None:
    """A072: consent and logout at the same moment"""
    for _ in range(10):
        browser = party.browser()
        party.log_in(browser)
        page = browser.open(party.authorize_url(scope="openid", prompt="consent"))
        other = Browser(party.gateway, party.base, dict(browser.cookies))
        bye = log_out(party, other)
        form = {**hidden(page), "decision": "allow"}
        allowed, _ = race(
            lambda browser=browser, form=form: browser.open(f"{party.prefix}/authorize", form),
            lambda other=other, bye=bye: confirm(party, other, bye),
        )
        assert isinstance(allowed, webob.Response) and allowed.status_code in (200, 303), allowed
        code = query_of(allowed.location or "").get("code") if allowed.status_code == 303 else None
        if code is not None:
            answer = party.redeem(code)
            assert answer.json["error"] == "invalid_grant", "its session has ended, and with it the grant"


def test_signing_in_again_keeps_the_session_and_another_person_ends_it(party: World, receiver: Receiver) -> None:
    browser, tokens = signed_in(party)
    party.log_in(browser)
    assert party.call(tokens["access_token"]).status_code == 200 and party.gateway.server.jobs.work() == 0
    party.gateway.server.users.create("bob", PASSWORD, 0)
    page = browser.open(party.authorize_url(scope="openid", prompt="login"))
    browser.open(f"{party.prefix}/authorize/login", {**hidden(page), "username": "bob", "password": PASSWORD})
    assert party.call(tokens["access_token"]).status_code == 401
    assert party.gateway.server.jobs.work() == 1


def test_a_changed_password_tells_the_parties_too(party: World, receiver: Receiver) -> None:
    _, tokens = signed_in(party)
    users = party.gateway.server.users
    users.set_password(users.named("ann"), "another good one", party.clock())
    assert party.gateway.server.jobs.work() == 1 and party.call(tokens["access_token"]).status_code == 401


def test_front_channel_addresses_are_opened_in_the_browser(party: World, receiver: Receiver) -> None:
    uri = "https://client.test/front?a=1"
    party.clients.update(party.confidential, {"frontchannel_logout_uri": uri}, party.clock())
    browser, tokens = signed_in(party)
    sid = jose.peek(tokens["id_token"])[1]["sid"]
    page = log_out(party, browser, id_token_hint=tokens["id_token"], post_logout_redirect_uri=AFTER, state="s")
    query = urlencode({"iss": party.base, "sid": sid}).replace("&", "&amp;")
    assert f'<iframe src="https://client.test/front?a=1&amp;{query}"' in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "frame-src https://client.test;" in policy and "script-src 'sha256-" in policy and "unsafe" not in policy
    assert f'id="next" href="{AFTER}?state=s"' in page.text and not is_signed_in(party, browser)


def test_the_account_page_lists_sessions_and_ends_them(party: World, receiver: Receiver) -> None:
    here, there = party.browser(), party.browser()
    party.log_in(there)
    party.clock.advance(60)
    party.log_in(here)
    page = here.open(f"{party.prefix}/authorize/account")
    assert "This browser" in page.text and "Another browser" in page.text
    sid = page.text.partition('name="session" value="')[2].partition('"')[0]
    csrf = page.text.partition('id="sessions"')[2].partition('name="csrf" value="')[2].partition('"')[0]
    path = f"{party.prefix}/authorize/account"
    assert here.open(path, {"csrf": "x", "session": sid}).status_code == 403
    assert here.open(path, {"csrf": csrf, "session": "nobody"}).status_code == 303
    assert here.open(path, {"csrf": csrf, "session": sid}).status_code == 303
    assert "Another browser" not in here.open(path).text
    assert there.open(path).location.endswith("/authorize/login")
    bob = party.browser()
    party.gateway.server.users.create("bob", PASSWORD, 0)
    party.log_in(bob, "bob")
    mine = party.gateway.store.sessions(party.gateway.server.users.named("ann").user_id)[0].sid
    token = party.gateway.server.sealer.mac("form", f"account\n{next(iter(bob.cookies.values()))}")
    bob.open(path, {"csrf": token, "session": mine})
    assert "You are signed in" in here.open(path).text, "one person does not end another's"


def test_the_metadata_names_what_there_is(world: World) -> None:
    """oidcc-rp-initiated-logout-discovery-endpoint-verification, oidcc-backchannel-logout-discovery-endpoint-verification"""
    document = send(world.gateway, "GET", "/.well-known/openid-configuration", base=world.base).json
    assert document["end_session_endpoint"] == f"{world.base}{world.prefix}/authorize/logout"
    for name in ("backchannel", "frontchannel"):
        assert document[f"{name}_logout_supported"] is document[f"{name}_logout_session_supported"] is True


def test_nothing_is_sent_without_an_issuer(clock: Clock, receiver: Receiver) -> None:
    world = make_world("sqlite://", clock, issuer=None, base="http://127.0.0.1:8000")
    world.confidential = world.clients.update(world.confidential, {"backchannel_logout_uri": BACK}, 0)
    browser, tokens = signed_in(world)
    assert jose.peek(tokens["id_token"])[1]["iss"] == "http://127.0.0.1:8000"
    log_out(world, browser, id_token_hint=tokens["id_token"])
    assert world.gateway.server.jobs.work() == 1 and receiver.got == []
    document = send(world.gateway, "GET", "/.well-known/openid-configuration", base=world.base).json
    assert document["backchannel_logout_supported"] is False and json.dumps(document)
