"""Own parts plug in: every example of one, run (docs/own-parts.md)."""

from __future__ import annotations

import hashlib
import hmac
import importlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant

from oauth_gateway import OAuthGateway
from oauth_gateway.clients import Clients
from oauth_gateway.models import Client
from oauth_gateway.testing import Clock

from .conftest import CALLBACK, CHALLENGE, VERIFIER, World, basic, query_of, send

EXAMPLES = Path(__file__).parent.parent / "examples"
BASE = "http://127.0.0.1:8000"
SIGNED_IN = {"Cookie": "session=a-random-value-that-only-ann-s-browser-has"}


class Part:
    """An example, loaded anew on a database in memory."""

    def __init__(self, name: str) -> None:
        self.module = importlib.reload(importlib.import_module(f"examples.{name}"))
        self.app: Any = self.module.app
        self.gateway: OAuthGateway = self.app

    def client(self, **values: Any) -> tuple[Client, dict[str, str]]:
        gateway = self.gateway
        client, secret = Clients(gateway.settings, gateway.store, gateway.events, gateway.server.sealer).create(now=0, **values)
        return client, {"Authorization": basic(client.client_id, secret or "")}

    def post(self, path: str, form: dict[str, str] | str, **headers: str) -> Any:
        return send(self.app, "POST", path, form, base=BASE, headers=headers)

    def get(self, path: str, token: str | None = None, **headers: str) -> Any:
        sent = {**headers, **({"Authorization": f"Bearer {token}"} if token else {})}
        return send(self.app, "GET", path, base=BASE, headers=sent)


