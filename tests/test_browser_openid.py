"""A real browser through OpenID's pages: claims, choosing an account, form_post, and signing out in every way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode
from wsgiref.simple_server import make_server

import pytest

from oauth_gateway import OAuthGateway, clock
from oauth_gateway.clients import Clients

from .conftest import CHALLENGE, PASSWORD, VERIFIER, send

pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.by import By

from .test_browser import Quiet, Server, chromium, decide, log_in, until  # noqa: F401

POSTED: list[dict[str, list[str]]] = []
OPENED: list[str] = []


def party(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The relying party, on another origin: it redirects after a posted answer, as many do."""
    if environ["REQUEST_METHOD"] == "POST":
        POSTED.append(parse_qs(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode()))
        start_response(
            "303 See Other", [("Location", f"http://localhost:{environ['SERVER_PORT']}/done"), ("Content-Length", "0")]
        )
        return [b""]
    OPENED.append(f"{environ['PATH_INFO']}?{environ['QUERY_STRING']}")
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [b"<title>party</title>back at the party"]


class Site:
    """A gateway and a relying party that has registered everything."""

    def __init__(self, base: str, elsewhere: str, gateway: OAuthGateway) -> None:
        self.base, self.elsewhere, self.gateway = base, elsewhere, gateway
        clients = Clients(gateway.settings, gateway.store, gateway.events, gateway.server.sealer)
        self.client, self.secret = clients.create(
            now=0,
            client_name="Holiday Photos",
            redirect_uris=[f"{elsewhere}/cb"],
            post_logout_redirect_uris=[f"{elsewhere}/bye"],
            frontchannel_logout_uri=f"{elsewhere}/front",
            token_endpoint_auth_method="client_secret_post",
        )
        gateway.server.users.create("ann", PASSWORD, 0)

    def url(self, **changes: str) -> str:
        query = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": f"{self.elsewhere}/cb",
            "scope": "openid email",
            "state": "s t",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            **changes,
        }
        return f"{self.base}/authorize?{urlencode(query)}"

    def redeem(self, code: str) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": f"{self.elsewhere}/cb",
            "code_verifier": VERIFIER,
            "client_id": self.client.client_id,
            "client_secret": str(self.secret),
        }
        answer: dict[str, Any] = send(self.gateway, "POST", "/token", form, base=self.base).json
        return answer


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with make_server("127.0.0.1", 0, party, Server, Quiet) as other, make_server("127.0.0.1", 0, None, Server, Quiet) as server:
        base, elsewhere = f"http://127.0.0.1:{server.server_port}", f"http://127.0.0.1:{other.server_port}"
        gateway = OAuthGateway(None, issuer=base, database="sqlite://", brand={"name": "Example", "colour": "#0f766e"})
        server.set_app(gateway)
        for one in (server, other):
            threading.Thread(target=one.serve_forever, daemon=True).start()
        yield Site(base, elsewhere, gateway)
        for one in (server, other):
            one.shutdown()


def code_of(window: Any) -> str:
    return parse_qs(window.current_url.partition("?")[2])["code"][0]


def test_a_posted_answer_arrives_and_the_party_may_redirect(chromium: Any, site: Site) -> None:  # noqa: F811
    """R213: the policy breaks neither the script nor the redirect that follows; the code is in no address"""
    window = chromium
    window.get(site.url(response_mode="form_post", claims='{"userinfo": {"phone_number": null}}'))
    log_in(window)
    until(window, "asks for access")
    assert "See your e-mail address" in window.page_source and "See your phone number" in window.page_source
    POSTED.clear()
    decide(window, "allow")
    until(window, "back at the party")
    assert window.current_url.startswith("http://localhost:") and "code" not in window.current_url
    (answer,) = POSTED
    assert answer["state"] == ["s t"] and answer["iss"] == [site.base]
    assert "id_token" in site.redeem(answer["code"][0])


def test_choosing_an_account(chromium: Any, site: Site) -> None:  # noqa: F811
    window = chromium
    window.get(site.url())
    log_in(window)
    until(window, "asks for access")
    window.get(site.url(prompt="select_account"))
    until(window, "Choose an account")
    window.find_element(By.CSS_SELECTOR, "a.button").click()
    until(window, "asks for access")
    window.get(site.url(prompt="select_account"))
    window.find_element(By.CSS_SELECTOR, "button").click()
    until(window, "Sign in")
    assert window.find_element(By.NAME, "password")


def test_signing_out_by_the_party_tells_it_in_a_frame_and_goes_back(chromium: Any, site: Site) -> None:  # noqa: F811
    """R214; front-channel logout"""
    window = chromium
    window.get(site.url())
    log_in(window)
    until(window, "asks for access")
    decide(window, "allow")
    until(window, "back at the party")
    tokens = site.redeem(code_of(window))
    OPENED.clear()
    leaving = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": f"{site.elsewhere}/bye", "state": "x"}
    window.get(f"{site.base}/authorize/logout?{urlencode(leaving)}")
    until(window, "back at the party")
    assert window.current_url == f"{site.elsewhere}/bye?state=x"
    assert any(path.startswith("/front?iss=http") and "&sid=" in path for path in OPENED), OPENED
    window.get(f"{site.base}/authorize/account")
    assert window.find_element(By.NAME, "password"), "signed out"


def test_signing_out_is_asked_about_and_sessions_are_listed(chromium: Any, site: Site) -> None:  # noqa: F811
    window = chromium
    window.get(f"{site.base}/authorize/login")
    log_in(window)
    until(window, "You are signed in")
    value = site.gateway.server.users.named("ann")
    from oauth_gateway.sessions import Sessions

    Sessions(site.gateway.settings, site.gateway.store, site.gateway.server.sealer).start(value, None, clock.now())
    window.get(f"{site.base}/authorize/account")
    until(window, "Another browser")
    window.find_element(By.CSS_SELECTOR, "button[aria-label^='Sign out there: Another browser']").click()
    for _ in range(100):
        if "Another browser" not in window.page_source:
            break
        threading.Event().wait(0.05)
    until(window, "You are signed in")
    assert "Another browser" not in window.page_source
    window.get(f"{site.base}/authorize/logout?{urlencode({'client_id': site.client.client_id})}")
    until(window, "Holiday Photos asks whether you want to sign out")
    window.find_element(By.CSS_SELECTOR, "button").click()
    until(window, "You are signed out")
