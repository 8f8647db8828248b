"""Step-up by the app: a handler demands more while it runs, and the caller learns all that is needed (RFC 6750 section 3.1)."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from typing import Any
from wsgiref.validate import validator

import pytest

from oauth_gateway import OAuthGateway, StepUpRequired
from oauth_gateway.clients import Clients
from oauth_gateway.testing import Clock

from .conftest import basic, send

ROUTES = ["GET /open/** public", "GET /maybe optional", "* /files scope=read"]


def demanding(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/late":
        start_response("200 OK", [("Content-Type", "text/plain")])
    environ["oauth_gateway.require"]("write")
    if environ["PATH_INFO"] != "/late":
        start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]


def world_of(app: Any, **settings: Any) -> tuple[OAuthGateway, Any]:
    values = {"issuer": "https://api.example.com", "database": "sqlite://", "scopes": ["read", "write"], "routes": ROUTES}
    gateway = OAuthGateway(app, **{**values, **settings})
    clients = Clients(gateway.settings, gateway.store, gateway.events, gateway.server.sealer)
    client, secret = clients.create(now=0)

    def token(scope: str) -> str:
        form = {"grant_type": "client_credentials", "scope": scope}
        answer: str = send(
            gateway, "POST", "/token", form, headers={"Authorization": basic(client.client_id, secret or "")}
        ).json["access_token"]
        return answer

    return gateway, token


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", ["/x", "/files"])
def test_what_the_handler_demands_becomes_one_correct_403(clock: Clock, path: str) -> None:
    """R058, R281"""
    gateway, token = world_of(validator(demanding))
    assert send(gateway, "GET", path, headers=bearer(token("read write"))).text == "done"
    refused = send(gateway, "GET", path, headers=bearer(token("read")))
    assert refused.status_code == 403 and refused.json["error"] == "insufficient_scope"
    challenge = refused.headers["WWW-Authenticate"]
    assert (
        'scope="write"' if path == "/x" else 'scope="read write"'
    ) in challenge and 'error="insufficient_scope"' in challenge
    assert 'resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"' in challenge
    assert len(refused.headers.getall("WWW-Authenticate")) == 1


def test_a_demand_after_the_answer_began_is_an_error_and_never_two_answers(clock: Clock) -> None:
    """gunicorn appends headers where PEP 3333 has them replaced"""
    gateway, token = world_of(demanding)
    started: list[str] = []

    def start(status: str, headers: Any, exc_info: Any = None) -> None:
        assert not started, "headers are set already"
        started.append(status)

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/late", "HTTP_AUTHORIZATION": f"Bearer {token('read')}"}
    with pytest.raises(StepUpRequired):
        gateway(environ, start)
    assert started == ["200 OK"]


def test_a_preflight_that_the_app_demands_something_of_is_a_401(clock: Clock) -> None:
    gateway, _ = world_of(demanding)
    asked = {"Origin": "https://evil.test", "Access-Control-Request-Method": "POST"}
    for path in ("/x", "/open/x", "/files"):
        assert send(gateway, "OPTIONS", path, headers=asked).status_code == 401


def test_the_challenge_names_what_the_rule_needs_as_well(clock: Clock) -> None:
    gateway, token = world_of(demanding)
    refused = send(gateway, "POST", "/files", "", headers=bearer(token("read")))
    assert 'scope="read write"' in refused.headers["WWW-Authenticate"]


def test_without_a_token_where_one_is_optional_a_token_is_asked_for(clock: Clock) -> None:
    gateway, token = world_of(demanding)
    refused = send(gateway, "GET", "/maybe")
    assert refused.status_code == 401 and "error=" not in refused.headers["WWW-Authenticate"]
    assert 'scope="write"' in refused.headers["WWW-Authenticate"]
    assert send(gateway, "GET", "/maybe", headers=bearer(token("write"))).status_code == 200


def test_on_a_public_path_nothing_can_be_demanded(clock: Clock) -> None:
    gateway, token = world_of(demanding)
    with pytest.raises(RuntimeError, match="make it `optional` or `token`"):
        send(gateway, "GET", "/open/x", headers=bearer(token("write")))


def test_what_is_demanded_must_be_a_scope(clock: Clock) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["oauth_gateway.require"]('a"b')
        return []

    gateway, token = world_of(app)
    with pytest.raises(ValueError, match="is not a scope"):
        send(gateway, "GET", "/x", headers=bearer(token("read")))


def test_other_exceptions_of_the_app_are_its_own(clock: Clock) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        raise KeyError("mine")

    gateway, token = world_of(app)
    with pytest.raises(KeyError, match="mine"):
        send(gateway, "GET", "/x", headers=bearer(token("read")))


def test_the_app_s_iterable_is_handed_on_as_it_is(clock: Clock) -> None:
    made = iter([b"a", b"b"])

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["oauth_gateway.token"].require("read")
        start_response("200 OK", [])
        return made

    gateway, token = world_of(app)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/x", "HTTP_AUTHORIZATION": f"Bearer {token('read')}"}
    assert gateway(environ, lambda status, headers: None) is made


def test_nobody_can_hand_in_a_require_of_their_own(clock: Clock) -> None:
    gateway, token = world_of(demanding)
    environ = {"oauth_gateway.require": lambda *scopes: None, "oauth_gateway.refuse": lambda *given: None}
    assert send(gateway, "GET", "/x", headers=bearer(token("read")), environ=environ).status_code == 403
    assert send(gateway, "GET", "/maybe", environ=environ).status_code == 401


def test_it_is_a_page_for_a_browser(clock: Clock) -> None:
    gateway, token = world_of(demanding)
    refused = send(gateway, "GET", "/x", headers={**bearer(token("read")), "Accept": "text/html"})
    assert refused.status_code == 403 and "<h1>" in refused.text and "insufficient_scope" in refused.headers["WWW-Authenticate"]


@pytest.mark.parametrize("framework", ["flask", "django", "pyramid"])
def test_frameworks_that_catch_exceptions_answer_with_it(clock: Clock, framework: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/step-up.md; the handlers stand in examples/"""
    monkeypatch.setenv("OAUTH_GATEWAY_DATABASE", "sqlite://")
    if framework == "flask":
        app = importlib.import_module("examples.flask_app").app.wsgi_app.app
    elif framework == "django":
        app = importlib.import_module("examples.django_app").application
    else:
        app = importlib.import_module("examples.pyramid_app").main({})
    gateway, token = world_of(app, routes=["* /files scope=read"])
    assert send(gateway, "POST", "/files", "", headers=bearer(token("read write"))).json == {"stored": True}
    refused = send(gateway, "POST", "/files", "", headers=bearer(token("read")))
    assert refused.status_code == 403 and refused.json["error"] == "insufficient_scope"
    assert re.search(r'scope="read write", resource_metadata="https://', refused.headers["WWW-Authenticate"])
    assert refused.headers["Content-Type"] == "application/json" and refused.headers["Cache-Control"] == "no-store"


def test_the_exception_says_what_it_is() -> None:
    error = StepUpRequired("insufficient_scope", "x", 403, ["b a", "a"])
    assert error.scope == "a b" and error.status == 403
