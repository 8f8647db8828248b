"""The token endpoint: client authentication, the three grants, and everything that is refused."""

from __future__ import annotations

import base64
import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from oauth_gateway.errors import ConfigurationError

from .conftest import CALLBACK, CHALLENGE, VERIFIER, World, basic, send


def test_only_post_and_only_forms(world: World) -> None:
    """R028, R030, R032, A080"""
    path = f"{world.prefix}/token"
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        answer = send(world.gateway, method, path, base=world.base)
        assert answer.status_code == 405 and answer.headers["Allow"] == "POST"
    for kind in ("application/json", "multipart/form-data; boundary=x", "text/plain", "application/x-www-form-urlencoded; x"):
        answer = send(
            world.gateway, "POST", path, "grant_type=client_credentials", base=world.base, headers={"Content-Type": kind}
        )
        assert answer.status_code in ((415,) if "urlencoded" not in kind else (400, 401))
    query = f"{path}?grant_type=client_credentials&client_id={world.machine.client_id}&client_secret={world.machine_secret}"
    assert send(world.gateway, "POST", query, "", base=world.base).status_code == 400


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ("a=" + "x" * 70_000, {}, 413),
        ("&".join(f"a{i}=1" for i in range(200)), {}, 400),
        ("grant_type=client_credentials&grant_type=client_credentials", {}, 400),
        ("grant_type=%ff", {}, 400),
        ("grant_type=%00", {}, 400),
        ("grant_type=client_credentials&%00=1", {}, 400),
        ("grant_type=client_credentials&\0=1", {}, 400),
        ("grant_type=client_credentials&%EF%BF%BD=1", {}, 400),
        ("grant_type=a", {"Content-Encoding": "gzip"}, 415),
        ("", {}, 400),
        ("grant_type=client_credentials&client_id=%F0%9F%92%A9&client_secret=%C3%A9", {}, 401),
        ("grant_type=client_credentials", {"Authorization": "Basic "}, 401),
        ("grant_type=client_credentials", {"Authorization": "Basic /zr/"}, 401),
        ("grant_type=client_credentials", {"Authorization": "Basic !!!"}, 401),
        ("grant_type=client_credentials", {"Authorization": "Basic " + base64.b64encode(b"nocolon").decode()}, 401),
        ("grant_type=client_credentials", {"Authorization": "Basic " + base64.b64encode("é:é".encode()).decode()}, 401),
        ("grant_type=client_credentials", {"Authorization": "Basic é"}, 401),
        ("grant_type=client_credentials&client_id=" + "a" * 5000, {}, 401),
    ],
    ids=lambda value: str(value)[:40],
)
def test_hostile_bodies_and_credentials_are_4xx(world: World, body: str, headers: dict[str, str], status: int) -> None:
    """F5-F8, R029, A080"""
    answer = send(world.gateway, "POST", f"{world.prefix}/token", body, base=world.base, headers=headers)
    assert answer.status_code == status and answer.json["error"] and answer.headers["Cache-Control"] == "no-store"
    assert world.app.calls == 0


def test_one_way_of_client_authentication_at_a_time(world: World) -> None:
    """R031, R034"""
    form = {"grant_type": "client_credentials"}
    both = world.token({**form, "client_secret": world.machine_secret}, world.machine)
    assert both.status_code == 400 and both.json["error"] == "invalid_request"
    other = world.token({**form, "client_id": world.confidential.client_id}, world.machine)
    assert other.status_code == 400
    assert world.token({**form, "client_id": world.machine.client_id}, world.machine).status_code == 200


