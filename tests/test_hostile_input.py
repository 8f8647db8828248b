"""Whatever is sent, the answer is never a 5xx and the app is never called without a token."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oauth_gateway.testing import frozen_time

from .conftest import CALLBACK, World, basic, make_world, send

PATHS = "/authorize /authorize/login /authorize/logout /token /token/revoke /thing /.well-known/oauth-authorization-server"
NAMES = """response_type client_id redirect_uri scope state code_challenge code_challenge_method prompt nonce resource
response_mode login_hint ui_locales decision csrf transaction username next grant_type code code_verifier refresh_token
client_secret client_assertion token token_type_hint request request_uri access_token""".split()
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
        assert answer.location.startswith((f"{CALLBACK}?", "https://api.example.com/authorize"))
    assert not any("\n" in value or "\r" in value for value in answer.headers.values())


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
