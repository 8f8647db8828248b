"""Defects that attacks on OpenID, signed tokens and logout found, each made to happen again."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from oauth_gateway import OAuthGateway, jose
from oauth_gateway.cli import main
from oauth_gateway.client_assertions import TYPE
from oauth_gateway.errors import ConfigurationError
from oauth_gateway.jobs import LEASE_SECONDS
from oauth_gateway.models import Session, digest
from oauth_gateway.testing import Clock

from .conftest import PASSWORD, Browser, World, hidden, make_world, query_of, send
from .test_client_assertions import Robot
from .test_hybrid import fragment
from .test_logout import AFTER, BACK, Receiver, confirm, is_signed_in, log_out, signed_in
from .test_openid import ann, open_with, read, told, user_info

DAY = 86_400


def b64(data: Any) -> str:
    text = data if isinstance(data, str) else json.dumps(data)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def jwt(header: Any, claims: Any) -> str:
    return f"{b64(header)}.{b64(claims)}.AAAA"


@pytest.mark.parametrize(
    "text",
    [
        jwt(["alg", "x"], {"sub": "x"}),
        jwt('"alg is here"', {"sub": "x"}),
        jwt({"alg": "ES256"}, '{"sub": "\\ud800"}'),
        jwt('{"alg": "ES256", "kid": "\\ud800"}', {"sub": "x"}),
        jwt({"alg": "ES256"}, '{"sub": "x", "a": ' + "[" * 20 + "]" * 20 + "}"),
        jwt({"alg": "ES256"}, "[" * 100),
    ],
)
def test_a_hostile_jwt_is_refused_wherever_one_is_taken(world: World, text: str) -> None:
    """A059-A063: a header that is no object, half a surrogate pair, depth"""
    browser = world.browser()
    world.log_in(browser)
    form = {"grant_type": "client_credentials", "token": "x", "client_assertion": text, "client_assertion_type": TYPE}
    for path in ("/token", "/token/introspect", "/token/revoke"):
        answer = send(world.gateway, "POST", f"{world.prefix}{path}", form, base=world.base)
        assert answer.status_code == 401 and answer.json["error"] == "invalid_client", path
    assert query_of(open_with(world, browser, id_token_hint=text).location)["error"] == "invalid_request"
    assert log_out(world, browser, id_token_hint=text).status_code == 200
    assert world.call(text).status_code == 401 and user_info(world, text).status_code == 401


@pytest.mark.parametrize("depth", [5, 100, 900, 941, 5000])
def test_a_claims_request_keeps_only_what_it_understands(memory_world: World, depth: int) -> None:
    world, browser = memory_world, memory_world.browser()
    world.log_in(browser)
    claims = '{"id_token":{"name":{"value":' + "[" * depth + "]" * depth + ',"other":{"a":1}}}}'
    answer = open_with(world, browser, claims=claims, prompt="consent")
    if answer.status_code == 303:
        assert query_of(answer.location)["error"] == "invalid_request"
        return
    done = browser.open("/authorize", {**hidden(answer), "decision": "allow"})
    assert "id_token" in world.redeem(query_of(done.location)["code"]).json
    token = world.gateway.store.tokens()[0]
    assert token.grant is not None and token.grant.asked["id_token"] == {"name": {}}


@pytest.mark.parametrize("length", [1_000, 6_000, 12_000])
def test_a_long_request_can_be_allowed(memory_world: World, length: int) -> None:
    """The consent form carries the request, and says where it begins anew only while there is room for that"""
    world, browser = memory_world, memory_world.browser()
    world.log_in(browser)
    claims = json.dumps({"id_token": {"name": {"value": "[" * length}}})  # three times as long in an address
    page = open_with(world, browser, claims=claims, prompt="consent")
    assert ("next" in {name for name, value in hidden(page).items() if value}) == (length < 6_500)
    done = browser.open("/authorize", {**hidden(page), "decision": "allow"})
    assert "id_token" in world.redeem(query_of(done.location)["code"]).json


def test_after_a_rotation_an_older_id_token_still_signs_out_and_in_silently(world: World) -> None:
    """R216, R199"""
    world.confidential = world.clients.update(world.confidential, {"post_logout_redirect_uris": [AFTER]}, world.clock())
    world.clock.advance(90 * DAY - 700)
    browser, tokens = signed_in(world)
    world.clock.advance(DAY)
    signed_in(world)
    world.clock.advance(DAY)
    hint = tokens["id_token"]
    assert "code" in query_of(open_with(world, browser, prompt="none", id_token_hint=hint).location)
    assert log_out(world, browser, id_token_hint=hint, post_logout_redirect_uri=AFTER).location == AFTER


def test_an_unknown_hint_is_as_good_as_none(world: World) -> None:
    browser, tokens = signed_in(world)
    world.clients.delete(world.confidential.client_id, world.clock())
    for hint in (tokens["id_token"], "x"):
        page = log_out(world, browser, id_token_hint=hint, post_logout_redirect_uri=AFTER)
        assert "Sign out?" in page.text
    assert confirm(world, browser, page).status_code == 200


@pytest.mark.parametrize("form", ["opaque", "jwt"])
def test_a_repeated_hybrid_decision_gives_no_dead_token(clock: Clock, form: str) -> None:
    world = make_world("sqlite://", clock, features="default hybrid", access_token_format=form)
    world.confidential = world.clients.update(world.confidential, {"response_types": ["code token", "code id_token token"]}, 0)
    browser = world.browser()
    world.log_in(browser)
    page = browser.open(world.authorize_url(response_type="code token", scope="openid read"))
    decision = {**hidden(page), "decision": "allow"}
    first = browser.open("/authorize", decision)
    clock.advance(1)
    second = browser.open("/authorize", decision)
    assert world.call(fragment(first.location)["access_token"]).status_code == 200
    if form == "jwt":
        assert second.status_code == 409, "it cannot be made again"
    else:
        assert fragment(second.location)["access_token"] == fragment(first.location)["access_token"]


@pytest.mark.parametrize("features", ["hybrid", "authorization_code hybrid", "openid", "client_credentials hybrid openid"])
def test_a_feature_without_what_it_needs_does_not_start(features: str) -> None:
    with pytest.raises(ConfigurationError, match="needs"):
        OAuthGateway(None, database="sqlite://", features=features)


def test_a_lease_is_measured_when_it_is_taken(clock: Clock, tmp_path: Path) -> None:
    """A round of work that takes longer than a lease must not do a job twice."""
    world = make_world(f"sqlite:///{tmp_path}/g.db", clock)
    other = OAuthGateway(None, issuer=world.base, database=world.gateway.settings.database)
    done: list[int] = []

    def slow(job: Any, now: float) -> None:
        done.append(job.id)
        clock.advance(LEASE_SECONDS / 6)
        other.server.jobs.work()

    from oauth_gateway.models import Job
    from oauth_gateway.sealing import new_number

    for gateway in (world.gateway, other):
        gateway.server.jobs.handle("slow", slow if gateway is world.gateway else lambda job, now: done.append(job.id), print)
    for _ in range(12):
        world.gateway.store.add_job(Job(new_number(), "slow", {}, clock(), 0))
    world.gateway.server.jobs.work()
    assert len(done) == len(set(done)) == 12


def test_purge_keeps_what_says_whom_to_tell_of_a_session_s_end(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Receiver(monkeypatch)
    world = make_world(f"sqlite:///{tmp_path}/g.db", clock)
    changes = {"backchannel_logout_uri": BACK, "grant_types": ["authorization_code"]}
    world.confidential = world.clients.update(world.confidential, changes, 0)
    browser, tokens = signed_in(world)
    clock.advance(3 * DAY)
    assert main(["purge", "--database", world.gateway.settings.database]) == 0
    log_out(world, browser, id_token_hint=tokens["id_token"])
    assert world.gateway.server.jobs.work() == 1
    clock.advance(3 * DAY)
    assert main(["purge", "--database", world.gateway.settings.database]) == 0
    assert sum(world.gateway.store.sweep(clock())) == 0, "once it has ended they go"
    capsys.readouterr()


def test_nothing_that_a_pairwise_client_gets_tells_it_from_another_whom_it_is_about(memory_world: World) -> None:
    """R207: subject, session and name"""
    world, seen = memory_world, []
    browser = world.browser()
    world.log_in(browser)
    for uri in ("https://a.test/cb", "https://b.test/cb", "http://127.0.0.1/cb", "http://127.0.0.1/cb"):
        client, secret = world.clients.create(now=0, redirect_uris=[uri], subject_type="pairwise", backchannel_logout_uri=BACK)
        world.secret = str(secret)
        code = world.code(client, browser, scope="openid", redirect_uri=uri)
        tokens = world.redeem(code, client, redirect_uri=uri).json
        claims = read(world, tokens["id_token"])
        told = world.introspect(tokens["access_token"], client).json
        assert "username" not in told and told["sub"] == claims["sub"]
        seen += [claims["sub"], claims["sid"]]
    assert len(set(seen)) == len(seen)
    assert world.gateway.store.sessions()[0].sid not in seen


def test_claims_by_name_stay_within_what_the_client_is_registered_for(clock: Clock) -> None:
    world = make_world("sqlite://", clock, openid_scope_claims={"hr": "salary"})
    ann(world, salary=5, phone_number="+41", email="a@b.test")
    world.confidential = world.clients.update(world.confidential, {"scope": "openid email"}, 0)
    asked = json.dumps({"userinfo": {"salary": None, "phone_number": {"essential": True}, "email": None}})
    _, info = told(world, "openid", claims=asked)
    assert info.keys() == {"sub", "email"}
    tokens = world.tokens(scope="openid", claims=asked)
    world.clients.update(world.confidential, {"scope": "openid"}, 0)
    assert user_info(world, tokens["access_token"]).json.keys() == {"sub"}, "and what the operator took is not told again"


def test_an_id_token_of_another_browser_does_not_end_this_session(world: World) -> None:
    _, elsewhere = signed_in(world)
    browser, here = signed_in(world)
    assert "Sign out?" in log_out(world, browser, id_token_hint=elsewhere["id_token"]).text and is_signed_in(world, browser)
    url = f"{world.prefix}/authorize/logout?{urlencode({'id_token_hint': here['id_token']})}"
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    send(world.gateway, "HEAD", url, base=world.base, headers={"Cookie": cookie})
    assert is_signed_in(world, browser), "nothing happens on a HEAD"
    assert log_out(world, browser, id_token_hint=here["id_token"]).status_code == 200 and not is_signed_in(world, browser)


def test_parties_are_told_in_the_browser_also_when_the_account_is_changed(world: World) -> None:
    world.gateway.server.users.create("bob", PASSWORD, 0)
    front = {"frontchannel_logout_uri": "https://client.test/front"}
    world.confidential = world.clients.update(world.confidential, front, world.clock())
    browser, _ = signed_in(world)
    page = open_with(world, browser, prompt="consent")
    form = page.text.partition("Signed in as")[2]
    hidden_form = hidden(type("Page", (), {"text": form})())
    answer = browser.open(f"{world.prefix}/authorize/logout", hidden_form)
    assert "https://client.test/front?iss=" in answer.text and 'id="next" href="' in answer.text
    browser, _ = signed_in(world)
    page = open_with(world, browser, prompt="login")
    form = {**hidden(page), "username": "bob", "password": PASSWORD}
    answer = browser.open(f"{world.prefix}/authorize/login", form)
    assert "https://client.test/front?iss=" in answer.text
    following = answer.text.partition('id="next" href="')[2].partition('"')[0].replace("&amp;", "&")
    assert "asks for access" in browser.open(following).text


def test_a_scope_of_the_app_s_own_keeps_its_name(clock: Clock) -> None:
    world = make_world("sqlite://", clock, scopes=["read", "email"])
    assert world.token({"grant_type": "client_credentials", "scope": "email"}, world.machine).json["scope"] == "email"
    assert world.token({"grant_type": "client_credentials"}, world.machine).json["scope"] == "email read"
    refused = world.token({"grant_type": "client_credentials", "scope": "openid"}, world.machine)
    assert refused.json["error"] == "invalid_scope"


def test_max_age_is_looked_at_again_when_the_person_agrees(world: World) -> None:
    """R198"""
    browser = world.browser()
    world.log_in(browser)
    world.clock.advance(590)
    page = open_with(world, browser, max_age="600")
    world.clock.advance(3000)
    answer = browser.open(f"{world.prefix}/authorize", {**hidden(page), "decision": "allow"})
    assert "code" not in query_of(answer.location) and 'name="password"' in browser.open(answer.location).text


def test_an_application_that_vouches_for_people_vouches_for_the_one_who_is_meant(memory_world: World) -> None:
    """R199, R200"""
    world, server = memory_world, memory_world.gateway.server
    _, tokens = signed_in(world)

    def answer(who: Any, **changes: str) -> dict[str, str]:
        import webob

        request = webob.Request.blank(world.authorize_url(**{"scope": "openid", **changes}), base_url=world.base)
        grant = server.get_consent_grant(request, end_user=who)
        return query_of(server.create_authorization_response(request, grant_user=who, grant=grant).location)

    assert answer("bob", id_token_hint=tokens["id_token"])["error"] == "login_required"
    assert answer("bob", claims='{"id_token": {"sub": {"value": "nobody"}}}')["error"] == "login_required"
    assert answer("bob", max_age="10")["error"] == "login_required", "nobody knows when"
    assert answer({"name": "bob", "auth_time": world.clock() - 60}, max_age="10")["error"] == "login_required"
    code = answer({"name": "bob", "auth_time": world.clock() - 5}, max_age="10")["code"]
    assert read(world, world.redeem(code).json["id_token"])["auth_time"] == int(world.clock()) - 5


@pytest.mark.parametrize("age", ["²", "9" * 5000, "-1", "x"])
def test_a_login_with_a_hostile_max_age_is_no_error(memory_world: World, age: str) -> None:
    answer = memory_world.log_in(memory_world.browser(), next=urlencode({"max_age": age}))
    assert answer.status_code in (200, 303)


def test_a_person_with_hundreds_of_sessions_can_end_each(memory_world: World) -> None:
    world, browser = memory_world, memory_world.browser()
    user = world.gateway.server.users.named("ann")
    now = world.clock()
    for number in range(250):
        world.gateway.store.add_session(Session(digest(f"c{number}"), f"s{number:03}", user.user_id, now, now, now + 99))
    world.log_in(browser)
    buttons = sessions_of(browser)
    assert len(buttons) == len(set(buttons)) == 250
    page = browser.open("/authorize/account")
    assert "This browser" in page.text
    csrf = page.text.partition('id="sessions"')[2].partition('name="csrf" value="')[2].partition('"')[0]
    browser.open("/authorize/account", {"csrf": csrf, "session": buttons[-1]})
    assert sorted(sessions_of(browser)) == sorted(buttons[:-1])


def sessions_of(browser: Browser) -> list[str]:
    """The names of the sessions that the account page has a button for, on all its pages."""
    found, address = [], "/authorize/account"
    while address:
        text = browser.open(address).text
        found += re.findall('name="session" value="([^"]+)"', text)
        following = re.search(r'<a href="([^"#]+)#sessions">More browsers', text)
        address = following[1] if following else ""
    return found


def test_signing_in_again_does_not_bring_back_a_session_that_has_just_ended(
    memory_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = memory_world
    browser, tokens = signed_in(world)
    sid = jose.peek(tokens["id_token"])[1]["sid"]
    store = world.gateway.store
    original = type(store).session

    def ended_meanwhile(self: Any, given: bytes, now: float) -> Any:
        found = original(self, given, now)
        if found is not None:
            store.end_session(now, sid=sid)
        return found

    page = open_with(world, browser, prompt="login")
    form = {**hidden(page), "username": "ann", "password": PASSWORD}
    monkeypatch.setattr(type(store), "session", ended_meanwhile)
    browser.open("/authorize/login", form)
    monkeypatch.undo()
    (session,) = store.sessions()
    assert session.sid != sid


def test_weak_and_private_keys_of_clients_are_refused(memory_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A088; RFC 7518 section 3.3"""
    from joserfc.jwk import RSAKey

    from .test_client_assertions import Served

    weak = RSAKey.generate_key(1024)
    with pytest.raises(ConfigurationError, match="fewer than 2048 bits"):
        memory_world.clients.create(now=0, jwks={"keys": [jose.public_of(weak, "RS256", "k")]})
    robot = Robot(memory_world, jwks_uri="https://client.test/jwks")
    assert robot.key is not None
    Served(monkeypatch, {**jose.private_of(robot.key), "kid": robot.kid})
    assert robot.ask().status_code == 401


