"""Every page in a real browser with its scripts switched off: accessible, narrow, dark, from right to left, kept as pictures.

The pictures go to `build/screenshots`, or to GATEWAY_SCREENSHOTS.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from wsgiref.simple_server import make_server

import pytest

from oauth_gateway import OAuthGateway, clock
from oauth_gateway.clients import Clients
from oauth_gateway.languages import TAGS, languages
from oauth_gateway.sessions import Sessions

from .conftest import CHALLENGE, PASSWORD
from .test_foreign_clients import needs_node

pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from .test_browser import Quiet, Server, chromium, until  # noqa: F401

AXE = Path(__file__).parent / "accessibility"
PICTURES = Path(os.environ.get("GATEWAY_SCREENSHOTS") or Path(__file__).parent.parent / "build" / "screenshots")
PAGES = (
    "login",
    "login-wrong",
    "consent",
    "consent-device",
    "continue",
    "form_post",
    "choose",
    "account",
    "password",
    "password-wrong",
    "error",
    "error-again",
    "logout",
    "signing_out",
    "logged_out",
)


def party(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The relying party: it takes what is posted, and has a form that is too long for an address."""
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [b"<title>party</title>back at the party<form method=post></form>"]


class Site:
    """A gateway for everybody in the world."""

    def __init__(self, base: str, elsewhere: str, gateway: OAuthGateway) -> None:
        self.base, self.elsewhere, self.gateway = base, elsewhere, gateway
        clients = Clients(gateway.settings, gateway.store, gateway.events, gateway.server.sealer)
        shared: dict[str, Any] = {"now": 0, "frontchannel_logout_uri": f"{elsewhere}/front"}
        self.web, _ = clients.create(
            client_name="Holiday Photos",
            redirect_uris=[f"{elsewhere}/cb"],
            **shared,
            **{"client_name#ar": "صور العطلة", "client_name#ja": "休日の写真"},
        )
        self.app, _ = clients.create(
            now=0,
            client_name="Photo Uploader",
            redirect_uris=["com.example.uploader:/cb"],
            token_endpoint_auth_method="none",
        )
        gateway.server.users.create("Ann Example", PASSWORD, 0)

    def sign_in_elsewhere(self) -> None:
        """At two browsers, of one of which nothing is known."""
        server = self.gateway.server
        for device in ("Firefox on Windows", ""):
            Sessions(server.settings, server.store, server.sealer).start(
                server.users.named("Ann Example"), None, clock.now(), device
            )

    def named(self, name: str) -> Any:
        clients = Clients(self.gateway.settings, self.gateway.store, self.gateway.events, self.gateway.server.sealer)
        return clients.create(now=0, client_name=name, redirect_uris=[f"{self.elsewhere}/cb"])[0]

    def end_sessions(self) -> None:
        """As their end or the person at another browser would."""
        store, now = self.gateway.store, time.time()
        user = self.gateway.server.users.named("Ann Example")
        for session in store.sessions(user.user_id, ""):
            store.end_session(now, sid=session.sid, user_id=user.user_id)

    def url(self, **changes: str) -> str:
        return f"{self.base}/authorize?{urlencode(self.query(**changes))}"

    def query(self, **changes: str) -> dict[str, str]:
        return {
            "response_type": "code",
            "client_id": self.web.client_id,
            "redirect_uri": f"{self.elsewhere}/cb",
            "scope": "openid email photos:read photos:write",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            **changes,
        }


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with make_server("127.0.0.1", 0, party, Server, Quiet) as other, make_server("127.0.0.1", 0, None, Server, Quiet) as server:
        base, elsewhere = f"http://127.0.0.1:{server.server_port}", f"http://localhost:{other.server_port}"
        descriptions = {
            "photos:read": {"en": "See your photos", "de": "Ihre Fotos sehen", "ar": "عرض صورك", "ja": "写真を見る"},
            "photos:write": {"en": "Add photos and change their titles", "ar": "إضافة صور وتغيير عناوينها"},
        }
        brand = {"name": "Example", "colour": "#0f766e", "logo": str(Path(__file__).parent / "accessibility" / "logo.svg")}
        gateway = OAuthGateway(None, issuer=base, database="sqlite://", scopes=descriptions, brand=brand)
        server.set_app(gateway)
        for one in (server, other):
            threading.Thread(target=one.serve_forever, daemon=True).start()
        yield Site(base, elsewhere, gateway)
        for one in (server, other):
            one.shutdown()


