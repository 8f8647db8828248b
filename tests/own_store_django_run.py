"""Run by test_own_store_django.py in a process of its own, as Django is configured once a process."""

from __future__ import annotations

import importlib
import os
from dataclasses import replace
from typing import Any

import django
import pytest

from oauth_gateway.errors import StoreUnavailable
from oauth_gateway.testing import StoreContract

from .conftest import CALLBACK, PASSWORD, World

django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402

from examples.own_store_django.models import GatewayRecord, OAuth2Client, OAuth2Token  # noqa: E402
from examples.own_store_django.store import open_store  # noqa: E402

SECRET = "what the project's admin wrote down"


@pytest.fixture(autouse=True, scope="session")
def tables() -> None:
    call_command("migrate", verbosity=0)  # Django's own first, which the project's refer to
    call_command("migrate", run_syncdb=True, verbosity=0)


def emptied() -> None:
    for model in (GatewayRecord, OAuth2Token, OAuth2Client, User):
        model.objects.all().delete()


class TestContract(StoreContract):
    def store(self) -> Any:
        emptied()
        store = open_store()
        store.prepare()
        return store


@pytest.fixture
def world(clock: Any) -> World:
    """The project with a person and a client, both registered before the gateway came."""
    emptied()
    ann = User.objects.create_user("ann")
    row = OAuth2Client.objects.create(
        user=ann,
        client_id="shop",
        client_secret=SECRET,
        client_name="Shop",
        redirect_uris=CALLBACK,
        default_redirect_uri=CALLBACK,
        scope="read",
        response_type="code",
        grant_type="authorization_code refresh_token",
        token_endpoint_auth_method="client_secret_basic",
    )
    gateway = importlib.reload(importlib.import_module("examples.own_store_django.wsgi")).application
    gateway.server.users.create("ann", PASSWORD, clock())
    client = gateway.store.client(row.client_id)
    return World(None, gateway, "http://127.0.0.1:8000", "", client, SECRET, None, None, "", clock)  # type: ignore[arg-type]


def test_a_client_of_the_project_gets_tokens_that_its_table_shows(world: World) -> None:
    tokens = world.tokens()
    assert world.call(tokens["access_token"], "/orders").text == "The orders of ann\n"
    row = OAuth2Token.objects.get()
    assert row.client_id == "shop" and row.user.username == "ann" and row.scope == "read" and not row.revoked
    assert row.expires_in == tokens["expires_in"] and row.issued_at == int(world.clock())
    assert "sha256" in row.access_token and "sha256" in row.refresh_token
    assert not {row.access_token, row.refresh_token} & set(tokens.values())
    assert world.call(row.access_token, "/orders").status_code == 400  # no token has a blank
    assert OAuth2Client.objects.get().client_secret == SECRET
    assert SECRET not in "".join(GatewayRecord.objects.values_list("body", flat=True))


def test_what_the_gateway_revokes_is_revoked_in_the_table(world: World) -> None:
    tokens = world.tokens()
    assert world.revoke(tokens["refresh_token"]).status_code == 200
    assert world.call(tokens["access_token"], "/orders").status_code == 401
    assert OAuth2Token.objects.get().revoked


def test_what_the_admin_revokes_is_revoked_at_the_gateway(world: World) -> None:
    tokens = world.tokens()
    assert world.call(tokens["access_token"], "/orders").status_code == 200  # and is remembered
    row = OAuth2Token.objects.get()
    row.revoked = True
    row.save()
    assert world.call(tokens["access_token"], "/orders").status_code == 401
    assert world.introspect(tokens["access_token"]).json == {"active": False}
    assert world.refresh(tokens["refresh_token"]).json["error"] == "invalid_grant"


def test_a_refreshed_token_has_a_row_of_its_own(world: World) -> None:
    first = world.tokens()
    second = world.refresh(first["refresh_token"]).json
    assert world.call(second["access_token"], "/orders").status_code == 200
    assert OAuth2Token.objects.exclude(refresh_token="").count() == 2
    assert not OAuth2Token.objects.filter(revoked=True).exists(), "its flag would end the first access token too"
    again = importlib.reload(importlib.import_module("examples.own_store_django.wsgi")).application  # remembers nothing
    assert replace(world, gateway=again).call(first["access_token"], "/orders").status_code == 200
    world.revoke(second["refresh_token"])
    assert not OAuth2Token.objects.filter(revoked=False).exists()


def test_a_secret_that_the_admin_changes_holds_at_once(world: World) -> None:
    OAuth2Client.objects.update(client_secret="another one")
    assert world.refresh("x").status_code == 401
    world.secret = "another one"
    assert world.refresh("x").json["error"] == "invalid_grant"


def test_a_client_that_the_admin_deletes_is_gone_with_its_tokens(world: World) -> None:
    token = world.tokens()["access_token"]
    assert world.call(token, "/orders").status_code == 200
    OAuth2Client.objects.all().delete()
    assert world.call(token, "/orders").status_code == 401
    assert world.gateway.store.client("shop") is None


def test_a_database_that_does_not_answer_is_unavailable(world: World) -> None:
    connection = connections["gateway"]
    connection.close()
    name, connection.settings_dict["NAME"] = connection.settings_dict["NAME"], "/nowhere/shop.sqlite3"
    try:
        with pytest.raises(StoreUnavailable):
            world.gateway.store.meta("x")
        with pytest.raises(StoreUnavailable):
            world.gateway.store.set_meta("x", "y")
    finally:
        connection.settings_dict["NAME"] = name
    assert world.gateway.store.set_meta("x", "y") == "y"


def test_a_forked_child_has_a_connection_of_its_own(world: World) -> None:
    world.gateway.store.set_meta("x", "y")
    mine = connections["gateway"].connection
    child = os.fork()
    if not child:
        fine = world.gateway.store.meta("x") == "y" and connections["gateway"].connection is not mine
        os._exit(0 if fine else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert connections["gateway"].connection is mine and world.gateway.store.meta("x") == "y"
