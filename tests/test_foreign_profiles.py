"""Tokens shaped like those of five providers, signed with keys made here: access tokens pass, and nothing else that the keys
sign does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from oauth_gateway.testing import Clock

from .issuers import AUDIENCE, Issuer, entry, gate, issuer, signed_by
from .test_foreign_jwts import call

TENANT = "9b1f5c1e-0000-4000-8000-1c5a3c2c7a11"
API = "0d3f9a4e-1111-4111-8111-6f0a3b5c2d22"
APP = "5e7c2b90-2222-4222-8222-8a9d1e4f3c33"
POOL = "eu-central-1_Ab12Cd34E"
Shape = dict[str, Any]


def keycloak(now: int) -> dict[str, tuple[Shape, Shape]]:
    """(header, claims) by name; what is good begins with `access`."""
    person = {
        "exp": now + 300,
        "iat": now,
        "auth_time": now - 5,
        "jti": "onrtac:2c1c7a3e-4f55-4b0c-8e0e-8f2f7d9a6b10",
        "aud": [AUDIENCE, "account"],
        "sub": "1f0c4d2e-7a36-4c5b-9c3f-0d9a5c1b7e42",
        "typ": "Bearer",
        "azp": "shop-web",
        "sid": "c4d1e6f2-0b7a-4f7e-a6d3-54b1c2e0f9a8",
        "acr": "1",
        "allowed-origins": ["https://shop.example"],
        "realm_access": {"roles": ["default-roles-a", "offline_access", "uma_authorization", "boss"]},
        "resource_access": {"shop-api": {"roles": ["orders"]}, "account": {"roles": ["view-profile"]}},
        "scope": "openid email profile",
        "email_verified": True,
        "name": "Ann Example",
        "preferred_username": "ann",
        "given_name": "Ann",
        "family_name": "Example",
        "email": "ann@example.com",
    }
    service = {
        **person,
        "azp": "robot",
        "client_id": "robot",
        "preferred_username": "service-account-robot",
        "clientHost": "192.0.2.7",
        "clientAddress": "192.0.2.7",
    }
    id_token = {**person, "typ": "ID", "at_hash": "x5P0", "nonce": "n-0S6", "aud": AUDIENCE}
    header = {"typ": "JWT"}
    return {
        "access": (header, person),
        "access of a service": (header, service),
        "access with an old version's nonce": (header, {**person, "nonce": "n"}),
        "ID token": (header, id_token),
        "ID token without a hash": (header, {**person, "typ": "ID"}),
        "refresh token": (header, {**person, "typ": "Refresh"}),
        "offline token": (header, {**person, "typ": "Offline"}),
        "logout token": ({"typ": "logout+jwt"}, {**person, "typ": "Logout", "events": {}}),
        "bound token": (header, {**person, "typ": "DPoP", "cnf": {"jkt": "x"}}),
        "without audience mapper": (header, {**person, "aud": "account"}),
        "without any audience": (header, {k: v for k, v in person.items() if k != "aud"}),
        "without typ": (header, {k: v for k, v in person.items() if k != "typ"}),
    }


def entra(now: int) -> dict[str, tuple[Shape, Shape]]:
    second = {
        "aud": API,
        "iat": now,
        "nbf": now,
        "exp": now + 4000,
        "aio": "AXQAi/8WAAAA",
        "azp": APP,
        "azpacr": "0",
        "name": "Ann Example",
        "oid": "77777777-3333-4333-8333-333333333333",
        "preferred_username": "ann@example.com",
        "rh": "0.AXkA",
        "scp": "Orders.Read Orders.Write",
        "sub": "pairwise-subject",
        "tid": TENANT,
        "uti": "bD3x",
        "ver": "2.0",
    }
    first = {
        **{k: v for k, v in second.items() if k not in ("azp", "azpacr", "preferred_username")},
        "aud": f"api://{API}",
        "acr": "1",
        "amr": ["pwd", "mfa"],
        "appid": APP,
        "appidacr": "0",
        "ipaddr": "192.0.2.7",
        "unique_name": "ann@example.com",
        "upn": "ann@example.com",
        "ver": "1.0",
    }
    daemon = {
        **{k: v for k, v in second.items() if k not in ("scp", "name", "preferred_username")},
        "azpacr": "1",
        "idtyp": "app",
        "roles": ["Orders.Read.All"],
        "sub": "77777777-3333-4333-8333-333333333333",
    }
    id_token = {k: v for k, v in second.items() if k not in ("scp", "azp", "azpacr")}
    header, old = {"typ": "JWT"}, {"typ": "JWT", "x5t": "k1"}
    return {
        "access version 2.0": (header, second),
        "access version 1.0": (old, first),
        "access of a daemon": (header, daemon),
        "ID token": (header, {**id_token, "nonce": "n"}),
        "ID token without nonce": (header, id_token),
        "ID token with roles": (header, {**id_token, "roles": ["boss"]}),
        "without tid": (header, {k: v for k, v in second.items() if k != "tid"}),
        "for Graph": ({**header, "nonce": "x"}, {**second, "aud": "00000003-0000-0000-c000-000000000000"}),
        "daemon without roles": (header, {k: v for k, v in daemon.items() if k != "roles"}),
    }


def auth0(now: int) -> dict[str, tuple[Shape, Shape]]:
    own = {
        "sub": "auth0|6553da60a54af58e29493993",
        "aud": [AUDIENCE, "https://tenant.example/userinfo"],
        "iat": now,
        "exp": now + 600,
        "scope": "openid profile read:orders",
        "azp": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja",
        "permissions": ["read:orders", "write:orders"],
        "https://shop.example/roles": ["boss"],
    }
    standard = {**{k: v for k, v in own.items() if k != "azp"}, "client_id": own["azp"], "jti": "73WakrfVbNJBaAmhQtEeDv"}
    machine = {**own, "sub": f"{own['azp']}@clients", "gty": "client-credentials", "aud": AUDIENCE}
    id_token = {
        "sub": own["sub"],
        "aud": AUDIENCE,
        "iat": now,
        "exp": now + 600,
        "nickname": "ann",
        "name": "ann@example.com",
        "email": "ann@example.com",
        "email_verified": True,
        "sid": "s",
    }
    return {
        "access of its own profile": ({"typ": "JWT"}, own),
        "access after RFC 9068": ({"typ": "at+jwt"}, standard),
        "access of a machine": ({"typ": "JWT"}, machine),
        "ID token": ({"typ": "JWT"}, {**id_token, "nonce": "n"}),
        "ID token without nonce": ({"typ": "JWT"}, id_token),
        "for userinfo alone": ({"typ": "JWT"}, {**own, "aud": "https://tenant.example/userinfo"}),
    }


def cognito(now: int) -> dict[str, tuple[Shape, Shape]]:
    person = {
        "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        "cognito:groups": ["staff"],
        "version": 2,
        "client_id": "3n4b5urk1ft4fl3mg5e62d9ado",
        "origin_jti": "bbbbbbbb-cccc-dddd-eeee-ffffffffffff",
        "event_id": "cccccccc-dddd-eeee-ffff-000000000000",
        "token_use": "access",
        "scope": "openid https://api.example.com/read",
        "auth_time": now - 5,
        "exp": now + 600,
        "iat": now,
        "jti": "dddddddd-eeee-ffff-0000-111111111111",
        "username": "ann",
    }
    robot = {
        "sub": "3n4b5urk1ft4fl3mg5e62d9ado",
        "token_use": "access",
        "scope": "https://api.example.com/read",
        "auth_time": now,
        "exp": now + 600,
        "iat": now,
        "version": 2,
        "jti": "eeeeeeee-ffff-0000-1111-222222222222",
        "client_id": "3n4b5urk1ft4fl3mg5e62d9ado",
    }
    id_token = {
        "sub": person["sub"],
        "cognito:groups": ["staff"],
        "email_verified": True,
        "cognito:username": "ann",
        "origin_jti": person["origin_jti"],
        "aud": "3n4b5urk1ft4fl3mg5e62d9ado",
        "event_id": person["event_id"],
        "token_use": "id",
        "auth_time": now - 5,
        "exp": now + 600,
        "iat": now,
        "email": "ann@example.com",
    }
    header: Shape = {}
    return {
        "access": (header, person),
        "access of a machine": (header, robot),
        "access for a resource": (header, {**person, "aud": AUDIENCE}),
        "another client's": (header, {**person, "client_id": "stranger"}),
        "for another resource": (header, {**person, "aud": "https://other.example"}),
        "ID token": (header, id_token),
        "ID token with a client_id": (header, {**id_token, "client_id": id_token["aud"]}),
        "without token_use": (header, {k: v for k, v in person.items() if k != "token_use"}),
    }


def google(now: int) -> dict[str, tuple[Shape, Shape]]:
    person = {
        "azp": "1234987819200.apps.example",
        "aud": "1234987819200.apps.example",
        "sub": "10769150350006150715113082367",
        "at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q",
        "hd": "example.com",
        "email": "ann@example.com",
        "email_verified": True,
        "iat": now,
        "exp": now + 3600,
        "nonce": "0394852-3190485-2490358",
    }
    service = {
        "aud": AUDIENCE,
        "azp": "113774264463038321964",
        "email": "robot@project.iam.example",
        "email_verified": True,
        "exp": now + 3600,
        "iat": now,
        "sub": "113774264463038321964",
    }
    return {
        "access by a person's ID token": ({"typ": "JWT"}, person),
        "access by a service's ID token": ({"typ": "JWT"}, service),
        "for another client": ({"typ": "JWT"}, {**person, "aud": "other.apps.example"}),
        "a security event": ({"typ": "secevent+jwt"}, {**person, "events": {}}),
        "a security event without its typ": ({"typ": "JWT"}, {**person, "events": {}}),
    }


PROVIDERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "keycloak": (
        keycloak,
        {"username_claim": "preferred_username", "scope_claims": "realm_access.roles resource_access.shop-api.roles"},
    ),
    "entra": (entra, {"audience": [API, f"api://{API}"], "username_claim": "oid", "scope_claims": "scp roles"}),
    "auth0": (auth0, {"username_claim": "sub", "scope_claims": "permissions https://shop.example/roles"}),
    "cognito": (cognito, {"client_ids": ["3n4b5urk1ft4fl3mg5e62d9ado"], "username_claim": "username"}),
    "google": (google, {"audience": ["1234987819200.apps.example", AUDIENCE], "username_claim": "email"}),
}
SEEN: dict[str, dict[str, tuple[str | None, str, set[str]]]] = {  # username, client_id, scopes
    "keycloak": {
        "access": ("x:ann", "x:shop-web", {"default-roles-a", "offline_access", "uma_authorization", "boss", "orders"}),
        "access of a service": (None, "x:robot", {"default-roles-a", "offline_access", "uma_authorization", "boss", "orders"}),
    },
    "entra": {
        "access version 2.0": ("x:77777777-3333-4333-8333-333333333333", f"x:{APP}", {"Orders.Read", "Orders.Write"}),
        "access version 1.0": ("x:77777777-3333-4333-8333-333333333333", f"x:{APP}", {"Orders.Read", "Orders.Write"}),
        "access of a daemon": (None, f"x:{APP}", {"Orders.Read.All"}),
    },
    "auth0": {
        "access of its own profile": (
            "x:auth0|6553da60a54af58e29493993",
            "x:K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja",
            {"read:orders", "write:orders", "boss"},
        ),
        "access of a machine": (None, "x:K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja", {"read:orders", "write:orders", "boss"}),
    },
    "cognito": {
        "access": ("x:ann", "x:3n4b5urk1ft4fl3mg5e62d9ado", {"openid", "https://api.example.com/read"}),
        "access of a machine": (None, "x:3n4b5urk1ft4fl3mg5e62d9ado", {"https://api.example.com/read"}),
    },
    "google": {
        "access by a person's ID token": ("x:ann@example.com", "x:1234987819200.apps.example", set()),
    },
}


@pytest.fixture
def provider() -> Iterator[Issuer]:
    with issuer("/x") as made:
        yield made


def signed(provider: Issuer, shape: tuple[Shape, Shape]) -> str:
    key, algorithm = provider.keys["k1"]
    return signed_by(key, {"alg": algorithm, "kid": "k1", **shape[0]}, {"iss": provider.name, **shape[1]})


@pytest.mark.parametrize("name", PROVIDERS)
def test_access_tokens_of_the_provider_pass_and_nothing_else_that_it_signs(name: str, provider: Issuer, clock: Clock) -> None:
    """R164, A064: an ID token, a refresh token, a logout token in an access token's place; a token for another audience"""
    shapes, settings = PROVIDERS[name]
    gateway, app = gate(entry(provider, profile=name, prefix="x:", **settings))
    made = shapes(int(clock()))
    assert sum(case.startswith("access") for case in made) >= 2 and len(made) >= 5
    for case, shape in made.items():
        calls = app.calls
        good = case.startswith("access")
        assert call(gateway, signed(provider, shape)).status_code == (200 if good else 401), case
        assert app.calls == calls + good
        seen = SEEN[name].get(case)
        if seen is not None:
            token = app.environ["oauth_gateway.token"]
            assert (token.username, token.client_id, token.scopes) == seen, case
            assert app.environ.get("REMOTE_USER") == seen[0] and (token.user_id is None) == (seen[0] is None)


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_token_of_one_kind_is_refused_where_another_kind_is_expected(name: str, provider: Issuer, clock: Clock) -> None:
    """Without the profile's settings nobody is a person, and RFC 9068 demands its typ"""
    shapes, _ = PROVIDERS[name]
    gateway, app = gate(entry(provider, audience=[AUDIENCE, API, f"api://{API}", "1234987819200.apps.example"]))
    for case, shape in shapes(int(clock())).items():
        passes = case == "access after RFC 9068"
        assert call(gateway, signed(provider, shape)).status_code == (200 if passes else 401), case
    assert "REMOTE_USER" not in app.environ


