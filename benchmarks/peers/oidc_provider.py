"""What the load needs to know of `oidc_provider.mjs`, which stores nothing: tokens and a session are made when it runs."""

from __future__ import annotations

import http.client
import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from benchmarks.peers import CALLBACK, CHALLENGE, OURS, USED, Facts, basic

SECRET = "a-secret-of-more-than-enough-characters"
Headers = dict[str, str]


def prepare(into: Path, rows: int) -> Facts:
    known = {"machine": basic("machine", SECRET), "wrong": basic("machine", "wrong"), "shop": basic("shop", SECRET)}
    return Facts([], **known, shop_id="shop", paths=OURS)


def meet(port: int, facts: Facts) -> Facts:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": facts.machine, "Content-Type": "application/x-www-form-urlencoded"}
    tokens = []
    for _ in range(USED):
        connection.request("POST", "/token", "grant_type=client_credentials&scope=read", headers)
        tokens.append(json.loads(connection.getresponse().read())["access_token"])
    cookie = _visit(connection)
    connection.close()
    return replace(facts, tokens=tokens, cookie=cookie)


def _visit(connection: http.client.HTTPConnection) -> str:
    """Sign in and agree as a browser would; the Cookie header that it has then."""
    asked = {"response_type": "code", "client_id": "shop", "redirect_uri": CALLBACK, "scope": "read"}
    asked |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    location, cookies = f"/authorize?{urlencode(asked)}", dict[str, str]()
    for _ in range(10):
        connection.request("GET", location, headers={"Cookie": "; ".join(f"{name}={v}" for name, v in cookies.items())})
        answer = connection.getresponse()
        answer.read()
        for header in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = header.partition(";")[0].partition("=")
            cookies[name] = value
        location = answer.headers["Location"] or ""
        if location.startswith(CALLBACK):
            return "; ".join(f"{name}={value}" for name, value in cookies.items() if name.startswith("_session"))
        parts = urlsplit(location)
        location = f"{parts.path}?{parts.query}" if parts.query else parts.path
    raise RuntimeError(f"no code, but {answer.status} {location}")
