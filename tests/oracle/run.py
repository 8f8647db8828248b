"""The oracle: every case of corpus.py against node-oidc-provider and against the gateway, side by side in a Markdown table.

`python -m tests.oracle.run` needs Node and `npm ci` in this folder, and writes docs/oracle.md. It exits with 1 where a
difference has no explanation or an explanation no difference.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from wsgiref.simple_server import WSGIRequestHandler, make_server

import webob

from oauth_gateway import OAuthGateway
from oauth_gateway.models import Client, Secret, digest
from oauth_gateway.sealing import new_number

from .corpus import CALLBACK, CASES, CHALLENGE, FORM, LOOPBACK, SECRETS, VERIFIER, Case, basic

HERE = Path(__file__).parent
TABLE = HERE.parent.parent / "docs" / "oracle.md"
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
SCOPES = {"read": "Read your things", "write": "Change your things"}
Headers = dict[str, str | bytes]


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def document(self) -> dict[str, Any]:
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def send(port: int, method: str, target: str, body: bytes | None, headers: Headers) -> Reply:
    """One request on a connection of its own; redirects are not followed."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        return Reply(response.status, response.headers, response.read())
    finally:
        connection.close()


@dataclass
class Side:
    """One server, and the values that cases ask for; `new_code` makes a code of a client."""

    port: int
    new_code: Callable[[str, str], str]
    made: dict[str, str] = field(default_factory=dict)

    def form(self, path: str, client: str, good: bool = True, **pairs: str) -> dict[str, str]:
        headers: Headers = {"Content-Type": FORM}
        if client in SECRETS:
            headers.update(basic(client))
        else:
            pairs["client_id"] = client
        reply = send(self.port, "POST", path, urlencode(pairs).encode(), headers)
        if (reply.status == 200) != good:
            raise RuntimeError(f"port {self.port}, {path}, {client}: {reply.status} {reply.body!r}")
        return reply.document()

    def redeem(self, code: str, client: str, good: bool = True, **changes: str) -> dict[str, str]:
        pairs = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return self.form("/token", client, good, **{**pairs, **changes})

    def refresh(self, text: str) -> str:
        return self.form("/token", "confidential", grant_type="refresh_token", refresh_token=text)["refresh_token"]

    def value(self, match: re.Match[str]) -> str:
        """What a placeholder stands for, made once a case."""
        name = match[1]
        if name not in self.made:
            self.made[name] = self._make(name)
        return self.made[name]

    def _make(self, name: str) -> str:
        client = "public" if name.startswith("public_") else "confidential"
        code = self.new_code(client, CALLBACK)
        if name in ("code", "public_code"):
            return code
        if name == "short_code":
            return code[:-1]
        if name == "guessed_code":
            for _ in range(5):
                self.redeem(code, client, False, code_verifier="a" * 43)
            return code
        tokens = self.redeem(code, client)
        if name == "used_code":
            return code
        state, _, kind = name.rpartition("_")
        text, other = tokens["access_token"], tokens["refresh_token"]
        if kind == "refresh":
            text, other = other, text
        if state == "used":
            self.refresh(text)
        elif state == "old":
            self.refresh(self.refresh(text))
        elif state == "reused":
            newest = self.refresh(self.refresh(text))
            self.form("/token", client, False, grant_type="refresh_token", refresh_token=text)
            return newest
        elif state == "replayed":
            self.redeem(code, client, False)
        elif state == "revoked":
            self.form("/token/revoke", client, token=text)
        elif state == "bereft":
            self.form("/token/revoke", client, token=other)
        return text

    def answer(self, case: Case) -> str:
        """What the server says to `case`, in the words of the table."""
        self.made.clear()
        query = PLACEHOLDER.sub(self.value, case.query)
        form = PLACEHOLDER.sub(self.value, case.form) if isinstance(case.form, str) else case.form
        body = form.encode() if isinstance(form, str) else form
        headers = dict(case.headers)
        if body is not None:
            headers.setdefault("Content-Type", FORM)
        elif case.method == "POST":
            body = b""
        headers = {name: value for name, value in headers.items() if value != ""}
        headers.setdefault("Accept", "text/html" if case.path == "/authorize" else "application/json")
        reply = send(self.port, case.method, case.path + (f"?{query}" if query else ""), body, headers)
        return outcome(reply)


def outcome(reply: Reply) -> str:
    """Status, where the answer is (page, redirect, json, text, nothing) and its error code."""
    location = reply.headers.get("Location")
    if location is not None:
        return f"{reply.status} {whither(location)}"
    kind = reply.headers.get_content_type()
    if kind == "application/json":
        document = reply.document()
        said = document.get("error") or ("active=false" if document.get("active") is False else "no error")
        return f"{reply.status} json {said}"
    if kind == "text/html":
        code = re.search(rb"<code>(?:<bdi>)?([a-z_]+)(?:</bdi>)?</code>", reply.body)
        return f"{reply.status} page {code[1].decode()}" if code else "login"
    return f"{reply.status} {'text' if reply.body else 'nothing'}"