def test_google_writes_its_name_in_two_ways(provider: Issuer, clock: Clock) -> None:
    settings = {"audience": AUDIENCE, "profile": "google", "jwks_uri": provider.base + provider.jwks}
    gateway, app = gate(entry(provider, **{**settings, "issuer": "https://accounts.google.com"}))
    claims = google(int(clock()))["access by a service's ID token"][1]
    for name in ("https://accounts.google.com", "accounts.google.com"):
        assert call(gateway, signed(provider, ({"typ": "JWT"}, {**claims, "iss": name}))).status_code == 200
        assert app.environ["oauth_gateway.token"].issuer == "https://accounts.google.com"
    assert call(gateway, signed(provider, ({"typ": "JWT"}, {**claims, "iss": "http://accounts.google.com"}))).status_code == 401


def test_of_several_tenants_whose_tokens_the_same_keys_sign_only_those_listed_are_accepted(clock: Clock) -> None:
    """Microsoft Entra: the keys are the same for all, `iss` tells"""
    tenants = [f"{number}b1f5c1e-0000-4000-8000-1c5a3c2c7a11" for number in range(3)]
    header, claims = entra(int(clock()))["access version 2.0"]
    with issuer() as microsoft:

        def signed(tenant: str, **changes: Any) -> str:
            name = {"iss": f"{microsoft.base}/{tenant}/v2.0", "tid": tenant, **changes}
            return signed_by(microsoft.keys["k1"][0], {"alg": "RS256", "kid": "k1", **header}, {**claims, **name})

        listed = [
            entry(microsoft, issuer=f"{microsoft.base}/{tenant}/v2.0", profile="entra", audience=API) for tenant in tenants
        ]
        for each in listed:
            each["jwks_uri"] = microsoft.base + microsoft.jwks
        gateway, app = gate(*listed[:2])
        assert [call(gateway, signed(tenant)).status_code for tenant in tenants] == [200, 200, 401]
        assert call(gateway, signed("common")).status_code == call(gateway, signed("{tenantid}")).status_code == 401
        assert app.calls == 2
