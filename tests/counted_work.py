"""How much a request makes Python and SQLite do: `python -m tests.counted_work` prints the tables of test_counted_work.py.

Seconds differ from machine to machine and from run to run; executed instructions, calls of Python functions, calls of C
functions, SQL statements and commits do not. It runs in a process of its own, where nobody else traces, patches or listens.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import io
import itertools
import json
import logging
import re
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

from oauth_gateway import OAuthGateway
from oauth_gateway.clients import Clients
from oauth_gateway.exchange import session_cookie
from oauth_gateway.gateway import is_well_known
from oauth_gateway.jobs import Jobs
from oauth_gateway.sealing import new_number
from oauth_gateway.sessions import Sessions
from oauth_gateway.store.flush import Flush

from .first_requests import BASE, CALLBACK, Worker, be_a_machine, be_a_person, read_documents

ROUNDS = 6  # once a second a request also watches the database: the least of these counts
SCOPES = {"read": "Read your things", "write": "Change your things"}
MEASURES = ("instructions", "calls", "ours", "c_calls")
STATEMENT = re.compile(r"\s*(?:SELECT|INSERT|UPDATE|DELETE|REPLACE|WITH)\b", re.IGNORECASE)
Environ = dict[str, Any]
Request = Callable[[], object]


def app(environ: Environ, start_response: Any) -> list[bytes]:
    return []


def ignore(status: str, headers: list[tuple[str, str]], error: Any = None) -> None:
    """A start_response that is not looked at."""


class Wasteful(OAuthGateway):
    """With one call that nobody needs, so that a test can see it found."""

    def __call__(self, environ: Environ, start_response: Any) -> Any:
        is_well_known(environ["PATH_INFO"])
        return OAuthGateway.__call__(self, environ, start_response)


class Deployment:
    """A gateway on an SQLite file, and the requests that are counted."""

    def __init__(self, file: str, kind: type[OAuthGateway] = OAuthGateway, **settings: Any) -> None:
        self.gateway = kind(app, issuer=BASE, database=f"sqlite:///{file}", scopes=SCOPES, **settings)
        clients = Clients(self.gateway.settings, self.gateway.store, self.gateway.events, self.gateway.server.sealer)
        client, secret = clients.create(now=time.time(), scope="read")
        self._basic = "Basic " + base64.b64encode(f"{client.client_id}:{secret}".encode()).decode()
        self.known = self.token()

    def thing(self, credential: str, path: str = "/thing") -> Request:
        return self._request(path, {"HTTP_AUTHORIZATION": f"Bearer {credential}"})

    def browser(self) -> Callable[[], Request]:
        """Requests by the session of a person who is signed in."""
        gateway = self.gateway
        user = gateway.server.users.create("a person at a browser", "correct horse battery", time.time())
        value, _ = Sessions(gateway.settings, gateway.store, gateway.server.sealer).start(user, None, time.time())
        cookie = f"a=b; {session_cookie(BASE)[0]}={value}"
        return lambda: self._request("/thing", {"HTTP_COOKIE": cookie})

    def _request(self, path: str, brought: dict[str, str]) -> Request:
        environ = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "HTTP_HOST": "api.example.com",
            "HTTP_ACCEPT": "*/*",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.url_scheme": "https",
            **brought,
        }
        return lambda: self.gateway(environ, ignore)

    def token_request(self, **more: str) -> Request:
        body = urlencode({"grant_type": "client_credentials", **more}).encode()
        environ = {
            "REQUEST_METHOD": "POST",
            "SCRIPT_NAME": "",
            "PATH_INFO": "/token",
            "QUERY_STRING": "",
            "CONTENT_TYPE": "application/x-www-form-urlencoded",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_AUTHORIZATION": self._basic,
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.url_scheme": "https",
            "wsgi.input": io.BytesIO(body),
        }
        return lambda: self.gateway(environ, ignore)

    def token(self) -> str:
        answer: Any = self.token_request()()
        found: str = json.loads(b"".join(answer))["access_token"]
        return found


# -- what Python does; the harness and the app are in this file, and not counted


def instructions_of(request: Request) -> Counter[str]:
    """How many bytecode instructions each function executed."""
    counted: Counter[str] = Counter()
    if sys.version_info < (3, 12):

        def trace(frame: Any, event: str, _: object) -> Any:
            if event == "call":
                frame.f_trace_opcodes, frame.f_trace_lines = frame.f_code.co_filename != __file__, False
            elif event == "opcode":
                counted[frame.f_code.co_qualname] += 1
            return trace

        sys.settrace(trace)
        try:
            request()
        finally:
            sys.settrace(None)
        return counted

    def executed(code: Any, _: int) -> None:
        if code.co_filename != __file__:
            counted[code.co_qualname] += 1

    tool, events = sys.monitoring.PROFILER_ID, sys.monitoring.events
    sys.monitoring.use_tool_id(tool, "counted work")
    sys.monitoring.register_callback(tool, events.INSTRUCTION, executed)
    sys.monitoring.set_events(tool, events.INSTRUCTION)
    try:
        request()
    finally:
        sys.monitoring.set_events(tool, 0)
        sys.monitoring.free_tool_id(tool)
    return counted


def calls_of(request: Request) -> Counter[str]:
    """Calls of Python functions, those of our own among them, and calls of C functions."""
    calls: Counter[str] = Counter()

    def profile(frame: Any, event: str, _: object) -> None:
        if frame.f_code.co_filename != __file__:
            calls[event] += 1
            if event == "call" and "/oauth_gateway/" in frame.f_code.co_filename:
                calls["ours"] += 1

    sys.setprofile(profile)
    try:
        request()
    finally:
        sys.setprofile(None)
    return calls


def count(make: Callable[[], Request]) -> dict[str, Any]:
    """The work of the requests that `make` gives, each a new one; a few are done before, so that every cache is warm."""
    for _ in range(3):
        make()()
    instructions = min((instructions_of(make()) for _ in range(ROUNDS)), key=Counter.total)
    calls = [calls_of(make()) for _ in range(ROUNDS)]
    return {
        "instructions": instructions.total(),
        "calls": min(one["call"] for one in calls),
        "ours": min(one["ours"] for one in calls),
        "c_calls": min(one["c_call"] for one in calls),
        "where": dict(instructions.most_common(12)),
    }


def work(kind: type[OAuthGateway] = OAuthGateway) -> dict[str, dict[str, Any]]:
    """Of one request of each kind."""
    with calm(), tempfile.TemporaryDirectory() as folder:
        plain = Deployment(f"{folder}/a.db", kind)
        named = Deployment(f"{folder}/b.db", kind, identity_headers=True)
        signed = Deployment(f"{folder}/c.db", kind, access_token_format="jwt")
        site = Deployment(f"{folder}/d.db", kind, routes=["* /** session scope=read"])
        unknown = plain.gateway.server.sealer.issue("at")[0]
        dead = plain.gateway.server.sealer.issue("at", new_number() - (3_600_000 << 21))[0]  # of an hour ago, and purged since
        plain.thing(plain.known, "/other")()
        words = map(str, itertools.count(1000))
        found = {
            "cached": count(lambda: plain.thing(plain.known)),
            "cached, other path": count(lambda: plain.thing(plain.known, "/other")),
            "cached, identity headers": count(lambda: named.thing(named.known)),
            "cached, JWT": count(lambda: signed.thing(signed.known)),
            "session": count(site.browser()),
            "garbage": count(lambda: plain.thing("garbage")),
            "unknown, our checksum": count(lambda: plain.thing(unknown)),
            "dead, again": count(lambda: plain.thing(dead)),
            "miss": count(lambda: plain.thing(plain.token())),
            "client_credentials": count(lambda: plain.token_request(other=next(words))),
            "client_credentials, again": count(plain.token_request),
        }
        for deployment in (plain, named, signed, site):
            deployment.gateway.store.close()
    return found


@contextlib.contextmanager
def calm() -> Iterator[None]:
    """Within it nothing is collected or logged at a moment of its own."""
    logging.getLogger("oauth_gateway").setLevel(logging.CRITICAL)
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# -- what SQLite does


class Told:
    """What all connections told SQLite: statements, transactions, and how many of these wait for the disk."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def connection(self, *given: Any, **named: Any) -> sqlite3.Connection:
        """In place of sqlite3.connect."""
        connection = CONNECT(*given, **named)

        def told(text: str) -> None:
            if text.startswith("BEGIN"):
                self.counts["transactions"] += 1
            elif STATEMENT.match(text):
                self.counts["statements"] += 1

        connection.set_trace_callback(told)
        return connection

    def wait(self, flush: Flush, number: int) -> None:
        """In place of Flush.wait."""
        self.counts["durable"] += 1
        WAIT(flush, number)


