"""The example API of `oauth-gateway demo`: notes in memory, and a page that walks the whole way as a client.

It is an ordinary WSGI app that knows nothing of OAuth but the page below /demo, which plays the client: authorization code
with PKCE, the token, who signed in, a protected call.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, urlencode

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Demo Notes</title><body style="font:16px/1.5 system-ui;max-width:42rem;margin:3rem auto;padding:0 1rem">{}</body>"""


class DemoApp:
    """`client_id` is the public client that the pages below /demo act as."""

    def __init__(self, client_id: str) -> None:
        self._client_id = client_id
        self._notes: list[dict[str, str]] = [{"by": "demo", "text": "The gateway let you in."}]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if path == "/notes":
            return self._api(environ, start_response)
        if path == "/demo/start":
            return self._start(environ, start_response)
        if path == "/demo/callback":
            return self._callback(environ, start_response)
        if path == "/":
            return _page(start_response, '<h1>Demo Notes</h1><p><a href="/demo/start">Sign in and read my notes</a></p>')
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"not found\n"]

    def _api(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        token = environ["oauth_gateway.token"]
        if environ["REQUEST_METHOD"] == "POST":
            text = environ["wsgi.input"].read(min(int(environ.get("CONTENT_LENGTH") or 0), 4096)).decode("utf-8", "replace")
            self._notes = [*self._notes[-99:], {"by": token.username or token.client_id, "text": text}]
        body = json.dumps({"you": token.username or token.client_id, "notes": self._notes}).encode() + b"\n"
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def _start(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self._client_id,
                "redirect_uri": f"{_base(environ)}/demo/callback",
                "scope": "openid profile notes:read",
                "state": state,
                "code_challenge": challenge,
                "code_challenge_method": "S256",
            }
        )
        cookie = f"demo={verifier}.{state}; Path=/demo; HttpOnly; SameSite=Lax"
        start_response("302 Found", [("Location", f"/authorize?{query}"), ("Set-Cookie", cookie), ("Content-Length", "0")])
        return [b""]

    def _callback(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        query = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        cookies = dict(part.strip().partition("=")[::2] for part in environ.get("HTTP_COOKIE", "").split(";"))
        verifier, _, state = cookies.get("demo", "").partition(".")
        if "error" in query:
            return _page(start_response, f"<h1>Not allowed</h1><p>{html.escape(query['error'])}</p><a href='/'>Back</a>")
        if not state or not secrets.compare_digest(state.encode(), query.get("state", "").encode()):
            return _page(start_response, "<h1>This answer was not asked for</h1><a href='/'>Back</a>", "400 Bad Request")
        form = {
            "grant_type": "authorization_code",
            "code": query.get("code", ""),
            "redirect_uri": f"{_base(environ)}/demo/callback",
            "client_id": self._client_id,
            "code_verifier": verifier,
        }
        try:
            answer = json.loads(_fetch(f"{_base(environ)}/token", urlencode(form).encode()))
            person = json.loads(_fetch(f"{_base(environ)}/token/userinfo", None, answer["access_token"]))
            notes = _fetch(f"{_base(environ)}/notes", None, answer["access_token"]).decode()
        except urllib.error.HTTPError as error:
            return _page(start_response, f"<h1>Refused: {error.code}</h1><a href='/'>Back</a>", "400 Bad Request")
        who = html.escape(person["preferred_username"])
        text = f"<h1>It works</h1><p>OpenID says that you are <b>{who}</b>. GET /notes with your token:</p>"
        return _page(start_response, f"{text}<pre>{html.escape(notes)}</pre>")


def _base(environ: dict[str, Any]) -> str:
    return f"http://{environ['HTTP_HOST']}"


def _fetch(url: str, data: bytes | None, token: str | None = None) -> bytes:
    request = urllib.request.Request(url, data, {"Authorization": f"Bearer {token}"} if token else {})  # noqa: S310
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as response:
        body: bytes = response.read()
    return body


def _page(start_response: Callable[..., Any], text: str, status: str = "200 OK") -> Iterable[bytes]:
    body = PAGE.format(text).encode()
    start_response(status, [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