def test_unknown_clients_and_wrong_secrets_read_the_same(world: World) -> None:
    """R036, R037, A057"""
    answers = []
    for client_id in (world.machine.client_id, "nobody"):
        header = {"Authorization": basic(client_id, "wrong")}
        form = {"grant_type": "client_credentials"}
        answers.append(send(world.gateway, "POST", f"{world.prefix}/token", form, base=world.base, headers=header))
    assert {(a.status_code, a.text, a.headers["WWW-Authenticate"]) for a in answers} == {
        (401, answers[0].text, 'Basic realm="token endpoint", charset="UTF-8"')
    }
    assert answers[0].json["error"] == "invalid_client"
    silent = send(
        world.gateway, "POST", f"{world.prefix}/token", {**form, "client_id": world.machine.client_id}, base=world.base
    )
    assert silent.status_code == 401


def test_a_secret_with_colon_and_percent_works_form_encoded(memory_world: World) -> None:
    """R033"""
    from dataclasses import replace

    from oauth_gateway.models import Secret, digest

    world = memory_world
    secret = "a:b%c+d e"
    world.gateway.store.update_client(replace(world.machine, secrets=(Secret(digest(secret).hex(), 0),)), 0)
    header = {"Authorization": basic(world.machine.client_id, "a%3Ab%25c%2Bd+e")}
    assert send(world.gateway, "POST", "/token", {"grant_type": "client_credentials"}, headers=header).status_code == 200


def test_guessing_a_secret_is_throttled_and_the_right_one_still_works(memory_world: World) -> None:
    """R035"""
    world = memory_world
    header = {"Authorization": basic(world.machine.client_id, "wrong")}
    statuses = [
        send(world.gateway, "POST", "/token", {"grant_type": "client_credentials"}, headers=header).status_code
        for _ in range(52)
    ]
    assert statuses == [401] * 50 + [429] * 2
    assert world.machine_token()


def test_client_credentials_give_a_token_without_refresh(world: World) -> None:
    """R043, R026, R041"""
    answer = world.token({"grant_type": "client_credentials", "scope": "read"}, world.machine)
    assert answer.json["scope"] == "read" and "refresh_token" not in answer.json
    assert world.call(answer.json["access_token"]).text == "app"
    token = world.app.environ["oauth_gateway.token"]
    assert token.subject == world.machine.client_id and token.user_id is None and "REMOTE_USER" not in world.app.environ
    assert world.token({"grant_type": "client_credentials"}, world.machine).json["scope"] == "read write"
    refused = world.token({"grant_type": "client_credentials", "scope": "read admin"}, world.machine)
    assert refused.json["error"] == "invalid_scope"


def test_grants_that_a_client_may_not_use(world: World) -> None:
    """R042, R043, R050, contract 9.4"""
    assert world.token({"grant_type": "client_credentials"}, world.public).json["error"] == "unauthorized_client"
    assert world.token({"grant_type": "password", "username": "a", "password": "b"}).json["error"] == "unsupported_grant_type"
    assert world.token({"x": "y"}).json["error"] == "invalid_request"
    assert world.token({"grant_type": "authorization_code", "code": "x"}, world.machine).json["error"] == "unauthorized_client"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": "b" * 43}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_grant"),
        ({"code_verifier": "b" * 42}, "invalid_grant"),
        ({"code_verifier": "b" * 129}, "invalid_grant"),
        ({"code_verifier": VERIFIER + "\n"}, "invalid_grant"),
        ({"code_verifier": CHALLENGE}, "invalid_grant"),
        ({"redirect_uri": "https://client.test/other"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"code": "oga1_ac_" + "a" * 67}, "invalid_grant"),
        ({"code": None}, "invalid_request"),
        ({"resource": "https://other.test"}, "invalid_target"),
    ],
    ids=str,
)
def test_a_code_is_bound_to_what_it_was_issued_for(world: World, changes: dict[str, str | None], error: str) -> None:
    """R019, R039, R068-R073, A046"""
    code = world.code()
    answer = world.redeem(code, **changes)
    assert answer.status_code == 400 and answer.json["error"] == error
    assert world.redeem(code).status_code == 200, "and a failed attempt does not burn it"


