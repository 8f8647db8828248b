"""private_key_jwt and client_secret_jwt (RFC 7523 section 2.2; CHECKS R208, R209, R266, A065)."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from oauth_gateway import OAuthGateway, jose
from oauth_gateway.client_assertions import TYPE
from oauth_gateway.errors import ConfigurationError
from oauth_gateway.fetch import Fetched, FetchError
from oauth_gateway.models import Client
from oauth_gateway.testing import Clock, race

from .conftest import World, basic, make_world, send

number = itertools.count()


class Robot:
    """A client that signs, and what it sends."""

    def __init__(self, world: World, algorithm: str = "ES256", **registered: Any) -> None:
        self.world = world
        self.algorithm = algorithm
        self.key = jose.generate(algorithm) if algorithm != "HS256" else None
        self.kid = f"k{next(number)}"
        values = dict(registered)
        if self.key is not None and "jwks_uri" not in values:
            values["jwks"] = {"keys": [self.public]}
        method = "private_key_jwt" if self.key is not None else "client_secret_jwt"
        self.client, self.secret = world.clients.create(now=0, token_endpoint_auth_method=method, scope="read", **values)

    @property
    def public(self) -> dict[str, Any]:
        assert self.key is not None
        return jose.public_of(self.key, self.algorithm, self.kid)

    def assertion(self, typ: str = "JWT", **changes: Any) -> str:
        now = int(self.world.clock())
        claims = {
            "iss": self.client.client_id,
            "sub": self.client.client_id,
            "aud": self.world.base,
            "exp": now + 60,
            "iat": now,
            "jti": f"j{next(number)}",
            **changes,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        key = self.key or jose.secret_key(str(self.secret))
        return jose.encode(key, self.algorithm, self.kid, typ, claims)

    def ask(self, assertion: str | None = None, headers: dict[str, str] | None = None, **more: str) -> Any:
        text = self.assertion() if assertion is None else assertion
        form = {"grant_type": "client_credentials", "client_assertion": text, "client_assertion_type": TYPE, **more}
        return send(self.world.gateway, "POST", f"{self.world.prefix}/token", form, base=self.world.base, headers=headers)


@pytest.mark.parametrize("algorithm", [*jose.ALGORITHMS, "HS256"])
def test_a_signed_assertion_authenticates(world: World, algorithm: str) -> None:
    """R208; oidcc-ensure-client-assertion-with-iss-aud-succeeds"""
    robot = Robot(world, algorithm)
    answer = robot.ask()
    assert answer.status_code == 200, answer.text
    assert world.call(answer.json["access_token"]).status_code == 200
    assert (robot.secret is None) is (algorithm != "HS256")
    assert robot.ask(client_id=robot.client.client_id).status_code == 200
    for path in ("/token/introspect", "/token/revoke"):
        form = {"token": answer.json["access_token"], "client_assertion": robot.assertion(), "client_assertion_type": TYPE}
        assert send(world.gateway, "POST", f"{world.prefix}{path}", form, base=world.base).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://other.test"},
        {"aud": "https://api.example.com/"},
        {"aud": "https://api.example.com/token"},
        {"aud": ["https://api.example.com"]},
        {"aud": ["https://api.example.com", "https://other.test"]},
        {"aud": None},
        {"iss": "x"},
        {"iss": None},
        {"sub": None},
        {"sub": 5},
        {"exp": None},
        {"exp": 1_800_000_000 - 61},
        {"exp": 1_800_000_000 + 7200},
        {"exp": "1800000060"},
        {"exp": True},
        {"exp": 10**30},
        {"iat": 1_800_000_000 + 61},
        {"nbf": 1_800_000_000 + 61},
        {"nbf": "x"},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"jti": "x" * 256},
        {"typ": "at+jwt"},
        {"typ": "logout+jwt"},
        {"typ": "dpop+jwt"},
    ],
)
def test_what_is_not_exactly_for_us_from_this_client_and_fresh_is_invalid_client(
    memory_world: World, changes: dict[str, Any]
) -> None:
    """R208, R209, R266"""
    robot = Robot(memory_world)
    answer = robot.ask(robot.assertion(**changes))
    assert answer.status_code == 401 and answer.json == {
        "error": "invalid_client",
        "error_description": "Client authentication failed.",
    }
    assert robot.ask().status_code == 200


def test_clocks_may_differ_by_a_minute(memory_world: World) -> None:
    robot, now = Robot(memory_world), int(memory_world.clock())
    assert robot.ask(robot.assertion(exp=now - 59)).status_code == 200
    assert robot.ask(robot.assertion(iat=now + 59, nbf=now + 59, exp=now + 100)).status_code == 200


def test_the_algorithm_is_the_registered_one(memory_world: World) -> None:
    world = memory_world
    robot = Robot(world, "ES256", token_endpoint_auth_signing_alg="ES256")
    assert robot.ask().status_code == 200
    other = jose.generate("RS256")
    world.clients.update(
        robot.client, {"jwks": {"keys": [robot.public, jose.public_of(other, "RS256", robot.kid)]}}, world.clock()
    )
    claims = jose.peek(robot.assertion())[1]
    assert robot.ask(jose.encode(other, "RS256", robot.kid, "JWT", claims)).status_code == 401


def test_an_hmac_with_a_public_key_as_its_secret_is_refused(memory_world: World) -> None:
    """R208, A059"""
    from joserfc.jwk import OctKey

    robot = Robot(memory_world, "RS256")
    claims = jose.peek(robot.assertion())[1]
    assert robot.key is not None
    for secret in (json.dumps(robot.public), robot.public["n"]):
        forged = jose.encode(OctKey.import_key(secret), "HS256", robot.kid, "JWT", claims)
        assert robot.ask(forged).status_code == 401
    head, body, signature = robot.assertion().split(".")
    for text in (
        f"{head}.{body}.",
        f"eyJhbGciOiJub25lIn0.{body}.{signature}",
        f"eyJhbGciOiJub25lIn0.{body}.",
        "x",
        "a.b.c",
        "x" * 20000,
    ):
        assert robot.ask(text).status_code == 401, text


def test_two_ways_at_once_are_refused(memory_world: World) -> None:
    """R031"""
    world = memory_world
    robot = Robot(world)
    header = {"Authorization": basic(world.machine.client_id, world.machine_secret)}
    assert robot.ask(headers=header).json["error"] == "invalid_request"
    assert robot.ask(client_secret="x").json["error"] == "invalid_request"
    assert robot.ask(client_id=world.machine.client_id).json["error"] == "invalid_client"
    form = {"grant_type": "client_credentials", "client_assertion": robot.assertion()}
    assert send(world.gateway, "POST", "/token", form).json["error"] == "invalid_client", "the type is missing"


def test_a_client_uses_the_way_that_it_is_registered_for(memory_world: World) -> None:
    world = memory_world
    robot, mac = Robot(world), Robot(world, "HS256")
    assert mac.secret is not None
    assert world.token({"grant_type": "client_credentials"}, world.machine).status_code == 200
    form = {"grant_type": "client_credentials"}
    header = {"Authorization": basic(mac.client.client_id, mac.secret)}
    assert send(world.gateway, "POST", "/token", form, headers=header).status_code == 401
    plain = {**form, "client_id": robot.client.client_id}
    assert send(world.gateway, "POST", "/token", plain).status_code == 401
    claims = jose.peek(robot.assertion(iss=world.machine.client_id, sub=world.machine.client_id))[1]
    assert robot.key is not None
    assert robot.ask(jose.encode(robot.key, "ES256", robot.kid, "JWT", claims)).status_code == 401


def test_an_assertion_works_once_whoever_gets_it(clock: Clock, tmp_path: Path) -> None:
    """A065, A074: in a row, at once, at another worker, and after a restart"""
    database = f"sqlite:///{tmp_path}/g.db"
    world = make_world(database, clock)
    robot = Robot(world)
    text = robot.assertion()
    statuses = [answer.status_code for answer in race(*(lambda: robot.ask(text) for _ in range(8)))]  # type: ignore[attr-defined]
    assert sorted(statuses) == [200] + [401] * 7
    world.gateway = OAuthGateway(world.app, issuer=world.base, database=database)
    assert robot.ask(text).status_code == 401
    other = Robot(world)
    same_jti = jose.peek(text)[1]["jti"]
    assert other.ask(other.assertion(jti=same_jti)).status_code == 200, "a jti is its client's"
    world.clock.advance(3600)
    assert robot.ask(text).status_code == 401, "expired by then"


def test_the_secret_of_an_hmac_is_sealed_and_its_digest_alone_is_not_enough(clock: Clock, tmp_path: Path) -> None:
    """A068"""
    world = make_world(f"sqlite:///{tmp_path}/g.db", clock)
    mac = Robot(world, "HS256")
    assert mac.secret is not None
    assert mac.secret.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    changed = world.clients.update(world.machine, {"token_endpoint_auth_method": "client_secret_jwt"}, 0)
    mac.client, mac.secret = changed, world.machine_secret
    assert mac.ask().status_code == 401, "of the old secret only a digest is there"
    mac.secret = world.clients.rotate_secret(changed, 0)
    assert mac.ask().status_code == 200


class Served:
    """What the client's jwks_uri answers, and how often it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *keys: dict[str, Any]) -> None:
        self.document: Any = {"keys": list(keys)}
        self.asked = 0
        monkeypatch.setattr("oauth_gateway.fetch.Fetcher.read", self.read)

    def read(self, url: str, reader: Any) -> Any:
        self.asked += 1
        if isinstance(self.document, Exception):
            raise self.document
        return reader(Fetched(url, "application/json", json.dumps(self.document).encode()))


