"""CORS of a gate without a server: preflights, refusals and the protected resource's metadata."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import webob

from oauth_gateway import OAuthGateway
from oauth_gateway.testing import Clock

from .conftest import make_world, send
from .issuers import AUDIENCE, Issuer, entry, gate, issuer
from .test_foreign_keys import json_reply

SPA = "https://spa.test"
DOCUMENT = "/.well-known/oauth-protected-resource"
ROUTES = ["GET /public public", "* /thing scope=read", "* /write scope=write"]


@pytest.fixture
def other() -> Iterator[Issuer]:
    with issuer() as made:
        yield made


def ask(gateway: OAuthGateway, method: str, path: str, token: str | None = None, **headers: Any) -> webob.Response:
    sent = {"Origin": SPA, **headers, **({"Authorization": f"Bearer {token}"} if token else {})}
    return send(gateway, method, path, base=AUDIENCE, headers=sent)


def test_a_script_reads_why_it_was_refused(other: Issuer, clock: Clock) -> None:
    gateway, app = gate(entry(other), routes=ROUTES)
    none, bad = ask(gateway, "GET", "/thing"), ask(gateway, "GET", "/thing", other.token(clock, exp=1))
    lacks = ask(gateway, "GET", "/write", other.token(clock))
    other.replies[other.jwks] = json_reply({}, status=500)
    elsewhere, _ = gate(entry(other))
    away = ask(elsewhere, "GET", "/thing", other.token(clock))
    assert [answer.status_code for answer in (none, bad, lacks, away)] == [401, 401, 403, 503] and not app.calls
    for answer in (none, bad, lacks, away):
        assert answer.headers["Access-Control-Allow-Origin"] == "*" and "Origin" in answer.headers["Vary"]
        assert answer.headers["Access-Control-Expose-Headers"] == "WWW-Authenticate, Retry-After"
        assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "resource_metadata=" in none.headers["WWW-Authenticate"] and away.headers["Retry-After"]
    assert "Access-Control-Allow-Origin" not in send(gateway, "GET", "/thing", base=AUDIENCE).headers, "no script asked"


@pytest.mark.parametrize("path", ["/public", "/thing", "/write"])
def test_a_preflight_reaches_the_app_without_credentials_and_the_answer_is_the_app_s(
    path: str, other: Issuer, clock: Clock
) -> None:
    gateway, app = gate(entry(other), routes=ROUTES)
    answer = ask(gateway, "OPTIONS", path, other.token(clock), Access_Control_Request_Method="PUT", Cookie="a=b")
    assert answer.status_code == 200 and app.calls == 1 and not other.asked
    assert app.environ["oauth_gateway.token"] is None and "REMOTE_USER" not in app.environ
    assert not {"HTTP_AUTHORIZATION", "HTTP_COOKIE"} & set(app.environ)
    assert "Access-Control-Allow-Origin" not in answer.headers
    if path != "/public":
        assert ask(gateway, "OPTIONS", path).status_code == 401, "OPTIONS alone is no preflight"
    allowed = ask(gateway, "GET", "/thing", other.token(clock))
    assert allowed.status_code == 200 and "Access-Control-Allow-Origin" not in allowed.headers


@pytest.mark.parametrize(
    ("resource", "places"),
    [(AUDIENCE, [DOCUMENT]), (f"{AUDIENCE}/v1", [DOCUMENT, f"{DOCUMENT}/v1", f"/v1{DOCUMENT}"])],
)
def test_the_resource_s_metadata_is_readable_from_everywhere(
    resource: str, places: list[str], other: Issuer, clock: Clock
) -> None:
    """RFC 9728 section 3; as beside a server"""
    gateway, app = gate(entry(other), resource=resource, scopes=["read"])
    world = make_world("sqlite://", clock, base=resource, trusted_issuers=[entry(other)])
    for place in places:
        answer = ask(gateway, "GET", place)
        assert answer.status_code == 200 and answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.json["resource"] == resource and answer.json["authorization_servers"] == [other.name]
        asked = {"Access_Control_Request_Method": "GET", "Access_Control_Request_Headers": "mcp-protocol-version"}
        for either in (gateway, world.gateway):
            preflight = ask(either, "OPTIONS", place, **asked)
            told = {name: value for name, value in preflight.headers.items() if name.startswith("Access-Control")}
            assert preflight.status_code == 204 and told == {
                "Access-Control-Allow-Origin": "*",
                "Access-Control-Allow-Methods": "GET, HEAD",
                "Access-Control-Allow-Headers": "*",
                "Access-Control-Max-Age": "86400",
            }
        assert ask(gateway, "HEAD", place).status_code == 200
        assert ask(gateway, "POST", place).status_code == 405
    challenge = ask(gateway, "GET", "/thing").headers["WWW-Authenticate"]
    assert f'resource_metadata="{AUDIENCE}{places[min(1, len(places) - 1)]}"' in challenge and not app.calls


def test_beside_a_server_only_registered_origins_read_refusals(other: Issuer, clock: Clock) -> None:
    world = make_world("sqlite://", clock, trusted_issuers=[entry(other)])
    refused = ask(world.gateway, "GET", "/thing", other.token(clock, exp=1))
    assert refused.status_code == 401 and "Access-Control-Allow-Origin" not in refused.headers