def test_without_a_redirect_uri_in_the_request_none_is_needed(world: World) -> None:
    """R039, R257"""
    for sent in (None, CALLBACK):
        assert world.redeem(world.code(redirect_uri=None), redirect_uri=sent).status_code == 200
    assert world.redeem(world.code(redirect_uri=None), redirect_uri="https://x.test/").json["error"] == "invalid_grant"


def test_five_wrong_verifiers_kill_the_code(world: World) -> None:
    """R074"""
    code = world.code()
    for _ in range(5):
        assert world.redeem(code, code_verifier="b" * 43).json["error"] == "invalid_grant"
    assert world.redeem(code).json["error"] == "invalid_grant"


def test_wrong_verifiers_after_the_redemption_do_not_hide_a_replay(world: World) -> None:
    """R018, R074"""
    code = world.code()
    token = world.redeem(code).json["access_token"]
    for _ in range(6):
        world.redeem(code, code_verifier="b" * 43)
    assert world.call(token).status_code == 200
    world.redeem(code)
    assert world.call(token).status_code == 401


@pytest.mark.parametrize("scope", ["read\twrite", "read\nwrite", "read\u00a0write", " ", "read  write", " read"])
def test_scopes_are_separated_by_one_blank(memory_world: World, scope: str) -> None:
    """R025"""
    answer = memory_world.token({"grant_type": "client_credentials", "scope": scope}, memory_world.machine)
    assert answer.status_code == 400 and answer.json["error"] == "invalid_scope"


def test_a_code_expires(world: World) -> None:
    """R017"""
    code = world.code()
    world.clock.advance(61)
    assert world.redeem(code).json["error"] == "invalid_grant"


@pytest.mark.parametrize("wait", [0, 30, 120])
def test_a_replay_revokes_the_grant(world: World, wait: int) -> None:
    """R018, R245, R260"""
    code = world.code()
    tokens = world.redeem(code).json
    assert world.call(tokens["access_token"]).status_code == 200
    world.clock.advance(wait)
    assert world.redeem(code).json["error"] == "invalid_grant"
    assert world.call(tokens["access_token"]).status_code == 401
    assert world.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"


def test_a_replay_by_a_stranger_is_refused_and_revokes_nothing(world: World) -> None:
    """R038, R260"""
    code = world.code()
    tokens = world.redeem(code).json
    assert world.redeem(code, world.public).json["error"] == "invalid_grant"
    assert world.redeem(code, code_verifier="c" * 43).json["error"] == "invalid_grant"
    assert world.redeem(code, redirect_uri="https://client.test/no").json["error"] == "invalid_grant"
    assert world.call(tokens["access_token"]).status_code == 200


def test_refresh_rotates_and_its_scope_can_be_narrowed_not_widened(world: World) -> None:
    """R044, R232, R233"""
    first = world.tokens(scope="read write")
    second = world.refresh(first["refresh_token"], scope="read").json
    assert second["scope"] == "read" and second["refresh_token"] != first["refresh_token"]
    third = world.refresh(second["refresh_token"]).json
    assert third["scope"] == "read write", "the refresh token keeps the whole scope"
    wide = world.tokens(scope="read")
    assert world.refresh(wide["refresh_token"], scope="read write").json["error"] == "invalid_scope"
    assert world.refresh(wide["refresh_token"]).status_code == 200


def test_a_lost_answer_can_be_had_again_within_the_grace(world: World) -> None:
    """A071, DESIGN section 4"""
    first = world.tokens()
    answer = world.refresh(first["refresh_token"]).json
    world.clock.advance(9)
    assert world.refresh(first["refresh_token"]).json == answer, "the very same answer"
    assert world.refresh(first["refresh_token"], scope="read").json == answer, "for the same scope"
    world.clock.advance(2)
    assert world.refresh(first["refresh_token"]).json["error"] == "invalid_grant"
    assert world.call(answer["access_token"]).status_code == 401, "later reuse ends the whole grant"
    assert world.refresh(answer["refresh_token"]).json["error"] == "invalid_grant"


