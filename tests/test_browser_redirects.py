"""A real browser leaves our forms for clients that send it on: to another origin, to a program on the device, to loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode
from wsgiref.simple_server import make_server

import pytest

from oauth_gateway import OAuthGateway
from oauth_gateway.clients import Clients

from .conftest import CHALLENGE, PASSWORD

pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.by import By

from .test_browser import Quiet, Server, chromium, decide, log_in, until  # noqa: F401

APP = "com.example.app:/cb"
TELL = "addEventListener('securitypolicyviolation', event => { window.violated = event.effectiveDirective })"
LEAVE = """const form = document.createElement('form'); form.method = 'post'; form.action = arguments[0];
document.body.append(form); form.submit()"""


class Elsewhere:
    """The client's callback on one origin, which redirects to its pages on another one, or to a program on the device."""

    port = 0

    def __init__(self) -> None:
        self.called: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        path = environ["PATH_INFO"]
        self.called.append(path)
        if path in ("/cb", "/out"):
            start_response("302 Found", [("Location", f"http://pages.localhost:{self.port}/home?{environ['QUERY_STRING']}")])
            return [b""]
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [b"<title>client</title>home at the client"]


class Site:
    def __init__(self, base: str, there: str, gateway: OAuthGateway, elsewhere: Elsewhere) -> None:
        self.base, self.there, self.gateway, self.elsewhere = base, there, gateway, elsewhere
        clients = Clients(gateway.settings, gateway.store, gateway.events, gateway.server.sealer)
        web = {"redirect_uris": [f"{there}/cb"], "post_logout_redirect_uris": [f"{there}/out"]}
        self.web, _ = clients.create(now=0, client_name="Web", **web)
        uris = [APP, "http://127.0.0.1/cb", "http://[::1]/cb"]
        self.app, _ = clients.create(now=0, client_name="App", redirect_uris=uris, token_endpoint_auth_method="none")

    def url(self, client: Any, uri: str, **more: str) -> str:
        query = {"response_type": "code", "client_id": client.client_id, "redirect_uri": uri, "scope": "openid", **more}
        return f"{self.base}/authorize?{urlencode({**query, 'code_challenge': CHALLENGE, 'code_challenge_method': 'S256'})}"


@pytest.fixture
def site() -> Iterator[Site]:
    elsewhere = Elsewhere()
    with (
        make_server("127.0.0.1", 0, None, Server, Quiet) as server,
        make_server("127.0.0.1", 0, elsewhere, Server, Quiet) as other,
    ):
        elsewhere.port = other.server_port
        base = f"http://127.0.0.1:{server.server_port}"
        gateway = OAuthGateway(elsewhere, issuer=base, database="sqlite://", routes="GET /out session")
        gateway.server.users.create("ann", PASSWORD, 0)
        server.set_app(gateway)
        for one in (server, other):
            threading.Thread(target=one.serve_forever, daemon=True).start()
        yield Site(base, f"http://localhost:{other.server_port}", gateway, elsewhere)
        for one in (server, other):
            one.shutdown()


def violated(window: Any) -> Any:
    threading.Event().wait(0.7)
    return window.execute_script("return window.violated")


def test_a_form_of_ours_leads_to_clients_that_redirect_to_another_origin(chromium: Any, site: Site) -> None:  # noqa: F811
    window = chromium
    window.get(site.url(site.web, f"{site.there}/cb"))
    log_in(window)
    until(window, "asks for access")
    decide(window, "allow")
    until(window, "home at the client")
    assert window.current_url.startswith("http://pages.localhost") and "code=" in window.current_url
    window.get(site.url(site.web, f"{site.there}/cb"))
    decide(window, "deny")
    until(window, "home at the client")
    assert "error=access_denied" in window.current_url
    window.get(site.url(site.web, f"{site.there}/cb", prompt="login", acr_values="x", response_mode="fragment"))
    log_in(window)
    until(window, "asks for access")
    decide(window, "allow")
    until(window, "home at the client")
    query = {"client_id": site.web.client_id, "post_logout_redirect_uri": f"{site.there}/out"}
    window.get(f"{site.base}/authorize/logout?{urlencode(query)}")
    window.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
    until(window, "home at the client")
    window.get(f"{site.base}/out?q=1")  # a page of the app, which redirects too
    log_in(window)
    until(window, "home at the client")
    assert window.current_url.endswith("/home?q=1")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_form_of_ours_leads_to_a_program_on_loopback(chromium: Any, site: Site, host: str) -> None:  # noqa: F811
    window = chromium
    window.get(site.url(site.app, f"http://{host}:{site.elsewhere.port}/cb"))
    log_in(window)
    until(window, "asks for access")
    window.execute_script(TELL)
    decide(window, "allow")
    if host == "127.0.0.1":
        until(window, "home at the client")
    else:  # nobody listens there; the browser went
        threading.Event().wait(0.7)
        assert window.current_url.startswith(f"http://{host}:{site.elsewhere.port}/cb?code="), window.current_url


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_a_form_of_ours_leads_to_a_program_with_a_scheme_of_its_own(
    chromium: Any,  # noqa: F811
    site: Site,
    decision: str,
) -> None:
    """Chromium asks the system for it, and the page stays"""
    window = chromium
    window.get(site.url(site.app, APP))
    log_in(window)
    until(window, "asks for access")
    window.execute_script(TELL)
    decide(window, decision)
    assert violated(window) is None and (len(site.gateway.store.tokens()) == 0)
    until(window, "asks for access")


def test_forms_that_stay_with_us_lead_nowhere_else(chromium: Any, site: Site) -> None:  # noqa: F811
    """And the listener of the other tests hears of it where one does"""
    window = chromium
    for path in ("/authorize/login", "/authorize/account", "/authorize/account/password", "/authorize/logout"):
        window.get(f"{site.base}{path}")
        window.execute_script(TELL)
        window.execute_script(LEAVE, f"{site.there}/taken")
        assert violated(window) == "form-action" and "/taken" not in site.elsewhere.called, path
        if path.endswith("login"):
            window.get(f"{site.base}{path}")
            log_in(window)
            until(window, "You are signed in")
