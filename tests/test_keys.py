"""Signing keys: made once, published early, rotated by age and by hand, retired, leaked (CHECKS R106, A069, A101)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from oauth_gateway import OAuthGateway, jose
from oauth_gateway.deployment import open_deployment
from oauth_gateway.errors import ConfigurationError
from oauth_gateway.keys import ID_TOKEN_SECONDS, LEAD, READ_SECONDS, SKEW, Keys
from oauth_gateway.settings import load
from oauth_gateway.store.sql import SqlStore
from oauth_gateway.testing import Clock, frozen_time, race

from .conftest import RecordingApp, World, make_world, send

DAY = 86_400


def published(gateway: Any) -> list[dict[str, Any]]:
    answer = send(gateway, "GET", "/.well-known/jwks.json")
    assert answer.status_code == 200 and answer.content_type == "application/jwk-set+json"
    keys: list[dict[str, Any]] = answer.json["keys"]
    return keys


def kids(gateway: Any, algorithm: str = "RS256") -> list[str]:
    return [key["kid"] for key in published(gateway) if key["alg"] == algorithm]


def signs(world: World) -> str:
    return str(jose.peek(world.tokens(scope="openid")["id_token"])[0]["kid"])


def test_the_jwk_set_has_public_members_only(memory_world: World) -> None:
    """R105, R106"""
    keys = published(memory_world.gateway)
    assert sorted(key["alg"] for key in keys) == ["ES256", "EdDSA", "PS256", "RS256"]
    assert len({key["kid"] for key in keys}) == len(keys) and {key["use"] for key in keys} == {"sig"}
    for key in keys:
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & key.keys()
        assert not jose.load(key).is_private
    answer = send(memory_world.gateway, "GET", "/.well-known/jwks.json")
    assert answer.headers["Access-Control-Allow-Origin"] == "*" and answer.headers["Cache-Control"] == "public, max-age=300"
    assert send(memory_world.gateway, "POST", "/.well-known/jwks.json", "").status_code == 405
    assert LEAD >= 2 * 300, "whoever keeps the set for its max-age has a new key before its first use"


def test_private_keys_are_sealed_in_the_database(clock: Clock, tmp_path: Path) -> None:
    """A068"""
    make_world(f"sqlite:///{tmp_path}/g.db", clock)
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for number in range(1):
        for algorithm in jose.ALGORITHMS:
            private = jose.private_of(_first_key(algorithm, number))
            assert private["d"].encode() not in stored and b'"d"' not in stored


def _first_key(algorithm: str, number: int) -> jose.Key:
    from .conftest import _made

    return _made[algorithm][number]


def test_several_processes_that_start_together_make_each_key_once(tmp_path: Path) -> None:
    """A101"""
    script = (
        "import sys\nfrom oauth_gateway import OAuthGateway\n"
        f"gateway = OAuthGateway(None, database='sqlite:///{tmp_path}/g.db', issuer='https://a.test')\n"
        "print(sorted(key.kid for key in gateway.store.signing_keys()))\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=tmp_path) for _ in range(4)
    ]
    found = [process.communicate(timeout=60)[0] for process in started]
    assert len(set(found)) == 1 and found[0].count("-0-") == 4, found


def test_who_is_overtaken_at_the_first_start_takes_the_secret_that_the_other_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A101: the other makes file and record between two looks of the first"""
    address, others = f"sqlite:///{tmp_path}/g.db", list[OAuthGateway | None]()
    meta = SqlStore.meta

    def overtaken(self: SqlStore, name: str) -> str | None:
        if name == "secret" and not others:
            others.append(None)
            others[0] = OAuthGateway(None, database=address, issuer="https://a.test")
        return meta(self, name)

    monkeypatch.setattr(SqlStore, "meta", overtaken)
    gateway = OAuthGateway(None, database=address, issuer="https://a.test")
    assert others[0] is not None
    text, _ = others[0].server.sealer.issue("at")
    assert gateway.server.sealer.recognise(text) is not None


def test_threads_that_make_the_same_generation_have_one_winner(clock: Clock) -> None:
    world = make_world("sqlite://", clock)
    keys = world.gateway.server.keys
    clock.advance(90 * DAY)
    race(*(lambda: keys.sign("RS256", "JWT", {}, clock()) for _ in range(8)))
    assert len(kids(world.gateway)) == 2