@pytest.mark.parametrize("value", [float("inf"), float("nan"), object(), "x" * 20_000])
def test_claims_that_are_no_json_are_refused(memory_world: World, value: Any) -> None:
    users = memory_world.gateway.server.users
    with pytest.raises(ConfigurationError, match="must be JSON"):
        users.set_claims(users.named("ann"), {"nickname": value}, 0)


def test_the_password_grant_signs_nobody_in(clock: Clock) -> None:
    world = make_world("sqlite://", clock, features="default password")
    grants = ["password", "refresh_token"]
    client, secret = world.clients.create(now=0, grant_types=grants, scope="openid read")
    world.confidential, world.secret = client, str(secret)
    form = {"grant_type": "password", "username": "ann", "password": PASSWORD, "scope": "openid read"}
    tokens = world.token(form).json
    assert "id_token" not in tokens and "id_token" not in world.refresh(tokens["refresh_token"]).json


@pytest.mark.parametrize("value", [{"a b": "x"}, {"groups": "sub"}, {"groups": ""}, {'"': "x"}])
def test_scopes_for_claims_are_checked_at_start(value: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="openid_scope_claims"):
        OAuthGateway(None, database="sqlite://", openid_scope_claims=value)


def test_the_jwk_set_of_an_issuer_with_a_path_is_where_clients_look(clock: Clock) -> None:
    """Contract section 2"""
    world = make_world("sqlite://", clock, base="https://h.test/t1")
    for path in ("/.well-known/jwks.json", "/.well-known/jwks.json/t1", "/t1/.well-known/jwks.json"):
        answer = send(world.gateway, "GET", "/", base="https://h.test", environ={"SCRIPT_NAME": "", "PATH_INFO": path})
        assert answer.status_code == 200 and len(answer.json["keys"]) == 4, path


