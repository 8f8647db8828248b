"""A real browser uses the app itself by its session, while other sites try to: neighbours on the same host, and strangers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from wsgiref.simple_server import make_server

import pytest

from oauth_gateway import OAuthGateway
from oauth_gateway.sessions import Sessions

from .conftest import PASSWORD

pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.by import By

from .test_browser import Quiet, Server, chromium, log_in, until  # noqa: F401
from .test_browser_pages import AXE, look, overflow, picture, violations
from .test_foreign_clients import needs_node

ROUTES = [
    "GET,HEAD /public/** public",
    "* /shop/** session scope=read",
    "* /pay session max_age=5m",
    "GET /odd session acr=urn:two",
]
FORM = """<!doctype html><title>shop</title>Welcome to the shop, {}
<form method=post action=/shop/order><input name=what value=cake><button>Order</button></form>"""
EVIL = """<!doctype html><title>evil</title><body>evil<script>
const shop = new URLSearchParams(location.search).get('shop');
window.results = {};
async function attack() {
  for (const [name, mode] of [['read', 'no-cors'], ['order', 'no-cors'], ['cors', 'cors']]) {
    const post = name == 'order';
    try { await fetch(shop + '/shop/' + name, {mode, credentials: 'include', method: post ? 'POST' : 'GET',
      body: post ? 'what=poison' : undefined}); } catch (e) {}
  }
  const image = new Image(); image.src = shop + '/shop/image'; document.body.append(image);
  const frame = document.createElement('iframe'); frame.src = shop + '/shop/frame'; document.body.append(frame);
  const login = document.createElement('iframe'); login.src = shop + '/authorize/login'; document.body.append(login);
  await new Promise(r => setTimeout(r, 1000));
  window.results.done = true;
}
function send(path, fields) {
  const form = document.createElement('form'); form.method = 'post'; form.action = shop + path;
  for (const name in fields) {
    const field = document.createElement('input'); field.name = name; field.value = fields[name]; form.append(field);
  }
  document.body.append(form); form.submit();
}
</script></body>"""


class Shop:
    """The app: it counts what reaches it, and by whom."""

    def __init__(self) -> None:
        self.reached: list[tuple[str, str, str | None]] = []
        self.orders: list[bytes] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.reached.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("REMOTE_USER")))
        if environ["REQUEST_METHOD"] == "POST":
            self.orders.append(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            body = "Thank you for your order"
        else:
            body = FORM.format(environ.get("REMOTE_USER", "stranger"))
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store")])
        return [body.encode()]


def evil(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [EVIL.encode()]


class Site:
    """The shop, its neighbour (another port of the same host: cookies go along) and a stranger (another host)."""

    def __init__(self, base: str, port: int, gateway: OAuthGateway, app: Shop) -> None:
        self.base, self.gateway, self.app = base, gateway, app
        self.neighbour, self.stranger = (
            f"http://127.0.0.1:{port}/?shop={quote(base)}",
            f"http://localhost:{port}/?shop={quote(base)}",
        )


@pytest.fixture
def site() -> Iterator[Site]:
    app = Shop()
    gateway = OAuthGateway(app, database="sqlite://", scopes=["read"], routes=ROUTES, brand={"name": "Shop"})
    gateway.server.users.create("ann", PASSWORD, 0)
    gateway.server.users.create("mallory", PASSWORD, 0)
    with (
        make_server("127.0.0.1", 0, gateway, Server, Quiet) as server,
        make_server("127.0.0.1", 0, evil, Server, Quiet) as other,
    ):
        for one in (server, other):
            threading.Thread(target=one.serve_forever, daemon=True).start()
        yield Site(f"http://127.0.0.1:{server.server_port}", other.server_port, gateway, app)
        for one in (server, other):
            one.shutdown()


def enter(window: Any, site: Site) -> None:
    window.get(f"{site.base}/shop/?q=1&r=2")
    until(window, "Sign in")
    log_in(window)
    until(window, "Welcome to the shop, ann")
    assert window.current_url == f"{site.base}/shop/?q=1&r=2"


def end_everywhere(site: Site) -> None:
    users, store = site.gateway.server.users, site.gateway.store
    for session in store.sessions(users.named("ann").user_id):
        store.end_session(0, sid=session.sid)


def test_a_person_is_led_to_the_login_page_and_back_and_signs_out(chromium: Any, site: Site) -> None:  # noqa: F811
    window = chromium
    enter(window, site)
    window.find_element(By.TAG_NAME, "button").click()
    until(window, "Thank you for your order")
    assert site.app.orders == [b"what=cake"] and site.app.reached[-1] == ("POST", "/shop/order", "ann")
    ask = """const [url, headers, done] = arguments; fetch(url, {headers}).then(r => done(r.status + ' ' + r.redirected))"""
    assert window.execute_async_script(ask, f"{site.base}/shop/x", {}) == "200 false"
    end_everywhere(site)
    assert window.execute_async_script(ask, f"{site.base}/shop/x", {}) == "401 false", "a script is told, not led"
    assert window.execute_async_script(ask, f"{site.base}/shop/x", {"Accept": "text/html"}) == "401 false"
    enter(window, site)
    window.get(f"{site.base}/authorize/logout")
    window.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
    until(window, "signed out")
    window.get(f"{site.base}/shop/")
    until(window, "Sign in")


def test_a_form_stays_in_its_window_until_its_person_has_signed_in(chromium: Any, site: Site) -> None:  # noqa: F811
    window = chromium
    enter(window, site)
    field = window.find_element(By.NAME, "what")
    field.clear()
    field.send_keys("a long letter")
    end_everywhere(site)
    window.find_element(By.TAG_NAME, "button").click()
    until(window, "stays in this window")
    picture(window, "form-kept")
    assert site.app.orders == []
    first = window.current_window_handle
    window.find_element(By.CSS_SELECTOR, "main a").click()
    window.switch_to.window(next(handle for handle in window.window_handles if handle != first))
    until(window, "Sign in")
    log_in(window)
    until(window, "signed in")
    window.switch_to.window(first)
    window.execute_cdp_cmd("Page.reload", {})
    until(window, "Thank you for your order")
    assert site.app.orders == [b"what=a+long+letter"]


def test_a_person_signs_in_again_where_a_page_wants_a_recent_login(chromium: Any, site: Site) -> None:  # noqa: F811
    window = chromium
    enter(window, site)
    user = site.gateway.server.users.named("ann")
    value, _ = Sessions(site.gateway.settings, site.gateway.store, site.gateway.server.sealer).start(
        user, None, time.time() - 3600
    )
    name = window.get_cookies()[0]["name"]
    window.delete_all_cookies()
    window.add_cookie({"name": name, "value": value, "path": "/", "httpOnly": True, "sameSite": "Lax"})
    window.get(f"{site.base}/shop/")
    until(window, "Welcome to the shop, ann")  # an hour ago
    window.get(f"{site.base}/pay?x=1")
    until(window, "sign in again")
    picture(window, "sign-in-again")
    log_in(window)
    until(window, "Welcome to the shop, ann")
    assert window.current_url == f"{site.base}/pay?x=1"
    window.get(f"{site.base}/odd")
    until(window, "authentication is required")
    until(window, "Not allowed")
    assert window.current_url == f"{site.base}/odd", "no way leads there, so nobody is sent around"


@pytest.mark.parametrize("who", ["neighbour", "stranger"])
def test_other_sites_read_send_and_frame_nothing(chromium: Any, site: Site, who: str) -> None:  # noqa: F811
    """A048, A049"""
    window = chromium
    enter(window, site)
    window.get(getattr(site, who))
    before = len(site.app.reached)
    window.execute_script("attack()")
    for _ in range(100):
        if window.execute_script("return window.results.done"):
            break
        threading.Event().wait(0.1)
    assert window.execute_script("return window.results.done") and site.app.reached[before:] == []
    window.execute_script("send('/shop/order', {what: 'poison'})")
    until_answered(window, site)
    assert site.app.orders == [] and site.app.reached[before:] == []
    window.get(f"{site.base}/shop/")
    until(window, "Welcome to the shop, ann")


def arrive(window: Any, address: str) -> None:
    for _ in range(100):
        if window.current_url.startswith(address):
            return
        threading.Event().wait(0.05)
    raise AssertionError(f"{window.current_url} and not {address}")


def until_answered(window: Any, site: Site) -> None:
    arrive(window, site.base)
    assert "access_denied" in window.page_source or "unauthorized" in window.page_source, window.page_source


@pytest.mark.parametrize("who", ["neighbour", "stranger"])
def test_no_other_site_signs_a_person_in_as_somebody_else(chromium: Any, site: Site, who: str) -> None:  # noqa: F811
    """A048, A050: login CSRF, and a cookie that a neighbour puts there"""
    window = chromium
    window.get(getattr(site, who))
    window.execute_script("send('/authorize/login', {username: 'mallory', password: arguments[0], next: '/shop/'})", PASSWORD)
    until(window, "not sent from this site")
    enter(window, site)
    hers, _ = Sessions(site.gateway.settings, site.gateway.store, site.gateway.server.sealer).start(
        site.gateway.server.users.named("mallory"), None, time.time()
    )
    name = window.get_cookies()[0]["name"]
    window.get(getattr(site, who))
    for path in ("/shop", "/"):
        window.execute_script("document.cookie = `${arguments[0]}=${arguments[1]}; path=${arguments[2]}`", name, hers, path)
    window.get(f"{site.base}/shop/")
    if who == "neighbour":
        until(window, "You are signed in")  # with another path than /shop; there two came, and neither was believed
        picture(window, "go-on")
        window.find_element(By.CSS_SELECTOR, "main a").click()
        until(window, "You are signed in")  # and nobody is sent around by itself
    else:
        until(window, "Welcome to the shop, ann")
    assert not [reached for reached in site.app.reached if reached[2] == "mallory"]


@pytest.mark.parametrize(
    "target", ["//localhost:{}", "/\\localhost:{}", "http:localhost:{}", "/\t/localhost:{}", "/%09/localhost:{}"]
)
def test_no_next_leads_a_browser_elsewhere(chromium: Any, site: Site, target: str) -> None:  # noqa: F811
    """R024, A044"""
    window, port = chromium, site.stranger.split("/")[2].partition(":")[2]
    window.get(f"{site.base}/authorize/login?next={quote(target.format(port))}")
    log_in(window)
    for _ in range(100):
        if "next=" not in window.current_url and window.find_elements(By.TAG_NAME, "h1"):
            break
        threading.Event().wait(0.05)
    assert window.current_url.startswith(f"{site.base}/"), window.current_url
    assert window.title != "evil"


@pytest.mark.parametrize("tag", ["en", "ar"])
def test_the_pages_on_these_roads_are_accessible(chromium: Any, site: Site, tag: str) -> None:  # noqa: F811
    """Pictures are kept, by day, by night and as a phone shows them"""
    needs_node(AXE)
    window, suffix = chromium, "" if tag == "en" else "-rtl"
    agent = window.execute_script("return navigator.userAgent")
    window.execute_cdp_cmd("Network.setUserAgentOverride", {"userAgent": agent, "acceptLanguage": tag})

    def looked_at(page: str) -> None:
        assert window.find_element(By.TAG_NAME, "html").get_attribute("lang") == tag
        for name, scheme, width in (("light", "light", 1000), ("dark", "dark", 1000), ("phone", "light", 390)):
            look(window, scheme, width)
            picture(window, f"{page}{suffix}-{name}")
            assert violations(window) == [] and overflow(window) == 0, f"{page} {name}"
        look(window)

    window.get(f"{site.base}/shop/")
    log_in(window)
    until(window, "Welcome to the shop, ann")
    window.get(f"{site.base}/authorize/login?next=/shop/&max_age=0")
    looked_at("sign-in-again")
    window.get(f"{site.base}/authorize/login?next=/shop/")
    looked_at("go-on")
    window.get(f"{site.base}/odd")
    looked_at("denied")
    window.find_element(By.CSS_SELECTOR, "main a").click()
    arrive(window, f"{site.base}/authorize/logout")
    window.get(f"{site.base}/shop/")
    until(window, "Welcome to the shop, ann")
    end_everywhere(site)
    window.find_element(By.TAG_NAME, "button").click()
    for _ in range(100):
        if window.find_elements(By.CSS_SELECTOR, "main a[target]"):
            break
        threading.Event().wait(0.05)
    looked_at("form-kept")
