"""One gateway around a recording app, on a file and in memory, at the root and under a prefix."""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from wsgiref.validate import validator

import pytest
import webob

from oauth_gateway import OAuthGateway, jose
from oauth_gateway.clients import Clients
from oauth_gateway.jobs import Jobs
from oauth_gateway.models import Client
from oauth_gateway.sealing import Sealer
from oauth_gateway.seen import Seen
from oauth_gateway.store.sqlite import Database
from oauth_gateway.testing import Clock, frozen_time

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # RFC 7636 appendix B (R064)
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
CALLBACK = "https://client.test/cb"
PASSWORD = "correct horse battery"


def needs(condition: bool, what: str) -> None:
    """Skip where `what` is missing, or fail where everything must run."""
    if not condition:
        if os.environ.get("GATEWAY_TEST_ALL") == "1":
            pytest.fail(f"GATEWAY_TEST_ALL=1, but {what}")
        pytest.skip(what)


class RecordingApp:
    """An app that says what it saw; `calls` counts (R063)."""

    def __init__(self) -> None:
        self.calls = 0
        self.environ: dict[str, Any] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        self.calls += 1
        self.environ = dict(environ)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
        return [b"app"]


@dataclass
class Browser:
    """A cookie jar around the gateway, which follows no redirect."""

    gateway: OAuthGateway
    base: str
    cookies: dict[str, str] = field(default_factory=dict)

    def open(self, path: str, form: dict[str, str] | None = None, **headers: str) -> webob.Response:
        if path.startswith("http"):
            parts = urlsplit(path)
            path = parts.path + (f"?{parts.query}" if parts.query else "")
        sent = {"Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())} if self.cookies else {}
        parts = urlsplit(self.base)
        if form is not None:
            sent.update({"Origin": f"{parts.scheme}://{parts.netloc}", "Sec-Fetch-Site": "same-origin"})
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        response = send(self.gateway, "GET" if form is None else "POST", path, form, base=self.base, headers=sent)
        for header in response.headers.getall("Set-Cookie"):
            name, _, value = header.partition(";")[0].partition("=")
            if value:
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)
        return response


def send(
    gateway: Any,
    method: str,
    path: str,
    form: dict[str, str] | list[tuple[str, str]] | str | None = None,
    *,
    base: str = "https://api.example.com",
    headers: dict[str, str] | None = None,
    environ: dict[str, Any] | None = None,
) -> webob.Response:
    """One request through `wsgiref.validate`."""
    request = webob.Request.blank(path, base_url=base, method=method, environ={"REMOTE_ADDR": "127.0.0.1", **(environ or {})})
    if form is not None:
        request.body = (form if isinstance(form, str) else urlencode(form)).encode()
        request.content_type = "application/x-www-form-urlencoded"
    request.headers.update(headers or {})
    request.environ.pop("webob.is_body_seekable", None)  # no server's body is
    status, response_headers, iterable = request.call_application(validator(gateway))
    body = b"".join(iterable)
    iterable.close()
    response = webob.Response(status=status, body=body)
    response.headerlist = list(response_headers)
    return response


