"""RFC 9068: JWT access tokens, and every other JWT in their place (CHECKS 2.12, 3.6)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oauth_gateway import OAuthGateway, jose
from oauth_gateway.backchannel_logout import BackchannelLogout
from oauth_gateway.models import Job, Token
from oauth_gateway.testing import Clock

from .conftest import RecordingApp, World, make_world, send


@pytest.fixture(params=["RS256", "ES256"])
def world(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> Iterator[World]:
    database = f"sqlite:///{tmp_path}/g.db"
    world = make_world(database, clock, access_token_format="jwt", access_token_algorithm=request.param)
    yield world
    world.gateway.store.close()


def test_the_token_has_what_rfc_9068_asks_for(world: World) -> None:
    """R162, R163, R167"""
    tokens = world.tokens(scope="openid read")
    header, claims = jose.peek(tokens["access_token"])
    now, user = int(world.clock()), world.gateway.server.users.named("ann")
    assert header["typ"] == "at+jwt" and header["alg"] == world.gateway.settings.access_token_algorithm
    token = world.gateway.server.presented(tokens["access_token"])
    assert token is not None
    assert claims == {
        "iss": world.base,
        "exp": now + 3600,
        "aud": world.base,
        "sub": user.user_id,
        "client_id": world.confidential.client_id,
        "iat": now,
        "jti": token.id,
        "scope": "openid read",
        "auth_time": now,
        "acr": "0",
        "amr": ["pwd"],
    }
    machine = jose.peek(world.machine_token())[1]
    assert machine["sub"] == machine["client_id"] == world.machine.client_id and "auth_time" not in machine


def test_the_gate_accepts_it_remembers_it_and_hands_the_app_the_same(world: World, monkeypatch: Any) -> None:
    token = world.tokens(scope="read")["access_token"]
    assert world.call(token).status_code == 200
    seen: Token = world.app.environ["oauth_gateway.token"]
    assert (seen.client_id, seen.username, seen.scopes) == (world.confidential.client_id, "ann", frozenset({"read"}))
    assert world.app.environ["REMOTE_USER"] == "ann" and "HTTP_AUTHORIZATION" not in world.app.environ
    monkeypatch.setattr(jose, "verify", lambda *_: pytest.fail("a remembered token is not verified again"))
    assert world.call(token).status_code == 200


def test_a_revoked_one_is_refused_at_once_by_everybody(world: World) -> None:
    """R082, R084, R095"""
    other = OAuthGateway(RecordingApp(), issuer=world.base, database=world.gateway.settings.database)
    tokens = world.tokens(scope="read")
    token = tokens["access_token"]
    assert world.call(token).status_code == 200
    assert send(other, "GET", "/x", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert world.introspect(token).json["active"] is True
    world.revoke(tokens["refresh_token"])
    assert world.call(token).status_code == 401 and world.introspect(token).json == {"active": False}
    assert send(other, "GET", "/x", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    again = world.tokens(scope="read")["access_token"]
    assert world.call(again).status_code == 200
    assert world.revoke(again).status_code == 200 and world.call(again).status_code == 401


def test_both_formats_stay_accepted_when_the_setting_changes(world: World) -> None:
    common: dict[str, Any] = {"issuer": world.base, "database": world.gateway.settings.database}
    signed = world.machine_token()
    now_opaque = OAuthGateway(RecordingApp(), **common, features="client_credentials")
    form = {"grant_type": "client_credentials", "client_id": world.machine.client_id}
    world.clients.update(world.machine, {"token_endpoint_auth_method": "client_secret_post"}, 0)
    opaque = send(now_opaque, "POST", "/token", {**form, "client_secret": world.machine_secret}).json["access_token"]
    assert opaque.startswith("oga1_at_") and signed.startswith("eyJ")
    for gateway in (world.gateway, now_opaque):
        for token in (opaque, signed):
            status = send(gateway, "GET", "/thing", headers={"Authorization": f"Bearer {token}"}).status_code
            assert status == 200


def test_what_has_our_prefix_is_never_tried_as_a_jwt(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(world.gateway.server.sealer, "signed", lambda *_: pytest.fail("tried"))
    assert world.call("oga1_eyJ.eyJ.x").status_code == 401
    assert world.call("oga1_at_" + "x" * 43 + "0" * 16 + "x" * 8).status_code == 401


def forged(world: World, token: str, **changes: Any) -> str:
    """The token signed anew with our own current key, with other claims or header members."""
    keys, now = world.gateway.server.keys, world.clock()
    algorithm = world.gateway.settings.access_token_algorithm
    claims = {**jose.peek(token)[1], **{name: value for name, value in changes.items() if name != "typ"}}
    claims = {name: value for name, value in claims.items() if value is not None}
    return keys.sign(algorithm, changes.get("typ", "at+jwt"), claims, now)


@pytest.mark.parametrize(
    "changes",
    [
        {"typ": "JWT"},
        {"typ": "logout+jwt"},
        {"typ": "dpop+jwt"},
        {"iss": "https://evil.test"},
        {"iss": None},
        {"aud": "https://other.test"},
        {"aud": None},
        {"aud": ["https://api.example.com", "https://other.test"]},
        {"jti": None},
        {"jti": "0" * 16},
        {"jti": 5},
        {"exp": 10**10},
        {"scope": "read write admin"},
        {"sub": "somebody"},
    ],
)
def test_another_token_signed_by_our_own_key_is_worth_nothing(world: World, changes: dict[str, Any]) -> None:
    """R164, R165, A063: a signature alone opens nothing, the row must be there with this very text"""
    token = world.tokens(scope="read")["access_token"]
    assert world.call(forged(world, token, **changes)).status_code == 401
    assert world.introspect(forged(world, token, **changes)).json == {"active": False}
    assert world.call(token).status_code == 200


def part(data: Any) -> str:
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def test_hostile_jwts_are_401_and_never_an_error(world: World) -> None:
    """R048, R166, A059, A060, A061, A062, A063"""
    token = world.tokens(scope="read")["access_token"]
    header, claims = jose.peek(token)
    head, body, signature = token.split(".")
    public = send(world.gateway, "GET", "/.well-known/jwks.json").json["keys"][0]
    own = jose.generate("ES256")
    signed_by_other = jose.encode(own, "ES256", header["kid"], "at+jwt", claims)
    bad = [
        f"{part({**header, 'alg': alg})}.{body}.{signature}"
        for alg in ("none", "None", "nOnE", "HS256", "RS512", "ES512", ["RS256"], None, 5)
    ]
    bad += [
        f"{part({'typ': 'at+jwt', 'alg': 'none'})}.{body}.",
        f"{head}.{body}.",
        f".{body}.{signature}",
        f"{head}..{signature}",
    ]
    bad += [
        f"{part({**header, 'kid': kid})}.{body}.{signature}"
        for kid in ("../../dev/null", "x' OR 1=1 --", "k" * 100_000, None, 1, ["a"])
    ]
    bad += [
        f"{part({**header, **more})}.{body}.{signature}"
        for more in (
            {"jwk": public},
            {"jku": "https://evil.test/jwks"},
            {"x5u": "https://evil.test/x"},
            {"x5c": ["MII"]},
            {"crit": ["b64"], "b64": False},
            {"zip": "DEF"},
        )
    ]
    bad += [signed_by_other, f"{token}.x", ".".join("a" * 3 for _ in range(5000)), "eyJ" + "a" * 1_000_000]
    bad += [
        f"{head}.{part(text)}.{signature}" for text in (b"[1]", b"{", b'{"exp": NaN}', b"\xff", b"[" * 5000, b'{"a":1,"a":2}')
    ]
    bad += [token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1 :] for i in range(0, len(token), 23) if token[i] != "."]
    for text in bad:
        answer = world.call(text)
        assert answer.status_code in (400, 401), (answer.status_code, text[:80])
        assert world.introspect(text[:60_000]).json == {"active": False}, text[:80]
    assert world.app.calls == 0 and world.call(token).status_code == 200


def test_no_jwt_is_accepted_in_the_place_of_another(world: World) -> None:
    """A064, R164"""
    tokens = world.tokens(scope="openid read", nonce="n")
    world.clients.update(world.confidential, {"userinfo_signed_response_alg": "ES256"}, 0)
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    info = send(world.gateway, "GET", "/token/userinfo", headers=bearer).text
    payload = {"client": world.confidential.number, "subject": "s", "sid": "x"}
    logout = BackchannelLogout(world.gateway.server).token(world.confidential, Job(1, "", payload, 0, 1), world.clock())
    assertion = jose.encode(
        jose.generate("ES256"), "ES256", "k", "JWT", {"iss": "c", "sub": "c", "aud": world.base, "jti": "1"}
    )
    every = {"id": tokens["id_token"], "info": info, "logout": logout, "assertion": assertion, "at": tokens["access_token"]}
    assert len(set(every.values())) == 5
    hints = world.gateway.server.id_tokens
    for name, text in every.items():
        assert (world.call(text).status_code == 200) is (name == "at"), name
        assert (hints.recognise(text, world.base) is not None) is (name == "id"), name
        form = {"grant_type": "authorization_code", "client_assertion": text, "code": "x"}
        form["client_assertion_type"] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        assert send(world.gateway, "POST", "/token", form).json["error"] == "invalid_client", name
        refresh = world.refresh(text)
        assert refresh.json["error"] == "invalid_grant", name
        assert world.redeem(text).json["error"] == "invalid_grant", name


def test_expiry_is_that_of_the_row(world: World) -> None:
    """R168"""
    token = world.tokens(scope="read")["access_token"]
    world.clock.advance(3599)
    assert world.call(token).status_code == 200
    world.clock.advance(1)
    assert world.call(token).status_code == 401


def test_unknown_kids_ask_no_database(world: World, monkeypatch: Any) -> None:
    """R166"""
    token = world.machine_token()
    world.call(token)
    _head, body, signature = token.split(".")
    monkeypatch.setattr(type(world.gateway.store), "signing_keys", lambda *_: pytest.fail("asked"))
    monkeypatch.setattr(type(world.gateway.store), "token", lambda *_: pytest.fail("asked"))
    for number in range(50):
        text = f"{part({**jose.peek(token)[0], 'kid': f'k{number}'})}.{body}.{signature}"
        assert world.call(text).status_code == 401


def test_garbage_is_401_and_a_good_one_503_while_the_database_is_down(world: World, monkeypatch: Any) -> None:
    from oauth_gateway.errors import StoreUnavailable

    token, garbage = world.machine_token(), jose.encode(jose.generate("ES256"), "ES256", "x", "at+jwt", {"a": 1})
    world.gateway.server.keys.public(world.clock())

    def down(*_: object, **__: object) -> Any:
        raise StoreUnavailable("down")

    for name in ("token", "changes", "watch", "signing_keys"):
        monkeypatch.setattr(type(world.gateway.store), name, down)
    world.clock.advance(120)
    assert world.call(garbage).status_code == 401
    assert world.call(token).status_code == 503


def test_a_refresh_and_a_narrowed_scope(world: World) -> None:
    tokens = world.tokens(scope="read write")
    fresh = world.refresh(tokens["refresh_token"], scope="read").json
    assert jose.peek(fresh["access_token"])[1]["scope"] == "read" and fresh["refresh_token"].startswith("oga1_rt_")
    assert world.call(fresh["access_token"]).status_code == 200


def test_a_pairwise_client_cannot_read_the_real_id_in_its_token(world: World) -> None:
    client, world.secret = world.clients.create(now=0, redirect_uris=["https://client.test/cb"], subject_type="pairwise")
    world.confidential = client
    claims = jose.peek(world.tokens(scope="openid")["access_token"])[1]
    assert claims["sub"] != world.gateway.server.users.named("ann").user_id
