"""A real browser signs in with somebody else than us: Flask-Login, django.contrib.auth, and a proxy that knows people."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from .conftest import CHALLENGE, PASSWORD, VERIFIER, basic, query_of

pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.by import By

from .test_browser import chromium, decide, until  # noqa: F401
from .test_browser_pages import AXE, picture, violations
from .test_command_line import ROOT, fetch, free_port, run, running
from .test_foreign_clients import needs_node

DJANGO = """
from django.core.management import call_command
from examples.django_login_app import app
call_command("migrate", verbosity=0)
from django.contrib.auth.models import User
User.objects.create_user("ann", "ann@example.com", "correct horse battery")
"""


def accessible(window: Any, name: str) -> None:
    """The page has no violation of axe-core's rules; a picture of it is kept."""
    needs_node(AXE)
    picture(window, name)
    assert violations(window) == []


class Shop:
    """An example under gunicorn, and a client of it."""

    def __init__(self, base: str, made: dict[str, Any]) -> None:
        self.base, self.client_id, self.secret = base, made["client_id"], made["client_secret"]

    def url(self, **changes: str) -> str:
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": f"{self.base}/cb",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            **changes,
        }
        return f"{self.base}/authorize?{urlencode(query)}"

    def redeem(self, window: Any) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": query_of(window.current_url)["code"],
            "redirect_uri": f"{self.base}/cb",
            "code_verifier": VERIFIER,
        }
        status, text = fetch(f"{self.base}/token", urlencode(form).encode(), Authorization=basic(self.client_id, self.secret))
        assert status == 200, text
        answer: dict[str, Any] = json.loads(text)
        return answer


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Shop]:
    name, port = request.param, free_port()
    environ = {"SHOP_DATABASE": str(tmp_path / "shop.sqlite3"), "PYTHONPATH": str(ROOT)}
    if name == "django_login_app":
        subprocess.run([sys.executable, "-c", DJANGO], cwd=tmp_path, env={**os.environ, **environ}, check=True, timeout=60)
    base = f"http://127.0.0.1:{port}"
    command = [
        "gunicorn",
        "-c",
        f"{ROOT}/gunicorn.conf.py",
        "--workers",
        "2",
        f"examples.{name}:app",
        "--bind",
        f"127.0.0.1:{port}",
    ]
    with running(command, port, tmp_path, **environ):
        for _ in range(200):
            if fetch(f"{base}/api/orders")[0] == 401:
                break
            threading.Event().wait(0.1)
        database = ["--database", f"sqlite:///{tmp_path}/oauth_gateway.db"]
        yield Shop(
            base,
            run(
                capsys,
                "client",
                "create",
                "--client-name",
                "Holiday Photos",
                "--scope",
                "read orders openid email",
                "--redirect-uri",
                f"{base}/cb",
                *database,
            ),
        )


def sign_in_to_the_shop(window: Any, name_field: str) -> None:
    until(window, "Sign in to the shop")
    for field, value in ((name_field, "ann"), ("password", PASSWORD)):
        window.find_element(By.NAME, field).send_keys(value)
    window.find_element(By.TAG_NAME, "button").click()


@pytest.mark.parametrize(("shop", "field"), [("flask_login_app", "name"), ("django_login_app", "username")], indirect=["shop"])
def test_people_sign_in_to_the_app_and_come_back_to_consent(chromium: Any, shop: Shop, field: str) -> None:  # noqa: F811
    window = chromium
    scope = "openid email orders" if field == "username" else "orders"
    window.get(shop.url(scope=scope))
    assert window.current_url.startswith(f"{shop.base}/login?next=/authorize/login")
    sign_in_to_the_shop(window, field)
    until(window, "Holiday Photos asks for access")
    until(window, "Signed in as ann")
    picture(window, f"consent-{field}")
    decide(window, "allow")
    until(window, "Not Found")
    tokens = shop.redeem(window)
    status, text = fetch(f"{shop.base}/api/orders", Authorization=f"Bearer {tokens['access_token']}")
    assert status == 200 and "ann" in text
    if field == "username":
        told = fetch(f"{shop.base}/token/userinfo", Authorization=f"Bearer {tokens['access_token']}")
        assert "ann@example.com" in told[1]
    # signed in already: at once to consent; a new login where the client wants one, which counts as new
    window.get(shop.url(scope="orders"))
    until(window, "asks for access")
    window.get(shop.url(scope="orders", prompt="login", max_age="3600"))
    sign_in_to_the_shop(window, field)
    until(window, "asks for access")
    # signed out of the app while the page is open: nothing is decided
    page = window.current_window_handle
    window.switch_to.new_window("tab")
    if field == "username":
        window.get(f"{shop.base}/")
        window.delete_cookie("sessionid")
    else:
        window.get(f"{shop.base}/logout")
    window.switch_to.window(page)
    decide(window, "allow")
    until(window, "Sign in to the shop")
    window.get(f"{shop.base}/authorize/login")
    until(window, "Sign in to the shop")


@pytest.mark.parametrize("shop", ["remote_user_app"], indirect=True)
def test_a_proxy_says_who_people_are_and_nobody_else_can(chromium: Any, shop: Shop) -> None:  # noqa: F811
    """A017: no header of a browser's makes somebody of it"""
    window = chromium
    window.execute_cdp_cmd("Network.enable", {})

    def headers(**sent: str) -> None:
        named = {name.replace("_", "-"): value for name, value in sent.items()}
        window.execute_cdp_cmd("Network.setExtraHTTPHeaders", {"headers": named})

    headers(Remote_User="ann", X_Remote_User="ann", X_Proxy_User="ann", X_Proxy_Secret="wrong")
    window.get(shop.url(scope="read"))
    until(window, "does not say who you are")
    accessible(window, "sign-in-elsewhere")
    window.get(f"{shop.base}/authorize/logout")
    accessible(window, "sign-out-there")
    headers(X_Proxy_User="ann", X_Proxy_Secret="for the example only", X_Remote_User="admin")
    window.get(shop.url(scope="read"))
    until(window, "Signed in as ann")
    headers(X_Proxy_User="bob", X_Proxy_Secret="for the example only")
    decide(window, "allow")  # somebody else than the page was shown to
    until(window, "Signed in as bob")
    decide(window, "allow")
    until(window, "needs a token")
    status, text = fetch(f"{shop.base}/", Authorization=f"Bearer {shop.redeem(window)['access_token']}")
    assert (status, text) == (200, "Hello bob\n")
