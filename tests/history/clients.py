"""What one client does over HTTP, every request and answer of it in the ledger.

Each request takes a connection of its own, which any worker of the host may take, and gives up after TIMEOUT seconds.
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from ..conftest import CHALLENGE, VERIFIER, basic, query_of
from .ledger import OK, REFUSED, UNKNOWN, UNSENT, Ledger, digest

TIMEOUT = 15.0  # seconds; longer than the gateway waits for its database
FORM = "application/x-www-form-urlencoded"
_HIDDEN = re.compile(r'type="hidden" name="([^"]+)" value="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Registered:
    """A client as it was registered: what it authenticates with, and where people are sent back to."""

    client_id: str
    secret: str
    redirect_uri: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Whom to talk to and as whom; `ports` are those of the hosts, `seconds` bounds the last look at everything."""

    issuer: str
    ports: list[int]
    clients: list[Registered]
    machine: Registered
    people: list[str]  # one a thread: attempts to sign in that an outage cut off count for the throttle
    password: str
    threads: int
    seed: int
    seconds: float

    @classmethod
    def read(cls, text: str) -> Plan:
        known = json.loads(text)
        known["clients"] = [Registered(**client) for client in known["clients"]]
        known["machine"] = Registered(**known["machine"])
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, or with `status` None why there was none."""

    outcome: str
    status: int | None = None
    headers: http.client.HTTPMessage = field(default_factory=http.client.HTTPMessage)
    text: str = ""
    why: str = ""

    @property
    def document(self) -> dict[str, Any]:
        """Its JSON object; empty where it is none."""
        try:
            found = json.loads(self.text)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def notes(self) -> dict[str, Any]:
        """What the ledger keeps beside the status."""
        noted: dict[str, Any] = {"why": self.why} if self.why else {}
        if self.status == 503:
            noted["retry_after"] = self.headers.get("Retry-After", "")
        if self.outcome == REFUSED:
            noted["error"] = self.document.get("error", "")
        return noted


def exchange(port: int, method: str, path: str, body: str | None, headers: Mapping[str, str]) -> Answer:
    """One request to 127.0.0.1 and how it ended."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.connect()
    except OSError as error:
        return Answer(UNSENT, why=type(error).__name__)
    try:
        connection.request(method, path, body, {"Connection": "close", **headers})
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return Answer(UNKNOWN, why="timeout" if isinstance(error, TimeoutError) else type(error).__name__)
    finally:
        connection.close()
    outcome = OK if response.status < 400 else REFUSED if response.status < 500 else UNKNOWN
    return Answer(outcome, response.status, response.headers, text)