def test_a_key_of_age_is_replaced_by_one_that_was_published_before_it_signs(world: World) -> None:
    """R106; oidcc-server-rotate-keys: the new key appears, the old one stays"""
    first = signs(world)
    assert kids(world.gateway) == [first]
    world.clock.advance(90 * DAY - LEAD + 1)
    assert signs(world) == first
    old, new = kids(world.gateway)
    assert old == first
    world.clock.advance(LEAD - 2)
    assert signs(world) == first, "not before its time"
    token = world.tokens(scope="openid")["id_token"]
    world.clock.advance(2)
    assert signs(world) == new
    kept = READ_SECONDS + SKEW + ID_TOKEN_SECONDS
    world.clock.advance(kept - 5)
    assert kids(world.gateway) == [old, new]
    assert world.gateway.server.id_tokens.recognise(token, world.base) is not None
    world.clock.advance(10)
    assert kids(world.gateway) == [new], "nothing that it signed can be valid"
    hints = world.gateway.server.id_tokens
    assert hints.recognise(token, world.base) is not None, "a session may live that it names"
    assert world.gateway.server.keys.verify(token, world.clock()) is None, "but it is good for nothing else"
    world.clock.advance(14 * DAY)
    assert hints.recognise(token, world.base) is None
    fresh = open_deployment(world.gateway.settings) if world.gateway.settings.database != "sqlite://" else None
    if fresh:
        assert len([key for key in fresh.store.signing_keys() if key.algorithm == "RS256"]) == 1, "deleted at a start"


