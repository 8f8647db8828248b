"""The quick road of sessions: a whole Cookie header that came before is worth no more than the session is in this moment."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from oauth_gateway import tokens as tokens_module
from oauth_gateway.cookies import LONGEST_KNOWN
from oauth_gateway.errors import StoreUnavailable
from oauth_gateway.exchange import session_cookie
from oauth_gateway.gateway import OAuthGateway
from oauth_gateway.sessions import Sessions
from oauth_gateway.testing import Clock
from oauth_gateway.tokens import Tokens

from .conftest import PASSWORD, Browser, World, make_world, send

ROUTES = ["* /shop/** session", "* /read session scope=read", "* /both session scope=read,write", "GET /public/** public"]
ROUTES += ["* /maybe optional", "* /late session max_age=1m"]


class Shop:
    """A gateway, another worker on the same database, and a browser in which somebody is signed in."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.other = OAuthGateway.from_settings(world.app, world.gateway.settings)
        self.browser = world.browser()
        world.log_in(self.browser)
        self.name, self.value = next(iter(self.browser.cookies.items()))
        self.cookie = f"{self.name}={self.value}"

    @property
    def tokens(self) -> Tokens:
        return self.other.guard._tokens

    def get(self, cookie: str | None = None, path: str = "/shop", method: str = "GET", **headers: str) -> Any:
        """What the other worker answers."""
        sent = {"Cookie": self.cookie if cookie is None else cookie, **{k.replace("_", "-"): v for k, v in headers.items()}}
        return send(self.other, method, path, base=self.world.base, headers=sent)

    def warm(self, cookie: str | None = None, path: str = "/shop") -> None:
        """Let a header through twice: the second time by the quick road."""
        for _ in range(2):
            assert self.get(cookie, path).text == "app"
        assert any(key.endswith(self.cookie if cookie is None else cookie) for key in self.tokens._header_hits)


@pytest.fixture
def shop(tmp_path: Any, clock: Clock) -> Shop:
    return Shop(make_world(f"sqlite:///{tmp_path}/x.db", clock, routes=ROUTES))


def raw(gateway: OAuthGateway, path: str, **more: str) -> str:
    """The status of what no server would let through."""
    answers = ["200"]
    environ = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "", "wsgi.url_scheme": "https"}

    def start(status: str, *_: object) -> Any:
        answers.append(status)

    gateway({**environ, "HTTP_HOST": "api.example.com", **more}, start)
    return answers[-1][:3]


def never(*_: Any) -> Any:
    raise AssertionError("that was not to be asked")


# -- its end


ENDS: dict[str, Callable[[World, str], object]] = {
    "ended": lambda world, value: world.gateway.store.end_session(world.clock(), sid=world.gateway.store.sessions()[0].sid),
    "disabled": lambda world, _: world.gateway.server.users.set_disabled(
        world.gateway.server.users.named("ann"), True, world.clock()
    ),
    "password": lambda world, _: world.gateway.server.users.set_password(
        world.gateway.server.users.named("ann"), PASSWORD, world.clock()
    ),
    "deleted": lambda world, _: world.gateway.server.users.delete(world.gateway.server.users.named("ann"), world.clock()),
    "another cookie for it": lambda world, value: Sessions(
        world.gateway.settings, world.gateway.store, world.gateway.server.sealer
    ).start(world.gateway.server.users.named("ann"), value, world.clock()),
}


@pytest.mark.parametrize("way", ENDS)
def test_what_ends_a_session_is_in_force_at_the_next_request_of_another_worker(shop: Shop, way: str) -> None:
    headers = [shop.cookie, f"a=b; {shop.cookie}", f"{shop.cookie}; c=d"]
    for header in headers:
        shop.warm(header)
        shop.warm(header, "/read")
    ENDS[way](shop.world, shop.value)
    before = shop.world.app.calls
    for header in headers:
        for path in ("/shop", "/read"):
            assert shop.get(header, path).status_code == 401
    assert shop.world.app.calls == before and not shop.tokens._header_hits
    if way == "disabled":
        users = shop.world.gateway.server.users
        users.set_disabled(users.named("ann"), False, shop.world.clock())
        assert shop.get().status_code == 401, "nor does it come back"


