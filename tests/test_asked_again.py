"""A client that acts for itself sends the same words each time: what was decided is remembered, and never longer than true."""

from __future__ import annotations

import base64
import inspect
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from authlib.oauth2.rfc6749.errors import AccessDeniedError
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant as AuthlibGrant
from sqlalchemy import text

from oauth_gateway import OAuthError, OAuthGateway, near
from oauth_gateway.answering import LONGEST
from oauth_gateway.client_auth import by_basic
from oauth_gateway.clients import Clients
from oauth_gateway.errors import StoreUnavailable
from oauth_gateway.features.client_credentials import ClientCredentialsGrant
from oauth_gateway.models import Client
from oauth_gateway.scopes import ScopePolicy

from .conftest import World, basic, send
from .test_client_assertions import Robot

FORM = "grant_type=client_credentials"


@pytest.fixture(autouse=True)
def a_patient_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is forgotten because a machine is slow."""
    monkeypatch.setattr(near, "monotonic", lambda: 1000.0)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for each time that somebody's secret was compared."""
    seen: list[str] = []
    compare = Client.check_client_secret

    def told(self: Client, secret: str) -> bool:
        seen.append(self.client_id)
        return compare(self, secret)

    monkeypatch.setattr(Client, "check_client_secret", told)
    return seen


def ask(world: World, form: str = FORM, **headers: str) -> Any:
    given = {"Authorization": basic(world.machine.client_id, world.machine_secret), **headers}
    sent = {name: value for name, value in given.items() if value}
    return send(world.gateway, "POST", f"{world.prefix}/token", form, base=world.base, headers=sent)


def other(world: World) -> Clients:
    """The clients as another process has them."""
    gateway = OAuthGateway.from_settings(None, world.gateway.settings)
    return Clients(gateway.settings, gateway.store, gateway.events, gateway.server.sealer)


def test_the_same_words_are_decided_once_and_each_answer_is_a_token_of_its_own(memory_world: World, looks: list[str]) -> None:
    heard: list[dict[str, Any]] = []
    memory_world.gateway.events.subscribe(heard.append)
    answers = [ask(memory_world, FORM + "&scope=read").json for _ in range(5)]
    assert looks == [memory_world.machine.client_id]
    assert len({answer["access_token"] for answer in answers}) == 5
    assert all({**answer, "access_token": ""} == {**answers[0], "access_token": ""} for answer in answers)
    assert [memory_world.call(answer["access_token"]).status_code for answer in answers] == [200] * 5
    told = [event for event in heard if event["name"] == "token.issued"]
    assert len(told) == 5 and {(event["client_id"], event["scope"]) for event in told} == {(looks[0], "read")}
    assert all(event["address"] == "127.0.0.1" for event in told)


def test_a_secret_in_the_form_too(memory_world: World, looks: list[str]) -> None:
    client, secret = memory_world.clients.create(now=0, token_endpoint_auth_method="client_secret_post", scope="read")
    form = f"{FORM}&client_id={client.client_id}&client_secret={secret}"
    assert [ask(memory_world, form, Authorization="").status_code for _ in range(3)] == [200] * 3 and len(looks) == 1
    assert ask(memory_world, form[:-1] + "!", Authorization="").status_code == 401
    assert ask(memory_world, form).status_code == 400, "two ways of authentication"


CHANGES: dict[str, tuple[Callable[[Clients, Client], object], int, str]] = {
    "disabled": (lambda clients, client: clients.set_disabled(client, True, time.time()), 401, "invalid_client"),
    "deleted": (lambda clients, client: clients.delete(client.client_id, time.time()), 401, "invalid_client"),
    "another secret": (lambda clients, client: clients.rotate_secret(client, time.time()), 401, "invalid_client"),
    "less scope": (lambda clients, client: clients.update(client, {"scope": "write"}, time.time()), 400, "invalid_scope"),
    "another grant": (
        lambda clients, client: clients.update(
            client, {"grant_types": ["authorization_code"], "redirect_uris": ["https://shop.test/cb"]}, time.time()
        ),
        400,
        "unauthorized_client",
    ),
}


