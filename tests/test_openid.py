"""OpenID Connect Core: ID tokens, UserInfo, and requests that say who is meant and how (CHECKS 2.16)."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
import webob

from oauth_gateway import jose
from oauth_gateway.errors import ConfigurationError
from oauth_gateway.models import Client
from oauth_gateway.testing import Clock

from .conftest import CALLBACK, PASSWORD, Browser, World, hidden, make_world, query_of, send

SCOPE = "openid profile email address phone"


def jwks(world: World) -> dict[str, Any]:
    answer: dict[str, Any] = send(world.gateway, "GET", "/.well-known/jwks.json", base=world.base).json
    return answer


def read(world: World, text: str, algorithm: str = "RS256") -> dict[str, Any]:
    """The claims of a JWT that the published keys verify, as a client does it."""
    return jose.verify_with(text, jwks(world), [algorithm])


def user_info(world: World, token: str | None, method: str = "GET", form: dict[str, str] | None = None) -> webob.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return send(world.gateway, method, f"{world.prefix}/token/userinfo", form, base=world.base, headers=headers)


def told(world: World, scope: str = SCOPE, **changes: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The ID token's claims and what UserInfo says."""
    tokens = world.tokens(scope=scope, **changes)
    return read(world, tokens["id_token"]), user_info(world, tokens["access_token"]).json


def ann(world: World, **claims: Any) -> None:
    users = world.gateway.server.users
    users.set_claims(users.named("ann"), claims, world.clock())


def test_a_code_buys_an_id_token_that_the_published_key_verifies(world: World) -> None:
    """R202, R203, R204; oidcc-server, oidcc-idtoken-signature"""
    browser = world.browser()
    world.log_in(browser)
    signed_in = int(world.clock())
    world.clock.advance(30)
    code = world.code(browser=browser, scope="openid read", nonce="n-0S6_WzA2Mj")
    tokens = world.redeem(code).json
    header, _ = jose.peek(tokens["id_token"])
    assert header["alg"] == "RS256" and header["kid"] in [key["kid"] for key in jwks(world)["keys"]]
    claims, now = read(world, tokens["id_token"]), int(world.clock())
    half = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
    session = world.gateway.store.sessions()[0]
    assert claims == {
        "iss": world.base,
        "sub": world.gateway.server.users.named("ann").user_id,
        "aud": world.confidential.client_id,
        "exp": now + 3600,
        "iat": now,
        "auth_time": signed_in,
        "nonce": "n-0S6_WzA2Mj",
        "acr": "0",
        "amr": ["pwd"],
        "sid": session.sid,
        "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
    }
    assert tokens["scope"] == "openid read" and world.call(tokens["access_token"]).status_code == 200


def test_without_openid_it_is_plain_oauth(world: World) -> None:
    """R195"""
    assert "id_token" not in world.tokens(scope="read", nonce="n")
    tokens = world.tokens(scope=None)
    assert "id_token" not in tokens and tokens["scope"] == "read write", "no scope is no request to sign somebody in"
    assert user_info(world, tokens["access_token"]).status_code == 403


