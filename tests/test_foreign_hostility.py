"""Servers that are slow, down, huge, lying or lead elsewhere, and tokens of others where only ours belong."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator

import pytest

from oauth_gateway.foreign import refreshed
from oauth_gateway.testing import Clock

from .conftest import CALLBACK, make_world, send
from .issuers import Issuer, entry, gate, issuer
from .peers import Peer, answer, drip
from .test_command_line import free_port
from .test_destinations import LITERALS, SPELLINGS, Connects, connects
from .test_foreign_introspection import TEXT, asking
from .test_foreign_jwts import call
from .test_foreign_keys import json_reply, settled

__all__ = ["connects"]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
Makes = Callable[[Issuer], Peer]


@pytest.fixture
def other() -> Iterator[Issuer]:
    with issuer() as made:
        yield made


BOMB = gzip.compress(b'{"keys": [' + b" " * 30_000_000 + b"]}")
ILL: dict[str, Makes] = {
    "says nothing": lambda other: Peer(lambda peer, connection: peer.gone.wait(30) and None, tls=False),
    "says nothing of TLS": lambda other: Peer(b"", handshake=False),
    "a byte at a time": lambda other: Peer(drip(HEAD + b"Content-Length: 60000\r\n\r\n", b" "), tls=False),
    "headers without end": lambda other: Peer(drip(HEAD, b"X: y\r\n", 0.0005), tls=False),
    "chunks without end": lambda other: Peer(
        drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", 0.0005), tls=False
    ),
    "a gzip bomb": lambda other: Peer(answer(BOMB, Content_Encoding="gzip"), tls=False),
    "ten megabytes": lambda other: Peer(answer(b'{"keys": [' + b" " * 10_000_000 + b"]}"), tls=False),
    "an end too early": lambda other: Peer(HEAD + b'Content-Length: 500\r\n\r\n{"keys": [', tls=False),
    "no HTTP": lambda other: Peer(b"\x00\xff" * 500, tls=False),
    "a redirect": lambda other: Peer(answer("", "302 Found", Location=other.base + other.jwks), tls=False),
    "a redirect of the other kind": lambda other: Peer(answer("", "308 X", Location=other.base + other.jwks), tls=False),
}


@pytest.mark.parametrize("ill", ILL)
def test_a_key_server_that_is_ill_costs_no_worker(ill: str, other: Issuer, clock: Clock) -> None:
    """A086, A087: a second at most, then nothing; who needs it not does not wait, and no worker of ours is busy for it"""
    with issuer() as second, ILL[ill](other) as peer:
        gateway, app = gate(entry(other, jwks_uri=peer.url("/jwks", "127.0.0.1")), entry(second))
        began, spent = time.monotonic(), time.process_time()
        first = call(gateway, other.token(clock))
        assert first.status_code == 503 and time.monotonic() - began < refreshed.PATIENCE + 1
        began = time.monotonic()
        for number in range(20):
            assert call(gateway, other.token(clock, jti=f"j{number}")).status_code == 503
            assert call(gateway, second.token(clock, jti=f"j{number}")).status_code == 200
        assert time.monotonic() - began < refreshed.PATIENCE + 1 and app.calls == 20
        assert peer.connections <= 2 and not other.asked
        peer.gone.set()
        settled(gateway)
        assert time.process_time() - spent < 5


def test_a_key_server_that_is_down_costs_no_worker(other: Issuer, clock: Clock) -> None:
    gateway, app = gate(entry(other, jwks_uri=f"http://127.0.0.1:{free_port()}/jwks"))
    began = time.monotonic()
    for _ in range(50):
        assert call(gateway, other.token(clock)).status_code == 503
    assert time.monotonic() - began < 1.5 and not app.calls


PLACES = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")


def test_metadata_leads_to_no_address_that_is_not_public(other: Issuer, clock: Clock, connects: Connects) -> None:
    """A084, A086: for keys and for questions about tokens"""
    here = ("127.", "localhost", "[::ffff:127.", "[64:ff9b::7f00:1]")  # which the entry allows
    hosts = [host for host in LITERALS + SPELLINGS if not host.startswith(here)]
    urls = [f"https://{host}/x" for host in hosts]
    urls += [f"http://{host}/x" for host in ("169.254.169.254", "keys.example", "192.168.0.1")]
    urls += [
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "ftp://127.0.0.1/",
        "unix:/run/x.sock",
        "//127.0.0.1/",
        "",
        "https://",
    ]
    urls += [other.base.replace("http://", "http://a:b@"), other.base + "/x#y", other.base + "/ x"]
    for url in urls:
        document = {**other.metadata(), "jwks_uri": url, "introspection_endpoint": url}
        for place in PLACES:
            other.replies[place] = json_reply(document)
        gateway, app = gate(entry(other, **{**asking(other), "tokens": "jwt opaque"}))
        for text in (other.token(clock), TEXT):
            refused = call(gateway, text)
            assert refused.status_code == 503 and not app.calls, url
            assert refused.json["error_description"] == "Please try again in a moment."
    assert set(connects.made) == {"127.0.0.1"} and set(other.asked) <= set(PLACES)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status: int, other: Issuer, clock: Clock) -> None:
    """A086: of metadata, keys and answers about tokens; the secret goes nowhere else"""
    with issuer() as elsewhere, Peer(answer("", f"{status} X", Location=elsewhere.base + "/x"), tls=False) as peer:
        at = peer.url("/x", "127.0.0.1")
        for changes in ({"jwks_uri": at}, {"introspection_endpoint": at}, {"issuer": peer.url("", "127.0.0.1").rstrip("/")}):
            gateway, app = gate(asking(other, tokens="jwt opaque", **changes))
            name = changes.get("issuer", other.name)
            text = TEXT if "introspection_endpoint" in changes else other.token(clock, iss=name)
            assert call(gateway, text).status_code == 503 and not app.calls
        assert peer.requests and not elsewhere.asked


def test_tokens_of_others_are_worth_nothing_in_any_other_place(other: Issuer, clock: Clock) -> None:
    """A064: of our own server, whatever it takes: as code, refresh token, assertion, hint, or to be asked about"""
    world = make_world(
        "sqlite://", clock, trusted_issuers=[asking(other, tokens="jwt opaque", username_claim="sub", prefix="")]
    )
    sub = world.gateway.server.users.create("eve", "another long pass phrase", clock()).user_id
    jwt = other.token(clock, sub=sub, client_id=world.confidential.client_id)
    other.describe(clock, TEXT, sub=sub, client_id=world.confidential.client_id)
    for text in (jwt, TEXT):
        assert world.call(text).status_code == 200
        assert world.refresh(text).status_code == 400 and world.redeem(text).status_code == 400
        assert world.introspect(text).json == {"active": False}
        assert world.revoke(text).status_code == 200 and world.call(text).status_code == 200
        assert world.call(text, "/token/userinfo").status_code == 401
        form = {
            "grant_type": "client_credentials",
            "client_assertion": text,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        }
        assert send(world.gateway, "POST", "/token", form, base=world.base).json["error"] == "invalid_client"
        hinted = world.authorize_url(id_token_hint=text, scope="openid", prompt="none")
        assert "error=" in str(world.browser().open(hinted).location) or world.browser().open(hinted).status_code == 400
        logout = world.browser().open("/authorize/logout", {"id_token_hint": text, "post_logout_redirect_uri": CALLBACK})
        assert not str(logout.location).startswith(CALLBACK)
