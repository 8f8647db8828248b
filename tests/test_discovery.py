"""Discovery: in every place where clients look, the same bytes, made of `issuer` alone; what it names is there (CHECKS 2.7)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oauth_gateway.errors import ConfigurationError
from oauth_gateway.testing import Clock

from .conftest import World, make_world, send

OPENID = "/.well-known/openid-configuration"
OAUTH = "/.well-known/oauth-authorization-server"


@pytest.mark.parametrize("name", [OPENID, OAUTH])
def test_an_issuer_with_a_path_is_found_in_every_form_that_clients_try(clock: Clock, name: str) -> None:
    """R096"""
    world = make_world("sqlite://", clock, base="https://h.test/t1")
    bodies = set()
    for mount, path in (("", f"{name}/t1"), ("/t1", name), ("", f"/t1{name}"), ("", name)):
        environ = {"SCRIPT_NAME": mount, "PATH_INFO": path}
        answer = send(world.gateway, "GET", "/", base="https://h.test", environ=environ)
        assert answer.status_code == 200 and answer.content_type == "application/json", (mount, path)
        bodies.add(answer.body)
    (body,) = bodies
    document = json.loads(body)
    assert document["issuer"] == "https://h.test/t1"
    assert document["jwks_uri"] == "https://h.test/t1/.well-known/jwks.json"
    assert document["authorization_endpoint"] == "https://h.test/t1/authorize"
    assert send(world.gateway, "GET", f"{name}/t2", base="https://h.test").status_code == 404
    jwks = send(
        world.gateway, "GET", "/", base="https://h.test", environ={"SCRIPT_NAME": "/t1", "PATH_INFO": "/.well-known/jwks.json"}
    )
    assert jwks.status_code == 200


def test_the_document_is_byte_stable_and_knows_no_request(world: World) -> None:
    """R097, R098, A032, A033, A034"""
    first = send(world.gateway, "GET", OPENID, base=world.base)
    assert first.headers["Cache-Control"] == "public, max-age=300" and first.headers["Access-Control-Allow-Origin"] == "*"
    for host in ("evil.test", "api.example.com:8443", "API.example.com", "a.test/public?"):
        headers = {"Host": host, "X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "http", "Forwarded": "host=evil.test"}
        other = send(world.gateway, "GET", OPENID, base=world.base, headers=headers)
        assert other.body == first.body
    assert send(world.gateway, "HEAD", OPENID, base=world.base).status_code == 200
    assert send(world.gateway, "POST", OPENID, "", base=world.base).status_code == 405
    assert send(world.gateway, "GET", OAUTH, base=world.base).body == first.body, "one document for both"


def test_what_openid_requires_is_there(world: World) -> None:
    """R100, R101, R102, R104; oidcc-discovery-endpoint-verification"""
    document: dict[str, Any] = send(world.gateway, "GET", OPENID, base=world.base).json
    assert document["subject_types_supported"] == ["public", "pairwise"]
    assert "RS256" in document["id_token_signing_alg_values_supported"]
    assert {"openid", "profile", "email", "address", "phone", "offline_access", "read"} <= set(document["scopes_supported"])
    assert document["code_challenge_methods_supported"] == ["S256"] and document["response_types_supported"] == ["code"]
    assert {"sub", "email", "auth_time", "sid"} <= set(document["claims_supported"])
    for name, value in document.items():
        assert value not in ([], None, ""), name
        assert isinstance(value, (str, bool)) or (isinstance(value, list) and len(set(value)) == len(value)), name
        assert "none" not in value if name.endswith("_alg_values_supported") else True
    resource = send(world.gateway, "GET", "/.well-known/oauth-protected-resource", base=world.base).json
    assert resource["scopes_supported"] == ["read", "write"], "scopes of the app, not of the sign-in"


def test_every_address_in_the_document_answers(world: World) -> None:
    """R100, R103"""
    document: dict[str, Any] = send(world.gateway, "GET", OPENID, base=world.base).json
    addresses = {name: value for name, value in document.items() if name.endswith("_endpoint") or name.endswith("_uri")}
    assert set(addresses) >= {"userinfo_endpoint", "end_session_endpoint", "jwks_uri", "token_endpoint"}
    for name, url in addresses.items():
        assert url.startswith(world.base)
        answers = [send(world.gateway, method, url[len(world.base) :], base=world.base) for method in ("GET", "POST")]
        assert all(answer.status_code != 404 and answer.status_code < 500 for answer in answers), name
    assert world.app.calls == 0


def test_without_metadata_there_is_still_openid_s_own_document(clock: Clock) -> None:
    world = make_world("sqlite://", clock, features="authorization_code openid")
    assert send(world.gateway, "GET", OPENID).status_code == 200 and send(world.gateway, "GET", OAUTH).status_code == 404


def test_openid_without_the_code_flow_does_not_start(clock: Clock) -> None:
    with pytest.raises(ConfigurationError, match="openid needs authorization_code"):
        make_world("sqlite://", clock, features="client_credentials openid")


def test_without_openid_there_is_none(clock: Clock) -> None:
    world = make_world("sqlite://", clock, features="authorization_code refresh_token metadata")
    for path in (OPENID, "/.well-known/jwks.json", "/token/userinfo"):
        assert send(world.gateway, "GET", path).status_code == 404
    document = send(world.gateway, "GET", OAUTH).json
    assert not {"jwks_uri", "userinfo_endpoint", "end_session_endpoint", "subject_types_supported"} & document.keys()
    assert "openid" not in document["scopes_supported"]
    assert world.call(None, "/authorize/logout").status_code == 200, "the pages are there"


def test_signed_access_tokens_bring_their_keys_without_openid(clock: Clock) -> None:
    world = make_world("sqlite://", clock, features="client_credentials metadata", access_token_format="jwt")
    document = send(world.gateway, "GET", OAUTH).json
    assert send(world.gateway, "GET", document["jwks_uri"][len(world.base) :]).status_code == 200
