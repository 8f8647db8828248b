"""Attacks on people in a real browser: riding on their consent, deciding for them, finishing elsewhere what they began."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode
from wsgiref.simple_server import make_server

import pytest

from oauth_gateway import OAuthGateway
from oauth_gateway.clients import Clients

from .conftest import CHALLENGE, PASSWORD

pytest.importorskip("selenium.webdriver")
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By

from .test_browser import Quiet, Server, chromium, decide, until  # noqa: F401
from .test_browser_pages import look, overflow, picture

CALLBACK = "https://localhost:1/cb"  # nobody listens there: the address tells where the browser went
RIDE = """<!doctype html><title>evil</title><body>evil<script>
window.results = {};
const url = new URLSearchParams(location.search).get('url');
function put(tag, name, value) {
  const made = document.createElement(tag); made[name] = value; document.body.append(made); return made;
}
async function ride() {
  for (const each of [url, url + '&prompt=none', url + '&response_mode=form_post']) {
    for (const mode of ['no-cors', 'cors'])
      for (const method of ['GET', 'POST'])
        try { await fetch(each, {mode, method, credentials: 'include', redirect: 'follow'}); } catch (e) {}
    put('img', 'src', each); put('script', 'src', each); put('embed', 'src', each); put('object', 'data', each);
    put('video', 'src', each); put('iframe', 'src', each);
    const named = put('iframe', 'name', 'f' + document.forms.length);
    const form = put('form', 'action', each); form.target = named.name; form.method = 'post';
    const field = document.createElement('input'); field.name = 'decision'; field.value = 'allow'; form.append(field);
    form.submit();
    const prefetch = put('link', 'rel', 'prefetch'); prefetch.href = each;
  }
  await new Promise(r => setTimeout(r, 1500));
  window.results.done = true;
}
function post(path, fields) {
  const form = put('form', 'action', path); form.method = 'post';
  for (const name in fields) {
    const field = document.createElement('input'); field.name = name; field.value = fields[name]; form.append(field);
  }
  form.submit();
}
</script></body>"""


class Site:
    def __init__(self, base: str, stranger: str, gateway: OAuthGateway) -> None:
        self.base, self.stranger, self.gateway = base, stranger, gateway
        clients = Clients(gateway.settings, gateway.store, gateway.events, gateway.server.sealer)
        self.client, _ = clients.create(now=0, client_name="Shop", redirect_uris=[CALLBACK])
        self.granted: list[Any] = []
        authorize = gateway.store.authorize
        gateway.store.authorize = lambda *given: self.granted.append(given) or authorize(*given)  # type: ignore[method-assign]

    def url(self, **more: str) -> str:
        query = {"response_type": "code", "client_id": self.client.client_id, "redirect_uri": CALLBACK, "scope": "read", **more}
        return f"{self.base}/authorize?{urlencode({**query, 'code_challenge': CHALLENGE, 'code_challenge_method': 'S256'})}"

    def evil(self, **more: str) -> str:
        return f"{self.stranger}/?url={quote(self.url(**more))}"


def evil(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [RIDE.encode()]


@pytest.fixture
def site() -> Iterator[Site]:
    with (
        make_server("127.0.0.1", 0, None, Server, Quiet) as server,
        make_server("127.0.0.1", 0, evil, Server, Quiet) as other,
    ):
        base = f"http://127.0.0.1:{server.server_port}"
        gateway = OAuthGateway(
            evil, issuer=base, database="sqlite://", scopes=["read", "write"], routes=["GET /odd session acr=urn:two"]
        )
        for name in ("ann", "mallory"):
            gateway.server.users.create(name, PASSWORD, 0)
        server.set_app(gateway)
        for one in (server, other):
            threading.Thread(target=one.serve_forever, daemon=True).start()
        yield Site(base, f"http://localhost:{other.server_port}", gateway)
        for one in (server, other):
            one.shutdown()


def log_in(window: Any, name: str = "ann") -> None:
    for field, value in (("username", name), ("password", PASSWORD)):
        element = window.find_element(By.NAME, field)
        element.clear()
        element.send_keys(value)
    window.find_element(By.CSS_SELECTOR, "button[type=submit]").click()


def until_at(window: Any, address: str) -> None:
    for _ in range(100):
        if window.current_url.startswith(address):
            return
        threading.Event().wait(0.05)
    raise AssertionError(f"{window.current_url}, not {address}")


def agree(window: Any, site: Site) -> None:
    """And to the same again: it is remembered."""
    window.get(site.url())
    log_in(window)
    until(window, "asks for access")
    decide(window, "allow")
    until_at(window, f"{CALLBACK}?code=")
    opened(window, site.url())
    until_at(window, f"{CALLBACK}?code=")


def opened(window: Any, url: str) -> None:
    """Go there, where nobody may listen in the end."""
    try:
        window.get(url)
    except WebDriverException as error:
        if "ERR_CONNECTION_REFUSED" not in str(error):
            raise


def test_no_other_site_rides_on_a_remembered_consent(chromium: Any, site: Site) -> None:  # noqa: F811
    """A049, A052: no fetch, image, frame, form in a frame or prefetch gets a code made"""
    window = chromium
    agree(window, site)
    before = len(site.granted)
    assert before == 2
    window.get(site.evil())
    window.execute_script("ride()")
    for _ in range(100):
        if window.execute_script("return window.results.done"):
            break
        threading.Event().wait(0.1)
    assert window.execute_script("return window.results.done") and len(site.granted) == before
    opened(window, site.url(scope="read write"))
    until(window, "asks for access")  # more than was agreed to


def test_no_other_site_decides_for_a_person(chromium: Any, site: Site) -> None:  # noqa: F811
    """A048, R021: consent CSRF, also with a form that its owner got for themselves"""
    window = chromium
    window.get(site.url())
    log_in(window, "mallory")
    until(window, "asks for access")
    hers = fields(window)
    window.delete_all_cookies()
    window.get(site.url())
    log_in(window)
    until(window, "asks for access")
    for sent in ({"decision": "allow"}, {**hers, "decision": "allow"}):
        window.get(site.evil())
        window.execute_script("post(arguments[0], arguments[1])", f"{site.base}/authorize", sent)
        until(window, "not sent from this site")
    assert site.granted == []


def fields(window: Any) -> dict[str, str]:
    """The hidden fields of the consent form."""
    found = window.find_elements(By.CSS_SELECTOR, "form.choice input[type=hidden]")
    return {element.get_attribute("name"): element.get_attribute("value") for element in found}


def test_what_was_begun_in_one_browser_is_not_finished_in_another(chromium: Any, site: Site) -> None:  # noqa: F811
    """A051: neither by somebody else nor by the same person"""
    window = chromium
    window.get(site.url(state="first"))
    log_in(window)
    until(window, "asks for access")
    first = fields(window)
    for name in ("mallory", "ann"):
        window.delete_all_cookies()  # as another browser has others
        window.get(f"{site.base}/authorize/login")
        log_in(window, name)
        until(window, "You are signed in")
        window.execute_script(
            """const form = document.createElement('form'); form.method = 'post'; form.action = arguments[0];
            for (const name in arguments[1]) {
              const field = document.createElement('input'); field.name = name; field.value = arguments[1][name];
              form.append(field);
            }
            document.body.append(form); form.submit()""",
            f"{site.base}/authorize",
            {**first, "decision": "allow"},
        )
        until(window, "no longer current")
        assert site.granted == []
        window.find_element(By.CSS_SELECTOR, "main a.button").click()
        until(window, "asks for access")  # of whoever is here now


@pytest.mark.parametrize("name", ["W" * 255, "ש" * 200, "<b>x</b>&amp;<script>alert(1)</script>", "王" * 200, "a' onload=\"x"])
def test_a_person_s_name_of_any_length_and_script_stays_in_its_place(chromium: Any, site: Site, name: str) -> None:  # noqa: F811
    """A054: on every page that names who is signed in, on a narrow phone"""
    window = chromium
    site.gateway.server.users.create(name, PASSWORD, 0)
    window.get(f"{site.base}/authorize/login")
    log_in(window, name)
    until(window, "You are signed in")
    look(window, width=320)
    for path in (
        "/authorize/account",
        "/authorize/account/password",
        "/authorize/login?next=/x",
        "/authorize/logout",
        "/odd",
        site.url().removeprefix(site.base),
        site.url(prompt="select_account").removeprefix(site.base),
    ):
        window.get(f"{site.base}{path}")
        shown = [element.get_property("textContent") for element in window.find_elements(By.CSS_SELECTOR, "bdi")]
        assert name in shown, (path, shown)
        assert overflow(window) <= 0, path
    picture(window, f"name-{name[:1]}" if name[:1].isalnum() else "name-markup")
