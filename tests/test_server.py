"""The embedded server by itself: the calls that Authlib's integrations document, with WebOb requests (contract section 1)."""

from __future__ import annotations

from typing import Any

import pytest
import webob

from oauth_gateway import AuthorizationServer, OAuthError

from .conftest import CALLBACK, VERIFIER, World, basic, query_of


def request_for(world: World, url: str, form: dict[str, str] | None = None, **headers: str) -> webob.Request:
    return webob.Request.blank(url, base_url=world.base, POST=form, headers=headers)


class Person:
    def get_user_id(self) -> int:
        return 7


@pytest.mark.parametrize("person", ["bob", {"name": "bob"}, Person()], ids=["name", "mapping", "object"])
def test_a_view_of_one_s_own_validates_consents_and_answers(memory_world: World, person: Any) -> None:
    world, server = memory_world, memory_world.gateway.server
    assert isinstance(server, AuthorizationServer)
    request = request_for(world, world.authorize_url())
    grant = server.validate_consent_request(request, end_user=person)
    assert grant.client.name == "Shop" and grant.request.scope == "read" and grant.redirect_uri == CALLBACK
    response = server.create_authorization_response(request, grant_user=person, grant=grant)
    assert isinstance(response, webob.Response) and response.location.startswith(CALLBACK)
    form = {
        "grant_type": "authorization_code",
        "code": query_of(response.location)["code"],
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    header = basic(world.confidential.client_id, world.secret)
    token = server.create_token_response(request_for(world, "/token", form, Authorization=header))
    assert isinstance(token, webob.Response) and token.status_code == 200
    assert world.call(token.json["access_token"]).status_code == 200
    assert world.app.environ["REMOTE_USER"] == ("7" if isinstance(person, Person) else "bob")
    revoked = server.create_endpoint_response(
        "revocation", request_for(world, "/token/revoke", {"token": token.json["access_token"]}, Authorization=header)
    )
    assert revoked.status_code == 200 and world.call(token.json["access_token"]).status_code == 401


def test_nobody_is_a_denial_and_a_bad_request_an_oauth_error(memory_world: World) -> None:
    server = memory_world.gateway.server
    request = request_for(memory_world, memory_world.authorize_url())
    response = server.create_authorization_response(request, grant_user=None, grant=server.get_consent_grant(request))
    assert query_of(response.location)["error"] == "access_denied"
    with pytest.raises(OAuthError) as caught:
        server.validate_consent_request(request_for(memory_world, memory_world.authorize_url(redirect_uri="https://x.test")))
    assert caught.value.redirect_uri is None


def test_requests_of_other_frameworks_are_understood(memory_world: World) -> None:
    server = memory_world.gateway.server
    environ = request_for(memory_world, memory_world.authorize_url()).environ

    class FlaskLike:
        def __init__(self) -> None:
            self.environ = environ

    class DjangoLike:
        META = environ

    for request in (environ, FlaskLike(), DjangoLike()):
        assert server.get_consent_grant(request).client.client_name == "Shop"
        answer = server.create_authorization_response(request, grant_user=None)
        assert answer.status == 303 and callable(answer), "a WSGI application"
    for call in (server.get_consent_grant, server.create_token_response):
        with pytest.raises(TypeError, match="pass the request"):
            call()


def test_an_own_grant_takes_the_place_of_a_built_in_one(memory_world: World) -> None:
    from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant

    class Mine(ClientCredentialsGrant):  # type: ignore[misc]
        def create_token_response(self) -> tuple[int, dict[str, str], list[tuple[str, str]]]:
            return 200, {"mine": "yes"}, []

    memory_world.gateway.server.register_grant(Mine)
    assert memory_world.token({"grant_type": "client_credentials"}, memory_world.machine).json == {"mine": "yes"}


def test_an_endpoint_that_cannot_answer_is_refused_at_once(memory_world: World) -> None:
    server = memory_world.gateway.server
    for path, name in (("/token/x", "nope"), ("token/x", lambda exchange: None)):
        with pytest.raises(ValueError, match="endpoint"):
            server.endpoint(path, name)
