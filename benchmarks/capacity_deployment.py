"""The deployment that `capacity.py` measures: each flow of it prepares itself and gives what is then to be measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Self

from argon2 import PasswordHasher

from oauth_gateway import OAuthGateway
from oauth_gateway.testing import Clock
from tests.conftest import PASSWORD, SECRET, Browser, World, hidden, make_world, query_of

Act = Callable[[], object]


def bare(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


class Timed:
    """A gateway that knows how much CPU was used while it answered."""

    def __init__(self, gateway: OAuthGateway) -> None:
        self._gateway = gateway
        self.spent = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)

    def __call__(self, environ: Any, start_response: Any) -> Any:
        before = time.process_time_ns()
        try:
            return self._gateway(environ, start_response)
        finally:
            self.spent += time.process_time_ns() - before


class Flows:
    """One deployment; each flow prepares itself and gives what is then to be measured."""

    def __init__(self, url: str) -> None:
        self.world: World = make_world(url, Clock(time.time()), secret=SECRET, routes=None)
        self.gateway = Timed(self.world.gateway)
        self.world.gateway.app = bare
        self.world.gateway = self.gateway  # type: ignore[assignment]
        settings = {"issuer": self.world.base, "database": url, "secret": SECRET}
        self.bounded = Timed(OAuthGateway(bare, **settings, revocation="5s"))
        self.elsewhere = OAuthGateway(bare, **settings)  # another process, as far as the store is concerned
        self.world.gateway.server.users._hasher = PasswordHasher(1, 8, 1)  # for all but ann, whose login is measured
        self._people = 0
        self._regular = self.world.browser()
        self.world.log_in(self._regular)
        self.tokens("read openid")
        self._access = self.tokens()["access_token"]

    @property
    def spent(self) -> int:
        """Nanoseconds of CPU that the gateways used so far."""
        return self.gateway.spent + self.bounded.spent

    def tokens(self, scope: str = "read") -> dict[str, Any]:
        answer: dict[str, Any] = self.world.redeem(self._code(scope)).json
        return answer

    def _code(self, scope: str = "read") -> str:
        return self.world.code(browser=self._regular, scope=scope)

    def _newcomer(self) -> str:
        self._people += 1
        name = f"person{self._people}@example.com"
        self.world.gateway.server.users.create(name, PASSWORD, time.time())
        return name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for gateway in (self.world.gateway, self.bounded, self.elsewhere):
            gateway.store.close()

    def all(self) -> dict[str, Callable[[], Act]]:
        return {
            "login page": self.login_page,
            "login: the right password": self.login,
            "consent page": self.consent_page,
            "consent given: grant and code": self.consent,
            "code without a question": self.remembered,
            "code redeemed: access and refresh token": self.redeem,
            "the same with an ID token": self.redeem_openid,
            "refresh": self.refresh,
            "client credentials": self.machine,
            "protected call, token remembered": self.hit,
            'the same, `revocation = "5s"`': self.bounded_hit,
            "protected call, token not remembered": self.miss,
            "next call after a revocation elsewhere": self.after_revocation,
            "introspection": self.introspect,
            "userinfo": self.userinfo,
            "revocation of an access token": self.revoke_access,
            "revocation of a refresh token": self.revoke_refresh,
            "logout": self.logout,
        }

    def login_page(self) -> Act:
        browser = self.world.browser()
        return lambda: browser.open(self.world.authorize_url())

    def login(self) -> Act:
        browser, path = self.world.browser(), "/authorize/login"
        form = {**hidden(browser.open(path)), "username": "ann", "password": PASSWORD}
        return lambda: _expect(browser.open(path, form), 303)

    def _signed_in(self) -> Browser:
        browser = self.world.browser()
        self.world.log_in(browser, self._newcomer())
        return browser

    def consent_page(self) -> Act:
        browser = self._signed_in()
        return lambda: _expect(browser.open(self.world.authorize_url()), 200)

    def consent(self) -> Act:
        browser = self._signed_in()
        form = {**hidden(browser.open(self.world.authorize_url())), "decision": "allow"}
        return lambda: query_of(browser.open("/authorize", form).location)["code"]

    def remembered(self) -> Act:
        return lambda: query_of(self._regular.open(self.world.authorize_url()).location)["code"]

    def redeem(self) -> Act:
        code = self._code()
        return lambda: _expect(self.world.redeem(code), 200)

    def redeem_openid(self) -> Act:
        code = self._code("read openid")
        return lambda: _expect(self.world.redeem(code), 200)

    def refresh(self) -> Act:
        token = self.tokens()["refresh_token"]
        return lambda: _expect(self.world.refresh(token), 200)

    def machine(self) -> Act:
        return self.world.machine_token

    def hit(self) -> Act:
        self.world.call(self._access)
        return lambda: _expect(self.world.call(self._access), 200)

    def bounded_hit(self) -> Act:
        strict, self.world.gateway = self.world.gateway, self.bounded  # type: ignore[assignment]
        self.world.call(self._access)
        self.world.gateway = strict

        def act() -> None:
            self.world.gateway = self.bounded  # type: ignore[assignment]
            try:
                _expect(self.world.call(self._access), 200)
            finally:
                self.world.gateway = strict

        return act

    def miss(self) -> Act:
        token = self.tokens()["access_token"]
        self.world.call(self._access)  # looks after the feed, which is due once a second
        return lambda: _expect(self.world.call(token), 200)

    def after_revocation(self) -> Act:
        found = self.elsewhere.server.sealer.recognise(self.tokens()["access_token"])
        act = self.hit()
        assert found is not None
        self.elsewhere.store.revoke_token(found.number, time.time())
        return act

    def introspect(self) -> Act:
        return lambda: _expect(self.world.introspect(self._access), 200)

    def userinfo(self) -> Act:
        token = self.tokens("read openid")["access_token"]
        self.world.call(token)
        return lambda: _expect(self.world.call(token, "/token/userinfo"), 200)

    def revoke_access(self) -> Act:
        token = self.tokens()["access_token"]
        return lambda: _expect(self.world.revoke(token), 200)

    def revoke_refresh(self) -> Act:
        token = self.tokens()["refresh_token"]
        return lambda: _expect(self.world.revoke(token), 200)

    def logout(self) -> Act:
        browser = self._signed_in()
        form = hidden(browser.open("/authorize/logout"))
        return lambda: browser.open("/authorize/logout", form)


def _expect(answer: Any, status: int) -> None:
    assert answer.status_code == status, answer.text
