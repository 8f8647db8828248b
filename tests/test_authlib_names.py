"""What people know from Authlib's documented server is here, by the same names (docs/authlib.md)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, TokenMixin

from oauth_gateway import AuthorizationServer
from oauth_gateway.models import AuthorizationCode, Client, StoredToken, Token, digest

from .conftest import CALLBACK, World

ROOT = Path(__file__).parent.parent


def methods_of(mixin: type) -> list[str]:
    return [name for name in vars(mixin) if not name.startswith("_")]


@pytest.mark.parametrize(
    ("mixin", "ours"), [(ClientMixin, Client), (TokenMixin, StoredToken), (AuthorizationCodeMixin, AuthorizationCode)]
)
def test_every_method_of_authlib_s_mixins_is_implemented(mixin: type, ours: type) -> None:
    assert len(methods_of(mixin)) >= 2 and issubclass(ours, mixin)
    for name in methods_of(mixin):
        assert getattr(ours, name) is not getattr(mixin, name), name


def test_what_the_app_sees_has_every_method_of_authlib_s_token() -> None:
    for name in methods_of(TokenMixin):
        assert name in vars(Token), name


def test_a_client_answers_as_authlib_asks(memory_world: World) -> None:
    world, client = memory_world, memory_world.confidential
    assert client.get_client_id() == client.client_id
    assert client.get_default_redirect_uri() == CALLBACK and world.public.get_default_redirect_uri() is None
    assert client.get_allowed_scope("read write") == "read write" and client.get_allowed_scope("admin") is None
    assert client.get_allowed_scope(None) == ""
    assert client.check_redirect_uri(CALLBACK) and not client.check_redirect_uri(CALLBACK + "/")
    assert (
        client.check_client_secret(world.secret) and not client.check_client_secret("x") and not client.check_client_secret("é")
    )
    assert client.has_client_secret() and not world.public.has_client_secret()
    assert client.check_endpoint_auth_method("client_secret_basic", "token")
    assert client.check_token_endpoint_auth_method("client_secret_basic")
    assert not client.check_token_endpoint_auth_method("client_secret_post")
    assert client.check_response_type("code") and not client.check_response_type("token")
    assert client.check_grant_type("refresh_token") and not client.check_grant_type("password")


def test_a_token_answers_as_authlib_asks(world: World) -> None:
    tokens = world.tokens(scope="read write")
    assert world.call(tokens["access_token"]).status_code == 200
    token = world.app.environ["oauth_gateway.token"]
    assert token.check_client(world.confidential) and not token.check_client(world.public)
    assert token.get_scope() == "read write" and token.get_expires_in() == 3600
    assert not token.is_expired() and not token.is_revoked()
    assert token.get_user().username == "ann" and token.get_client().get_client_id() == world.confidential.client_id
    world.clock.advance(3600)
    assert token.is_expired()
    number = world.gateway.server.sealer.recognise(tokens["access_token"]).number
    world.gateway.store.revoke_token(number, world.clock())
    revoked = world.gateway.store.token(number, digest(tokens["access_token"]))[0]
    assert revoked is not None and revoked.is_revoked()


def test_an_authorization_code_answers_as_authlib_asks(world: World) -> None:
    credential = world.gateway.server.sealer.recognise(world.code(scope="read"))
    code = world.gateway.store.code(credential.number, credential.digest)
    assert code is not None and code.get_redirect_uri() == CALLBACK and code.get_scope() == "read"


def test_every_row_of_the_table_names_a_call_of_ours_and_a_test_that_runs() -> None:
    text = (ROOT / "docs" / "authlib.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) >= 40
    tests = {
        name for path in (ROOT / "tests").glob("test_*.py") for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    }
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split(" | ")]
        assert len(cells) == 3, row
        named = re.findall(r"`(test_\w+)`", cells[2])
        assert named, f"no test in {row}"
        for name in named:
            assert name in tests, f"{name} is no test: {row}"


@pytest.mark.parametrize(
    "name",
    """query_client save_token generate_token authenticate_client register_client_auth_method register_grant register_endpoint
    register_token_generator register_extension get_error_uri send_signal create_oauth2_request handle_response
    validate_requested_scope get_authorization_grant get_consent_grant validate_consent_request get_token_grant
    create_authorization_response create_token_response create_endpoint_response validate_endpoint_request
    handle_error_response""".split(),
)
def test_every_call_of_authlib_s_server_is_there(name: str) -> None:
    assert callable(getattr(AuthorizationServer, name)), name
