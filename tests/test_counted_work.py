"""What a request costs, counted and not timed: a check that fails for one needless call and never for a busy machine.

Where a number is meant to change, paste what `python -m tests.counted_work` prints, by each Python of the table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import needs
from .counted_work import MEASURES

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
# executed instructions; calls of Python functions; those of our own among them; calls of C functions
WORK: dict[str, dict[str, tuple[int, int, int, int]]] = {
    "3.11": {
        "cached": (195, 4, 4, 7),
        "cached, other path": (195, 4, 4, 7),
        "cached, identity headers": (500, 12, 6, 31),
        "cached, JWT": (195, 4, 4, 7),
        "session": (231, 4, 4, 9),
        "garbage": (1174, 43, 40, 51),
        "unknown, our checksum": (2094, 85, 76, 103),
        "dead, again": (1448, 51, 44, 79),
        "miss": (1259, 38, 33, 48),
        "client_credentials": (2783, 138, 121, 114),
        "client_credentials, again": (1487, 65, 61, 61),
    },
    "3.13": {
        "cached": (186, 4, 4, 7),
        "cached, other path": (186, 4, 4, 7),
        "cached, identity headers": (464, 12, 6, 31),
        "cached, JWT": (186, 4, 4, 7),
        "session": (223, 4, 4, 9),
        "garbage": (1076, 42, 39, 51),
        "unknown, our checksum": (1880, 82, 73, 103),
        "dead, again": (1302, 50, 43, 79),
        "miss": (1123, 38, 33, 48),
        "client_credentials": (2516, 136, 119, 114),
        "client_credentials, again": (1342, 65, 61, 61),
    },
}
FEW = 2  # instructions: a compiler of another patch release
# these cross SQLAlchemy and Authlib, whose releases differ: our own calls are exact, the rest is a share of the number above
THROUGH_LIBRARIES = {
    "unknown, our checksum": 0.05,
    "miss": 0.05,
    "client_credentials": 0.05,
    "garbage": 0.02,
    "dead, again": 0.02,
}
WHERE = {
    "cached": "OAuthGateway.__call__, Guard.admit, Tokens.find and Database.epoch",
    "session": "OAuthGateway.__call__, Guard.admit and Tokens.of_cookies",
    "garbage": "Guard._token, Sealer.recognise and refusals.py",
    "unknown": "Tokens._load and Grants.token",
    "dead": "Tokens._load, refused.py and refusals.py",
    "miss": "Tokens._load and Grants.token",
    "client_credentials": "exchange.py, params.py, answering.py, client_auth.py, issuing.py and Grants.issue",
}
# statements; transactions; those of them that wait for the disk
SQL: dict[str, tuple[int, int, int]] = {
    "GET /.well-known/oauth-authorization-server": (0, 0, 0),
    "GET /.well-known/openid-configuration": (0, 0, 0),
    "GET /.well-known/jwks.json": (0, 0, 0),
    "GET /.well-known/oauth-protected-resource": (0, 0, 0),
    "GET /token/health/live": (0, 0, 0),
    "GET /token/health/ready": (3, 1, 0),
    "GET /authorize": (6, 1, 0),
    "POST /authorize/login": (20, 6, 2),
    "POST /authorize": (9, 2, 1),
    "POST /token authorization_code": (4, 1, 1),
    "POST /token refresh_token": (4, 1, 1),
    "GET /token/userinfo": (2, 0, 0),
    "GET /thing": (2, 0, 0),
    "GET /authorize/account": (5, 0, 0),
    "GET /authorize/logout": (1, 0, 0),
    "POST /authorize/logout": (12, 1, 1),
    "POST /token client_credentials": (2, 0, 0),
    "GET /public/x": (0, 0, 0),
    "GET /write": (0, 0, 0),
    "GET /steps/up": (0, 0, 0),
    "POST /token/introspect": (1, 0, 0),
    "POST /token/revoke": (5, 1, 1),
}


def measured(*arguments: str) -> dict[str, Any]:
    """What another process counts, in which no test tool traces or patches anything."""
    root = Path(__file__).parent.parent
    environ = {**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "tests.counted_work", "json", *arguments]
    done = subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def complaints(found: dict[str, dict[str, Any]], table: dict[str, tuple[int, int, int, int]]) -> list[str]:
    """A sentence for each kind of request whose work is not that of the table: what it was, what it is, where to look."""
    told = [f"{case}: is counted and has no row" for case in found.keys() ^ table.keys()]
    for case in found.keys() & table.keys():
        share, off = THROUGH_LIBRARIES.get(case, 0.0), []
        for measure, was in zip(MEASURES, table[case], strict=True):
            allowed = 0 if measure == "ours" else was * share if share else FEW if measure == "instructions" else 0
            if abs(found[case][measure] - was) > allowed:
                off.append(f"{found[case][measure]} {measure} (were {was}, {allowed:.0f} more or less are allowed)")
        if off:
            most = ", ".join(f"{name} {count}" for name, count in found[case]["where"].items())
            place = next(place for start, place in WHERE.items() if case.startswith(start))
            told.append(f"{case}: {'; '.join(off)}. Look at {place}. Instructions now: {most}.")
    return told


@pytest.fixture(scope="module")
def table() -> dict[str, tuple[int, int, int, int]]:
    needs(VERSION in WORK, f"there are no numbers for Python {VERSION}; `python -m tests.counted_work` prints them")
    return WORK[VERSION]


@pytest.fixture(scope="module")
def now() -> dict[str, Any]:
    return measured()


def test_a_request_executes_as_many_instructions_and_calls_as_the_table_says(
    now: dict[str, Any], table: dict[str, tuple[int, int, int, int]]
) -> None:
    """Fewer is told, too, so that the table stays what a regression is measured by"""
    told = complaints(now["work"], table)
    assert not told, "\n".join(["", *told, "Where it is meant: `python -m tests.counted_work` prints the new rows."])


def test_a_request_tells_sqlite_as_much_as_the_table_says(now: dict[str, Any]) -> None:
    """A token is one transaction, whose loss the client survives; what is redeemed or revoked is one that waits for the disk"""
    found = {case: tuple(told) for case, told in now["sql"].items()}
    off = {case: (found.get(case), SQL.get(case)) for case in found.keys() | SQL if found.get(case) != SQL.get(case)}
    assert not off, f"(statements, transactions, durable ones) are and were: {off}; `python -m tests.counted_work` prints them"


def test_one_needless_call_is_found(table: dict[str, tuple[int, int, int, int]]) -> None:
    """The check itself: each kind of request is told, with what it was, what it is, and where to look"""
    told = complaints(measured("wasteful")["work"], table)
    assert {line.partition(":")[0] for line in told} == set(table)
    line = next(line for line in told if line.startswith("cached:"))
    _, calls, ours, c_calls = table["cached"]
    assert f"; {calls + 1} calls (were {calls}, 0 more or less are allowed)" in line
    assert f"; {ours + 1} ours (were {ours}, " in line and f"; {c_calls + 1} c_calls (were {c_calls}, " in line
    assert "Look at OAuthGateway.__call__" in line and "is_well_known" in line.partition("Instructions now: ")[2]