class Walk:
    """A person's way past every page, in one language."""

    def __init__(self, window: Any, site: Site, tag: str) -> None:
        self.window, self.site = window, site
        window.execute_cdp_cmd("Network.enable", {})
        window.execute_cdp_cmd("Network.setExtraHTTPHeaders", {"headers": {"Accept-Language": f"{tag}, en;q=0.1"}})

    def log_in(self, password: str) -> None:
        for name, value in (("username", "Ann Example"), ("password", password)):
            field = self.window.find_element(By.NAME, name)
            field.clear()
            field.send_keys(value)
        self.click("button[type=submit]")

    def click(self, selector: str) -> None:
        """Press what leads on, and wait for the page behind it."""
        element = self.window.find_element(By.CSS_SELECTOR, selector)
        element.click()
        for _ in range(200):
            try:
                element.is_enabled()
            except Exception:  # it is of the page before
                return
            threading.Event().wait(0.02)
        raise AssertionError(f"{selector} leads nowhere on {self.window.current_url}")

    def post_long(self) -> None:
        """What a party does whose request is too long for an address."""
        scripts(self.window, True)
        self.window.get(f"{self.site.elsewhere}/")
        fields = {**self.site.query(), "state": "s" * 5000}
        inputs = "".join(f'<input type="hidden" name="{name}" value="{value}">' for name, value in fields.items())
        form = f'<form method="post" action="{self.site.base}/authorize">{inputs}<button>go</button></form>'
        self.window.execute_script("document.body.innerHTML = arguments[0]", form)
        scripts(self.window, False)
        self.click("button")

    def pages(self) -> Iterator[str]:
        """The names of PAGES, each while it is shown: loaded without its scripts, and open to those of the test."""
        for page in self._pages():
            scripts(self.window, True)
            yield page
            scripts(self.window, False)
        scripts(self.window, True)

    def _pages(self) -> Iterator[str]:
        window, site = self.window, self.site
        scripts(window, False)
        window.get(site.url())
        yield "login"
        self.log_in("a wrong password")
        yield "login-wrong"
        self.log_in(PASSWORD)
        yield "consent"
        self.click("button[value=allow]")
        assert window.current_url.startswith(f"{site.elsewhere}/cb?code=")
        window.get(site.url(client_id=site.app.client_id, redirect_uri="com.example.uploader:/cb"))
        yield "consent-device"
        self.post_long()
        yield "continue"
        window.get(site.url(response_mode="form_post"))
        self.click("button[value=allow]")
        yield "form_post"
        self.click("button")
        assert window.current_url == f"{site.elsewhere}/cb"
        window.get(site.url(prompt="select_account"))
        yield "choose"
        site.sign_in_elsewhere()
        window.get(f"{site.base}/authorize/account")
        yield "account"
        window.get(f"{site.base}/authorize/account/password")
        yield "password"
        for field in ("password", "new_password", "new_password_again"):
            window.find_element(By.NAME, field).send_keys("a wrong password")
        self.click("button[type=submit]")
        yield "password-wrong"
        window.get(site.url(redirect_uri="https://evil.test/"))
        yield "error"
        window.get(site.url(prompt="login"))
        window.delete_all_cookies()
        self.log_in(PASSWORD)
        yield "error-again"
        self.click("a.button")
        self.log_in(PASSWORD)
        self.click("button[value=allow]")
        window.get(f"{site.base}/authorize/logout?client_id={site.web.client_id}")
        yield "logout"
        self.click("button[type=submit]")
        yield "signing_out"
        self.click("#next")
        yield "logged_out"


def scripts(window: Any, on: bool) -> None:
    """Whether what runs in the page may run: our pages must do without."""
    window.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not on})


def look(window: Any, scheme: str = "light", width: int = 1000, height: int = 800, **features: str) -> None:
    """Show the page in another light or size."""
    wanted = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce", **features}
    listed = [{"name": name.replace("_", "-"), "value": value} for name, value in wanted.items()]
    window.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": listed})
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def picture(window: Any, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    width, height = window.execute_script("return [innerWidth, document.documentElement.scrollHeight]")
    metrics = {"width": width, "height": max(height, 800), "deviceScaleFactor": 1, "mobile": width < 500}
    window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)  # all of it
    window.save_screenshot(str(PICTURES / f"{name}.png"))