def test_a_new_key_at_jwks_uri_is_found_and_unknown_ones_cause_no_storm(
    memory_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R166; oidcc-registration-jwks-uri, oidcc-refresh-token-rp-key-rotation: within a minute"""
    world = memory_world
    robot = Robot(world, jwks_uri="https://client.test/jwks")
    served = Served(monkeypatch, robot.public)
    for _ in range(3):
        assert robot.ask().status_code == 200
    assert served.asked == 1
    robot.key, robot.kid = jose.generate("ES256"), "new"
    served.document = {"keys": [robot.public]}
    world.clock.advance(11)
    assert robot.ask().status_code == 200 and served.asked == 2
    for name in range(20):
        robot.kid = f"unknown{name}"
        assert robot.ask().status_code == 401
    assert served.asked == 2
    world.clock.advance(11)
    assert robot.ask().status_code == 401 and served.asked == 3


@pytest.mark.parametrize(
    "document",
    [
        FetchError("no"),
        {"keys": "x"},
        [],
        {"keys": [{"kty": "oct", "k": "eA"}]},
        {"keys": [None, 5, {}]},
        {"keys": [{"kty": "EC"}] * 50},
    ],
)
def test_a_jwks_uri_that_gives_nothing_usable_is_invalid_client(
    memory_world: World, monkeypatch: pytest.MonkeyPatch, document: Any
) -> None:
    """A088"""
    robot = Robot(memory_world, jwks_uri="https://client.test/jwks")
    Served(monkeypatch).document = document
    answer = robot.ask()
    assert answer.status_code == 401 and answer.json["error"] == "invalid_client"


@pytest.mark.parametrize(
    ("registered", "says"),
    [
        ({"token_endpoint_auth_method": "private_key_jwt"}, "private_key_jwt needs jwks or jwks_uri"),
        ({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []}}, "must be a JWK Set"),
        ({"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}}, "not a public key"),
        ({"jwks": {"keys": [5]}}, "not a public key"),
        ({"jwks_uri": "http://169.254.169.254/"}, "will not be called"),
        ({"jwks_uri": "https://10.0.0.1/jwks"}, "will not be called"),
        ({"token_endpoint_auth_method": "client_secret_jwt", "token_endpoint_auth_signing_alg": "RS256"}, "does not go with"),
        ({"token_endpoint_auth_signing_alg": "none"}, "'none' is unknown"),
    ],
)
def test_a_registration_that_cannot_work_is_refused(memory_world: World, registered: dict[str, Any], says: str) -> None:
    """R178, R181"""
    with pytest.raises(ConfigurationError, match=says):
        memory_world.clients.create(now=0, **registered)


def test_a_private_key_is_never_registered(memory_world: World) -> None:
    private = jose.private_of(jose.generate("ES256"))
    with pytest.raises(ConfigurationError, match="never hand a private one"):
        memory_world.clients.create(now=0, jwks={"keys": [private]})
    client: Client = memory_world.confidential
    with pytest.raises(ConfigurationError, match="exclude each other"):
        public = jose.public_of(jose.generate("ES256"), "ES256", "k")
        changes = {"jwks": {"keys": [public]}, "jwks_uri": "https://a.test/"}
        memory_world.clients.update(client, changes, 0)


def test_the_metadata_says_what_may_sign(memory_world: World) -> None:
    """R101"""
    document = send(memory_world.gateway, "GET", "/.well-known/openid-configuration").json
    for endpoint in ("token", "revocation", "introspection"):
        assert {"private_key_jwt", "client_secret_jwt"} < set(document[f"{endpoint}_endpoint_auth_methods_supported"])
        algorithms = document[f"{endpoint}_endpoint_auth_signing_alg_values_supported"]
        assert algorithms == ["RS256", "PS256", "ES256", "EdDSA", "HS256"]
