"""The kinds of work, the same for everybody: a script for wrk, and what must be true before anything is measured."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from benchmarks.peers import CALLBACK, CHALLENGE, VERIFIER, Facts
from benchmarks.servers import HERE, NotMeasured, status

FORM = "application/x-www-form-urlencoded"
Headers = dict[str, str]


@dataclass(frozen=True, slots=True)
class Work:
    """One kind: its name, what the report calls it, wrk's script with its variables, and the check that comes first.

    A unit of work is `steps` requests; with `alone` each connection has a state of its own.
    """

    name: str
    title: str
    script: str
    check: Callable[[int, Facts], None]
    environ: Mapping[str, str] = field(default_factory=dict)
    steps: int = 1
    alone: bool = False

    def variables(self, facts: Facts, lines: Path) -> dict[str, str]:
        """All that the scripts read."""
        return {
            "BENCH_LINES": str(lines),
            "BENCH_PATH": facts.paths["introspect" if self.name == "introspection" else "token"],
            "BENCH_AUTHORIZATION": facts.shop if self.alone else facts.machine,
            "BENCH_AUTHORIZE": authorize_url(facts),
            "BENCH_COOKIE": facts.cookie,
            "BENCH_CALLBACK": CALLBACK,
            "BENCH_VERIFIER": VERIFIER,
            **self.environ,
        }


def authorize_url(facts: Facts) -> str:
    asked = {"response_type": "code", "client_id": facts.shop_id, "redirect_uri": CALLBACK, "scope": "read", "state": "s"}
    asked |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    return f"{facts.paths['authorize']}?{urlencode(asked)}"


# -- what must be true first


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *given: Any) -> None:
        return None


def send(port: int, path: str, headers: Headers, form: Mapping[str, str] | None = None) -> tuple[int, Message, str]:
    """Status, headers and body; redirects are not followed."""
    data = None if form is None else urlencode(form).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay).open(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def demand(condition: bool, what: str, *seen: object) -> None:
    if not condition:
        raise NotMeasured(f"{what}: {' '.join(str(each) for each in seen)}")


def check_protected(port: int, facts: Facts) -> None:
    for token in (facts.tokens[0], facts.tokens[-1]):
        found = status(port, token)
        demand(found == 200, "a good token must get 200", found)
    if facts.guarded:
        for bad in ("nonsense", facts.tokens[0][:-4] + "AAAA", None):
            found = status(port, bad)
            demand(found in (400, 401, 403) if bad is None else found == 401, "a bad token must get 401", bad, found)


def check_client_credentials(port: int, facts: Facts) -> None:
    form = {"grant_type": "client_credentials", "scope": "read"}
    found, _, body = send(port, facts.paths["token"], {"Authorization": facts.machine}, form)
    demand(found == 200, "a right secret must get 200", found, body)
    if facts.guarded:
        demand(len(json.loads(body)["access_token"]) > 20, "there must be an access token", body)
        found, _, body = send(port, facts.paths["token"], {"Authorization": facts.wrong}, form)
        demand(found in (400, 401), "a wrong secret must get 401 or 400", found, body)


def check_code(port: int, facts: Facts) -> None:
    """As `flow.lua` does it; and a wrong verifier and nobody's session get nothing."""
    demand("refresh_token" in redeem(port, facts, new_code(port, facts)), "there must be a refresh token")
    found, body = ask(port, facts, grant_type="authorization_code", code=new_code(port, facts), code_verifier="x" * 43)
    demand(found == 400, "a wrong verifier must get 400", found, body)
    found, headers, _ = send(port, authorize_url(facts), {})
    demand("code=" not in headers.get("Location", ""), "nobody must get a code", found)


def check_refresh(port: int, facts: Facts) -> None:
    """A refresh token buys another one, and garbage buys nothing."""
    first = redeem(port, facts, new_code(port, facts))["refresh_token"]
    found, body = ask(port, facts, grant_type="refresh_token", refresh_token=first)
    demand(found == 200 and json.loads(body).get("refresh_token") not in (None, first), "it must be rotated", found, body)
    found, body = ask(port, facts, grant_type="refresh_token", refresh_token="x" * 43)
    demand(found in (400, 401), "garbage must get 400", found, body)


def check_introspection(port: int, facts: Facts) -> None:
    headers, path = {"Authorization": facts.machine}, facts.paths["introspect"]
    for token, active in ((facts.tokens[0], True), (facts.tokens[-1], True), ("nonsense", False)):
        found, _, body = send(port, path, headers, {"token": token})
        demand(found == 200 and json.loads(body)["active"] is active, f"active must be {active}", found, body)
    found, _, body = send(port, path, {"Authorization": facts.wrong}, {"token": facts.tokens[0]})
    demand(found in (400, 401, 403), "a wrong secret must be refused", found, body)


def new_code(port: int, facts: Facts) -> str:
    found, headers, body = send(port, authorize_url(facts), {"Cookie": facts.cookie})
    query = parse_qs(urlsplit(headers.get("Location", "")).query)
    demand("code" in query, "there must be a code", found, headers.get("Location"), body)
    return query["code"][0]


def redeem(port: int, facts: Facts, code: str) -> dict[str, Any]:
    found, body = ask(port, facts, grant_type="authorization_code", code=code, code_verifier=VERIFIER)
    demand(found == 200, "a code must be redeemed", found, body)
    answer: dict[str, Any] = json.loads(body)
    return answer


def ask(port: int, facts: Facts, **form: str) -> tuple[int, str]:
    """The shop at the token endpoint."""
    if form["grant_type"] == "authorization_code":
        form["redirect_uri"] = CALLBACK
    found, _, body = send(port, facts.paths["token"], {"Authorization": facts.shop}, form)
    return found, body


WORKS = {
    work.name: work
    for work in (
        Work("protected-1", "Protected GET, one token", "protected.lua", check_protected, {"BENCH_USED": "1"}),
        Work("protected-1000", "Protected GET, 1,000 tokens in turn", "protected.lua", check_protected, {"BENCH_USED": "1000"}),
        Work(
            "paths-1000",
            "Protected GET, 1,000 tokens at 1,000 paths in turn",
            "protected.lua",
            check_protected,
            {"BENCH_USED": "1000", "BENCH_PATHS": "1000"},
        ),
        Work(
            "client_credentials",
            "client_credentials: a token for a client itself",
            "form.lua",
            check_client_credentials,
            {"BENCH_FORM": "grant_type=client_credentials&scope=read"},
        ),
        Work(
            "code", "Code flow with PKCE: authorize with a session, then redeem the code", "flow.lua", check_code, {}, 2, True
        ),
        Work("refresh", "Refresh with rotation", "flow.lua", check_refresh, {"BENCH_REFRESH": "1"}, 1, True),
        Work(
            "introspection",
            "Introspection of 1,000 tokens in turn",
            "form.lua",
            check_introspection,
            {"BENCH_FORM": "token=", "BENCH_USED": "1000"},
        ),
    )
}
SCRIPTS = HERE