@dataclass
class World:
    """A gateway with a person, a confidential, a public and a machine client, and the steps of the flow."""

    app: RecordingApp
    gateway: OAuthGateway
    base: str
    prefix: str
    confidential: Client
    secret: str
    public: Client
    machine: Client
    machine_secret: str
    clock: Clock

    def browser(self) -> Browser:
        return Browser(self.gateway, self.base)

    def authorize_url(self, client: Client | None = None, **changes: str | None) -> str:
        query: dict[str, str | None] = {
            "response_type": "code",
            "client_id": (client or self.confidential).client_id,
            "redirect_uri": CALLBACK,
            "scope": "read",
            "state": "st",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            **changes,
        }
        return f"{self.prefix}/authorize?{urlencode({k: v for k, v in query.items() if v is not None})}"

    def log_in(self, browser: Browser, name: str = "ann", password: str = PASSWORD, next: str = "") -> webob.Response:
        page = browser.open(f"{self.prefix}/authorize/login")
        form = {**hidden(page), "username": name, "password": password, "next": next}
        answer = browser.open(f"{self.prefix}/authorize/login", form)
        return browser.open(answer.location) if "failed=" in (answer.location or "") else answer

    def consent(self, browser: Browser, url: str, decision: str = "allow") -> webob.Response:
        page = browser.open(url)
        if page.status_code == 303:
            return page
        return browser.open(f"{self.prefix}/authorize", {**hidden(page), "decision": decision})

    def code(self, client: Client | None = None, browser: Browser | None = None, **changes: str | None) -> str:
        if browser is None:
            browser = self.browser()
            self.log_in(browser)
        answer = self.consent(browser, self.authorize_url(client, **changes))
        return query_of(answer.location)["code"]

    def token(self, form: dict[str, str], client: Client | None = None, **headers: str) -> webob.Response:
        client = client or self.confidential
        if client is self.public:
            form = {"client_id": client.client_id, **form}
        else:
            secret = self.machine_secret if client is self.machine else self.secret
            headers = {"Authorization": basic(client.client_id, secret), **headers}
        return send(self.gateway, "POST", f"{self.prefix}/token", form, base=self.base, headers=headers)

    def redeem(self, code: str, client: Client | None = None, /, **changes: str | None) -> webob.Response:
        form: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
            **changes,
        }
        return self.token({k: v for k, v in form.items() if v is not None}, client)

    def tokens(self, client: Client | None = None, **changes: str | None) -> dict[str, Any]:
        answer: dict[str, Any] = self.redeem(self.code(client, **changes), client).json
        return answer

    def refresh(self, token: str, client: Client | None = None, **more: str) -> webob.Response:
        return self.token({"grant_type": "refresh_token", "refresh_token": token, **more}, client)

    def machine_token(self, **more: str) -> str:
        answer: str = self.token({"grant_type": "client_credentials", **more}, self.machine).json["access_token"]
        return answer

    def call(self, token: str | None, path: str = "/thing", method: str = "GET", **headers: str) -> webob.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        return send(self.gateway, method, path, base=self.base, headers=sent)

    def revoke(self, token: str, client: Client | None = None, **more: str) -> webob.Response:
        client = client or self.confidential
        form = {"token": token, **more}
        headers = {}
        if client is self.public:
            form["client_id"] = client.client_id
        else:
            secret = self.machine_secret if client is self.machine else self.secret
            headers["Authorization"] = basic(client.client_id, secret)
        return send(self.gateway, "POST", f"{self.prefix}/token/revoke", form, base=self.base, headers=headers)

    def introspect(self, token: str, client: Client | None = None, secret: str | None = None, **more: str) -> webob.Response:
        client = client or self.confidential
        headers, form = {}, {"token": token, **more}
        if client is self.public:
            form["client_id"] = client.client_id
        else:
            known = self.machine_secret if client is self.machine else self.secret
            headers["Authorization"] = basic(client.client_id, secret or known)
        return send(self.gateway, "POST", f"{self.prefix}/token/introspect", form, base=self.base, headers=headers)

    @property
    def clients(self) -> Clients:
        return Clients(self.gateway.settings, self.gateway.store, self.gateway.events, self.gateway.server.sealer)


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def hidden(page: webob.Response) -> dict[str, str]:
    """The hidden fields of the page's first form."""
    form = page.text.partition("<form")[2].partition("</form>")[0]
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)
    return {name: value.replace("&amp;", "&").replace("&#34;", '"') for name, value in found}


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query, keep_blank_values=True).items()}


