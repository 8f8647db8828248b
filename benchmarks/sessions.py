"""A protected GET by the session of a browser beside one by a token, in-process: `python benchmarks/sessions.py`.

1,000 different sessions and tokens of one rule, strict revocation on SQLite, the app a constant; medians of interleaved rounds,
in microseconds of CPU. Writes its section of benchmarks/PARTS.md.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.in_process import ENVIRON, REQUESTS, TOKENS, app, make
from benchmarks.sections import write
from oauth_gateway.exchange import session_cookie
from oauth_gateway.sessions import Sessions

ROUNDS = 21
NAVIGATION = {
    "HTTP_SEC_FETCH_SITE": "same-origin",
    "HTTP_SEC_FETCH_MODE": "navigate",
    "HTTP_SEC_FETCH_DEST": "document",
    "HTTP_ACCEPT": "text/html,application/xhtml+xml,*/*;q=0.8",
}


def run(target: Any, requests: list[dict[str, str]]) -> float:
    """Microseconds of CPU a request; what is brought is a new str each time, as a server makes it."""
    spent = 0.0
    for _ in range(REQUESTS // len(requests)):
        fresh = [{**ENVIRON, **{name: value[:7] + value[7:] for name, value in each.items()}} for each in requests]
        start = time.process_time()
        for environ in fresh:
            target(environ, None)
        spent += time.process_time() - start
    return spent / REQUESTS * 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        gateway, headers = make(f"sqlite:///{folder}/x.db", routes=["* /** session scope=read"], scopes=["read"])
        user = gateway.server.users.create("ann", "correct horse battery", time.time())
        sessions, name = (
            Sessions(gateway.settings, gateway.store, gateway.server.sealer),
            session_cookie("https://api.example.com")[0],
        )
        values = [f"{name}={sessions.start(user, None, time.time())[0]}" for _ in range(TOKENS)]
        tokens = [{"HTTP_AUTHORIZATION": header} for header in headers]
        cases: dict[str, tuple[Any, list[dict[str, str]]]] = {
            "bare": (app, tokens),
            "token": (gateway, tokens),
            "session": (gateway, [{"HTTP_COOKIE": value} for value in values]),
            "token, a browser's headers": (gateway, [{**NAVIGATION, **each} for each in tokens]),
            "session, a browser's headers": (gateway, [{**NAVIGATION, "HTTP_COOKIE": value} for value in values]),
            "token, and other cookies": (gateway, [{**each, "HTTP_COOKIE": "a=b; c=d"} for each in tokens]),
            "session, and other cookies": (gateway, [{"HTTP_COOKIE": f"a=b; {value}; c=d"} for value in values]),
        }
        times: dict[str, list[float]] = {case: [] for case in cases}
        for _ in range(ROUNDS + 1):
            for case, (target, requests) in cases.items():
                times[case].append(run(target, requests))
        medians = {case: statistics.median(found[1:]) for case, found in times.items()}
    write(
        "Sessions",
        [
            "`python benchmarks/sessions.py`: CPU of a request in all, by the session of a browser and by a token, both",
            f"remembered; medians of {ROUNDS} interleaved rounds of {REQUESTS} requests, {TOKENS} sessions or tokens each.",
            "",
            "| request | µs |",
            "| --- | ---: |",
            *(f"| {case} | {median:.2f} |" for case, median in medians.items()),
        ],
        Path(__file__).with_name("PARTS.md"),
    )


if __name__ == "__main__":
    main()
