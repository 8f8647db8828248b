"""A worker's first requests, one of each kind, in a process of its own: `python -m tests.first_requests SETTINGS`.

Run by test_start.py. SETTINGS is JSON: those of the gateway, and the credentials that its database knows. Printed is, as JSON,
what each request imported. Nothing is imported here that the gateway does not need, save `colorsys`, by an app that shows the
check at work.
"""

from __future__ import annotations

import base64
import io
import json
import re
import sys
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import oauth_gateway

BASE = "https://api.example.com"
CALLBACK = "https://client.test/cb"


def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    if environ["PATH_INFO"] == "/lazy":
        import colorsys  # noqa: F401
    if environ["PATH_INFO"] == "/steps/up":
        environ["oauth_gateway.require"]("write")
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]


class Worker:
    """A gateway, its browser's cookies, and what was imported since it was made."""

    def __init__(self, known: dict[str, Any]) -> None:
        self.known = known
        self.gateway = oauth_gateway.OAuthGateway(app, **known["settings"])
        self.imported: dict[str, list[str]] = {}
        self._cookies: dict[str, str] = {}
        self._modules = set(sys.modules)

    def ask(
        self, method: str, target: str, form: dict[str, str] | None = None, **headers: str
    ) -> tuple[int, dict[str, str], str]:
        """Status, headers and body of the answer; what it imported is noted."""
        path, _, query = target.removeprefix(BASE).partition("?")
        body = urlencode(form or {}).encode()
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_NAME": "api.example.com",
            "SERVER_PORT": "443",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.url_scheme": "https",
            "wsgi.input": io.BytesIO(body),
            **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
        }
        if self._cookies:
            environ["HTTP_COOKIE"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        if form is not None:
            environ.update(CONTENT_TYPE="application/x-www-form-urlencoded", CONTENT_LENGTH=str(len(body)), HTTP_ORIGIN=BASE)
        told: list[Any] = []
        text = b"".join(self.gateway(environ, lambda status, given, error=None: told.extend((status, given)))).decode()
        new, self._modules = sorted(set(sys.modules) - self._modules), set(sys.modules)
        self.imported.setdefault(f"{method} {path}", []).extend(new)
        for name, value in told[1]:
            if name == "Set-Cookie":
                cookie, _, content = value.partition(";")[0].partition("=")
                self._cookies[cookie] = content
        return int(told[0][:3]), dict(told[1]), text

    def expect(self, status: int, method: str, target: str, form: dict[str, str] | None = None, **headers: str) -> str:
        """The answer's body, or the place that it leads to."""
        found, answered, text = self.ask(method, target, form, **headers)
        assert found == status, (method, target, found, text[:500])
        return answered.get("Location", text)

    def basic(self, client: str) -> str:
        return "Basic " + base64.b64encode(":".join(self.known[client]).encode()).decode()


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of the page's first form."""
    form = page.partition("<form")[2].partition("</form>")[0]
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)
    return {name: value.replace("&amp;", "&").replace("&#34;", '"') for name, value in found}


def be_refused(worker: Worker) -> None:
    worker.expect(401, "GET", "/thing")
    worker.expect(401, "GET", "/thing", accept="text/html")
    worker.expect(401, "GET", "/thing", authorization="Bearer garbage")
    worker.expect(401, "GET", "/thing", authorization=f"Bearer {worker.known['unknown']}")
    worker.expect(401, "GET", "/thing", authorization="Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.AAAA")
    worker.expect(400, "GET", "/a/../b")
    worker.expect(400, "GET", "/thing?access_token=x", authorization="Bearer x")
    worker.expect(200, "OPTIONS", "/thing", origin="https://a.test", access_control_request_method="GET")
    worker.expect(404, "GET", "/token/nothing")
    worker.expect(405, "GET", "/token")
    worker.expect(400, "GET", "/authorize?client_id=nobody")
    worker.expect(401, "POST", "/token", {"grant_type": "client_credentials"}, authorization="Basic eDp5")


def read_documents(worker: Worker) -> None:
    for name in ("oauth-authorization-server", "openid-configuration", "jwks.json", "oauth-protected-resource"):
        json.loads(worker.expect(200, "GET", f"/.well-known/{name}"))
    worker.expect(200, "GET", "/token/health/live")
    worker.expect(200, "GET", "/token/health/ready")


def be_a_machine(worker: Worker) -> None:
    basic, form = worker.basic("machine"), {"grant_type": "client_credentials", "scope": "read"}
    token = json.loads(worker.expect(200, "POST", "/token", form, authorization=basic))
    bearer = f"Bearer {token['access_token']}"
    for _ in range(2):  # from the store, then remembered
        worker.expect(200, "GET", "/thing", authorization=bearer)
    worker.expect(200, "GET", "/public/x")
    worker.expect(403, "GET", "/write", authorization=bearer)
    worker.expect(403, "GET", "/steps/up", authorization=bearer)
    form = {"token": token["access_token"]}
    assert json.loads(worker.expect(200, "POST", "/token/introspect", form, authorization=basic))["active"]
    worker.expect(200, "POST", "/token/revoke", form, authorization=basic)
    worker.expect(401, "GET", "/thing", authorization=bearer)


def be_a_person(worker: Worker) -> None:
    request = {
        "response_type": "code",
        "client_id": worker.known["shop"][0],
        "redirect_uri": CALLBACK,
        "scope": "openid read",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
        "nonce": "n",
    }
    where = "/authorize?" + urlencode(request)
    login = worker.expect(200, "GET", where)
    worker.expect(303, "POST", "/authorize/login", {**hidden(login), "username": "ann", "password": "wrong"})
    where = worker.expect(
        303, "POST", "/authorize/login", {**hidden(login), "username": "ann", "password": worker.known["password"]}
    )
    consent = worker.expect(200, "GET", where)
    back = worker.expect(303, "POST", "/authorize", {**hidden(consent), "decision": "allow"})
    worker.expect(200, "GET", "/authorize?" + urlencode({**request, "response_mode": "form_post"}))
    basic = worker.basic("shop")
    form = {
        "grant_type": "authorization_code",
        "code": parse_qs(urlsplit(back).query)["code"][0],
        "redirect_uri": CALLBACK,
        "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    }
    got = json.loads(worker.expect(200, "POST", "/token", form, authorization=basic))
    form = {"grant_type": "refresh_token", "refresh_token": got["refresh_token"]}
    got = json.loads(worker.expect(200, "POST", "/token", form, authorization=basic))
    worker.expect(200, "GET", "/token/userinfo", authorization=f"Bearer {got['access_token']}")
    worker.expect(200, "GET", "/thing", authorization=f"Bearer {got['access_token']}")
    worker.expect(200, "GET", "/authorize/account")
    page = worker.expect(200, "GET", "/authorize/logout")
    worker.expect(200, "POST", "/authorize/logout", hidden(page))


def main() -> None:
    worker = Worker(json.loads(sys.argv[1]))
    for steps in (be_refused, read_documents, be_a_machine, be_a_person):
        steps(worker)
    token = json.loads(
        worker.expect(200, "POST", "/token", {"grant_type": "client_credentials"}, authorization=worker.basic("machine"))
    )
    worker.expect(200, "GET", "/lazy", authorization=f"Bearer {token['access_token']}")
    print(json.dumps({request: modules for request, modules in worker.imported.items() if modules}))


if __name__ == "__main__":
    main()