def test_a_longer_lifetime_keeps_keys_longer(clock: Clock, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/g.db"
    make_world(database, clock)
    world = OAuthGateway(None, issuer="https://api.example.com", database=database, access_token_lifetime="10h")
    assert {key.longest for key in world.store.signing_keys()} == {36_000}


def test_rotation_by_hand_publishes_now_and_signs_later(memory_world: World) -> None:
    world, keys = memory_world, memory_world.gateway.server.keys
    first = signs(world)
    made = keys.rotate(world.clock())
    assert len(made) == 4 and set(made) <= {key["kid"] for key in published(world.gateway)}
    assert keys.rotate(world.clock()) == made, "those that wait are the new ones"
    assert signs(world) == first
    world.clock.advance(LEAD + 1)
    assert signs(world) in made
    again = keys.rotate(world.clock(), at_once=True)
    assert signs(world) in again and not set(again) & set(made)


def test_other_processes_are_in_step_at_once(clock: Clock, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/g.db"
    world = make_world(database, clock, access_token_format="jwt")
    other = OAuthGateway(RecordingApp(), issuer=world.base, database=database, access_token_format="jwt")
    world.gateway.server.keys.rotate(clock(), at_once=True)
    token = world.machine_token()
    kid = jose.peek(token)[0]["kid"]
    assert kid in kids(other) and other.server.keys.signing("RS256", clock()).kid == kid
    assert send(other, "GET", "/x", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_a_leaked_key_is_refused_at_once_with_all_that_it_signed(clock: Clock, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/g.db"
    world = make_world(database, clock, access_token_format="jwt")
    tokens = world.tokens(scope="openid read")
    kid = jose.peek(tokens["access_token"])[0]["kid"]
    assert world.call(tokens["access_token"]).status_code == 200, "and it is remembered"
    Keys(world.gateway.store, world.gateway.server.sealer, world.gateway.settings).revoke(kid, clock())
    assert world.call(tokens["access_token"]).status_code == 401
    assert world.introspect(tokens["access_token"]).json == {"active": False}
    assert world.gateway.server.id_tokens.recognise(tokens["id_token"], world.base) is None
    fresh = world.tokens(scope="openid read")
    assert world.call(fresh["access_token"]).status_code == 200
    assert kid not in kids(world.gateway) and jose.peek(fresh["access_token"])[0]["kid"] != kid
    with pytest.raises(ConfigurationError, match="no such key"):
        world.gateway.server.keys.revoke(kid, clock())


def test_a_newer_secret_seals_keys_again_so_that_the_old_one_can_go(clock: Clock, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/g.db"
    old, new = "o" * 40, "n" * 40
    common = {"database": database, "issuer": "https://a.test"}
    kid = OAuthGateway(None, secret=old, **common).store.signing_keys()[0].kid
    OAuthGateway(None, secret=[old, new], **common)
    assert OAuthGateway(None, secret=new, **common).store.signing_keys()[0].kid == kid


def test_keys_that_do_not_open_keep_the_gateway_from_starting(clock: Clock, tmp_path: Path) -> None:
    """A101"""
    world = make_world(f"sqlite:///{tmp_path}/g.db", clock)
    key = world.gateway.store.signing_keys()[0]
    world.gateway.store.update_key(key.kid, clock(), sealed=key.sealed[:-1] + b"x")
    with pytest.raises(ConfigurationError, match="does not open the signing key"):
        OAuthGateway(None, database=f"sqlite:///{tmp_path}/g.db", issuer=world.base)


@pytest.mark.parametrize("form", ["jwk", "set", "pem", "file"])
def test_own_keys_sign_in_place_of_made_ones(clock: Clock, tmp_path: Path, form: str) -> None:
    older, newer = jose.generate("RS256"), jose.generate("RS256")
    jwks = [{**jose.private_of(key), "kid": name} for key, name in ((older, "older"), (newer, "newer"))]
    value: Any = {
        "jwk": jwks,
        "set": json.dumps({"keys": jwks}),
        "pem": [older.as_pem(private=True).decode(), newer.as_pem(private=True).decode()],
        "file": f"file:{tmp_path}/a\nfile:{tmp_path}/b",
    }[form]
    for name, key in (("a", older), ("b", newer)):
        (tmp_path / name).write_bytes(key.as_pem(private=True))
    world = make_world("sqlite://", clock, signing_keys=value)
    names = kids(world.gateway)
    assert len(names) == 2 and signs(world) == names[1], "the last one signs"
    assert form in ("pem", "file") or names == ["older", "newer"]
    assert len(kids(world.gateway, "ES256")) == 1, "made, where there is no own one"
    world.gateway.server.keys.rotate(clock(), at_once=True)
    assert signs(world) == names[1], "own keys are the operator's to rotate"


def test_an_own_key_takes_over_from_made_ones_without_breaking_what_they_signed(clock: Clock, tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/g.db"
    world = make_world(database, clock, access_token_format="jwt")
    token = world.machine_token()
    own = jose.private_of(jose.generate("RS256"))
    now = OAuthGateway(RecordingApp(), issuer=world.base, database=database, signing_keys=own, access_token_format="jwt")
    assert len(kids(now)) == 2
    assert send(now, "GET", "/x", headers={"Authorization": f"Bearer {token}"}).status_code == 200


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("x", "neither an RSA"),
        ("{", "allowed are a private JWK"),
        ('{"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0"}', "must be an RSA, P-256 or Ed25519"),
        ({"keys": [{"kty": "RSA"}]}, "not a usable key"),
        ("file:/no/such/file", "cannot be read"),
    ],
)
def test_an_own_key_that_will_not_do_is_refused_with_a_line(value: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        OAuthGateway(None, database="sqlite://", signing_keys=value)


def test_weak_and_public_keys_are_refused() -> None:
    from joserfc.jwk import RSAKey

    weak = RSAKey.generate_key(1024).as_pem(private=True).decode()
    public = jose.public_of(jose.generate("ES256"), "ES256", "x")
    for value, says in ((weak, "2048 bits"), (public, "is public")):
        with pytest.raises(ConfigurationError, match=says):
            OAuthGateway(None, database="sqlite://", signing_keys=value)


def test_a_deployment_that_signs_nothing_has_no_keys_and_no_jwk_set(clock: Clock) -> None:
    world = make_world("sqlite://", clock, features="client_credentials metadata")
    assert world.gateway.store.signing_keys() == []
    assert send(world.gateway, "GET", "/.well-known/jwks.json").status_code == 404
    document = send(world.gateway, "GET", "/.well-known/oauth-authorization-server").json
    assert "jwks_uri" not in document


def test_no_key_is_made_by_those_who_only_look(tmp_path: Path) -> None:
    settings = load({"database": f"sqlite:///{tmp_path}/g.db", "features": "client_credentials"}, environ={})
    open_deployment(settings)
    deployment = open_deployment(load({"database": settings.database}, environ={}), look_only=True)
    assert deployment.store.signing_keys() == []


def test_a_schema_of_version_2_is_brought_to_3(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "g.db"
    settings = load({"database": f"sqlite:///{path}"}, environ={})
    deployment = open_deployment(settings)
    deployment.store.close()
    connection = sqlite3.connect(path)
    connection.executescript(
        "DROP TABLE oauth_key; CREATE TABLE oauth_key (realm VARCHAR(64), kid VARCHAR(64), PRIMARY KEY (realm, kid));"
        "PRAGMA user_version=2;"
    )
    connection.close()
    with pytest.raises(ConfigurationError, match="run oauth-gateway migrate"):
        open_deployment(settings)
    assert deployment.store.migrate() is True
    assert len(open_deployment(settings).store.signing_keys()) == 4


def test_a_forked_child_reads_the_keys_anew(tmp_path: Path) -> None:
    """A100"""
    with frozen_time(time.time()):
        gateway = OAuthGateway(None, issuer="https://a.test", database=f"sqlite:///{tmp_path}/g.db")
        gateway.server.keys.public(time.time())
        child = os.fork()
        if child == 0:
            status = 1
            try:
                text = gateway.server.keys.sign("ES256", "JWT", {"a": 1}, time.time())
                status = 0 if gateway.server.keys.verify(text, time.time()) else 2
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
