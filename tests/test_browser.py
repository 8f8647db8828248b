"""A real browser through login, consent, denial and errors, and a hostile script on the same origin."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlencode
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest

from oauth_gateway import OAuthGateway
from oauth_gateway.clients import Clients

from .conftest import CHALLENGE, PASSWORD, needs

webdriver = pytest.importorskip("selenium.webdriver")
from selenium.common.exceptions import WebDriverException  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402

EVIL = """<!doctype html><title>evil</title><body>evil<script>
window.results = {};
async function attack(url) {
  try {
    const r = await fetch(url, {credentials: 'include'});
    results.fetch = r.status + ' ' + (await r.text()).includes('name="decision"');
  }
  catch (e) { results.fetch = 'error'; }
  const frame = document.createElement('iframe'); frame.src = url; document.body.append(frame);
  const popup = window.open(url, 'x');
  await new Promise(r => setTimeout(r, 2500));
  try { results.frame = String(!!(frame.contentDocument && frame.contentDocument.querySelector('[name=decision]'))); }
  catch (e) { results.frame = 'blocked'; }
  try { results.popup = String(!!(popup && popup.document && popup.document.querySelector('[name=decision]'))); }
  catch (e) { results.popup = 'blocked'; }
  results.done = true;
}
</script>"""


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = EVIL if environ["PATH_INFO"] == "/evil" else "<title>client</title>back at the client"
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [body.encode()]


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[str, str, str]]:
    """The base URL, a client_id and its redirect URI."""
    gateway = OAuthGateway(
        app,
        database="sqlite://",
        scopes={"read": "Read your things", "write": "Change your things"},
        routes="GET /** public",
        brand={"name": "Example", "colour": "#7c3aed"},
    )
    with make_server("127.0.0.1", 0, gateway, Server, Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        gateway.server.users.create("ann", PASSWORD, 0)
        clients = Clients(gateway.settings, gateway.store, gateway.events, gateway.server.sealer)
        callback = f"{base}/callback"
        client, _ = clients.create(now=0, client_name="Holiday Photos", redirect_uris=[callback])
        yield base, client.client_id, callback
        server.shutdown()


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Any]:
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    needs(bool(browser and driver), "Chromium and its driver are not installed (Debian: apt install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in (
        "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --disable-popup-blocking --disable-dev-shm-usage"
    ).split():
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    window = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    window.set_page_load_timeout(30)
    yield window
    window.quit()


def url(site: tuple[str, str, str], **changes: str) -> str:
    base, client_id, callback = site
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": callback,
        "scope": "read write",
        "state": "s t",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changes,
    }
    return f"{base}/authorize?{urlencode(query)}"


def log_in(window: Any, password: str = PASSWORD) -> None:
    for name, value in (("username", "ann"), ("password", password)):
        field = window.find_element(By.NAME, name)
        field.clear()
        field.send_keys(value)
    window.find_element(By.CSS_SELECTOR, "button[type=submit]").click()


def until(window: Any, text: str) -> None:
    """Wait for the page that shows `text`."""
    for _ in range(100):
        try:
            if text in window.find_element(By.TAG_NAME, "body").text:
                return
        except WebDriverException:
            pass  # the page is changing
        threading.Event().wait(0.05)
    raise AssertionError(f"{text!r} is not on {window.current_url}: {window.find_element(By.TAG_NAME, 'body').text}")


def decide(window: Any, decision: str) -> None:
    window.find_element(By.CSS_SELECTOR, f"button[value={decision}]").click()


def test_a_person_signs_in_allows_denies_and_signs_out(chromium: Any, site: tuple[str, str, str]) -> None:
    window = chromium
    window.get(url(site))
    log_in(window, "a wrong password")
    until(window, "not right")
    log_in(window)
    until(window, "Holiday Photos asks for access")
    assert "Read your things" in window.page_source and "127.0.0.1" in window.page_source
    decide(window, "allow")
    until(window, "back at the client")
    assert window.current_url.startswith(site[2] + "?code=oga1_ac_") and "state=s%20t" in window.current_url
    window.back()
    until(window, "asks for access")
    decide(window, "allow")  # the back button and a second click: the same answer
    until(window, "back at the client")
    assert window.current_url.startswith(site[2] + "?code=")
    window.get(url(site))
    decide(window, "deny")
    until(window, "back at the client")
    assert "error=access_denied" in window.current_url and "code=" not in window.current_url
    window.get(url(site, redirect_uri="https://evil.test/"))
    assert "not registered" in window.page_source
    window.get(site[0] + "/authorize/login")
    assert "You are signed in" in window.page_source
    window.find_element(By.CSS_SELECTOR, "button").click()
    until(window, "You are signed out")
    window.get(url(site))
    assert window.find_element(By.NAME, "password")


def test_a_hostile_script_on_the_same_origin_cannot_consent(chromium: Any, site: tuple[str, str, str]) -> None:
    """A048, A049, DESIGN section 8"""
    window = chromium
    window.get(url(site))
    log_in(window)
    until(window, "asks for access")
    window.get(site[0] + "/evil")
    window.execute_script("attack(arguments[0])", url(site))
    for _ in range(100):
        results = window.execute_script("return window.results")
        if results.get("done"):
            break
        threading.Event().wait(0.1)
    assert results["fetch"] == "403 false", results
    assert results["frame"] in ("false", "blocked"), results
    assert results["popup"] in ("false", "blocked"), results


def test_the_pages_make_one_request_and_break_no_policy(chromium: Any, site: tuple[str, str, str]) -> None:
    window = chromium
    window.get(url(site))
    assert window.execute_script("return performance.getEntriesByType('resource').length") <= 1  # a favicon at most
    background = window.execute_script("return getComputedStyle(document.querySelector('button')).backgroundColor")
    assert background == "rgb(124, 58, 237)", "the brand's colour, so the style sheet passed the policy"