def violations(window: Any) -> list[str]:
    """What axe-core finds against WCAG 2.2 AA and its own best practices."""
    window.execute_script((AXE / "node_modules" / "axe-core" / "axe.min.js").read_text())
    run = "axe.run().then(found => arguments[0](found.violations), error => arguments[0]([{id: String(error), nodes: []}]))"
    found = window.execute_async_script(run)
    return [f"{each['id']}: {node['html']} {node['failureSummary']}" for each in found for node in each["nodes"] or [{}]]


def overflow(window: Any) -> int:
    """Pixels by which the page is wider than its window."""
    return int(window.execute_script("return document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"))


@pytest.mark.parametrize("tag", ["en", "ar"])
def test_every_page_is_accessible_by_day_by_night_on_a_phone_and_from_right_to_left(
    chromium: Any,  # noqa: F811
    site: Site,
    tag: str,
) -> None:
    """Pictures of each page are kept. No page needs a script, and none makes a second request."""
    needs_node(AXE)
    window, seen, suffix = chromium, [], "" if tag == "en" else "-rtl"
    walk = Walk(window, site, tag)
    for page in walk.pages():
        seen.append(page)
        html = window.find_element(By.TAG_NAME, "html")
        assert (html.get_attribute("lang"), html.get_attribute("dir")) == (tag, languages()[tag].direction)
        assert window.execute_script("return performance.getEntriesByType('resource').length") <= (
            2 if page == "signing_out" else 1
        )
        for name, scheme, width in (("light", "light", 1000), ("dark", "dark", 1000), ("phone", "light", 390)):
            look(window, scheme, width)
            picture(window, f"{page}{suffix}-{name}")
            assert violations(window) == [], f"{page} {name}"
        look(window)
    assert seen == list(PAGES)


def test_the_judge_of_accessibility_judges(chromium: Any, site: Site) -> None:  # noqa: F811
    needs_node(AXE)
    window = chromium
    window.get(site.url())
    spoil = "document.querySelector('label').remove(); document.querySelector('h1').style.color = '#ccc'"
    window.execute_script(spoil)
    found = {text.partition(":")[0] for text in violations(window)}
    assert {"label", "color-contrast"} <= found, found


def test_pages_stand_in_forced_colours_with_their_edges(chromium: Any, site: Site) -> None:  # noqa: F811
    window = chromium
    window.get(site.url())
    look(window, "dark", forced_colors="active")
    edge = window.execute_script("return getComputedStyle(document.querySelector('button')).borderTopWidth")
    assert edge == "1px" and window.execute_script("return matchMedia('(forced-colors: active)').matches")
    picture(window, "login-forced-colours")


def test_the_keyboard_alone_signs_in_and_allows(chromium: Any, site: Site) -> None:  # noqa: F811
    """The focus is seen wherever it stands, and Tab reaches everything in the order of the page."""
    window = chromium
    window.get(site.url())
    press(window, "Ann Example", Keys.TAB, PASSWORD, Keys.ENTER)
    until(window, "asks for access")
    reached = []
    for _ in range(3):
        press(window, Keys.TAB)
        focused = window.switch_to.active_element
        assert focused.value_of_css_property("outline-width") == "3px"
        reached.append(focused.text)
    assert reached == ["Allow", "Deny", "Not you? Sign out"]
    window.find_element(By.CSS_SELECTOR, "button[value=allow]").send_keys(Keys.ENTER)
    until(window, "back at the party")
    assert "code=" in window.current_url