@pytest.mark.parametrize("algorithm", jose.ALGORITHMS)
def test_a_client_gets_the_algorithm_that_it_registered(world: World, algorithm: str) -> None:
    """R204; oidcc-idtoken-rs256, oidcc-userinfo-rs256"""
    registered = {"id_token_signed_response_alg": algorithm, "userinfo_signed_response_alg": algorithm}
    world.clients.update(world.confidential, registered, world.clock())
    tokens = world.tokens(scope="openid")
    claims = read(world, tokens["id_token"], algorithm)
    long = hashlib.sha512 if algorithm == "EdDSA" else hashlib.sha256
    made = long(tokens["access_token"].encode()).digest()
    assert claims["at_hash"] == base64.urlsafe_b64encode(made[: len(made) // 2]).rstrip(b"=").decode()
    answer = user_info(world, tokens["access_token"])
    assert answer.content_type == "application/jwt" and answer.headers["Cache-Control"] == "no-store"
    assert read(world, answer.text, algorithm) == {
        "sub": claims["sub"],
        "iss": world.base,
        "aud": world.confidential.client_id,
    }


def test_no_client_is_registered_for_unsigned_id_tokens(memory_world: World) -> None:
    """R204; oidcc-idtoken-unsigned: registration is refused"""
    with pytest.raises(ConfigurationError, match="'none' is unknown; allowed are RS256"):
        memory_world.clients.update(memory_world.confidential, {"id_token_signed_response_alg": "none"}, 0)


CLAIMS = {
    "profile": {"name": "Ann Ö", "given_name": "Ann", "website": "https://ann.test/", "updated_at": 1},
    "email": {"email": "ann@example.com", "email_verified": True},
    "address": {"address": {"locality": "Zürich", "country": "CH"}},
    "phone": {"phone_number": "+41 44 000 00 00", "phone_number_verified": False},
}


@pytest.mark.parametrize("scope", [*CLAIMS, "all"])
def test_scopes_bring_claims_at_userinfo_and_not_in_the_id_token(world: World, scope: str) -> None:
    """R205, R206; oidcc-scope-profile, -email, -address, -phone, -all"""
    every = {name: value for claims in CLAIMS.values() for name, value in claims.items()}
    ann(world, **every, shoe_size=42)
    expected = every if scope == "all" else CLAIMS[scope]
    if scope in ("profile", "all"):
        expected = {**expected, "preferred_username": "ann"}
    id_token, info = told(world, SCOPE if scope == "all" else f"openid {scope}")
    assert info == {"sub": id_token["sub"], **expected}
    assert not expected.keys() & id_token.keys()


def test_userinfo_takes_get_and_post_and_nothing_else(world: World) -> None:
    """R205; oidcc-userinfo-get, -post-header, -post-body"""
    token = world.tokens(scope="openid")["access_token"]
    sub = user_info(world, token).json["sub"]
    assert user_info(world, token, "POST").json["sub"] == sub
    assert user_info(world, None, "POST", {"access_token": token}).json["sub"] == sub
    assert user_info(world, token, "POST", {"access_token": token}).status_code == 400
    nobody = user_info(world, None)
    assert nobody.status_code == 401 and nobody.headers["WWW-Authenticate"].startswith('Bearer realm="')
    assert "error=" not in nobody.headers["WWW-Authenticate"]
    for bad in ("x", "oga1_at_x", token[:-1], f"{token}x", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."):
        refused = user_info(world, bad)
        assert refused.status_code == 401 and 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
    plain = user_info(world, world.machine_token())
    assert plain.status_code == 403 and 'scope="openid"' in plain.headers["WWW-Authenticate"]
    assert user_info(world, token, "PUT").status_code == 405
    in_query = send(world.gateway, "GET", f"{world.prefix}/token/userinfo?access_token={token}", base=world.base)
    assert in_query.status_code == 401, "R246"
    world.revoke(token)
    assert user_info(world, token).status_code == 401


def test_claims_by_name_are_agreed_to_and_told_where_they_were_asked_for(world: World) -> None:
    """R206; oidcc-claims-essential"""
    ann(world, name="Ann", email="ann@example.com", nickname="a")
    asked = {
        "id_token": {"email": None, "nonsense": {"essential": True}, "nickname": {"value": "other"}, "sub": None},
        "userinfo": {"name": {"essential": True}, "birthdate": {"essential": True}},
    }
    browser = world.browser()
    world.log_in(browser)
    url = world.authorize_url(scope="openid", claims=json.dumps(asked))
    page = browser.open(url)
    assert "See your e-mail address" in page.text and "See your name" in page.text and "See your nonsense" not in page.text
    answer = browser.open(f"{world.prefix}/authorize", {**hidden(page), "decision": "allow"})
    tokens = world.redeem(query_of(answer.location)["code"]).json
    claims = read(world, tokens["id_token"])
    assert claims["email"] == "ann@example.com" and not {"name", "nickname", "nonsense"} & claims.keys()
    assert user_info(world, tokens["access_token"]).json == {"sub": claims["sub"], "name": "Ann"}
    assert "code=" in browser.open(url).headers.get("Location", ""), "agreed to before"
    more = world.authorize_url(scope="openid", claims=json.dumps({"userinfo": {"phone_number": None}}))
    assert browser.open(more).status_code == 200, "another claim is asked about again"
    fresh = world.refresh(tokens["refresh_token"]).json
    assert read(world, fresh["id_token"])["email"] == "ann@example.com"


@pytest.mark.parametrize("claims", ["x", "[]", '{"id_token": []}', '{"userinfo": {"name": 1}}', "[" * 3000, '{"id_token": 3}'])
def test_a_claims_parameter_that_is_none_is_refused(memory_world: World, claims: str) -> None:
    browser = memory_world.browser()
    memory_world.log_in(browser)
    answer = browser.open(memory_world.authorize_url(scope="openid", claims=claims))
    assert query_of(answer.location)["error"] == "invalid_request"


def test_a_refresh_gives_a_new_id_token_of_the_same_login(world: World) -> None:
    """R211; oidcc-refresh-token"""
    tokens = world.tokens(scope="openid", nonce="n")
    before = read(world, tokens["id_token"])
    world.clock.advance(100)
    fresh = world.refresh(tokens["refresh_token"]).json
    after = read(world, fresh["id_token"])
    assert {name: after[name] for name in ("iss", "sub", "aud", "auth_time", "sid")} == {
        name: before[name] for name in ("iss", "sub", "aud", "auth_time", "sid")
    }
    assert "nonce" not in after and after["iat"] == before["iat"] + 100
    assert world.refresh(tokens["refresh_token"]).json == fresh, "the answer again, with its ID token"


def open_with(world: World, browser: Browser, **changes: str | None) -> webob.Response:
    return browser.open(world.authorize_url(**{"scope": "openid", **changes}))


def test_prompt_none(world: World) -> None:
    """R196; oidcc-prompt-none-not-logged-in, oidcc-prompt-none-logged-in"""
    browser = world.browser()
    assert query_of(open_with(world, browser, prompt="none").location)["error"] == "login_required"
    world.log_in(browser)
    assert query_of(open_with(world, browser, prompt="none").location)["error"] == "consent_required"
    first = read(world, world.redeem(world.code(browser=browser, scope="openid")).json["id_token"])
    world.clock.advance(60)
    answer = open_with(world, browser, prompt="none")
    again = read(world, world.redeem(query_of(answer.location)["code"]).json["id_token"])
    assert (again["sub"], again["auth_time"]) == (first["sub"], first["auth_time"])
    assert query_of(open_with(world, browser, prompt="none login").location)["error"] == "invalid_request"
    framed = browser.open(
        world.authorize_url(scope="openid", prompt="none"), Sec_Fetch_Dest="iframe", Sec_Fetch_Mode="navigate"
    )
    assert query_of(framed.location)["error"] == "interaction_required" and "code" not in query_of(framed.location)
    assert browser.open(world.authorize_url(scope="openid"), Sec_Fetch_Dest="iframe").status_code == 403


def test_prompt_login_and_max_age_force_a_login_that_the_id_token_shows(world: World) -> None:
    """R197, R198; oidcc-prompt-login, oidcc-max-age-1, oidcc-max-age-10000"""
    browser = world.browser()
    world.log_in(browser)
    first = read(world, world.redeem(world.code(browser=browser, scope="openid")).json["id_token"])
    for changes in ({"prompt": "login"}, {"max_age": "1"}, {"max_age": "0"}):
        world.clock.advance(20)
        page = open_with(world, browser, **changes)  # type: ignore[arg-type]
        assert page.status_code == 200 and 'name="password"' in page.text, changes
        form = {**hidden(page), "username": "ann", "password": PASSWORD}
        answer = browser.open(f"{world.prefix}/authorize/login", form)
        world.clock.advance(3)  # however slow the browser is, this login is the one that was asked for
        done = browser.open(answer.location)
        claims = read(world, world.redeem(query_of(done.location)["code"]).json["id_token"])
        assert claims["auth_time"] > first["auth_time"] and claims["sid"] == first["sid"], changes
        first = claims
    world.clock.advance(20)
    answer = open_with(world, browser, max_age="10000")
    assert read(world, world.redeem(query_of(answer.location)["code"]).json["id_token"])["auth_time"] == first["auth_time"]
    assert query_of(open_with(world, browser, max_age="1", prompt="none").location)["error"] == "login_required"
    for bad in ("-1", "x", "1.5", "9" * 11, "١"):
        assert query_of(open_with(world, browser, max_age=bad).location)["error"] == "invalid_request"


def test_a_registered_max_age_is_what_a_request_without_one_means(world: World) -> None:
    world.clients.update(world.confidential, {"default_max_age": 0}, world.clock())
    browser = world.browser()
    world.log_in(browser)
    world.clock.advance(5)
    page = open_with(world, browser)
    assert 'name="password"' in page.text
    answer = browser.open(f"{world.prefix}/authorize/login", {**hidden(page), "username": "ann", "password": PASSWORD})
    world.clock.advance(5)
    assert "asks for access" in browser.open(answer.location).text


def test_prompt_select_account_offers_to_go_on_or_to_change(world: World) -> None:
    browser = world.browser()
    world.log_in(browser)
    page = open_with(world, browser, prompt="select_account")
    assert "Continue as <strong><bdi>ann</bdi></strong>" in page.text and "Use another account" in page.text
    link = page.text.partition('class="button" href="')[2].partition('"')[0].replace("&amp;", "&")
    assert "asks for access" in browser.open(link).text
    other = browser.open(f"{world.prefix}/authorize/logout", hidden(page))
    assert 'name="password"' in browser.open(other.location).text


def test_an_id_token_hint_names_the_only_person_who_will_do(world: World) -> None:
    """R199, R200; oidcc-id-token-hint"""
    world.gateway.server.users.create("bob", PASSWORD, 0)
    browser = world.browser()
    world.log_in(browser)
    tokens = world.redeem(world.code(browser=browser, scope="openid")).json
    hint, sub = tokens["id_token"], read(world, tokens["id_token"])["sub"]
    world.clock.advance(7200)  # a hint may have expired
    assert "code" in query_of(open_with(world, browser, prompt="none", id_token_hint=hint).location)
    wanted = json.dumps({"id_token": {"sub": {"value": sub}}})
    assert "code" in query_of(open_with(world, browser, prompt="none", claims=wanted).location)
    bob = world.browser()
    world.log_in(bob, "bob")
    for changes in ({"id_token_hint": hint}, {"claims": wanted}):
        assert query_of(open_with(world, bob, prompt="none", **changes).location)["error"] == "login_required"
        assert 'name="password"' in open_with(world, bob, **changes).text
    foreign = jose.encode(jose.generate("RS256"), "RS256", jose.peek(hint)[0]["kid"], "JWT", read(world, hint))
    unsigned = "eyJhbGciOiJub25lIn0." + hint.split(".")[1] + "."
    for bad in (foreign, unsigned, hint[:-4], "x", tokens["access_token"]):
        assert query_of(open_with(world, browser, id_token_hint=bad).location)["error"] == "invalid_request"
    phone = world.authorize_url(world.public, scope="openid", id_token_hint=hint)
    assert query_of(browser.open(phone).location)["error"] == "invalid_request", "an ID token of another client"
    both = json.dumps({"id_token": {"sub": {"value": "somebody"}}})
    assert query_of(open_with(world, browser, id_token_hint=hint, claims=both).location)["error"] == "invalid_request"


def test_an_essential_acr_that_nobody_can_reach_is_an_error(memory_world: World) -> None:
    world, browser = memory_world, memory_world.browser()
    world.log_in(browser)
    for values, error in ((["phr"], "unmet_authentication_requirements"), (["phr", "0"], None)):
        claims = json.dumps({"id_token": {"acr": {"essential": True, "values": values}}})
        answer = open_with(world, browser, claims=claims)
        assert (query_of(answer.location)["error"] == error) if error else answer.status_code == 200
    voluntary = json.dumps({"id_token": {"acr": {"values": ["phr"]}}})
    assert open_with(world, browser, claims=voluntary).status_code == 200


def test_parameters_that_change_nothing_do_no_harm(world: World) -> None:
    """R201; oidcc-display-page, -popup, -login-hint, -ui-locales, -claims-locales, -ensure-request-with-acr-values-succeeds"""
    browser = world.browser()
    page = open_with(world, browser, login_hint="bob")
    assert 'value="bob"' in page.text
    world.log_in(browser)
    for changes in (
        {"display": "page"},
        {"display": "popup"},
        {"ui_locales": "fr-CA fr en"},
        {"claims_locales": "fr"},
        {"acr_values": "phr 0"},
        {"login_hint": "bob"},
        {"extra": "foobar"},
    ):
        assert "id_token" in world.redeem(world.code(browser=browser, **{"scope": "openid", **changes})).json  # type: ignore[arg-type]


def test_offline_access_is_ignored_for_clients_without_refresh_tokens(memory_world: World) -> None:
    """R210"""
    world = memory_world
    assert world.tokens(scope="openid offline_access")["scope"] == "offline_access openid"
    world.clients.update(world.confidential, {"grant_types": ["authorization_code"]}, 0)
    tokens = world.tokens(scope="openid offline_access")
    assert tokens["scope"] == "openid" and "refresh_token" not in tokens


def test_a_client_acting_for_itself_signs_nobody_in(memory_world: World) -> None:
    world = memory_world
    world.clients.update(world.machine, {"scope": "read openid"}, 0)
    form = {"grant_type": "client_credentials", "scope": "openid"}
    assert world.token(form, world.machine).json["error"] == "invalid_scope"
    assert world.token({"grant_type": "client_credentials"}, world.machine).json["scope"] == "read"


def pairwise(world: World, *uris: str) -> Client:
    client, world.secret = world.clients.create(now=0, redirect_uris=list(uris), subject_type="pairwise")
    return client


def test_pairwise_clients_know_people_by_ids_of_their_sector(memory_world: World) -> None:
    """R207"""
    world, subs = memory_world, []
    for uri in ("https://a.test/cb", "https://a.test/other", "https://b.test/cb"):
        client = world.confidential = pairwise(world, uri)
        code = world.code(client, scope="openid", redirect_uri=uri)
        tokens = world.redeem(code, client, redirect_uri=uri).json
        claims = read(world, tokens["id_token"])
        assert user_info(world, tokens["access_token"]).json["sub"] == claims["sub"]
        assert world.introspect(tokens["access_token"], client).json["sub"] == claims["sub"]
        world.call(tokens["access_token"])
        subs.append(claims["sub"])
    person = world.gateway.server.users.named("ann").user_id
    assert subs[0] == subs[1] != subs[2] and person not in subs
    assert world.app.environ["oauth_gateway.token"].subject == person, "the app behind knows people by one id"
    with pytest.raises(ConfigurationError, match="sector_identifier_uri: is needed"):
        pairwise(world, "https://a.test/cb", "https://b.test/cb")


def test_a_claims_callable_says_what_is_known_of_people(clock: Clock) -> None:
    def source(user: Any) -> dict[str, Any]:
        return {"email": f"{user.username}@corp.test", "groups": ["staff"], "sub": "forged", "iss": "forged", "name": ""}

    world = make_world("sqlite://", clock, openid_claims=source, openid_scope_claims={"groups": "groups"})
    id_token, info = told(world, "openid email profile groups")
    assert info == {"sub": id_token["sub"], "email": "ann@corp.test", "groups": ["staff"], "preferred_username": "ann"}
    with pytest.raises(ConfigurationError, match="openid_claims = 'no.such:thing'"):
        make_world("sqlite://", clock, openid_claims="no.such:thing")


def test_a_claims_callable_that_fails_is_an_error_and_tells_nothing(clock: Clock) -> None:
    """A103"""

    def broken(user: Any) -> dict[str, Any]:
        raise RuntimeError("the directory is down: secret words")

    world = make_world("sqlite://", clock, openid_claims=broken)
    answer = user_info(world, world.tokens(scope="openid email")["access_token"])
    assert answer.status_code == 500 and "secret words" not in answer.text


def test_a_code_without_challenge_is_for_registered_old_openid_clients_only(world: World) -> None:
    """R071, R072, R226, R227, R256; oidcc-ensure-request-without-nonce-succeeds-for-code-flow, -with-valid-pkce-succeeds"""
    without = {"code_challenge": None, "code_challenge_method": None, "nonce": "n"}
    browser = world.browser()
    world.log_in(browser)
    assert query_of(open_with(world, browser, **without).location)["error"] == "invalid_request"
    world.clients.update(world.confidential, {"may_omit_pkce": True}, world.clock())
    code = world.code(browser=browser, scope="openid", **without)
    assert world.redeem(code).json["error"] == "invalid_grant", "a verifier for a code without a challenge"
    assert "id_token" in world.redeem(code, code_verifier=None).json
    code = world.code(browser=browser, **{**without, "scope": "openid", "nonce": None})
    assert "nonce" not in read(world, world.redeem(code, code_verifier=None).json["id_token"])
    assert "id_token" in world.redeem(world.code(browser=browser, scope="openid")).json, "and PKCE still works"
    code = world.code(browser=browser, scope="openid")
    assert world.redeem(code, code_verifier=None).json["error"] == "invalid_grant"
    plain_oauth = browser.open(world.authorize_url(scope="read", code_challenge=None, code_challenge_method=None))
    assert query_of(plain_oauth.location)["error"] == "invalid_request"
    with pytest.raises(ConfigurationError, match="may_omit_pkce: is not for public clients"):
        world.clients.update(world.public, {"may_omit_pkce": True}, 0)


@pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
def test_answers_and_errors_come_in_the_mode_that_was_asked_for(world: World, mode: str) -> None:
    """R013, R169, R213"""

    def members(answer: webob.Response) -> dict[str, str]:
        if mode == "form_post":
            assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-store"
            assert f'action="{CALLBACK}"' in answer.text and "form-action" not in answer.headers["Content-Security-Policy"]
            return hidden(answer)
        assert answer.status_code == 303
        text = answer.location.partition("#" if mode == "fragment" else "?")[2]
        return query_of(f"?{text}")

    browser = world.browser()
    world.log_in(browser)
    state = '"><script>alert(1)</script>'
    asked = {"scope": "openid", "response_mode": mode, "state": state}
    done = members(world.consent(browser, world.authorize_url(**asked)))  # type: ignore[arg-type]
    assert done["iss"] == world.base and world.redeem(done["code"]).status_code == 200
    assert done["state"].replace("&gt;", ">").replace("&lt;", "<") == state
    failed = members(browser.open(world.authorize_url(**{**asked, "code_challenge": None})))  # type: ignore[arg-type]
    assert failed["error"] == "invalid_request" and failed["iss"] == world.base and "code" not in failed
    page = browser.open(world.authorize_url(**{**asked, "redirect_uri": "https://evil.test/"}))  # type: ignore[arg-type]
    assert page.status_code == 400 and "evil.test" not in page.text
    denied = members(world.consent(browser, world.authorize_url(**{**asked, "prompt": "consent"}), "deny"))  # type: ignore[arg-type]
    assert denied["error"] == "access_denied"


def test_an_unknown_mode_or_one_that_cannot_work_is_refused(memory_world: World) -> None:
    world, browser = memory_world, memory_world.browser()
    assert query_of(open_with(world, browser, response_mode="web_message").location)["error"] == "invalid_request"
    app, _ = world.clients.create(now=0, redirect_uris=["com.example.app:/cb"], token_endpoint_auth_method="none")
    url = world.authorize_url(app, redirect_uri="com.example.app:/cb", response_mode="form_post")
    assert query_of(browser.open(url).location)["error"] == "invalid_request"


def test_request_objects_are_refused_and_said_to_be_unsupported(memory_world: World) -> None:
    """R194; oidcc-unsigned-request-object-…, oidcc-request-uri-unsigned-…, oidcc-ensure-request-object-with-redirect-uri"""
    world, browser = memory_world, memory_world.browser()
    for name in ("request", "request_uri"):
        answer = open_with(world, browser, **{name: "https://client.test/x"})
        assert query_of(answer.location)["error"] == f"{name}_not_supported"
    document = send(world.gateway, "GET", "/.well-known/openid-configuration").json
    assert document["request_parameter_supported"] is document["request_uri_parameter_supported"] is False


def test_a_code_of_one_client_never_buys_an_id_token_for_another(world: World) -> None:
    """R212"""
    code = world.code(scope="openid")
    assert world.redeem(code, world.public).json["error"] == "invalid_grant"
    assert read(world, world.redeem(code).json["id_token"])["aud"] == world.confidential.client_id
