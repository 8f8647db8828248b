"""Introspection (RFC 7662): who may ask about which token, and what is told."""

from __future__ import annotations

import pytest

from oauth_gateway import OAuthGateway
from oauth_gateway.errors import ConfigurationError

from .conftest import World, basic, make_world, send


def resource_server(world: World) -> tuple[object, str]:
    client, secret = world.clients.create(now=world.clock(), client_name="API", may_introspect=True, scope="")
    assert secret
    return client, secret


def test_a_client_reads_its_own_tokens(world: World) -> None:
    """R089"""
    tokens = world.tokens(scope="read write")
    answer = world.introspect(tokens["access_token"])
    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-store"
    now = int(world.clock())
    told = answer.json
    assert told.pop("jti") and told.pop("sub") == world.gateway.server.users.named("ann").user_id
    assert told == {
        "active": True,
        "scope": "read write",
        "client_id": world.confidential.client_id,
        "username": "ann",
        "token_type": "Bearer",
        "exp": now + 3600,
        "iat": now,
        "nbf": now,
        "aud": world.base,
        "iss": world.base,
        "auth_time": now,
        "amr": ["pwd"],
        "acr": "0",
    }
    refresh = world.introspect(tokens["refresh_token"], token_type_hint="access_token").json
    assert refresh["active"] is True and "token_type" not in refresh
    own = world.introspect(world.machine_token(), world.machine).json
    assert own["sub"] == own["client_id"] == world.machine.client_id and "username" not in own


def test_a_resource_server_reads_every_access_token_and_no_refresh_token(world: World) -> None:
    """R090, R091"""
    client, secret = resource_server(world)
    tokens = world.tokens()
    assert world.introspect(tokens["access_token"], client, secret).json["active"] is True  # type: ignore[arg-type]
    assert world.introspect(tokens["refresh_token"], client, secret).json == {"active": False}  # type: ignore[arg-type]


def test_everything_else_is_inactive_and_nothing_more(world: World) -> None:
    """R088, R093, R079"""
    tokens = world.tokens()
    for token in ("x", "oga1_at_" + "a" * 67, "eyJhbGciOiJub25lIn0.e30.", world.code(), "é", "a" * 5000):
        assert world.introspect(token).json == {"active": False}
    assert world.introspect(tokens["access_token"], world.machine).json == {"active": False}, "another client's"
    assert world.introspect(tokens["access_token"], token_type_hint="nonsense").json["active"] is True
    world.clock.advance(3600)
    assert world.introspect(tokens["access_token"]).json == {"active": False}, "expired"


def test_the_answer_is_never_stale(world: World) -> None:
    """R095"""
    client, secret = resource_server(world)
    tokens = world.tokens()
    for _ in range(2):
        assert world.introspect(tokens["access_token"], client, secret).json["active"]  # type: ignore[arg-type]
    world.revoke(tokens["access_token"])
    assert world.introspect(tokens["access_token"], client, secret).json == {"active": False}  # type: ignore[arg-type]
    fresh = world.refresh(tokens["refresh_token"]).json
    assert world.introspect(tokens["refresh_token"]).json == {"active": False}, "a refresh token that was used up"
    world.gateway.server.users.set_disabled(world.gateway.server.users.named("ann"), True, world.clock())
    assert world.introspect(fresh["access_token"]).json == {"active": False}


def test_another_worker_sees_a_revocation_at_once(clock: object, tmp_path: object) -> None:
    """R095"""
    one = make_world(f"sqlite:///{tmp_path}/shared.db", clock)  # type: ignore[arg-type]
    settings = {"issuer": one.base, "database": f"sqlite:///{tmp_path}/shared.db", "scopes": one.gateway.settings.scopes}
    other = OAuthGateway(None, **settings)
    token = one.machine_token()
    header = {"Authorization": basic(one.machine.client_id, one.machine_secret)}

    def ask() -> object:
        return send(other, "POST", "/token/introspect", {"token": token}, headers=header).json["active"]

    assert ask() is True
    one.revoke(token, one.machine)
    assert ask() is False


def test_who_asks_must_be_authenticated(world: World) -> None:
    """R087, R031, R037"""
    token = world.machine_token()
    path = f"{world.prefix}/token/introspect"
    assert send(world.gateway, "GET", f"{path}?token={token}", base=world.base).status_code == 405
    for form, headers in (
        ({"token": token}, {}),
        ({"token": token}, {"Authorization": f"Bearer {token}"}),
        ({"token": token, "client_id": world.public.client_id}, {}),
        ({"token": token, "client_id": world.machine.client_id}, {}),
        ({"token": token}, {"Authorization": basic(world.machine.client_id, "wrong")}),
    ):
        answer = send(world.gateway, "POST", path, form, base=world.base, headers=headers)
        assert (
            answer.status_code == 401
            and answer.json["error"] == "invalid_client"
            and "Basic" in answer.headers["WWW-Authenticate"]
        )
    assert world.introspect("").status_code == 400


def test_a_public_client_cannot_be_a_resource_server(memory_world: World) -> None:
    with pytest.raises(ConfigurationError, match="may_introspect"):
        memory_world.clients.create(
            now=0, redirect_uris=["https://a.test/"], token_endpoint_auth_method="none", may_introspect=True
        )


def test_the_metadata_says_how_to_ask(memory_world: World) -> None:
    """R100, R103"""
    document = send(memory_world.gateway, "GET", "/.well-known/oauth-authorization-server").json
    assert document["introspection_endpoint"] == f"{memory_world.base}/token/introspect"
    assert document["introspection_endpoint_auth_methods_supported"] == [
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
        "client_secret_jwt",
    ]