def test_two_tabs_the_back_button_and_a_double_click_lead_where_they_should(chromium: Any, site: Site) -> None:  # noqa: F811
    """A053: nothing is a dead end, and no tab gets the answer of another"""
    window = chromium
    window.get(site.url(state="one"))
    one = window.current_window_handle
    window.switch_to.new_window("tab")
    window.get(site.url(state="two"))
    log_in(window)
    until(window, "asks for access")
    two = window.current_window_handle
    window.switch_to.window(one)  # its login page is from before the login of the other tab
    log_in(window)
    until(window, "Start again")
    window.find_element(By.CSS_SELECTOR, "a.button").click()
    until(window, "asks for access")
    window.find_element(By.CSS_SELECTOR, "button[value=allow]").click()
    until(window, "back at the party")
    assert "state=one" in window.current_url
    window.switch_to.window(two)
    button = window.find_element(By.CSS_SELECTOR, "button[value=allow]")
    ActionChains(window).double_click(button).perform()
    until(window, "back at the party")
    assert "state=two" in window.current_url and "code=" in window.current_url
    window.back()
    until(window, "asks for access")
    window.find_element(By.CSS_SELECTOR, "button[value=deny]").click()  # the answer was another one: nothing new is decided
    until(window, "answered before")


def test_the_back_button_finds_a_page_after_a_wrong_password(chromium: Any, site: Site) -> None:  # noqa: F811
    """A053: and not the browser's question whether to send the form again"""
    window = chromium
    window.get(site.url(state="kept"))
    log_in(window, "a wrong password")
    until(window, "not right")
    assert window.find_element(By.NAME, "username").get_attribute("value") == "Ann Example"
    log_in(window)
    until(window, "asks for access")
    for _ in range(2):
        window.back()
        until(window, "asks for access")
    window.find_element(By.CSS_SELECTOR, "button[value=allow]").click()
    until(window, "back at the party")
    assert "state=kept" in window.current_url and "code=" in window.current_url


def test_a_login_that_has_ended_meanwhile_starts_the_request_again(chromium: Any, site: Site) -> None:  # noqa: F811
    window = chromium
    window.get(site.url(state="kept"))
    log_in(window)
    until(window, "asks for access")
    site.end_sessions()
    window.find_element(By.CSS_SELECTOR, "button[value=allow]").click()
    until(window, "User name")
    log_in(window)
    until(window, "asks for access")
    window.find_element(By.CSS_SELECTOR, "button[value=allow]").click()
    until(window, "back at the party")
    assert "state=kept" in window.current_url and "code=" in window.current_url


@pytest.mark.parametrize("name", ["W" * 200, "שלום " * 40, "休" * 200, "<b>x</b>&amp;" * 15, "مرحبا (Ltd) 123!"])
def test_a_name_of_any_length_and_script_stays_in_its_place(chromium: Any, site: Site, name: str) -> None:  # noqa: F811
    """Its own direction ends where it ends: what stands beside it keeps its place."""
    window, named = chromium, site.named(name)
    window.get(site.url(client_id=named.client_id))
    log_in(window)
    until(window, "asks for access")
    heading = window.find_element(By.TAG_NAME, "h1")
    assert heading.text.split() == f"{name} asks for access".split()
    for width in (320, 1000):
        look(window, width=width)
        assert overflow(window) <= 0
    end = "const text = document.querySelector('h1').lastChild, range = document.createRange(); range.selectNodeContents(text);"
    name_left, text_left = window.execute_script(
        end + "return [document.querySelector('h1 bdi').getBoundingClientRect().left, range.getClientRects()[0].left]"
    )
    assert name_left <= text_left, "asks for access comes after the name, from left to right"


def press(window: Any, *keys: str) -> None:
    ActionChains(window).send_keys(*keys).perform()


def log_in(window: Any, password: str = PASSWORD) -> None:
    for name, value in (("username", "Ann Example"), ("password", password)):
        field = window.find_element(By.NAME, name)
        field.clear()
        field.send_keys(value)
    window.find_element(By.CSS_SELECTOR, "button[type=submit]").click()


@pytest.mark.parametrize("tag", TAGS)
def test_no_page_scrolls_sideways_at_320_pixels_or_when_its_text_is_twice_as_large(
    chromium: Any,  # noqa: F811
    site: Site,
    tag: str,
) -> None:
    window = chromium
    for page in Walk(window, site, tag).pages():
        for width, size in ((320, "100%"), (1280, "200%"), (640, "200%")):
            look(window, width=width)
            window.execute_script("document.documentElement.style.fontSize = arguments[0]", size)
            assert overflow(window) <= 0, f"{page} {width} {size}"
        window.execute_script("document.documentElement.style.fontSize = ''")
        look(window)
