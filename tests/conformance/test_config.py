"""The Config OP conformance profile and the discovery modules of the logout profiles, and of the Dynamic profile what can be
asked of `clients.create`, one test a module (`docs/conformance.md`).
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from oauth_gateway.errors import ConfigurationError
from oauth_gateway.testing import Clock

from ..conftest import World, make_world
from ..peers import Peer, answer
from .checks import CALLBACK
from .parts import PERSON
from .suite import Suite

ISSUERS = ("https://api.example.com", "https://api.example.com/tenant")
REQUIRED = (
    "issuer authorization_endpoint token_endpoint userinfo_endpoint jwks_uri response_types_supported"
    " subject_types_supported id_token_signing_alg_values_supported scopes_supported claims_supported grant_types_supported"
)
FLAG = re.compile(r"(?:parameter|logout|logout_session)_supported\Z")
LOCALE = re.compile(r"[a-z]{2,3}(?:-[A-Z][a-z]{3})?(?:-(?:[A-Z]{2}|[0-9]{3}))?\Z")
SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+\Z")


@pytest.fixture(params=ISSUERS, ids=["host", "path"])
def discovered(request: pytest.FixtureRequest, clock: Clock) -> dict[str, Any]:
    """The document, once its status, content type, schema and URLs have been checked."""
    suite = Suite(make_world("sqlite://", clock, base=request.param))
    response = suite.send("GET", f"{request.param}/.well-known/openid-configuration")
    assert response.status_code == 200 and response.content_type == "application/json"
    document: dict[str, Any] = response.json
    assert document["issuer"] == request.param, "the address of the document without what is well known of it"
    assert set(REQUIRED.split()) <= document.keys()
    for name, value in document.items():
        if name == "issuer" or name.endswith(("_endpoint", "_uri")):
            parts = urlsplit(value)
            assert parts.scheme == "https" and parts.hostname and not parts.query and not parts.fragment, name
        elif FLAG.search(name):
            assert type(value) is bool, name
        else:
            assert name.endswith("_supported") and isinstance(value, list) and value, name
            assert all(isinstance(item, str) and item for item in value) and len(set(value)) == len(value), name
    assert [key for key in suite.jwks() if key["alg"] == "RS256"]
    return document


def test_oidcc_discovery_endpoint_verification(discovered: dict[str, Any]) -> None:
    """The document is where its issuer says, of the right form, and names what every OpenID provider must have."""
    assert discovered["response_types_supported"] == ["code"]
    assert set(discovered["subject_types_supported"]) == {"public", "pairwise"}
    assert "RS256" in discovered["id_token_signing_alg_values_supported"]
    assert "RS256" in discovered["userinfo_signing_alg_values_supported"]
    assert {"authorization_code", "refresh_token"} <= set(discovered["grant_types_supported"])
    scopes = discovered["scopes_supported"]
    assert {"openid", *PERSON} <= set(scopes) and all(SCOPE.match(scope) for scope in scopes)
    told = {name for claims in PERSON.values() for name in claims}
    assert {"sub", "iss", "auth_time", "acr", *told} <= set(discovered["claims_supported"])
    assert discovered["claims_parameter_supported"] is True
    assert discovered["request_parameter_supported"] is discovered["request_uri_parameter_supported"] is False
    assert discovered["code_challenge_methods_supported"] == ["S256"]
    for name in ("ui_locales_supported", "claims_locales_supported"):
        assert all(LOCALE.match(locale) for locale in discovered.get(name, []))


def test_oidcc_rp_initiated_logout_discovery_endpoint_verification(discovered: dict[str, Any]) -> None:
    """The same document names the end_session_endpoint."""
    assert discovered["end_session_endpoint"].startswith(discovered["issuer"])


def test_oidcc_backchannel_logout_discovery_endpoint_verification(discovered: dict[str, Any]) -> None:
    """The same document says that logout tokens are sent, and with a sid."""
    assert discovered["backchannel_logout_supported"] is discovered["backchannel_logout_session_supported"] is True
    assert discovered["end_session_endpoint"].startswith(discovered["issuer"])


def test_oidcc_frontchannel_logout_discovery_endpoint_verification(discovered: dict[str, Any]) -> None:
    """The same document says that relying parties are told in the browser, and with iss and sid."""
    assert discovered["frontchannel_logout_supported"] is discovered["frontchannel_logout_session_supported"] is True
    assert discovered["end_session_endpoint"].startswith(discovered["issuer"])


# -- Dynamic OP


def test_oidcc_ensure_redirect_uri_in_authorization_request(world: World) -> None:
    """A request without redirect_uri from a client with two of them is an error page."""
    suite = Suite(world)
    party = suite.register(redirect_uris=[CALLBACK, f"{CALLBACK}/2"])
    suite.page(suite.visit(suite.request(party, redirect_uri=None)))


def test_oidcc_redirect_uri_query_OK(world: World) -> None:
    """The query of a registered redirect URI stays, and our parameters come behind it."""
    suite = Suite(world)
    suite.flow(suite.register(callback=f"{CALLBACK}?foo=bar"))


def test_oidcc_redirect_uri_query_mismatch(world: World) -> None:
    """A redirect URI with another query than the registered one is an error page."""
    suite = Suite(world)
    party = suite.register(callback=f"{CALLBACK}?foo=bar")
    suite.page(suite.visit(suite.request(party, redirect_uri=f"{CALLBACK}?bar=foo")))


def test_oidcc_redirect_uri_query_added(world: World) -> None:
    """A redirect URI with a query where none was registered is an error page."""
    suite = Suite(world)
    suite.page(suite.visit(suite.request(redirect_uri=f"{CALLBACK}?foo=bar")))


def test_oidcc_redirect_uri_regfrag(memory_world: World) -> None:
    """A redirect URI with a fragment cannot be registered."""
    with pytest.raises(ConfigurationError, match="it has a fragment"):
        memory_world.clients.create(now=0, redirect_uris=[f"{CALLBACK}#foobar"])


def test_oidcc_ensure_request_without_nonce_fails(clock: Clock) -> None:
    """A response type that hands out an ID token at once needs a nonce; these are off by default."""
    suite = Suite(make_world("sqlite://", clock, features="default hybrid"), "fragment")
    party = suite.register(response_types=["code id_token"])
    sent = suite.request(party, response_type="code id_token", nonce=None, response_mode=None)
    assert suite.error(suite.visit(sent), sent) == "invalid_request"


def registered_with_sector(clock: Clock, listed: list[str]) -> tuple[Suite, dict[str, Any]]:
    """The members of a pairwise client, as far as they can be registered, whose sector document lists `listed`."""
    with Peer(answer(json.dumps(listed)), tls=False) as peer:
        suite = Suite(make_world("sqlite://", clock, fetch_private_networks=["127.0.0.0/8"]))
        uri = peer.url("/sector.json", "127.0.0.1")
        party = suite.register(subject_type="pairwise", sector_identifier_uri=uri)
    return suite, suite.flow(party).claims


def test_oidcc_registration_sector_uri(clock: Clock) -> None:
    """A client all of whose redirect URIs are in its sector document is registered, and knows people by ids of its own."""
    suite, claims = registered_with_sector(clock, [CALLBACK, f"{CALLBACK}/2"])
    assert claims["sub"] != suite.flow().claims["sub"]


def test_oidcc_registration_sector_bad(clock: Clock) -> None:
    """One with a redirect URI that its sector document does not list is not."""
    with pytest.raises(ConfigurationError, match=f"does not list {CALLBACK}"):
        registered_with_sector(clock, [f"{CALLBACK}/2"])