CONNECT, START, WAIT = sqlite3.connect, Jobs.start, Flush.wait


class Teller(Worker):
    """A worker that notes, of each kind of request, what SQLite was told the last time."""

    told: Told
    sql: dict[str, tuple[int, int, int]]

    def ask(self, method: str, target: str, form: dict[str, str] | None = None, **headers: str) -> Any:
        self.told.counts.clear()
        answer = super().ask(method, target, form, **headers)
        grant = (form or {}).get("grant_type", "")
        counts = self.told.counts
        label = f"{method} {target.removeprefix(BASE).partition('?')[0]} {grant}".strip()
        self.sql[label] = (counts["statements"], counts["transactions"], counts["durable"])
        return answer


def sql() -> dict[str, tuple[int, int, int]]:
    """Statements, transactions and durable ones among them, of each kind of request."""
    told = Told()
    sqlite3.connect, Jobs.start = told.connection, lambda self: None  # type: ignore[assignment] # no thread of its own pace
    Flush.wait = lambda flush, number: told.wait(flush, number)  # type: ignore[method-assign]
    try:
        with calm(), tempfile.TemporaryDirectory() as folder:
            settings = {
                "issuer": BASE,
                "database": f"sqlite:///{folder}/g.db",
                "scopes": SCOPES,
                "routes": ["GET /public/** public", "* /write scope=read,write"],
                "features": "default health",
            }
            gateway = OAuthGateway(app, **settings)
            clients = Clients(gateway.settings, gateway.store, gateway.events, gateway.server.sealer)
            shop, secret = clients.create(now=time.time(), client_name="Shop", redirect_uris=[CALLBACK])
            machine, other = clients.create(now=time.time(), client_name="Robot")
            gateway.server.users.create("ann", "correct horse battery", time.time())
            gateway.store.close()
            known = {
                "shop": [shop.client_id, secret],
                "machine": [machine.client_id, other],
                "password": "correct horse battery",
            }
            worker = Teller({"settings": settings, **known})
            worker.told, worker.sql = told, {}
            for steps in (read_documents, be_a_person, be_a_machine):
                steps(worker)
            worker.gateway.store.close()
            return worker.sql
    finally:
        sqlite3.connect, Jobs.start, Flush.wait = CONNECT, START, WAIT  # type: ignore[method-assign]


def main() -> None:
    found = {"work": work(Wasteful if "wasteful" in sys.argv[1:] else OAuthGateway), "sql": sql()}
    if "json" in sys.argv[1:]:
        print(json.dumps(found))
        return
    for case, counted in found["work"].items():
        print(f"    {case!r}: ({', '.join(str(counted[name]) for name in MEASURES)}),")
    for case, told in found["sql"].items():
        print(f"    {case!r}: {told},")


if __name__ == "__main__":
    main()