def whither(location: str) -> str:
    """Where a redirect leads: to the client with an error, to the login, or to a GET of the same request."""
    if location.startswith("/interaction/"):
        return "login"
    if not location.startswith((CALLBACK, LOOPBACK)):
        return "the same by GET" if urlsplit(location).path == "/authorize" else f"redirect to {location}"
    parts = urlsplit(location)
    found = parse_qs(parts.fragment or parts.query)
    words = ["fragment" if parts.fragment else "redirect", *found.get("error", ["no error"])]
    words += [f"without {name}" for name in ("state", "iss") if name not in found]
    return " ".join(words)


# -- the two servers


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def start_oracle() -> tuple[subprocess.Popen[str], Side]:
    port = free_port()
    process = subprocess.Popen(
        ["node", "provider.mjs", str(port)], cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    if process.stdout is None or process.stdout.readline() != "ready\n":
        raise RuntimeError("provider.mjs did not start; run it by hand to see why")

    def new_code(client: str, redirect_uri: str) -> str:
        wanted = {"client_id": client, "redirect_uri": redirect_uri, "scope": "read", "code_challenge": CHALLENGE}
        return str(send(port, "POST", "/oracle/code", json.dumps(wanted).encode(), {}).document()["code"])

    return process, Side(port, new_code)


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


def start_gateway(folder: str) -> tuple[OAuthGateway, Side]:
    gateway = OAuthGateway(database=f"sqlite:///{folder}/oracle.db", scopes=SCOPES)
    flow = {"grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"], "scope": "read write"}
    machine = {"grant_types": ["client_credentials"], "response_types": [], "scope": "read", "redirect_uris": []}
    register(
        gateway, "confidential", {**flow, "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "client_secret_basic"}
    )
    register(gateway, "poster", {**flow, "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "client_secret_post"})
    register(gateway, "public", {**flow, "redirect_uris": [CALLBACK, LOOPBACK], "token_endpoint_auth_method": "none"})
    register(gateway, "machine", {**machine, "token_endpoint_auth_method": "client_secret_basic"})
    server = make_server("127.0.0.1", 0, gateway, handler_class=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_port

    def new_code(client: str, redirect_uri: str) -> str:
        query = {
            "response_type": "code",
            "client_id": client,
            "redirect_uri": redirect_uri,
            "scope": "read",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        request = webob.Request.blank(f"/authorize?{urlencode(query)}", base_url=f"http://127.0.0.1:{port}")
        response = gateway.server.create_authorization_response(request, grant_user="ann")
        return str(parse_qs(urlsplit(response.location).query)["code"][0])

    return gateway, Side(port, new_code)


def register(gateway: OAuthGateway, client_id: str, metadata: dict[str, Any]) -> None:
    now = time.time()
    secret = SECRETS.get(client_id)
    secrets = (Secret(digest(secret).hex(), now),) if secret else ()
    gateway.store.add_client(Client(client_id, {"client_name": client_id, **metadata}, secrets, now, number=new_number()))


# -- the table


def compare(ours: Side, theirs: Side) -> tuple[list[str], list[str]]:
    """The lines of the table, and what is wrong with the explanations."""
    lines, wrong = [], []
    for case in CASES:
        expected = theirs.answer(case)
        actual = ours.answer(case)
        same = actual == expected
        if same == bool(case.why):
            complaint = "is explained, but there is no difference" if same else "differs without explanation"
            wrong.append(f"{case.path} {case.name}: {complaint}: ours {actual}, theirs {expected}")
        cells = [case.path, case.name, case.checks, actual, "same" if same else expected, case.why]
        lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return lines, wrong


HEAD = """# Ours and node-oidc-provider's answers to the same bad requests

Made by `python -m tests.oracle.run`; do not edit. {count} requests, {same} with the same answer.
"login" is the login page or a redirect to it; "redirect" leads to the client's redirect URI.

| endpoint | request | checks | ours | oidc-provider {version} | why they differ |
| --- | --- | --- | --- | --- | --- |
"""


def table() -> tuple[str, list[str]]:
    """The whole table, and what is wrong with the explanations."""
    version = json.loads((HERE / "package.json").read_text())["dependencies"]["oidc-provider"]
    process, theirs = start_oracle()
    try:
        with tempfile.TemporaryDirectory() as folder:
            gateway, ours = start_gateway(folder)
            lines, wrong = compare(ours, theirs)
            gateway.store.close()
    finally:
        process.terminate()
        process.wait()
    same = sum("| same |" in line for line in lines)
    return HEAD.format(count=len(lines), same=same, version=version) + "\n".join(lines) + "\n", wrong


def main() -> int:
    text, wrong = table()
    TABLE.write_text(text)
    print("\n".join(wrong) or f"{TABLE.name} is written; every difference is explained")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