@pytest.mark.parametrize("who", ["this process", "another process"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_holds_at_the_next_request(world: World, change: str, who: str) -> None:
    form = FORM + "&scope=read"
    assert [ask(world, form).status_code for _ in range(2)] == [200] * 2
    do, status, error = CHANGES[change]
    is_alone = world.gateway.settings.database == "sqlite://"  # a database in memory has no other process
    do(world.clients if who == "this process" or is_alone else other(world), world.machine)
    answer = ask(world, form)
    assert (answer.status_code, answer.json["error"]) == (status, error)


def test_what_somebody_wrote_by_hand_holds_within_ten_seconds(memory_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = [1000.0]
    monkeypatch.setattr(near, "monotonic", lambda: moment[0])
    assert ask(memory_world).status_code == 200
    moment[0] += near.SECONDS - 0.1
    assert ask(memory_world, FORM + "&scope=read").status_code == 200, "decided anew, by the client that is known"
    with memory_world.gateway.store.database.write() as connection:  # type: ignore[attr-defined]
        connection.execute(text("UPDATE oauth_client SET disabled = 1"))
    moment[0] = 1010.0
    assert [ask(memory_world, form).status_code for form in (FORM, FORM + "&scope=read")] == [401, 401]


def test_other_words_and_other_credentials_are_others(memory_world: World, looks: list[str]) -> None:
    known = basic(memory_world.machine.client_id, memory_world.machine_secret)
    assert ask(memory_world).status_code == 200
    for header, form in [
        (known[:-4] + "AAAA", FORM),
        (known + FORM[:1], FORM[1:]),
        (known[:-1], known[-1] + FORM),
        (known, FORM + "&scope=root"),
        (known, FORM + "&" + FORM),
        (known, FORM + "&client_id=" + memory_world.confidential.client_id),
        (known.replace("Basic", "Bearer"), FORM),
        ("", FORM + "&client_id=" + memory_world.machine.client_id),
        (basic(memory_world.confidential.client_id, memory_world.machine_secret), FORM),
    ]:
        for _ in range(2):
            assert ask(memory_world, form, Authorization=header).status_code in (400, 401), (header, form)
    assert ask(memory_world, FORM, **{"Content-Type": "text/plain"}).status_code == 415
    assert ask(memory_world).status_code == 200


def test_what_is_refused_is_decided_each_time(memory_world: World) -> None:
    """R043: so that guessing is counted, and a client gets what it is given a moment later."""
    assert [ask(memory_world, FORM + "&scope=new").status_code for _ in range(2)] == [400, 400]
    wrong = basic(memory_world.machine.client_id, "wrong")
    answers = [ask(memory_world, Authorization=wrong).status_code for _ in range(52)]
    assert answers[:50] == [401] * 50 and answers[-1] == 429


def test_an_assertion_is_good_once(memory_world: World) -> None:
    """R209"""
    for algorithm in ("ES256", "HS256"):
        robot = Robot(memory_world, algorithm)
        assertion = robot.assertion()
        assert robot.ask(assertion).status_code == 200
        assert [robot.ask(assertion).status_code for _ in range(3)] == [401] * 3


def test_a_secret_that_ends_ends(memory_world: World, looks: list[str]) -> None:
    machine = memory_world.machine
    ending = tuple(replace(secret, expires=memory_world.clock() + 60) for secret in machine.secrets)
    memory_world.gateway.store.update_client(replace(machine, secrets=ending), memory_world.clock())
    assert [ask(memory_world).status_code for _ in range(2)] == [200, 200] and len(looks) == 2
    memory_world.clock.advance(61)
    assert ask(memory_world).status_code == 401


def test_a_resource_and_a_long_form_are_decided_each_time(memory_world: World, looks: list[str]) -> None:
    named = f"{FORM}&resource={memory_world.base}"
    long = FORM + "&x=" + "y" * LONGEST
    for form in (named, named, long, long):
        assert ask(memory_world, form).status_code == 200
    assert len(looks) == 4


def test_own_methods_grants_and_policies_are_asked_each_time(memory_world: World, looks: list[str]) -> None:
    server = memory_world.gateway.server
    asked: list[str] = []

    class Policy(ScopePolicy):
        def grant(self, client: Client, words: str | None) -> str:
            asked.append(client.client_id)
            if len(asked) > 2:
                raise OAuthError("invalid_scope", "Not today.")
            return super().grant(client, words)

    assert ask(memory_world).status_code == 200
    usual, server.scopes = server.scopes, Policy(memory_world.gateway.settings)
    assert [ask(memory_world).status_code for _ in range(4)] == [200, 200, 400, 400] and len(asked) == 4
    server.scopes = usual

    def by_basic_by_day(query_client: Any, request: Any) -> Client | None:
        asked.append("by day")
        return by_basic(query_client, request)

    server.client_auth("client_secret_basic", by_basic_by_day)
    del asked[:]
    assert [ask(memory_world).status_code for _ in range(3)] == [200] * 3 and asked == ["by day"] * 3
    server.client_auth("client_secret_basic", by_basic)

    class Own(ClientCredentialsGrant):
        def validate_token_request(self) -> None:
            super().validate_token_request()
            asked.append("own")

    server.grant(Own)
    del asked[:]
    assert [ask(memory_world).status_code for _ in range(3)] == [200] * 3 and asked == ["own"] * 3

    class Theirs(AuthlibGrant):  # type: ignore[misc]
        pass

    server.grant(Theirs)
    del looks[:]
    assert [ask(memory_world).status_code for _ in range(3)] == [200] * 3 and len(looks) == 3


def test_a_grant_of_another_name_that_inherits_ours_or_asks_it_is_asked_each_time(memory_world: World) -> None:
    """Whatever its form has in it besides"""
    server, name = memory_world.gateway.server, "urn:example:voucher"
    vouchers: list[str] = []
    seen: list[str] = []
    server.on_token(lambda issue: seen.append(issue.grant_type))

    class Voucher(ClientCredentialsGrant):
        GRANT_TYPE = name

        def validate_token_request(self) -> None:
            super().validate_token_request()
            if self.request.params["voucher"] in vouchers:
                raise OAuthError("invalid_grant", "Used before.")
            vouchers.append(self.request.params["voucher"])

    class Delegating(Voucher):
        GRANT_TYPE = name + "2"

        def create_token_response(self) -> Any:
            return ClientCredentialsGrant(self.request, self.server).create_token_response()

    for kind in (Voucher, Delegating):
        server.grant(kind)
        client, secret = memory_world.clients.create(now=0, grant_types=[kind.GRANT_TYPE], scope="read")
        form = f"grant_type={kind.GRANT_TYPE}&voucher={kind.__name__}&x=grant_type=client_credentials"
        answers = [ask(memory_world, form, Authorization=basic(client.client_id, str(secret))).status_code for _ in range(3)]
        assert answers == [200, 400, 400]
    assert seen[0] == name


def test_errors_of_authlibs_kind_keep_their_code(memory_world: World) -> None:
    heard: list[dict[str, Any]] = []
    memory_world.gateway.events.subscribe(heard.append)
    refusing: list[Exception] = []

    def step(issue: Any) -> None:
        if refusing:
            raise refusing[0]

    memory_world.gateway.server.on_token(step)
    assert ask(memory_world).status_code == 200
    for error in (AccessDeniedError("none left"), OAuthError("slow_down")):
        refusing[:] = [error]
        answer = ask(memory_world)
        assert (answer.status_code, answer.json["error"]) == (400, error.error)
        assert (heard[-1]["name"], heard[-1]["client_id"]) == ("token.refused", memory_world.machine.client_id)


def test_a_decision_that_another_thread_made_meanwhile_is_used(memory_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    server = memory_world.gateway.server
    decide, inner = server._decide, list[Any]()

    def slow(exchange: Any) -> Any:
        if not inner:
            inner.append(None)
            inner[0] = ask(memory_world)
        return decide(exchange)

    monkeypatch.setattr(server, "_decide", slow)
    assert ask(memory_world).json["access_token"] != inner[0].json["access_token"]
    assert ask(memory_world).status_code == 200


def test_steps_of_the_token_answer_run_each_time(memory_world: World) -> None:
    steps: list[str] = []
    memory_world.gateway.server.on_token(lambda issue: steps.append(issue.scope))
    assert [ask(memory_world).status_code for _ in range(3)] == [200] * 3 and len(steps) == 3


def test_a_store_that_is_away_gives_no_token(memory_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(memory_world).status_code == 200

    def away(*_: Any) -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(memory_world.gateway.store, "issue", away)
    answer = ask(memory_world)
    assert answer.status_code == 503 and "access_token" not in answer.json


def test_many_threads_and_clients_get_their_own(memory_world: World) -> None:
    clients = [memory_world.clients.create(now=0, scope=scope) for scope in ("read", "write", "read write")]
    wanted = {basic(client.client_id, str(secret)): client for client, secret in clients}

    def one(number: int) -> bool:
        header, client = list(wanted.items())[number % 3]
        answer = ask(memory_world, Authorization=header).json
        token = memory_world.gateway.server.presented(answer["access_token"])
        return token is not None and token.client_id == client.client_id and answer["scope"] == client.scope

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(120)))


def test_no_secret_is_kept(memory_world: World) -> None:
    """Found by a digest, and what is found knows the client."""
    assert ask(memory_world).status_code == 200
    (kept_for,) = memory_world.gateway.server._decided._kept._young.items()
    again: Any = kept_for[1][3]
    kept = repr([kept_for, inspect.getclosurevars(again).nonlocals])
    encoded = base64.b64encode(f"{memory_world.machine.client_id}:{memory_world.machine_secret}".encode()).decode()
    assert memory_world.machine.client_id in kept and memory_world.machine_secret not in kept and encoded not in kept
