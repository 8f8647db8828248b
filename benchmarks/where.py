"""Where the time of a request goes: `python -m benchmarks.where`; in-process, microseconds of CPU by who spends them.

A request's time is measured without a profiler; a profiler then tells the share of each part. It makes calls of Python
functions look longer than they are, so what our own modules take is rather less and SQLite's share rather more. Writes its
section of benchmarks/PARTS.md.
"""

from __future__ import annotations

import cProfile
import gc
import io
import json
import os
import pstats
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from benchmarks.in_process import ENVIRON
from benchmarks.peers import CALLBACK, VERIFIER, Facts, gateway, handwritten
from benchmarks.sections import write
from benchmarks.work import FORM, authorize_url

TURNS = 450  # requests of each kind that are measured, and as many that are profiled
BUILTIN = {
    "sqlite3": "SQLite",
    "fdatasync": "flush",
    "_hashlib": "hashes, chance",
    "urandom": "hashes, chance",
    "compare_digest": "hashes, chance",
}
MODULES = {
    "/authlib/": "Authlib",
    "/sqlalchemy/": "SQLAlchemy",
    "/oauth_gateway/store/": "our store",
    "/oauth_gateway/": "ours",
    "/benchmarks/": "ours",
    "<string>": "ours",  # constructors of dataclasses
}
PARTS = ("SQLite", "flush", "hashes, chance", "Authlib", "SQLAlchemy", "our store", "ours", "standard library")
Environ = dict[str, Any]
App = Callable[..., Any]


def environ(method: str, target: str, form: dict[str, str] | None = None, **headers: str) -> Environ:
    path, _, query = target.partition("?")
    body = urlencode(form or {}).encode()
    more = {"CONTENT_TYPE": FORM, "CONTENT_LENGTH": str(len(body))} if form else {}
    named = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    asked = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "wsgi.input": io.BytesIO(body)}
    return {**ENVIRON, **asked, **more, **named}


class Asking:
    """An app, what it answered last, and the requests of each kind, each of which can be sent once."""

    def __init__(self, app: App, facts: Facts) -> None:
        self.app = app
        self.facts = facts
        self.body = b""
        self.headers: dict[str, str] = {}

    def send(self, request: Environ) -> None:
        self.body = b"".join(self.app(request, self.start))

    def start(self, status: str, headers: list[tuple[str, str]], error: Any = None) -> None:
        if status[0] not in "23":
            raise AssertionError(status)
        self.headers = dict(headers)

    def remembered(self) -> Iterator[Environ]:
        while True:
            yield environ("GET", "/thing", authorization=f"Bearer {self.facts.tokens[0]}")

    def missed(self) -> Iterator[Environ]:
        for token in self.facts.tokens:
            yield environ("GET", "/thing", authorization=f"Bearer {token}")

    def issued(self) -> Iterator[Environ]:
        form = {"grant_type": "client_credentials", "scope": "read"}
        while True:
            yield environ("POST", "/token", form, authorization=self.facts.machine)

    def introspected(self) -> Iterator[Environ]:
        while True:
            yield environ("POST", "/token/introspect", {"token": self.facts.tokens[0]}, authorization=self.facts.machine)

    def authorized(self) -> Iterator[Environ]:
        while True:
            yield environ("GET", authorize_url(self.facts), cookie=self.facts.cookie)

    def redeemed(self) -> Iterator[Environ]:
        while True:
            self.send(environ("GET", authorize_url(self.facts), cookie=self.facts.cookie))
            code = parse_qs(urlsplit(self.headers["Location"]).query)["code"][0]
            form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
            yield environ("POST", "/token", form, authorization=self.facts.shop)

    def refreshed(self) -> Iterator[Environ]:
        self.send(next(self.redeemed()))
        while True:
            form = {"grant_type": "refresh_token", "refresh_token": json.loads(self.body)["refresh_token"]}
            yield environ("POST", "/token", form, authorization=self.facts.shop)


def measure(asking: Asking, requests: Iterator[Environ]) -> tuple[float, Counter[str]]:
    """Microseconds of a request, and the share of each part."""
    spent, profile = [], cProfile.Profile()
    for turn in range(2 * TURNS):
        request = next(requests)
        if turn >= TURNS:
            profile.enable()
            asking.send(request)
            profile.disable()
        else:
            start = time.process_time()
            asking.send(request)
            spent.append(time.process_time() - start)
    return statistics.median(spent) * 1e6, shares(profile)


def shares(profile: cProfile.Profile) -> Counter[str]:
    found: Counter[str] = Counter()
    known: dict[tuple[str, int, str], Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    for (file, _, name), (_, _, own, *_) in known.items():
        table, text = (BUILTIN, name) if file == "~" else (MODULES, file)
        found[next((part for mark, part in table.items() if mark in text), PARTS[-1])] += own
    total = sum(found.values())
    return Counter({part: own / total for part, own in found.items()})


def main() -> None:
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BENCH_FOLDER"] = folder
        facts = gateway.prepare(Path(folder), 1000)
        ours, other = Asking(gateway.bare(), facts), Asking(handwritten.app(), facts)
        ours.send(next(ours.remembered()))
        gc.collect()
        gc.freeze()
        for kind, asking, requests in (
            ("protected, remembered", ours, ours.remembered()),
            ("protected, not remembered", ours, ours.missed()),
            ("client_credentials, hand-written", other, other.issued()),
            ("client_credentials", ours, ours.issued()),
            ("introspection", ours, ours.introspected()),
            ("authorize, with a session", ours, ours.authorized()),
            ("a code redeemed", ours, ours.redeemed()),
            ("refresh", ours, ours.refreshed()),
        ):
            microseconds, share = measure(asking, requests)
            cells = [kind, f"{microseconds:.1f}", *(f"{share[part] * microseconds:.1f}" for part in PARTS)]
            lines.append(f"| {' | '.join(cells)} |")
    write(
        "Where the time goes",
        [
            f"`python -m benchmarks.where`: median CPU of {TURNS} requests in-process, and a profiler's shares of it, in µs.",
            "",
            f"| request | in all | {' | '.join(PARTS)} |",
            f"| --- | ---: |{' ---: |' * len(PARTS)}",
            *lines,
        ],
        Path(__file__).with_name("PARTS.md"),
    )


if __name__ == "__main__":
    main()