def test_a_predecessor_is_dead_once_its_successor_was_used(world: World) -> None:
    """R232"""
    first = world.tokens()
    second = world.refresh(first["refresh_token"]).json
    third = world.refresh(second["refresh_token"]).json
    assert world.refresh(first["refresh_token"]).json["error"] == "invalid_grant"
    assert world.call(third["access_token"]).status_code == 401


def test_refresh_tokens_are_bound_to_their_client_and_kind(world: World) -> None:
    """R045, R046"""
    tokens = world.tokens()
    assert world.refresh(tokens["refresh_token"], world.public).json["error"] == "invalid_grant"
    for bad in ("x", tokens["access_token"], "oga1_rt_" + "a" * 67, tokens["refresh_token"][:-1] + "!"):
        answer = world.refresh(bad)
        assert answer.status_code == 400 and answer.json["error"] == "invalid_grant"
    assert world.call(tokens["refresh_token"]).status_code == 401, "and no access token"
    assert world.refresh(tokens["refresh_token"]).status_code == 200


def test_refresh_tokens_expire_when_unused_and_grants_in_all(clock: object) -> None:
    from .conftest import make_world

    world = make_world("sqlite://", clock, grant_lifetime="2d", refresh_token_lifetime="1d")  # type: ignore[arg-type]
    tokens = world.tokens()
    world.clock.advance(86400 - 1)
    tokens = world.refresh(tokens["refresh_token"]).json
    world.clock.advance(86400 - 100)
    tokens = world.refresh(tokens["refresh_token"]).json
    assert tokens["expires_in"] <= 101, "no token outlives its grant"
    world.clock.advance(102)
    assert world.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"
    assert world.call(tokens["access_token"]).status_code == 401


def test_sixteen_threads_get_one_success_for_one_code(world: World) -> None:
    """A070"""
    code = world.code()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: world.redeem(code), range(16)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 15
    won = next(answer.json for answer in answers if answer.status_code == 200)
    assert world.call(won["access_token"]).status_code == 401, "and the replays revoked it"


def test_sixteen_threads_refreshing_get_one_family(world: World) -> None:
    """A071"""
    token = world.tokens()["refresh_token"]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: world.refresh(token), range(16)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json["refresh_token"] for answer in answers}) == 1


def test_revocation_ends_a_token_or_with_a_refresh_token_the_grant(world: World) -> None:
    """R076-R084"""
    tokens = world.tokens()
    assert world.call(tokens["access_token"]).status_code == 200
    for hint in ({}, {"token_type_hint": "refresh_token"}, {"token_type_hint": "nonsense"}):
        fresh = world.refresh(tokens["refresh_token"]).json
        answer = world.revoke(fresh["access_token"], **hint)
        assert answer.status_code == 200 and world.call(fresh["access_token"]).status_code == 401
        tokens = fresh
    tokens = world.refresh(tokens["refresh_token"]).json
    assert world.revoke(tokens["refresh_token"], token_type_hint="access_token").status_code == 200
    assert world.call(tokens["access_token"]).status_code == 401
    assert world.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"


def test_revocation_leaves_strangers_tokens_alone_and_says_nothing(world: World) -> None:
    """R077-R079, R086"""
    tokens = world.tokens()
    for token in (tokens["access_token"], "nonsense", "oga1_at_" + "a" * 67):
        answer = world.revoke(token, world.machine, callback="alert")
        assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/json" and answer.json == {}
    assert world.call(tokens["access_token"]).status_code == 200
    path = f"{world.prefix}/token/revoke"
    assert send(world.gateway, "GET", path, base=world.base).status_code == 405
    assert send(world.gateway, "POST", path, {"token": "x"}, base=world.base).status_code in (400, 401)
    form = {"token": tokens["access_token"], "client_id": world.confidential.client_id}
    assert send(world.gateway, "POST", path, form, base=world.base).status_code == 401
    assert world.token({}, world.machine).status_code == 400
    public = world.tokens(world.public)
    assert world.revoke(public["refresh_token"], world.public).status_code == 200
    assert world.call(public["access_token"]).status_code == 401