def s256(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def make_world(database: Any, clock: Clock, prefix: str = "", base: str = "https://api.example.com", **settings: Any) -> World:
    app = RecordingApp()
    values: dict[str, Any] = {
        "issuer": base,
        "database": database,
        "prefix": prefix,
        "scopes": {"read": "Read your things", "write": "Change your things"},
        "routes": ["GET /public/** public", "* /maybe optional", "* /write scope=read,write"],
        **settings,
    }
    gateway = OAuthGateway(validator(app), **{name: value for name, value in values.items() if value is not None})
    clients = Clients(gateway.settings, gateway.store, gateway.events, gateway.server.sealer)
    now = clock()
    confidential, secret = clients.create(now=now, client_name="Shop", redirect_uris=[CALLBACK])
    public, _ = clients.create(
        now=now, client_name="Phone", redirect_uris=[CALLBACK, "http://127.0.0.1/cb"], token_endpoint_auth_method="none"
    )
    machine, machine_secret = clients.create(now=now, client_name="Robot")
    gateway.server.users.create("ann", PASSWORD, now)
    assert secret and machine_secret
    return World(app, gateway, base, prefix, confidential, secret, public, machine, machine_secret, clock)


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """argon2id at its cheapest: its strength is argon2's business, not what these tests are about."""
    import argon2

    cheap = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr("oauth_gateway.users.PasswordHasher", lambda: cheap)


_made: dict[str, list[jose.Key]] = {}


@pytest.fixture(autouse=True)
def quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same few signing keys for every test: making an RSA key takes longer than most tests do."""
    taken: dict[str, int] = {}
    generate = jose.generate

    def reused(algorithm: str) -> jose.Key:
        number = taken[algorithm] = taken.get(algorithm, -1) + 1
        keys = _made.setdefault(algorithm, [])
        if number == len(keys):
            keys.append(generate(algorithm))
        return keys[number]

    monkeypatch.setattr(jose, "generate", reused)


start_jobs = Jobs.start


@pytest.fixture(autouse=True)
def no_background_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread outlives its test; `test_jobs` and everything under gunicorn have the real thing."""
    monkeypatch.setattr(Jobs, "start", lambda self: None)
    monkeypatch.setattr(Seen, "start", lambda self: None)


class Listener(logging.Handler):
    """Everything that is logged, as text."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(message)s %(event)s", defaults={"event": ""}))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture(autouse=True)
def no_secret_is_logged_or_stored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A058, A068, R249: after every test a search of logs and database files finds none of the secrets that it issued"""
    issued: set[str] = set()
    files: list[Path] = []
    issue, urlsafe, opened, encode = Sealer.issue, secrets.token_urlsafe, Database.__init__, jose.encode

    def recorded_issue(self: Sealer, *given: Any, **named: Any) -> Any:
        made = issue(self, *given, **named)
        issued.add(made[0])
        return made

    def recorded_urlsafe(nbytes: int | None = None) -> str:
        text = urlsafe(nbytes)
        if nbytes is not None and nbytes >= 32:  # client secrets, cookies, the secret; a user_id has 16 and is none
            issued.add(text)
        return text

    def recorded_open(self: Database, path: Path | None) -> None:
        opened(self, path)
        if path is not None:
            files.append(path)

    def recorded_encode(*given: Any) -> str:
        text = encode(*given)
        issued.add(text)
        return text

    monkeypatch.setattr(jose, "encode", recorded_encode)
    monkeypatch.setattr(Sealer, "issue", recorded_issue)
    monkeypatch.setattr(secrets, "token_urlsafe", recorded_urlsafe)
    monkeypatch.setattr(Database, "__init__", recorded_open)
    listener, logger = Listener(), logging.getLogger("oauth_gateway")
    logging.getLogger().addHandler(listener)
    level = logger.level
    logger.setLevel(logging.DEBUG)
    yield
    logging.getLogger().removeHandler(listener)
    logger.setLevel(level)
    logged = "\n".join(listener.lines)
    assert not [text for text in issued if text in logged], "a secret is in the log"
    for file in {f for path in files for f in (path, Path(f"{path}-wal")) if f.is_file()}:
        stored = file.read_bytes()
        assert not [text for text in (*issued, PASSWORD) if text.encode() in stored], f"a secret is in {file.name}"


@pytest.fixture
def clock() -> Iterator[Clock]:
    with frozen_time() as clock:
        yield clock


SECRET = "a secret for tests only, 32 bytes+"
# GATEWAY_TEST_ENGINES=sqlite leaves out everything that needs a database server
ENGINES = os.environ.get("GATEWAY_TEST_ENGINES", "sqlite postgresql mysql redis").split()
NEED_SERVERS = "engines faults history many_nodes partitions redis redis_failures redis_servers services stores_agree".split()
collect_ignore = [] if len(ENGINES) > 1 else [f"test_{name}.py" for name in NEED_SERVERS]
WORLDS = {"file": "sqlite", "memory-prefix": "sqlite", "postgresql": "postgresql", "mysql-prefix": "mysql", "redis": "redis"}


@pytest.fixture(params=[name for name, engine in WORLDS.items() if engine in ENGINES])
def world(request: pytest.FixtureRequest, clock: Clock, tmp_path: Any) -> Iterator[World]:
    from .engines import FRESH

    prefix = "/oauth" if request.param.endswith("-prefix") else ""
    if request.param == "file":
        world = make_world(f"sqlite:///{tmp_path / 'gateway.db'}", clock)
    elif request.param == "memory-prefix":
        world = make_world("sqlite://", clock, prefix=prefix)
    else:
        world = make_world(FRESH[WORLDS[request.param]](), clock, prefix=prefix, secret=SECRET)
    yield world
    world.gateway.store.close()


@pytest.fixture
def memory_world(clock: Clock) -> World:
    return make_world("sqlite://", clock)