@pytest.fixture(autouse=True)
def in_memory(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setenv("OAUTH_GATEWAY_DATABASE", "sqlite://")


class BasicOnly(ClientCredentialsGrant):  # type: ignore[misc]
    GRANT_TYPE = "urn:example:basic-only"


def authorize_query(client: Client, **changes: str) -> str:
    query = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": CALLBACK,
        "scope": "read",
        "state": "s",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return urlencode({**query, **changes})


def test_every_example_of_a_part_is_short() -> None:
    found = [*EXAMPLES.glob("own_*.py"), EXAMPLES / "pyramid_server.py"]
    assert len(found) == 8
    for path in found:
        assert len(path.read_text().splitlines()) < 60, path


def test_an_own_grant() -> None:
    part = Part("own_grant")
    _, header = part.client(grant_types=["urn:example:api-key"], scope="read")
    form = {"grant_type": "urn:example:api-key", "api_key": "key-of-ann-0123456789abcdef", "scope": "read"}
    answer = part.post("/token", form, **header)
    assert answer.status_code == 200 and "refresh_token" not in answer.json
    assert part.get("/", answer.json["access_token"]).text == "Hello ann\n"
    assert part.post("/token", {**form, "api_key": "wrong"}, **header).json["error"] == "invalid_grant"
    assert part.post("/token", {**form, "scope": "admin"}, **header).json["error"] == "invalid_scope", (
        "never more than registered"
    )
    _other, other_header = part.client()
    assert part.post("/token", form, **other_header).json["error"] == "unauthorized_client"
    public, _ = part.client(grant_types=["urn:example:api-key"], token_endpoint_auth_method="none")
    refused = part.post("/token", {**form, "client_id": public.client_id})
    assert refused.status_code == 401, "the grant does not take public clients"
    document = part.get("/.well-known/oauth-authorization-server").json
    assert "urn:example:api-key" in document["grant_types_supported"]


def test_own_grants_are_chosen_as_authlib_chooses(world: World) -> None:
    """The first that says yes; and one of our grant types takes the place of ours."""

    class Both(ClientCredentialsGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = None

        def validate_token_request(self) -> None:
            self.request.client = self.authenticate_token_endpoint_client()

        def create_token_response(self) -> tuple[int, dict[str, str], list[tuple[str, str]]]:
            return 200, {"made_by": type(self).__name__ + getattr(self, "extended", "")}, []

    class Ours(Both):
        GRANT_TYPE = "client_credentials"

    class Chosen(Both):
        GRANT_TYPE = "urn:example:chosen"

        @classmethod
        def check_token_endpoint(cls, request: Any) -> bool:
            return bool(request.payload.data.get("choose"))

    def made_by(**form: str) -> str:
        return str(world.token(form, world.machine).json["made_by"])

    assert world.token({"grant_type": "client_credentials"}, world.machine).json["access_token"]
    world.gateway.server.register_grant(Ours, [lambda grant: setattr(grant, "extended", "!")])
    assert made_by(grant_type="client_credentials") == "Ours!"
    world.gateway.server.register_grant(Chosen)
    assert made_by(grant_type="client_credentials") == "Ours!" and made_by(grant_type="x", choose="1") == "Chosen"
    assert world.token({"grant_type": "x"}, world.machine).json["error"] == "unsupported_grant_type"


def test_an_own_endpoint() -> None:
    part = Part("own_endpoint")
    client, header = part.client()
    answer = part.post("/token/whoami", {}, **header)
    assert answer.json == {"client_id": client.client_id, "scope": "read"}
    assert part.post("/token/whoami", {}).status_code == 401
    assert part.get("/token/whoami").status_code == 405
    assert part.get("/.well-known/oauth-authorization-server").json["whoami_endpoint"] == f"{BASE}/token/whoami"


def test_an_own_client_authentication_method() -> None:
    """R031"""
    part = Part("own_client_auth")
    client, _ = part.client(token_endpoint_auth_method="urn:example:hmac")
    key = b"k" * 32
    part.module.KEYS[client.client_id] = key
    body = urlencode({"grant_type": "client_credentials", "client_id": client.client_id})
    signed = {"X-Client-HMAC": hmac.new(key, body.encode(), hashlib.sha256).hexdigest()}
    answer = part.post("/token", body, **signed)
    assert answer.status_code == 200 and part.get("/", answer.json["access_token"]).text == client.client_id
    assert part.post("/token", body).json["error"] == "invalid_client"
    assert part.post("/token", body + "&scope=read", **signed).json["error"] == "invalid_client", "signed was another body"
    both = part.post("/token", body, **signed, Authorization=basic(client.client_id, "x"))
    assert both.status_code == 400 and both.json["error"] == "invalid_request"
    plain, _header = part.client()
    part.module.KEYS[plain.client_id] = key
    body = urlencode({"grant_type": "client_credentials", "client_id": plain.client_id})
    signed = {"X-Client-HMAC": hmac.new(key, body.encode(), hashlib.sha256).hexdigest()}
    assert part.post("/token", body, **signed).status_code == 401, "not registered for it"
    client, _ = part.client(token_endpoint_auth_method="urn:example:hmac", grant_types=["urn:example:basic-only"])
    part.module.KEYS[client.client_id] = key
    part.gateway.server.register_grant(BasicOnly)
    body = urlencode({"grant_type": "urn:example:basic-only", "client_id": client.client_id})
    signed = {"X-Client-HMAC": hmac.new(key, body.encode(), hashlib.sha256).hexdigest()}
    assert part.post("/token", body, **signed).status_code == 401, "the grant does not take this method"
    document = part.get("/.well-known/oauth-authorization-server").json
    assert "urn:example:hmac" in document["token_endpoint_auth_methods_supported"]


def test_an_own_token_generator() -> None:
    part = Part("own_token_generator")
    client, header = part.client(
        redirect_uris=[CALLBACK], grant_types=["authorization_code", "refresh_token", "client_credentials"]
    )
    answer = part.post("/token", {"grant_type": "client_credentials"}, **header).json
    assert answer["access_token"].startswith("acme-") and answer["expires_in"] == 300 and answer["issued_by"] == "acme"
    assert part.get("/", answer["access_token"]).text == client.client_id
    assert part.get("/", answer["access_token"] + "x").status_code == 401
    request = __import__("webob").Request.blank("/authorize?" + authorize_query(client), base_url=BASE)
    code = query_of(part.gateway.server.create_authorization_response(request, grant_user="ann").location)["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    first = part.post("/token", form, **header).json
    assert first["expires_in"] == 900 and first["refresh_token"].startswith("acme-refresh-")
    assert part.get("/", first["access_token"]).status_code == 200 and part.get("/", first["refresh_token"]).status_code == 401
    second = part.post("/token", {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}, **header).json
    told = part.post("/token/introspect", {"token": second["access_token"]}, **header).json
    assert told["active"] is True and told["client_id"] == client.client_id
    assert part.post("/token/revoke", {"token": second["refresh_token"]}, **header).status_code == 200
    assert part.get("/", second["access_token"]).status_code == 401 and part.get("/", first["access_token"]).status_code == 401


@pytest.mark.parametrize("text", ["short", "with blanks in it, which no header carries", "oga1_at_" + "x" * 67, "ü" * 30])
def test_a_generator_that_gives_what_is_no_token_fails_closed(text: str) -> None:
    part = Part("own_token_generator")
    _, header = part.client()
    part.gateway.server.register_token_generator("client_credentials", lambda **given: {"access_token": text})
    answer = part.post("/token", {"grant_type": "client_credentials"}, **header)
    assert answer.status_code == 500 and "access_token" not in answer.json


def test_authlib_s_own_generator_works() -> None:
    from authlib.oauth2.rfc6750 import BearerTokenGenerator

    part = Part("own_token_generator")
    _, header = part.client()
    numbers = iter(range(100))
    generator = BearerTokenGenerator(lambda **given: f"mine-{next(numbers):030}", expires_generator=60)
    part.gateway.server.register_token_generator("default", generator)
    answer = part.post("/token", {"grant_type": "client_credentials", "scope": "read"}, **header).json
    assert answer["access_token"].startswith("mine-") and answer["expires_in"] == 60 and answer["scope"] == "read"
    assert part.get("/", answer["access_token"]).status_code == 200


def test_an_own_scope_policy() -> None:
    part = Part("own_scope_policy")
    _, header = part.client(scope="project:*")
    answer = part.post("/token", {"grant_type": "client_credentials", "scope": "project:42"}, **header).json
    assert answer["scope"] == "project:42" and part.get("/project/42", answer["access_token"]).status_code == 200
    refused = part.get("/project/43", answer["access_token"])
    assert refused.status_code == 403 and 'scope="project:43"' in refused.headers["WWW-Authenticate"]
    for scope in ("project:0", "project:x", "admin", "project:1 admin"):
        form = {"grant_type": "client_credentials", "scope": scope}
        assert part.post("/token", form, **header).json["error"] == "invalid_scope"
    _, header = part.client(scope="project:7")
    form = {"grant_type": "client_credentials", "scope": "project:8"}
    assert part.post("/token", form, **header).json["error"] == "invalid_scope"


def test_an_own_error_page() -> None:
    page = Part("own_error_page").get("/authorize?client_id=nobody")
    assert page.status_code == 400 and "Acme's help desk" in page.text and "invalid_client" in page.text
    assert page.headers["X-Frame-Options"] == "DENY"


def test_an_own_consent_view() -> None:
    """Contract section 1: the documented pattern, GET renders and POST decides"""
    part = Part("own_consent_view")
    client, header = part.client(redirect_uris=[CALLBACK], client_name="<b>Shop</b>")
    url = "/authorize?" + authorize_query(client)
    assert part.get(url).status_code == 403, "nobody is signed in"
    page = part.get(url, **SIGNED_IN)
    assert page.status_code == 200 and "&lt;b&gt;Shop" in page.text and "ann" in page.text
    origin = {**SIGNED_IN, "Origin": BASE}
    assert part.post(url, {"is_user_confirmed": "yes"}, **SIGNED_IN).status_code == 403, "a form from elsewhere"
    assert query_of(part.post(url, {}, **origin).location)["error"] == "access_denied"
    answer = part.post(url, {"is_user_confirmed": "yes"}, **origin)
    assert answer.location.startswith(CALLBACK) and query_of(answer.location)["state"] == "s"
    form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    token = part.post("/token", {**form, "code": query_of(answer.location)["code"]}, **header).json["access_token"]
    assert part.get("/", token).text == "Hello ann\n"
    bad = part.get("/authorize?" + authorize_query(client, scope="admin"), **SIGNED_IN)
    assert query_of(bad.location)["error"] == "invalid_scope"
    evil = part.get("/authorize?" + authorize_query(client, redirect_uri="https://evil.test/"), **SIGNED_IN)
    assert evil.status_code == 400 and evil.location is None


def test_the_server_in_pyramid_views_without_the_middleware() -> None:
    module = importlib.reload(importlib.import_module("examples.pyramid_server"))
    server = module.server
    client, secret = Clients(server.settings, server.store, server.events, server.sealer).create(
        now=0, redirect_uris=[CALLBACK]
    )
    url = "/oauth/authorize?" + authorize_query(client)
    sent = {**SIGNED_IN, "Origin": BASE}
    assert "Allow read" in send(module.app, "GET", url, base=BASE, headers=SIGNED_IN).text
    assert send(module.app, "POST", url, {"confirm": "1"}, base=BASE, headers=SIGNED_IN).status_code == 403
    answer = send(module.app, "POST", url, {"confirm": "1"}, base=BASE, headers=sent)
    form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    form["code"] = query_of(answer.location)["code"]
    header = {"Authorization": basic(client.client_id, secret or "")}
    token = send(module.app, "POST", "/oauth/token", form, base=BASE, headers=header)
    assert token.status_code == 200
    revoked = send(module.app, "POST", "/oauth/revoke", {"token": token.json["access_token"]}, base=BASE, headers=header)
    assert revoked.status_code == 200 and revoked.json == {}
    denied = send(module.app, "POST", url, {}, base=BASE, headers=sent)
    assert query_of(denied.location)["error"] == "access_denied"
    bad = send(module.app, "GET", "/oauth/authorize?client_id=x", base=BASE, headers=SIGNED_IN)
    assert bad.status_code == 400


def test_a_grant_of_authlib_s_kind_gets_no_scope_that_the_client_lacks() -> None:
    """An own grant that hands on what was asked for"""
    part = Part("own_grant")
    client, header = part.client(grant_types=["urn:example:api-key"], scope="read")
    assert part.gateway.store.update_client(replace(client, metadata={**client.metadata, "scope": ""}), 0)
    form = {"grant_type": "urn:example:api-key", "api_key": "key-of-ann-0123456789abcdef", "scope": "read"}
    assert part.post("/token", form, **header).json["error"] == "invalid_scope"


def test_the_documents_name_every_example() -> None:
    text = (EXAMPLES.parent / "docs" / "own-parts.md").read_text()
    for path in EXAMPLES.glob("own_*.py"):
        assert re.search(rf"examples/{path.name}\b", text), path.name