def test_deleting_or_disabling_a_client_ends_its_tokens(world: World) -> None:
    token = world.machine_token()
    assert world.call(token).status_code == 200
    world.gateway.store.delete_client(world.machine.client_id, world.clock())
    assert world.call(token).status_code == 401
    assert world.token({"grant_type": "client_credentials"}, world.machine).json["error"] == "invalid_client"


def test_no_secret_is_in_any_log_at_debug(memory_world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A058, A068"""
    world = memory_world
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("authlib").setLevel(logging.INFO)  # as the package sets it
        code = world.code()
        tokens = world.redeem(code).json
        world.redeem(code, code_verifier="wrong")
        fresh = world.refresh(tokens["refresh_token"])
        world.call(tokens["access_token"])
        world.revoke(tokens["access_token"])
    secrets = [code, *(tokens[n] for n in ("access_token", "refresh_token")), world.secret, VERIFIER, fresh.text]
    assert not [secret for secret in secrets if secret in caplog.text]


def test_a_grant_of_authlib_s_own_kind_works(memory_world: World) -> None:
    """Contract section 1: server.register_grant(MyGrant)"""
    from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant

    class MyGrant(ClientCredentialsGrant):
        GRANT_TYPE = "urn:example:mine"

    world = memory_world
    world.gateway.server.register_grant(MyGrant)
    from dataclasses import replace

    metadata = {**world.machine.metadata, "grant_types": ["urn:example:mine"]}
    world.gateway.store.update_client(replace(world.machine, metadata=metadata), 0)
    answer = world.token({"grant_type": "urn:example:mine", "scope": "read"}, world.machine)
    assert world.call(answer.json["access_token"]).status_code == 200


@pytest.mark.parametrize(
    "uri",
    [
        "http://evil.test/cb",
        "ftp://a.test/x",
        "https://a.test/*",
        "https://*.a.test/cb",
        "https://a.test/cb#x",
        "https://a.test/cb#",
        "https://a.test/cb?code=x",
        "https://a.test/cb?state",
        "https://u@a.test/cb",
        "https://a.test/a/../b",
        "https://A.test/cb",
        "https://a.test /cb",
        "https://a.test/cb\r\nX: y",
        "javascript:alert(1)",
        "data:text/html,x",
        "myapp:/cb",
        "file:///etc",
        "https:/a.test",
        "https://a.test:/cb",
        "https://",
        "client.test",
        "client.test/cb",
        "http://localhost.evil.test/",
    ],
)
def test_redirect_uris_that_cannot_be_registered(memory_world: World, uri: str) -> None:
    """F13, A038-A040, R174, R241, R263"""
    from oauth_gateway.clients import Clients

    gateway = memory_world.gateway
    with pytest.raises(ConfigurationError, match="cannot be registered"):
        Clients(gateway.settings, gateway.store, gateway.events, gateway.server.sealer).create(now=0, redirect_uris=[uri])


def test_private_use_schemes_match_exactly(memory_world: World) -> None:
    """A042, R174"""
    from oauth_gateway.clients import Clients

    world = memory_world
    gateway = world.gateway
    clients = Clients(gateway.settings, gateway.store, gateway.events, gateway.server.sealer)
    app, _ = clients.create(now=0, redirect_uris=["com.example.app:/cb"], token_endpoint_auth_method="none")
    assert world.browser().open(world.authorize_url(app, redirect_uri="com.example.app:/cb")).status_code == 200
    for uri in ("com.example.app://cb", "COM.example.app:/cb", "com.example.app:/cb/"):
        assert world.browser().open(world.authorize_url(app, redirect_uri=uri)).status_code == 400