def test_a_long_request_skips_the_chooser(memory_world: World) -> None:
    world, browser = memory_world, memory_world.browser()
    world.log_in(browser)
    form = query_of(world.authorize_url(scope="openid", prompt="select_account", state="s" * 5000))
    assert "Choose an account" in open_with(world, browser, prompt="select_account").text
    page = browser.open("/authorize", form)
    assert "asks for access" in page.text and "Not you? Sign out" in page.text


@pytest.mark.parametrize(("given", "says"), [(["x"], "must give a mapping, not list"), ({"groups": {1, 2}}, "groups is set")])
def test_what_a_claims_callable_gives_wrongly_is_named_in_the_log(
    clock: Clock, caplog: pytest.LogCaptureFixture, given: Any, says: str
) -> None:
    world = make_world("sqlite://", clock, openid_claims=lambda user: given, openid_scope_claims={"groups": "groups"})
    token = world.tokens(scope="openid groups")["access_token"]
    assert user_info(world, token).status_code == 500 and says in caplog.text


def test_pages_are_there_though_the_package_was_replaced_under_the_server(
    memory_world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("oauth_gateway.pages.files", lambda name: tmp_path)
    assert "Sign in" in memory_world.browser().open("/authorize/login").text


def test_an_operator_reads_why_a_request_was_refused(memory_world: World, caplog: pytest.LogCaptureFixture) -> None:
    open_with(memory_world, memory_world.browser(), scope="openid admin")
    assert f"client {memory_world.confidential.client_id}: authorization request refused" in caplog.text
    assert "may not have 'admin'" in caplog.text
