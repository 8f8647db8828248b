"""The 38 modules of the conformance profiles Basic OP and form_post Basic OP, one test a module (`docs/conformance.md`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oauth_gateway.errors import ConfigurationError
from oauth_gateway.testing import Clock

from ..conftest import CHALLENGE, VERIFIER, make_world
from .checks import CALLBACK, SITE, header_of, unsigned
from .parts import PERSON
from .suite import HEADER, NEEDS_A_PERSON, POST_BODY, Suite


@pytest.fixture(params=["query", "form_post"])
def suite(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> Iterator[Suite]:
    """Each module as both profiles have it: without a response_mode on a file, and with form_post in memory under a prefix."""
    if request.param == "query":
        suite = Suite(make_world(f"sqlite:///{tmp_path}/gateway.db", clock))
    else:
        suite = Suite(make_world("sqlite://", clock, prefix="/oauth"), "form_post")
    yield suite
    suite.world.gateway.store.close()


def test_oidcc_server(suite: Suite) -> None:
    """A code flow with client_secret_basic works."""
    flow = suite.flow()
    assert flow.visit.logins == 1 and suite.first.client.auth_method == "client_secret_basic"


def test_oidcc_response_type_missing(suite: Suite) -> None:
    """Without response_type: an error that says so."""
    sent = suite.request(response_type=None)
    assert suite.error(suite.visit(sent), sent) == "invalid_request"


def test_oidcc_idtoken_signature(suite: Suite) -> None:
    """A client that registered no algorithm gets RS256, by a key in the JWK Set."""
    header = header_of(suite.flow().tokens["id_token"])
    assert header["alg"] == "RS256"
    assert [key["kty"] for key in suite.jwks() if key["kid"] == header["kid"]] == ["RSA"]


def test_oidcc_idtoken_unsigned(suite: Suite) -> None:
    """A client cannot register for unsigned ID tokens, and discovery does not say that it could."""
    with pytest.raises(ConfigurationError, match="'none' is unknown"):
        suite.register(id_token_signed_response_alg="none")
    assert "none" not in suite.metadata["id_token_signing_alg_values_supported"]


def test_oidcc_userinfo_get(suite: Suite) -> None:
    """GET with the token in the header tells the `sub` of the ID token."""
    flow = suite.flow()
    assert suite.userinfo(flow.tokens["access_token"]).json["sub"] == flow.claims["sub"]


def test_oidcc_userinfo_post_header(suite: Suite) -> None:
    """POST with the token in the header does the same."""
    flow = suite.flow()
    answer = suite.userinfo(flow.tokens["access_token"], "POST", HEADER)
    assert answer.status_code == 200 and answer.json["sub"] == flow.claims["sub"]


def test_oidcc_userinfo_post_body(suite: Suite) -> None:
    """POST with the token in the form does the same."""
    flow = suite.flow()
    answer = suite.userinfo(flow.tokens["access_token"], "POST", POST_BODY)
    assert answer.status_code == 200 and answer.json["sub"] == flow.claims["sub"]


def test_oidcc_ensure_request_without_nonce_succeeds_for_code_flow(suite: Suite) -> None:
    """A code flow needs no nonce, and then there is none in the ID token."""
    assert "nonce" not in suite.flow(nonce=None).claims


def told_by(suite: Suite, scope: str) -> dict[str, Any]:
    """What UserInfo tells beside `sub`; the ID token of a code flow tells none of it (section 5.4)."""
    flow = suite.flow(scope=f"openid {scope}")
    every = {name for told in PERSON.values() for name in told}
    assert not every & flow.claims.keys()
    return {name: value for name, value in flow.info.items() if name != "sub"}


def test_oidcc_scope_profile(suite: Suite) -> None:
    """The scope brings all its claims to UserInfo, each of the type that section 5.1 gives it."""
    assert told_by(suite, "profile") == PERSON["profile"]


def test_oidcc_scope_email(suite: Suite) -> None:
    """The scope brings all its claims to UserInfo."""
    assert told_by(suite, "email") == PERSON["email"]


def test_oidcc_scope_address(suite: Suite) -> None:
    """The scope brings the address, an object, to UserInfo."""
    assert told_by(suite, "address") == PERSON["address"]


def test_oidcc_scope_phone(suite: Suite) -> None:
    """The scope brings all its claims to UserInfo, a false one too."""
    assert told_by(suite, "phone") == PERSON["phone"]


def test_oidcc_scope_all(suite: Suite) -> None:
    """All four scopes together bring all their claims."""
    every = {name: value for told in PERSON.values() for name, value in told.items()}
    assert told_by(suite, "profile email address phone") == every


def test_oidcc_alternate_happy_flow(suite: Suite) -> None:
    """The order of scopes and of parameters does not matter, and a redirect URI keeps its own query."""
    sent = suite.request(suite.second, scope="email openid")
    flow = suite.complete(suite.visit(dict(reversed(sent.items()))), sent, suite.second)
    assert flow.info["email"] == PERSON["email"]["email"]


def test_oidcc_display_page(suite: Suite) -> None:
    """display=page is no error."""
    suite.flow(display="page")


def test_oidcc_display_popup(suite: Suite) -> None:
    """display=popup is no error."""
    suite.flow(display="popup")


def test_oidcc_prompt_login(suite: Suite) -> None:
    """A second request with prompt=login asks for the password again, and its auth_time is later."""
    first = suite.flow()
    suite.world.clock.advance(1)
    second = suite.flow(prompt="login")
    assert second.visit.logins == 1 and second.claims["auth_time"] > first.claims["auth_time"]
    assert second.claims["sub"] == first.claims["sub"]


def test_oidcc_prompt_none_not_logged_in(suite: Suite) -> None:
    """prompt=none where nobody is signed in is an error at the callback, and no page."""
    sent = suite.request(prompt="none")
    visit = suite.visit(sent)
    assert suite.error(visit, sent) == "login_required" and "login_required" in NEEDS_A_PERSON
    assert visit.logins == visit.consents == 0


def test_oidcc_prompt_none_logged_in(suite: Suite) -> None:
    """prompt=none where somebody is signed in shows nothing and tells the same sub and auth_time."""
    first = suite.flow()
    suite.world.clock.advance(1)
    second = suite.flow(prompt="none")
    assert second.visit.logins == second.visit.consents == 0
    assert [second.claims[name] for name in ("sub", "auth_time")] == [first.claims[name] for name in ("sub", "auth_time")]


def test_oidcc_max_age_1(suite: Suite) -> None:
    """A second later max_age=1 asks for the password again; auth_time is there, later and recent."""
    first = suite.flow()
    suite.world.clock.advance(1)
    second = suite.flow(max_age="1")
    assert second.visit.logins == 1 and second.claims["auth_time"] > first.claims["auth_time"]
    assert suite.world.clock() - second.claims["auth_time"] < 5 and second.claims["sub"] == first.claims["sub"]


def test_oidcc_max_age_10000(suite: Suite) -> None:
    """max_age=10000 asks for nothing; auth_time is there and the same."""
    first = suite.flow()
    suite.world.clock.advance(1)
    second = suite.flow(max_age="10000")
    assert second.visit.logins == 0 and second.claims["auth_time"] == first.claims["auth_time"]
    assert second.claims["sub"] == first.claims["sub"]


def test_oidcc_ensure_request_with_unknown_parameter_succeeds(suite: Suite) -> None:
    """A parameter that nobody knows is ignored."""
    suite.flow(extra="foobar")


def test_oidcc_id_token_hint(suite: Suite) -> None:
    """prompt=none with the ID token of before succeeds without a page and tells the same person."""
    first = suite.flow()
    second = suite.flow(prompt="none", id_token_hint=first.tokens["id_token"])
    assert second.visit.logins == 0 and second.claims["sub"] == first.claims["sub"]


def test_oidcc_login_hint(suite: Suite) -> None:
    """login_hint is no error, whomever it names."""
    suite.flow(login_hint="buffy@api.example.com")


def test_oidcc_ui_locales(suite: Suite) -> None:
    """ui_locales is no error."""
    suite.flow(ui_locales="se")


def test_oidcc_claims_locales(suite: Suite) -> None:
    """claims_locales is no error."""
    suite.flow(claims_locales="se")


def test_oidcc_ensure_request_with_acr_values_succeeds(suite: Suite) -> None:
    """acr_values is no error, and of the published ones one is told."""
    suite.flow(acr_values="1 2")
    published = suite.metadata["acr_values_supported"]
    assert suite.flow(acr_values=" ".join(published)).claims["acr"] in published


def test_oidcc_codereuse(suite: Suite) -> None:
    """A code that is used again at once is an invalid_grant."""
    flow = suite.flow()
    assert suite.token_error(suite.redeem(flow.code)) == "invalid_grant"


def test_oidcc_codereuse_30seconds(suite: Suite) -> None:
    """A code that is used again after 30 seconds is an invalid_grant, and what it bought is worth nothing any more."""
    flow = suite.flow()
    suite.world.clock.advance(30)
    assert suite.token_error(suite.redeem(flow.code)) == "invalid_grant"
    assert suite.userinfo(flow.tokens["access_token"]).status_code == 401


def test_oidcc_ensure_registered_redirect_uri(suite: Suite) -> None:
    """A redirect URI that was not registered is an error page."""
    suite.page(suite.visit(suite.request(redirect_uri=f"{CALLBACK}/callback/x1")))


def test_oidcc_ensure_post_request_succeeds(suite: Suite) -> None:
    """The authorization endpoint takes a form that another site posts."""
    suite.flow(method="POST")


def test_oidcc_server_client_secret_post(suite: Suite) -> None:
    """A code flow with client_secret_post works."""
    suite.flow(suite.posting)


def outside(sent: dict[str, str]) -> dict[str, str]:
    """What stands beside a request object: what OAuth needs, and how the answer is to come; neither state nor nonce."""
    named = ("response_type", "client_id", "scope", "redirect_uri", "response_mode")
    return {name: value for name, value in sent.items() if name in named}


def test_oidcc_request_uri_unsigned_supported_correctly_or_rejected_as_unsupported(suite: Suite) -> None:
    """request_uri is refused as unsupported, and discovery says so."""
    sent = {**outside(suite.request()), "request_uri": f"{SITE}/requesturi.jwt#1"}
    assert suite.error(suite.visit(sent), sent) == "request_uri_not_supported"
    assert suite.metadata["request_uri_parameter_supported"] is False


def test_oidcc_unsigned_request_object_supported_correctly_or_rejected_as_unsupported(suite: Suite) -> None:
    """A request object is refused as unsupported, never ignored, and discovery says so."""
    inside = suite.request()
    for sent in (outside(inside), inside):
        assert suite.error(suite.visit({**sent, "request": unsigned(inside)}), sent) == "request_not_supported"
    assert suite.metadata["request_parameter_supported"] is False
    assert "none" not in suite.metadata.get("request_object_signing_alg_values_supported", [])


def test_oidcc_claims_essential(suite: Suite) -> None:
    """An essential claim is told where it was asked for: at UserInfo, not in the ID token."""
    flow = suite.flow(claims=json.dumps({"userinfo": {"name": {"essential": True}}}))
    assert flow.info["name"] == PERSON["profile"]["name"] and "name" not in flow.claims


def test_oidcc_ensure_request_object_with_redirect_uri(suite: Suite) -> None:
    """A redirect URI that was not registered, beside a request object with one that was, is an error page."""
    inside = suite.request()
    suite.page(suite.visit({**outside(inside), "redirect_uri": f"{CALLBACK}/x1", "request": unsigned(inside)}))


def test_oidcc_refresh_token(suite: Suite) -> None:
    """A refresh token works, for its own client only, and brings an ID token of the same person for the same client."""
    assert "refresh_token" in suite.metadata["grant_types_supported"]
    for party in (suite.first, suite.second):
        flow = suite.flow(party)
        form = {"grant_type": "refresh_token", "refresh_token": flow.tokens["refresh_token"]}
        suite.world.clock.advance(1)
        fresh = suite.token_answer(suite.token(form, party), "openid")
        claims = suite.id_token(fresh["id_token"], party, fresh["access_token"])
        assert [claims[name] for name in ("iss", "sub", "aud")] == [flow.claims[name] for name in ("iss", "sub", "aud")]
        assert claims["iat"] > flow.claims["iat"] and claims["auth_time"] == flow.claims["auth_time"]
        assert fresh["access_token"] != flow.tokens["access_token"]
        assert suite.userinfo(fresh["access_token"]).json["sub"] == claims["sub"]
    stolen = {"grant_type": "refresh_token", "refresh_token": fresh["refresh_token"]}
    assert suite.token_error(suite.token(stolen, suite.first)) == "invalid_grant"


def test_oidcc_ensure_request_with_valid_pkce_succeeds(suite: Suite) -> None:
    """A client that may omit PKCE may use it too."""
    sent = suite.request(code_challenge=CHALLENGE, code_challenge_method="S256")
    suite.complete(suite.visit(sent), sent, code_verifier=VERIFIER)
