"""The modules of the logout conformance profiles, RP-initiated, back-channel and front-channel, one test a module
(`docs/conformance.md`). Their discovery modules are in `test_config.py`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from urllib.parse import parse_qs, parse_qsl

import pytest

from oauth_gateway import jose
from oauth_gateway.testing import Clock

from ..conftest import World, make_world
from ..peers import Peer, answer
from .checks import BYE, SITE, header_of, unsigned
from .parts import Page, Visit
from .suite import Flow, Suite

EVENT = "http://schemas.openid.net/event/backchannel-logout"


@pytest.fixture
def suite(world: World) -> Suite:
    return Suite(world)


@pytest.fixture
def state() -> str:
    """A long one, as the suite sends it."""
    return secrets.token_hex(64)


def end(suite: Suite, flow: Flow, **changes: str | None) -> Visit:
    """A complete logout request with `changes`."""
    members = {"id_token_hint": flow.tokens["id_token"], "post_logout_redirect_uri": BYE, **changes}
    return suite.end_session(**{name: value for name, value in members.items() if value is not None})


def signed_out_on_a_page(suite: Suite, visit: Visit) -> None:
    assert visit.page.status_code == 200 and "You are signed out" in visit.page.text and not visit.url
    assert suite.is_signed_out()


def test_oidcc_rp_initiated_logout(suite: Suite, state: str) -> None:
    """The browser comes to the post_logout_redirect_uri with the state, and prompt=none fails afterwards."""
    visit = end(suite, suite.flow(), state=state)
    suite.gone_to(visit, state)
    assert visit.confirmed == 0 and suite.is_signed_out()


def test_oidcc_rp_initiated_logout_bad_post_logout_redirect_uri(suite: Suite, state: str) -> None:
    """An address that was not registered is not gone to."""
    suite.page(end(suite, suite.flow(), post_logout_redirect_uri=f"{BYE}_bad", state=state))


def test_oidcc_rp_initiated_logout_modified_id_token_hint(suite: Suite, state: str) -> None:
    """A hint whose signature was taken away leads nowhere: it is as good as none."""
    flow = suite.flow()
    visit = end(suite, flow, id_token_hint=unsigned(flow.claims), state=state)
    assert visit.confirmed == 1
    signed_out_on_a_page(suite, visit)


def test_oidcc_rp_initiated_logout_bad_id_token_hint(suite: Suite, state: str) -> None:
    """A hint that another key signed leads nowhere: it is as good as none."""
    flow = suite.flow()
    kid = header_of(flow.tokens["id_token"])["kid"]
    foreign = jose.encode(jose.generate("RS256"), "RS256", kid, "JWT", flow.claims)
    visit = end(suite, flow, id_token_hint=foreign, state=state)
    assert visit.confirmed == 1
    signed_out_on_a_page(suite, visit)


def test_oidcc_rp_initiated_logout_no_id_token_hint(suite: Suite) -> None:
    """An address for which nobody stands is not gone to: the person is asked, and stays here."""
    visit = end(suite, suite.flow(), id_token_hint=None)
    assert visit.confirmed == 1
    signed_out_on_a_page(suite, visit)


def test_oidcc_rp_initiated_logout_no_params(suite: Suite) -> None:
    """Without any parameter the person is signed out and told so."""
    suite.flow()
    signed_out_on_a_page(suite, suite.end_session())


def test_oidcc_rp_initiated_logout_no_post_logout_redirect_uri(suite: Suite, state: str) -> None:
    """Without an address to go to the person is signed out and told so."""
    signed_out_on_a_page(suite, end(suite, suite.flow(), post_logout_redirect_uri=None, state=state))


def test_oidcc_rp_initiated_logout_no_state(suite: Suite) -> None:
    """Without a state there is none at the post_logout_redirect_uri."""
    suite.gone_to(end(suite, suite.flow()), None)
    assert suite.is_signed_out()


def test_oidcc_rp_initiated_logout_only_state(suite: Suite, state: str) -> None:
    """With a state alone the person is signed out and told so."""
    suite.flow()
    signed_out_on_a_page(suite, suite.end_session(state=state))


def test_oidcc_rp_initiated_logout_query_added_to_post_logout_redirect_uri(suite: Suite, state: str) -> None:
    """The registered address with a query behind it is not gone to."""
    suite.page(end(suite, suite.flow(), post_logout_redirect_uri=f"{BYE}?foo=bar", state=state))


@pytest.fixture
def relying_party() -> Iterator[Peer]:
    """The suite's end of the back channel: an HTTP server on this machine."""
    with Peer(answer("", Content_Type="", Cache_Control="no-store"), tls=False) as peer:
        yield peer


@pytest.mark.parametrize("prefix", ["", "/oauth"])
def test_oidcc_backchannel_rp_initiated_logout(
    clock: Clock, relying_party: Peer, state: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The logout token, in a posted form with nothing else, is signed and says whose session ended; then as RP-initiated."""
    monkeypatch.setattr("oauth_gateway.jobs.Jobs.start", lambda self: None)  # the test does the work of its thread
    world = make_world("sqlite://", clock, prefix=prefix, fetch_private_networks=["127.0.0.0/8"])
    suite = Suite(world, backchannel_logout_uri=relying_party.url("/backchannel_logout", "127.0.0.1"))
    flow = suite.flow()
    clock.advance(1)
    suite.gone_to(end(suite, flow, state=state), state)
    assert world.gateway.server.jobs.work() == 1

    (request,) = relying_party.requests
    head, _, body = request.decode("ascii").partition("\r\n\r\n")
    assert head.startswith("POST /backchannel_logout HTTP/1.1\r\n")
    assert "content-type: application/x-www-form-urlencoded" in head.lower().split("\r\n")
    ((name, token),) = parse_qsl(body, strict_parsing=True)
    assert name == "logout_token" and header_of(token)["typ"] == "logout+jwt"
    claims = suite.signed(token, suite.first)
    assert claims.pop("jti") and claims.pop("exp") > clock() >= claims.pop("iat") > flow.claims["iat"]
    assert claims == {
        "iss": suite.metadata["issuer"],
        "aud": suite.first.client.client_id,
        "sub": flow.claims["sub"],
        "sid": flow.claims["sid"],
        "events": {EVENT: {}},
    }
    assert suite.is_signed_out()


def test_oidcc_frontchannel_rp_initiated_logout(world: World, state: str) -> None:
    """The browser shows the frontchannel_logout_uri with iss and sid and nothing else, then goes on; prompt=none fails."""
    suite = Suite(world, frontchannel_logout_uri=f"{SITE}/frontchannel_logout")
    flow = suite.flow()
    visit = end(suite, flow, state=state)
    page = Page(visit.page.text)
    (frame,) = page.frames
    place, _, query = frame.partition("?")
    assert place == f"{SITE}/frontchannel_logout"
    assert parse_qs(query, strict_parsing=True) == {"iss": [suite.metadata["issuer"]], "sid": [flow.claims["sid"]]}
    suite.gone_to(Visit(visit.page, url=page.links["next"]), state)
    assert suite.is_signed_out()
