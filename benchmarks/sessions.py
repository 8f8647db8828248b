"""A protected GET by the session of a browser beside one by a token: `python benchmarks/sessions.py`.

1,000 different sessions and tokens of a person, one rule, strict revocation on SQLite, the app a constant; medians of
interleaved rounds, in-process in microseconds of CPU, and under gunicorn. Writes its section of benchmarks/PARTS.md.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.in_process import ENVIRON, REQUESTS, TOKENS, app, issue, make
from benchmarks.peers import ISSUER
from benchmarks.peers import gateway as peer
from benchmarks.sections import write
from benchmarks.servers import HERE, Measured, NotMeasured, load, served, status
from oauth_gateway import OAuthGateway
from oauth_gateway.exchange import session_cookie
from oauth_gateway.sessions import Sessions

ROUNDS, SERVED_ROUNDS, SECONDS = 21, 9, 2
RULE = "* /** session scope=read"
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


def in_process(folder: Path) -> dict[str, float]:
    """Microseconds of CPU of each kind of request."""
    gateway, headers = make(f"sqlite:///{folder}/x.db", person=True, routes=[RULE], scopes=["read"])
    cookies = signed_in(gateway, "https://api.example.com")
    tokens = [{"HTTP_AUTHORIZATION": header} for header in headers]
    cases: dict[str, tuple[Any, list[dict[str, str]]]] = {
        "bare": (app, tokens),
        "token": (gateway, tokens),
        "session": (gateway, [{"HTTP_COOKIE": value} for value in cookies]),
        "token, a browser's headers": (gateway, [{**NAVIGATION, **each} for each in tokens]),
        "session, a browser's headers": (gateway, [{**NAVIGATION, "HTTP_COOKIE": value} for value in cookies]),
        "token, and other cookies": (gateway, [{**each, "HTTP_COOKIE": "a=b; c=d"} for each in tokens]),
        "session, and other cookies": (gateway, [{"HTTP_COOKIE": f"a=b; {value}; c=d"} for value in cookies]),
    }
    times: dict[str, list[float]] = {case: [] for case in cases}
    for _ in range(ROUNDS + 1):
        for case, (target, requests) in cases.items():
            times[case].append(run(target, requests))
    gateway.store.close()
    return {case: statistics.median(found[1:]) for case, found in times.items()}


def signed_in(gateway: OAuthGateway, base: str) -> list[str]:
    """As many Cookie headers of one person."""
    user = gateway.server.users.create("a person at a browser", "correct horse battery", time.time())
    sessions, name = Sessions(gateway.settings, gateway.store, gateway.server.sealer), session_cookie(base)[0]
    return [f"{name}={sessions.start(user, None, time.time())[0]}" for _ in range(TOKENS)]


def under_gunicorn(folder: Path) -> dict[str, list[Measured]]:
    """The same kinds one after the other, by wrk; another process serves for each, so that none is better placed."""
    peer.prepare(folder, 1)
    gateway = peer.around(None)
    lines = {"token": issue(gateway, person=True), "session": signed_in(gateway, ISSUER)}
    gateway.store.close()
    environ = {**os.environ, "BENCH_USED": str(TOKENS)}
    found: dict[str, list[Measured]] = {case: [] for case in lines}
    for _ in range(SERVED_ROUNDS):
        for case, values in lines.items():
            (folder / case).write_text("\n".join(values) + "\n")
            more = {"BENCH_LINES": str(folder / case), **({"BENCH_HEADER": "Cookie"} if case == "session" else {})}
            with served("benchmarks.peers.gateway:sessions()", environ | more) as server:
                if case == "token" and (status(server.port, values[0]), status(server.port, "no")) != (200, 401):
                    raise NotMeasured("a good token must get 200, a bad one 401")
                found[case].append(load(server, HERE / "protected.lua", environ | more, SECONDS, 1, False))
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        medians = in_process(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BENCH_FOLDER"] = folder
        found = under_gunicorn(Path(folder))
    ratio = statistics.median(one.rate / other.rate for one, other in zip(found["session"], found["token"], strict=True))
    served_lines = [
        f"| {case} | {statistics.median(one.rate for one in each):.0f} | {statistics.median(one.cpu for one in each):.1f} |"
        for case, each in found.items()
    ]
    write(
        "Sessions",
        [
            "`python benchmarks/sessions.py`: CPU of a request in all, by the session of a browser and by a token, both",
            f"remembered; medians of {ROUNDS} interleaved rounds of {REQUESTS} requests, {TOKENS} sessions or tokens each.",
            "",
            "| request | µs |",
            "| --- | ---: |",
            *(f"| {case} | {median:.2f} |" for case, median in medians.items()),
            "",
            f"Under gunicorn (one gthread worker, wrk on the other core, {SERVED_ROUNDS} interleaved rounds of {SECONDS} s)",
            f"sessions get {ratio:.2f} of the requests a second that tokens get.",
            "",
            "| request | requests/s | CPU µs |",
            "| --- | ---: | ---: |",
            *served_lines,
        ],
        Path(__file__).with_name("PARTS.md"),
    )


if __name__ == "__main__":
    main()
