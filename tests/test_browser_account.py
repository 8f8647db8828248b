"""A real browser on the account page: one click takes access back, one signs out, and a new password ends the others."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from wsgiref.simple_server import make_server

import pytest

from oauth_gateway import OAuthGateway, clock
from oauth_gateway.account import SHOWN
from oauth_gateway.clients import Clients
from oauth_gateway.models import Client, Consent, Grant
from oauth_gateway.sealing import new_number
from oauth_gateway.sessions import Sessions

from .conftest import CHALLENGE, PASSWORD, VERIFIER, send

pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from .test_browser import Quiet, Server, app, chromium, decide, log_in, until  # noqa: F401
from .test_browser_pages import picture

NEW = "another battery, a new horse"
NAMES = ["Holiday Photos", "متجر الصور", "写真館", "<b>bold</b> & co", "x" * 200, "ü" * 200, ""]


class Site:
    """A gateway around an app, and a person with access given to somebody."""

    def __init__(self, base: str, gateway: OAuthGateway) -> None:
        self.base, self.gateway = base, gateway
        server = gateway.server
        self.clients = Clients(gateway.settings, gateway.store, gateway.events, server.sealer)
        self.client, _ = self.clients.create(
            now=0, client_name="Holiday Photos", redirect_uris=[f"{base}/callback"], token_endpoint_auth_method="none"
        )
        self.ann = server.users.create("ann", PASSWORD, clock.now())
        self.sessions = Sessions(gateway.settings, gateway.store, server.sealer)

    @property
    def account(self) -> str:
        return f"{self.base}/authorize/account"

    def token(self, window: Any) -> str:
        """An access token that the person allows in this window."""
        query = {"response_type": "code", "client_id": self.client.client_id, "redirect_uri": f"{self.base}/callback"}
        query |= {"scope": "read write", "code_challenge": CHALLENGE, "code_challenge_method": "S256"}
        window.get(f"{self.base}/authorize?{urlencode(query)}")
        if window.find_elements(By.NAME, "password"):
            log_in(window)
        until(window, "asks for access")
        decide(window, "allow")
        until(window, "back at the client")
        form = {"grant_type": "authorization_code", "code": parse_qs(urlsplit(window.current_url).query)["code"][0]}
        form |= {"redirect_uri": query["redirect_uri"], "code_verifier": VERIFIER, "client_id": self.client.client_id}
        answer: str = send(self.gateway, "POST", "/token", form, base=self.base).json["access_token"]
        return answer

    def call(self, token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return int(send(self.gateway, "GET", "/thing", base=self.base, headers=headers).status_code)

    def elsewhere(self, device: str) -> str:
        """The cookie of a session at another browser."""
        return self.sessions.start(self.ann, None, clock.now(), device)[0]

    def is_signed_in(self, cookie: str) -> bool:
        return self.sessions.find(cookie, clock.now()) is not None

    def allow(self, client: Client) -> None:
        now = clock.now()
        consent = Consent(new_number(), self.ann.user_id, client.number, "https://a.test/", "aud", "read", now)
        grant = Grant(new_number(), client.number, self.ann.user_id, "s", "read", "aud", now, consent_id=consent.id)
        self.gateway.store.authorize(grant, (), consent)


@pytest.fixture
def site() -> Iterator[Site]:
    with make_server("127.0.0.1", 0, None, Server, Quiet) as server:
        base = f"http://127.0.0.1:{server.server_port}"
        gateway = OAuthGateway(
            app,
            issuer=base,
            database="sqlite://",
            scopes={"read": "Read your things", "write": "Change your things"},
            routes=["GET /callback public"],
            brand={"name": "Example", "colour": "#0f766e"},
        )
        server.set_app(gateway)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Site(base, gateway)
        server.shutdown()


def press(window: Any, text: str) -> None:
    """Click the button that says so."""
    (button,) = [each for each in window.find_elements(By.TAG_NAME, "button") if each.text == text]
    button.click()


def test_one_click_takes_access_back_and_the_token_is_dead(chromium: Any, site: Site) -> None:  # noqa: F811
    """R265"""
    window = chromium
    token = site.token(window)
    assert site.call(token) == 200
    site.elsewhere("Safari on iPhone")
    window.get(site.account)
    assert "Holiday Photos" in window.page_source and "Change your things" in window.page_source
    picture(window, "account-access")
    press(window, "Remove access")
    until(window, "The application no longer has access to your account.")
    assert site.call(token) == 401 and "No application has access" in window.page_source
    window.refresh()
    until(window, "You are signed in")
    window.back()
    until(window, "You are signed in")


def test_sessions_are_signed_out_one_by_one_and_all(chromium: Any, site: Site) -> None:  # noqa: F811
    window = chromium
    phone, tablet, desk = (site.elsewhere(f"Safari on {system}") for system in ("iPhone", "iPad", "macOS"))
    window.get(site.account)
    log_in(window)
    until(window, "You are signed in")
    text = window.find_element(By.TAG_NAME, "body").text
    assert "Chrome on Linux" in text and "This browser" in text and "Safari on iPad" in text
    picture(window, "account-sessions")
    window.find_element(By.CSS_SELECTOR, "button[aria-label^='Sign out there: Safari on iPad']").click()
    until(window, "You are signed out there.")
    assert [site.is_signed_in(cookie) for cookie in (phone, tablet, desk)] == [True, False, True]
    press(window, "Sign out everywhere else")
    until(window, "You are signed out everywhere else.")
    assert not site.is_signed_in(phone) and not site.is_signed_in(desk)
    again = site.elsewhere("Safari on iPhone")
    window.get(site.account)
    press(window, "Sign out everywhere")
    until(window, "You are signed out")
    window.get(site.account)
    assert window.find_element(By.NAME, "password") and not site.is_signed_in(again)


def test_a_new_password_ends_the_other_browser_and_not_this_one(chromium: Any, site: Site) -> None:  # noqa: F811
    window = chromium
    other = site.elsewhere("Firefox on Windows")
    window.get(site.account)
    log_in(window)
    until(window, "You are signed in")
    window.find_element(By.LINK_TEXT, "Change the password").click()
    until(window, "New password again")
    picture(window, "password")
    fill(window, "not it", NEW)
    until(window, "The current password is not right.")
    picture(window, "password-wrong")
    wrong = window.find_element(By.NAME, "password")
    assert wrong.get_attribute("aria-invalid") == "true" and wrong.get_attribute("value") == ""
    fill(window, PASSWORD, NEW)
    until(window, "Your password is changed")
    assert not site.is_signed_in(other)
    window.back()
    until(window, "Change the password")
    window.get(site.account)
    until(window, "You are signed in")
    press(window, "Sign out")
    until(window, "You are signed out")
    window.get(site.account)
    log_in(window, NEW)
    until(window, "You are signed in")


def test_a_double_click_changes_the_password_once_and_says_so(chromium: Any, site: Site) -> None:  # noqa: F811
    """The browser drops the answer to the first click, and with it the new cookie; or waits for it"""
    window, current = chromium, PASSWORD
    window.get(site.account)
    log_in(window)
    until(window, "You are signed in")
    for new in (NEW, PASSWORD):
        window.get(f"{site.account}/password")
        write(window, current, new)
        button = window.find_element(By.CSS_SELECTOR, "button[type=submit]")
        ActionChains(window).double_click(button).perform()
        until(window, "Your password is changed")
        assert len(site.gateway.store.sessions(site.ann.user_id)) == 1
        window.get(site.account)
        until(window, "You are signed in")
        current = new


def write(window: Any, current: str, new: str) -> None:
    for name, value in (("password", current), ("new_password", new), ("new_password_again", new)):
        window.find_element(By.NAME, name).send_keys(value)


def fill(window: Any, current: str, new: str) -> None:
    write(window, current, new)
    window.find_element(By.CSS_SELECTOR, "button[type=submit]").click()


def test_everything_works_with_the_keyboard_alone(chromium: Any, site: Site) -> None:  # noqa: F811
    window = chromium
    token, other = site.token(window), site.elsewhere("Firefox on Windows")
    window.get(site.account)
    tab_to(window, "Remove access: Holiday Photos")
    until(window, "no longer has access")
    assert site.call(token) == 401
    tab_to(window, "Sign out there: Firefox on Windows")
    until(window, "You are signed out there.")
    assert not site.is_signed_in(other)
    tab_to(window, "Change the password")
    until(window, "New password again")
    keys = [PASSWORD, Keys.TAB, NEW, Keys.TAB, NEW, Keys.ENTER]  # the first field has the focus
    window.switch_to.active_element.send_keys(keys[0])
    for key in keys[1:]:
        window.switch_to.active_element.send_keys(key)
    until(window, "Your password is changed")


def tab_to(window: Any, name: str) -> None:
    """Tab to what is called so, and press Enter."""
    for _ in range(20):
        window.switch_to.active_element.send_keys(Keys.TAB)
        focused = window.switch_to.active_element
        if (focused.accessible_name or "").startswith(name):
            focused.send_keys(Keys.ENTER)
            return
    raise AssertionError(f"no tab leads to {name!r}")


def test_a_thousand_grants_and_names_in_every_script(chromium: Any, site: Site) -> None:  # noqa: F811
    """A054, R023: nothing is wider than a phone, and names are names"""
    window = chromium
    for name in NAMES:
        site.allow(site.clients.create(now=0, **({"client_name": name} if name else {}))[0])
    for number in range(1000 - len(NAMES)):
        site.allow(site.clients.create(now=0, client_name=f"App {number:04}")[0])
    window.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 320, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    window.get(site.account)
    log_in(window)
    until(window, "You are signed in")
    shown = [element.get_property("textContent") for element in window.find_elements(By.CSS_SELECTOR, "li.row strong bdi")]
    assert {name for name in NAMES if name} <= set(shown) and len(shown) == SHOWN
    assert window.execute_script("return document.documentElement.scrollWidth") <= 320
    picture(window, "account-names")
    pages = 1
    while following := window.find_elements(By.LINK_TEXT, "More applications"):
        window.get(following[0].get_attribute("href"))
        pages += 1
    assert pages == math.ceil(1000 / SHOWN)
    window.find_element(By.LINK_TEXT, "First applications").click()
    until(window, "Holiday Photos")


def test_two_tabs_take_back_the_same_and_neither_ends_nowhere(chromium: Any, site: Site) -> None:  # noqa: F811
    window = chromium
    token = site.token(window)
    first = window.current_window_handle
    window.get(site.account)
    window.switch_to.new_window("tab")
    window.get(site.account)
    press(window, "Remove access")
    until(window, "no longer has access")
    window.switch_to.window(first)
    press(window, "Remove access")
    until(window, "no longer has access")
    assert site.call(token) == 401
    window.find_element(By.LINK_TEXT, "Change the password").click()
    until(window, "New password again")
    site.gateway.store.end_session(clock.now(), sid=site.gateway.store.sessions(site.ann.user_id)[0].sid)
    fill(window, PASSWORD, NEW)
    until(window, "Sign in")
    log_in(window)
    until(window, "You are signed in")
