"""CORS for scripts of public clients: by registered origin, never with cookies, never on /authorize (R105, R242)."""

from __future__ import annotations

import pytest

from oauth_gateway.errors import ConfigurationError

from .conftest import World, basic, send

SPA, OTHER = "https://spa.test", "https://evil.test"
ASK = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
ENDPOINTS = ("/token", "/token/revoke", "/token/introspect")


@pytest.fixture
def spa(world: World) -> World:
    world.public, _ = world.clients.create(
        now=0,
        client_name="SPA",
        redirect_uris=["https://client.test/cb"],
        token_endpoint_auth_method="none",
        allowed_origins=[SPA, "http://127.0.0.1:5173"],
    )
    return world


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_preflight_of_a_registered_origin_is_allowed_and_of_another_not(spa: World, path: str) -> None:
    for origin in (SPA, "http://127.0.0.1:5173"):
        answer = send(spa.gateway, "OPTIONS", spa.prefix + path, base=spa.base, headers={"Origin": origin, **ASK})
        assert answer.status_code == 204 and answer.headers["Access-Control-Allow-Origin"] == origin
        assert answer.headers["Access-Control-Allow-Methods"] == "POST" and answer.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in answer.headers
    for origin in (OTHER, "null", "*", SPA + ".evil.test", SPA.upper(), SPA + "/", "https://spa.test:443", "x" * 5000):
        answer = send(spa.gateway, "OPTIONS", spa.prefix + path, base=spa.base, headers={"Origin": origin, **ASK})
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    plain = send(spa.gateway, "OPTIONS", spa.prefix + path, base=spa.base)
    assert plain.status_code == 405


def test_a_script_reads_tokens_and_errors_of_its_own_client_only(spa: World) -> None:
    code = spa.code(spa.public)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": "https://client.test/cb",
        "client_id": spa.public.client_id,
        "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    }
    path = f"{spa.prefix}/token"
    stranger = send(spa.gateway, "POST", path, {**form, "code": "x"}, base=spa.base, headers={"Origin": OTHER})
    assert "Access-Control-Allow-Origin" not in stranger.headers
    answer = send(spa.gateway, "POST", path, form, base=spa.base, headers={"Origin": SPA})
    assert answer.status_code == 200 and answer.headers["Access-Control-Allow-Origin"] == SPA
    wrong = send(spa.gateway, "POST", path, form, base=spa.base, headers={"Origin": SPA})
    assert wrong.status_code == 400 and wrong.headers["Access-Control-Allow-Origin"] == SPA
    header = {"Authorization": basic(spa.machine.client_id, spa.machine_secret), "Origin": SPA}
    other = send(spa.gateway, "POST", path, {"grant_type": "client_credentials"}, base=spa.base, headers=header)
    assert other.status_code == 200 and "Access-Control-Allow-Origin" not in other.headers, "no script has that secret"


def test_the_gate_s_refusals_can_be_read_by_registered_origins(spa: World) -> None:
    answer = send(spa.gateway, "GET", "/thing", base=spa.base, headers={"Origin": SPA})
    assert answer.status_code == 401 and answer.headers["Access-Control-Allow-Origin"] == SPA
    assert "WWW-Authenticate" in answer.headers["Access-Control-Expose-Headers"] and "Origin" in answer.headers["Vary"]
    answer = send(spa.gateway, "GET", "/thing", base=spa.base, headers={"Origin": OTHER})
    assert answer.status_code == 401 and "Access-Control-Allow-Origin" not in answer.headers


def test_never_on_the_pages(spa: World) -> None:
    for method in ("GET", "OPTIONS", "POST"):
        for path in ("/authorize", "/authorize/login", "/authorize/logout"):
            answer = send(spa.gateway, method, spa.prefix + path, base=spa.base, headers={"Origin": SPA, **ASK})
            assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_the_documents_are_for_everybody(spa: World) -> None:
    answer = send(spa.gateway, "GET", "/.well-known/oauth-authorization-server", base=spa.base, headers={"Origin": OTHER})
    assert answer.headers.getall("Access-Control-Allow-Origin") == ["*"]


def test_without_registered_origins_those_of_the_redirect_uris_count(memory_world: World) -> None:
    world = memory_world
    assert world.public.origins == {"https://client.test", "http://127.0.0.1"}
    assert world.confidential.origins == frozenset()
    answer = send(world.gateway, "OPTIONS", "/token", headers={"Origin": "https://client.test", **ASK})
    assert answer.headers["Access-Control-Allow-Origin"] == "https://client.test"


def test_an_origin_ends_with_its_client(spa: World) -> None:
    def allowed() -> bool:
        answer = send(spa.gateway, "OPTIONS", f"{spa.prefix}/token", base=spa.base, headers={"Origin": SPA, **ASK})
        return "Access-Control-Allow-Origin" in answer.headers

    assert allowed()
    changed = spa.clients.update(spa.public, {"allowed_origins": []}, spa.clock())
    assert not allowed() and changed.origins == frozenset()
    spa.clients.update(changed, {"allowed_origins": [SPA]}, spa.clock())
    assert allowed()
    spa.clients.delete(spa.public.client_id, spa.clock())
    assert not allowed()


@pytest.mark.parametrize(
    "origin", ["*", "null", "http://spa.test", "https://spa.test/", "https://*.spa.test", "https://SPA.test", "spa.test"]
)
def test_what_is_no_origin_cannot_be_registered(memory_world: World, origin: str) -> None:
    with pytest.raises(ConfigurationError, match="allowed_origins"):
        memory_world.clients.create(
            now=0, redirect_uris=["https://a.test/"], token_endpoint_auth_method="none", allowed_origins=[origin]
        )


def test_a_client_with_a_secret_has_no_origins(memory_world: World) -> None:
    with pytest.raises(ConfigurationError, match="public clients"):
        memory_world.clients.create(now=0, redirect_uris=["https://a.test/"], allowed_origins=[SPA])