def test_the_end_of_one_session_ends_no_other(shop: Shop) -> None:
    second = shop.world.browser()
    shop.world.log_in(second)
    other = "; ".join(f"{name}={value}" for name, value in second.cookies.items())
    shop.warm()
    shop.warm(other)
    shop.world.gateway.store.end_session(
        shop.world.clock(), sid=shop.world.app.environ["oauth_gateway.token"].id
    )  # the second one's
    assert shop.get(other).status_code == 401 and shop.get().text == "app"


def test_an_end_between_the_look_and_the_memory_is_not_forgotten(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    remember = shop.tokens.remember_cookies

    def late(*given: Any) -> None:
        ENDS["ended"](shop.world, shop.value)
        shop.tokens._follow(shop.world.clock())  # as another thread's request does
        remember(*given)

    monkeypatch.setattr(shop.tokens, "remember_cookies", late)
    shop.get()  # it had begun before the end, and may be answered either way
    assert not shop.tokens._header_hits and shop.get().status_code == 401


@pytest.mark.parametrize("way", ["ended", "disabled", "another cookie for it"])
def test_no_request_that_began_after_the_end_passes(shop: Shop, way: str) -> None:
    """Threads of both workers ask all the time, each with headers of its own"""
    world, stale, asked = shop.world, [], []
    workers = [shop.other, OAuthGateway.from_settings(world.app, world.gateway.settings)]
    users = world.gateway.server.users
    sessions = Sessions(world.gateway.settings, world.gateway.store, world.gateway.server.sealer)
    for _ in range(10):
        value, _ = sessions.start(users.named("ann"), None, world.clock())
        over, begun = threading.Event(), threading.Barrier(5)

        def ask(gateway: OAuthGateway, header: str, over: threading.Event = over, begun: threading.Barrier = begun) -> None:
            begun.wait()
            while True:
                ended = over.is_set()  # before the request begins
                passed = raw(gateway, "/shop", HTTP_COOKIE=header) == "200"
                asked.append(passed)
                if ended:
                    stale.extend([header] if passed else [])
                    return

        cookie = f"{shop.name}={value}"
        threads = [
            threading.Thread(target=ask, args=(gateway, header)) for gateway in workers for header in (cookie, f"a=b; {cookie}")
        ]
        for thread in threads:
            thread.start()
        begun.wait()
        time.sleep(0.005)
        try:
            if way == "ended":
                sessions.end(value, world.clock())
            else:
                ENDS[way](world, value)
        finally:
            over.set()
        for thread in threads:
            thread.join()
        users.set_disabled(users.named("ann"), False, world.clock())
    assert stale == [] and asked.count(False) >= 40 and asked.count(True) > 40


def test_it_expires(shop: Shop) -> None:
    shop.warm()
    shop.world.clock.advance(14 * 86400 - 1)
    shop.warm()
    shop.world.clock.advance(1)
    assert shop.get().status_code == 401


def test_a_store_that_is_away_lets_nobody_in_and_a_stranger_is_told_to_sign_in(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.warm()

    def away() -> bytes:
        raise StoreUnavailable("away")

    monkeypatch.setattr(shop.tokens._store, "watch", away)
    shop.tokens._watch_due = 0.0
    for cookie, status in (("a=b", 401), (f"{shop.cookie}; {shop.cookie}", 401), (shop.cookie, 503), (shop.cookie, 503)):
        assert shop.get(cookie).status_code == status
    assert not shop.tokens._header_hits, "nothing is believed of it any longer"


# -- whose header it is


def test_it_costs_no_question_whatever_comes_beside_our_cookie(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.warm()
    for method in ("session", "user"):
        monkeypatch.setattr(shop.tokens._store, method, never)
    for number in range(30):  # cookies that change: the session is found by its own
        for header in (f"a={number}; {shop.cookie}", f"{shop.cookie}; a={number}", f"b=1;{shop.cookie};a={number}"):
            assert shop.get(header).text == "app"
    monkeypatch.setattr(shop.tokens, "of_session", never)
    assert shop.get().text == "app", "by the whole header"


@pytest.mark.parametrize(
    ("before", "after", "rest"),
    [("", "", None), ("a=b; ", "", "a=b"), ("", "; c=d", "c=d"), ("a=b; ", "; c=d", "a=b; c=d"), ("a=b;", ";", "a=b;")],
)
def test_the_app_never_sees_our_cookie(shop: Shop, before: str, after: str, rest: str | None) -> None:
    header = f"{before}{shop.cookie}{after}"
    app = shop.world.app
    token = shop.world.machine_token()
    for _ in range(3):
        for path, more in (("/shop", {}), ("/public/x", {}), ("/maybe", {}), ("/shop", {"Authorization": f"Bearer {token}"})):
            assert shop.get(header, path, **more).text == "app"
            assert app.environ.get("HTTP_COOKIE") == rest, path
            assert not any(shop.value in str(value) for value in app.environ.values()), path


def test_our_cookie_twice_is_none(shop: Shop) -> None:
    shop.warm()
    for header in (f"{shop.cookie}; {shop.cookie}", f"{shop.cookie}; {shop.name}=x", f"{shop.name}={'A' * 43}; {shop.cookie}"):
        for _ in range(2):
            assert shop.get(header).status_code == 401
    assert len(shop.tokens._header_hits) == 1


def test_parts_of_a_known_header_are_nobody_and_the_scopes_belong_to_it(shop: Shop) -> None:
    """Neither a longer nor a shorter one, and no text that could be taken for scopes, whatever a server lets through"""
    scopes = {"/shop": set(), "/read": {"read"}, "/both": {"read", "write"}}
    for path, wanted in scopes.items():
        shop.warm(path=path)
        assert shop.world.app.environ["oauth_gateway.token"].scopes == wanted
    cookie = shop.cookie
    before = ("x", "read\n", "\nread\n", "write\n", "read ", "write ", " write ", "write")
    for given in (cookie[:-1], cookie + "x", *(text + cookie for text in before)):
        for path in scopes:
            assert raw(shop.other, path, HTTP_COOKIE=given) == "401", (given, path)
    shop.warm(cookie + " ")
    for path, wanted in scopes.items():  # a blank that does not count makes another header and the same session
        assert raw(shop.other, path, HTTP_COOKIE="\n" + cookie) == "200"
        assert shop.world.app.environ["oauth_gateway.token"].scopes == wanted


def test_no_credential_is_looked_up_as_a_session(shop: Shop) -> None:
    for path, scope in (("/shop", "\n"), ("/read", "read\n")):
        shop.warm(path=path)
        for header in (shop.value, shop.value + scope, scope + shop.cookie, shop.cookie, f"Bearer {shop.value}"):
            assert raw(shop.other, path, HTTP_AUTHORIZATION=header) in ("400", "401")


def test_the_token_decides_where_both_come(shop: Shop) -> None:
    shop.warm()
    assert shop.get(Authorization="Bearer nonsense").status_code == 401
    assert shop.get(Authorization=f"Bearer {shop.world.machine_token()}").text == "app"
    assert shop.world.app.environ["AUTH_TYPE"] == "Bearer" and "REMOTE_USER" not in shop.world.app.environ
    assert shop.get().text == "app" and shop.world.app.environ["AUTH_TYPE"] == "Session"
    assert shop.world.app.environ["REMOTE_USER"] == "ann"


def test_each_request_is_judged_whatever_is_known_of_its_header(shop: Shop) -> None:
    shop.warm()
    shop.warm(path="/late")
    ours = {"Origin": "https://api.example.com", "Sec_Fetch_Site": "same-origin"}
    assert shop.get(method="POST").status_code == 403 and shop.get(method="POST", **ours).text == "app"
    assert shop.get(Origin="https://evil.test").status_code == 403
    assert shop.get(Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="cors").status_code == 403
    assert shop.get(X_HTTP_Method_Override="DELETE").status_code == 403
    assert shop.get(path="/shop?access_token=x").status_code == 400
    assert send(shop.other, "GET", "/shop", headers={"Cookie": shop.cookie}, environ={"SCRIPT_NAME": "/x"}).status_code == 400
    shop.world.clock.advance(61)
    assert shop.get(path="/late").status_code == 401 and shop.get().text == "app"


def test_a_preflight_brings_no_cookie(shop: Shop) -> None:
    shop.warm()
    preflight = {"Origin": "https://x.test", "Access_Control_Request_Method": "GET"}
    assert shop.get(method="OPTIONS", **preflight).text == "app"
    assert "HTTP_COOKIE" not in shop.world.app.environ and shop.world.app.environ["oauth_gateway.token"] is None
    assert shop.get(method="OPTIONS", Origin="https://x.test").status_code == 403


# -- what is kept


def test_a_header_beyond_the_limit_is_not_kept(shop: Shop) -> None:
    beside = "a=" + "x" * (LONGEST_KNOWN - len(shop.cookie) - len("a=; "))
    shop.warm(f"{beside}; {shop.cookie}")
    before = len(shop.tokens._header_hits)
    for _ in range(2):
        assert shop.get(f"{beside}x; {shop.cookie}").text == "app"
        assert shop.world.app.environ["HTTP_COOKIE"] == f"{beside}x"
    assert len(shop.tokens._header_hits) == before == 1


def test_no_more_than_so_many_are_kept_and_they_push_out_no_session(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "MOST_HEADERS", 3)
    shop.tokens.reset()
    for number in range(10):
        shop.warm(f"a={number}; {shop.cookie}")
    assert len(shop.tokens._header_hits) == 3 and len(shop.tokens._hits) == 1
    for method in ("session", "user"):
        monkeypatch.setattr(shop.tokens._store, method, never)
    assert shop.get("a=0; " + shop.cookie).text == "app"


def test_without_an_issuer_the_host_names_the_cookie(clock: Clock) -> None:
    """What one port's cookie opens, another port's header does not"""
    world = make_world("sqlite://", clock, base="http://127.0.0.1:8000", issuer=None, routes=ROUTES)
    browser = world.browser()
    world.log_in(browser)
    for _ in range(2):
        assert browser.open("/shop").text == "app"
        elsewhere = Browser(world.gateway, "http://127.0.0.1:8001", dict(browser.cookies))
        assert elsewhere.open("/shop").status_code == 401
    assert not world.gateway.guard._tokens._header_hits


def test_a_forked_child_begins_with_nothing(shop: Shop) -> None:
    shop.warm()
    tokens, held, over = shop.tokens, threading.Event(), threading.Event()

    def hold() -> None:
        with tokens._lock:
            held.set()
            over.wait()

    thread = threading.Thread(target=hold)  # which the child does not have, nor what it holds
    thread.start()
    held.wait()
    child = os.fork()
    if child == 0:
        good = False
        try:
            signal.alarm(10)  # whoever waits for the parent's lock waits for ever
            good = not tokens._header_hits and tokens.of_cookies("\n" + shop.cookie, shop.world.clock()) is None
            token = tokens.of_session(shop.cookie.partition("=")[2], "\n", shop.world.clock())
            if token is not None:
                tokens.remember_cookies(shop.cookie, shop.cookie.partition("=")[2], "\n", token, "")
            good = good and list(tokens._header_hits) == ["\n" + shop.cookie]
        finally:
            os._exit(0 if good else 1)
    status = os.waitpid(child, 0)[1]
    over.set()
    thread.join()
    assert status == 0
    assert len(tokens._header_hits) == 1 and shop.get().text == "app"


# -- when it was seen last


def test_its_use_is_noted_whichever_header_it_comes_with(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once in five minutes, and nothing is read for it"""
    shop.warm()
    shop.warm("a=b; " + shop.cookie)
    store, told = shop.tokens._store, []
    for method in ("session", "user"):
        monkeypatch.setattr(store, method, never)
    see = store.see_sessions
    monkeypatch.setattr(store, "see_sessions", lambda notes: (told.append(len(notes)), see(notes)))
    for _ in range(20):
        shop.world.clock.advance(60)
        shop.warm()
        shop.warm("a=b; " + shop.cookie)
        shop.tokens.seen.write()
    assert told == [1, 1, 1, 1] and store.sessions()[0].seen == shop.world.clock()


def test_the_name_of_the_cookie_is_that_of_the_issuer(shop: Shop) -> None:
    assert shop.name == session_cookie(shop.world.base)[0]
