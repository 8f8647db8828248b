"""Adversarial text costs time in proportion to its length: no pattern and no parser is quadratic (CVE-2022-36087's class).

What is compared is the growth from 16 KiB to 64 KiB, 4 where it is linear and 16 where it is quadratic, in the least of several
turns of this process's own CPU time; what takes no time to speak of at 64 KiB needs no comparing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from oauth_gateway import params, policy, redirects, refusals, scopes
from oauth_gateway.cookies import take_apart
from oauth_gateway.errors import OAuthError
from oauth_gateway.fetch import destination
from oauth_gateway.guard import _names_a_token, _normalised

from .conftest import World

LONG = 64 * 1024
QUICK = 0.002  # seconds
RULE = policy.parse_rule("GET /a*b*c/**/x*y/**/z* public")
PIECES = [
    "a",
    "a.",
    "a-",
    "-",
    ".",
    ":",
    ":1",
    "[::1]",
    "/",
    "/a",
    "/x",
    "/.",
    "/..",
    "%2f%2e",
    ";",
    "; ",
    ";q=",
    ";q=1",
    ",",
    ", ",
    ",bearer",
    ", \t",
    " ",
    "=",
    "==",
    "&",
    "&a=b",
    "%",
    "%61",
    "+",
    "oauth_gateway_1",
    "text/html;q=0.1,",
    "*/*,",
    "abc/xxy",
    "\\",
    "@",
    "é",
]


def preferring(text: str) -> None:
    refusals.prefers_page({"REQUEST_METHOD": "GET", "HTTP_ACCEPT": text})


def deciding(text: str) -> None:
    policy.not_canonical(text)
    policy.Policy([RULE]).decide("GET", text)


def parsing(text: str) -> None:
    params.read_query({"QUERY_STRING": text[: params.MAX_BODY]})


READERS: dict[str, tuple[str, Callable[[str], object], str]] = {  # what comes before, who reads, what comes behind
    "redirect URI": ("https://", redirects.refuse_reason, "!"),
    "loopback redirect URI": ("http://127.0.0.1:1/", lambda text: redirects.matches(["http://127.0.0.1/cb"], text), "!"),
    "private-use redirect URI": ("com.", redirects.refuse_reason, "!:/x"),
    "IPv6 redirect URI": ("https://[", redirects.refuse_reason, "]x"),
    "host of a redirect URI": ("", redirects._HOST.match, "!"),
    "scheme of a redirect URI": ("", redirects._PRIVATE_SCHEME.match, "!"),
    "host that is fetched": ("", destination._NAME.match, "!"),
    "authority that is fetched": ("", destination._AUTHORITY.match, "!"),
    "scope": ("", scopes.SCOPE.match, '"'),
    "path": ("/", deciding, "\x80x"),
    "path and rule": ("/abc/", deciding, ""),
    "query": ("a=", _names_a_token, "&"),
    "parameters": ("a=", parsing, "&"),
    "cookies": ("oauth_gateway_1=", take_apart, ";"),
    "credential": ("Bearer ", _normalised, "!"),
    "another scheme": ("x ", _normalised, "beare"),
    "Accept": ("text/html;", preferring, "q"),
}


def seconds(read: Callable[[str], object], text: str) -> float:
    """What reading takes; a refusal is an answer like any other."""
    start = time.process_time()
    with suppress(OAuthError):
        read(text)
    return time.process_time() - start


def grows_too_fast(read: Callable[[str], object], before: str, piece: str, behind: str) -> bool:
    def text(length: int) -> str:
        return before + piece * (length // len(piece)) + behind

    if seconds(read, text(LONG)) < QUICK:
        return False
    turns = [(seconds(read, text(LONG)), seconds(read, text(LONG // 4))) for _ in range(7)]  # a machine may be slow for a while
    long, short = (min(each) for each in zip(*turns, strict=True))
    return long > 9 * max(short, QUICK / 10)


@pytest.mark.parametrize("reader", READERS)
def test_64_kib_of_anything_take_time_in_proportion(reader: str) -> None:
    """A082"""
    before, read, behind = READERS[reader]
    slow = [piece for piece in PIECES if grows_too_fast(read, before, piece, behind)]
    assert not slow, f"{reader}: grows faster than its length with {slow}"


def test_what_grows_with_the_square_is_found() -> None:
    """The check itself"""
    bad = re.compile("a*!").search
    assert grows_too_fast(lambda text: bad(text[: len(text) // 16]), "", "a", "")


def test_headers_of_64_kib_are_refused_and_reach_no_app(memory_world: World) -> None:
    """A082: as a server hands them over"""
    world = memory_world
    plain = {"REQUEST_METHOD": "GET", "PATH_INFO": "/thing", "SCRIPT_NAME": "", "QUERY_STRING": "", "REMOTE_ADDR": "127.0.0.1"}
    for name in "HTTP_AUTHORIZATION HTTP_ACCEPT HTTP_COOKIE HTTP_ORIGIN HTTP_HOST QUERY_STRING HTTP_X_FORWARDED_FOR".split():
        for piece in ("a", ", ", "; ", "Bearer ", "%41"):
            told: list[Any] = []
            world.gateway({**plain, name: piece * (LONG // len(piece))}, lambda status, headers, told=told: told.append(status))
            assert told[0][:3] in ("400", "401"), (name, piece, told)
    assert world.app.calls == 0
