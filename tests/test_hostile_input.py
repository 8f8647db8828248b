"""Whatever is sent, the answer is never a 5xx and the app is never called without a token."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oauth_gateway.testing import frozen_time

from .conftest import CALLBACK, World, basic, make_world, send

PATHS = """/authorize /authorize/login /authorize/logout /authorize/account /authorize/account/password
/token /token/revoke /token/introspect /token/userinfo /thing /.well-known/openid-configuration /.well-known/jwks.json"""
NAMES = """response_type client_id redirect_uri scope state code_challenge code_challenge_method prompt nonce resource
response_mode login_hint ui_locales decision csrf transaction username next grant_type code code_verifier refresh_token
client_secret client_assertion client_assertion_type token token_type_hint request request_uri access_token id_token_hint claims
max_age display acr_values claims_locales post_logout_redirect_uri session sessions client
after from done proof wrong everywhere password new_password""".split()
PIECES = st.sampled_from(
    [
        "",
        "a",
        '"',
        "'",
        "\\",
        "\r\n",
        "\0",
        "%00",
        "é",
        "💩",
        "=",
        "&",
        ";",
        "{{",
        "<",
        "\u202e",
        "\ufffd",
        "%ff",
        "+",
        " ",
        "x" * 300,
    ]
    + [
        "code",
        "S256",
        "none",
        "login",
        "authorization_code",
        "refresh_token",
        "client_credentials",
        "read",
        CALLBACK,
        "//",
        "[",
        "*",
        "openid",
        "select_account",
        "form_post",
        "fragment",
        '{"id_token":',
        '{"userinfo":{"name":null}}',
        "[" * 2000,
        "9" * 400,
        "²",
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.AAAA",
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    ]
)
VALUES = st.lists(PIECES, max_size=3).map("".join)
HEADER_VALUES = VALUES.map(lambda text: "".join(c for c in text.encode().decode("latin-1") if c not in "\r\n\0"))
HEADERS = "Authorization Cookie Origin Accept Sec-Fetch-Site Sec-Fetch-Mode X-Forwarded-For X-HTTP-Method-Override".split()


@pytest.fixture(scope="module")
def module_world() -> Iterator[World]:
    with frozen_time() as clock:
        yield make_world("sqlite://", clock)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "PUT", "OPTIONS"]),
    path=st.sampled_from(PATHS.split()),
    query=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8),
    form=st.none() | st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8),
    headers=st.dictionaries(st.sampled_from(HEADERS), HEADER_VALUES | st.sampled_from(["Basic eDp5", "Bearer x"]), max_size=3),
    known=st.booleans(),
    authenticated=st.booleans(),
)
def test_no_request_is_answered_with_a_5xx(
    module_world: World,
    method: str,
    path: str,
    query: dict[str, str],
    form: dict[str, str] | None,
    headers: dict[str, str],
    known: bool,
    authenticated: bool,
) -> None:
    """R014, R023, F5-F8, A035, A054"""
    world = module_world
    if known:
        query = {"client_id": world.confidential.client_id, "redirect_uri": CALLBACK, "response_type": "code", **query}
    if authenticated:
        headers = {**headers, "Authorization": basic(world.confidential.client_id, world.secret)}
    answer = send(world.gateway, method, f"{path}?{urlencode(query)}" if query else path, form, headers=headers)
    assert answer.status_code < 500
    assert world.app.calls == 0
    if answer.location:
        assert answer.location.startswith((f"{CALLBACK}?", f"{CALLBACK}#", "https://api.example.com/authorize"))
    assert not any("\n" in value or "\r" in value for value in answer.headers.values())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats() | st.text(max_size=20) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
HEADS = st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "x5c", "zip"]), JSON, max_size=5)
CLAIMS = st.dictionaries(st.sampled_from(["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "sid", "events"]), JSON, max_size=7)


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    header=HEADS | JSON, claims=CLAIMS | JSON, ours=st.booleans(), named=st.booleans(), signature=st.text("AQgw", max_size=90)
)
def test_no_jwt_is_answered_with_a_5xx(
    module_world: World, header: object, claims: object, ours: bool, named: bool, signature: str
) -> None:
    """A059-A064, wherever a JWT is taken"""
    world = module_world
    if ours and isinstance(header, dict):
        key = world.gateway.store.signing_keys()[0]
        header = {**header, "kid": key.kid, "alg": key.algorithm}
    if named and isinstance(claims, dict):
        claims = {**claims, "sub": world.confidential.client_id}
    text = f"{part(header)}.{part(claims)}.{signature or 'A'}"
    form = {"grant_type": "client_credentials", "client_assertion": text, "token": text}
    form["client_assertion_type"] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    answers = [send(world.gateway, "POST", path, form) for path in ("/token", "/token/introspect", "/token/revoke")]
    bearer = {"Authorization": f"Bearer {text}"}
    answers += [send(world.gateway, "GET", path, headers=bearer) for path in ("/thing", "/token/userinfo")]
    query = urlencode({"id_token_hint": text, "post_logout_redirect_uri": CALLBACK})
    answers.append(send(world.gateway, "GET", f"/authorize/logout?{query}"))
    answers.append(send(world.gateway, "GET", world.authorize_url(scope="openid", id_token_hint=text)))
    assert {answer.status_code for answer in answers[:3]} <= {401, 429}, "throttled after some"
    assert {answer.status_code for answer in answers[3:5]} == {401}
    assert answers[5].status_code == 200 and "error=invalid_request" in answers[6].location


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    claims=st.dictionaries(st.sampled_from(["id_token", "userinfo", "x"]), st.dictionaries(st.text(max_size=9), JSON) | JSON)
)
def test_no_claims_request_is_answered_with_a_5xx(module_world: World, claims: object) -> None:
    """R200, R206"""
    url = module_world.authorize_url(scope="openid", claims=json.dumps(claims))
    assert send(module_world.gateway, "GET", url).status_code in (200, 303)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.text(st.characters(max_codepoint=255), max_size=30).map(lambda text: "/" + text))
def test_no_path_reaches_the_app_without_a_token(module_world: World, path: str) -> None:
    """A001-A008, F17: PATH_INFO as a server might hand it over"""
    if path.startswith("/public/") or path == "/public" or path.startswith("/maybe"):
        return
    seen: list[str] = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "SCRIPT_NAME": "", "QUERY_STRING": ""}
    module_world.gateway(environ, lambda status, headers: seen.append(status))
    assert seen[0][:3] in ("400", "401", "404", "405", "200") and module_world.app.calls == 0