class Caller:
    """A program with a browser at hand; one thread uses it."""

    def __init__(self, plan: Plan, ledger: Ledger, person: str) -> None:
        self.plan = plan
        self.person = person
        self.ledger = ledger
        self._cookies: dict[int, dict[str, str]] = {number: {} for number in range(len(plan.clients))}
        self._signed_in: set[int] = set()

    # -- for itself, and with tokens

    def machine(self, host: int) -> Answer:
        """client_credentials."""
        known = self.ledger.ask("machine", host)
        return self._tokens(known, host, self.plan.machine, {"grant_type": "client_credentials"})

    def redeem(self, host: int, client: Registered, code: str) -> Answer:
        known = self.ledger.ask("redeem", host, digest(code))
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": client.redirect_uri}
        return self._tokens(known, host, client, {**form, "code_verifier": VERIFIER})

    def refresh(self, host: int, client: Registered, token: str) -> Answer:
        known = self.ledger.ask("refresh", host, digest(token))
        return self._tokens(known, host, client, {"grant_type": "refresh_token", "refresh_token": token})

    def revoke(self, host: int, client: Registered, token: str) -> Answer:
        known = self.ledger.ask("revoke", host, digest(token))
        answer = self._post(host, "/token/revoke", client, {"token": token})
        self.ledger.answer(known, answer.outcome, answer.status, {}, **answer.notes())
        return answer

    def introspect(self, host: int, client: Registered, token: str) -> Answer:
        known = self.ledger.ask("introspect", host, digest(token))
        answer = self._post(host, "/token/introspect", client, {"token": token})
        noted = answer.notes() if answer.outcome != OK else {"active": answer.document.get("active")}
        self.ledger.answer(known, answer.outcome, answer.status, {}, **noted)
        return answer

    def call(self, host: int, token: str) -> Answer:
        """The protected app, which answers with the number of its worker."""
        known = self.ledger.ask("call", host, digest(token))
        answer = exchange(self.plan.ports[host], "GET", "/thing", None, {"Authorization": f"Bearer {token}"})
        noted = {"worker": answer.text[:20]} if answer.outcome == OK else answer.notes()
        self.ledger.answer(known, answer.outcome, answer.status, {}, **noted)
        return answer

    def _tokens(self, known: str, host: int, client: Registered, form: dict[str, str]) -> Answer:
        answer = self._post(host, "/token", client, form)
        document = answer.document if answer.outcome == OK else {}
        gave = {str(name): digest(document[name]) for name in ("access_token", "refresh_token") if name in document}
        noted = {**answer.notes(), **({"expires_in": document.get("expires_in")} if gave else {})}
        self.ledger.answer(known, answer.outcome, answer.status, gave, **noted)
        return answer

    def _post(self, host: int, path: str, client: Registered, form: dict[str, str]) -> Answer:
        headers = {"Content-Type": FORM, "Authorization": basic(client.client_id, client.secret)}
        return exchange(self.plan.ports[host], "POST", path, urlencode(form), headers)

    # -- with a browser

    def authorize(self, host: int, number: int) -> str | None:
        """A code for the client of that number, signing in and agreeing where the pages ask for it; None where it failed."""
        signed_in = number in self._signed_in
        known = self.ledger.ask("authorize", host, signed_in=signed_in)
        page, asked = self._browse(host, number)
        code = query_of(page.headers.get("Location", "")).get("code") if page.status == 303 else None
        gave = {"code": digest(code)} if code else {}
        outcome = page.outcome if page.outcome != OK or code else "malformed"
        self.ledger.answer(known, outcome, page.status, gave, asked_to_sign_in=asked, **page.notes())
        return code

    def _browse(self, host: int, number: int) -> tuple[Answer, bool]:
        """The last page of the way to the redirect, and whether the login page came first."""
        client, asked = self.plan.clients[number], False
        request = {"response_type": "code", "client_id": client.client_id, "redirect_uri": client.redirect_uri, "state": "x"}
        proof = {"code_challenge": CHALLENGE, "code_challenge_method": "S256", "scope": "read"}
        path = f"/authorize?{urlencode({**request, **proof})}"
        page = self._open(host, number, path)
        if page.status == 200 and 'name="password"' in page.text:
            asked = True
            form = {**_hidden(page), "username": self.person, "password": self.plan.password}
            page = self._open(host, number, "/authorize/login", form)
            if page.status != 303:
                return page, asked
            self._signed_in.add(number)
            page = self._open(host, number, path)
        if page.status == 200:
            page = self._open(host, number, "/authorize", {**_hidden(page), "decision": "allow"})
        return page, asked

    def _open(self, host: int, number: int, path: str, form: dict[str, str] | None = None) -> Answer:
        jar = self._cookies[number]
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in jar.items())} if jar else {}
        if form is None:
            page = exchange(self.plan.ports[host], "GET", path, None, headers)
        else:
            headers |= {"Origin": self.plan.issuer, "Content-Type": FORM}
            page = exchange(self.plan.ports[host], "POST", path, urlencode(form), headers)
        for header in page.headers.get_all("Set-Cookie", []):
            name, _, value = header.partition(";")[0].partition("=")
            jar[name] = value
        return page


def _hidden(page: Answer) -> dict[str, str]:
    """The hidden fields of the page's first form."""
    found = _HIDDEN.findall(page.text.partition("<form")[2].partition("</form>")[0])
    return {name: value.replace("&amp;", "&").replace("&#34;", '"') for name, value in found}
