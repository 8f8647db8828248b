"""The relying party that the OpenID conformance suite plays, in this process: registered as the suite has it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import webob

from ..conftest import PASSWORD, Browser, World, basic
from .checks import BYE, CALLBACK, SITE, VISIBLE, Checks
from .parts import PERSON, Page, Party, Visit

NEEDS_A_PERSON = {"login_required", "interaction_required", "account_selection_required", "consent_required"}
ELSEWHERE = {"Origin": SITE.partition("/test")[0], "Sec_Fetch_Site": "cross-site"}  # what a browser says of a form from there
HEADER, POST_BODY = "header", "body"


@dataclass
class Flow:
    """A whole code flow; all of it has been checked."""

    sent: dict[str, str]
    visit: Visit
    code: str
    tokens: dict[str, Any]
    claims: dict[str, Any]
    info: dict[str, Any]


class Suite(Checks):
    """The suite with its three clients, the person's browser, and `mode`, the response_mode that it asks for."""

    def __init__(self, world: World, mode: str | None = None, **registered: Any) -> None:
        self.world = world
        self.mode = mode
        self.browser: Browser = world.browser()
        self.first = self.register(post_logout_redirect_uris=[BYE], **registered)
        self.second = self.register(callback=f"{CALLBACK}?dummy1=lorem&dummy2=ipsum")
        self.posting = self.register(token_endpoint_auth_method="client_secret_post")
        users = world.gateway.server.users
        claims = {name: value for told in PERSON.values() for name, value in told.items()}
        users.set_claims(users.named("ann"), claims, world.clock())
        self.metadata: dict[str, Any] = self.send("GET", f"{world.base}/.well-known/openid-configuration").json

    def register(self, callback: str = CALLBACK, **registered: Any) -> Party:
        """A client that knows nothing of PKCE."""
        given = {"redirect_uris": [callback], "client_name": "Suite", "may_omit_pkce": True, **registered}
        client, secret = self.world.clients.create(now=self.world.clock(), **given)
        return Party(client, str(secret), callback)

    # -- requests

    def token(self, form: dict[str, str], party: Party | None = None) -> webob.Response:
        """Ask the token endpoint as `party`."""
        party = party or self.first
        client_id, headers = party.client.client_id, {}
        if party.client.auth_method == "client_secret_post":
            form = {**form, "client_id": client_id, "client_secret": party.secret}
        else:
            headers["Authorization"] = basic(quote(client_id, safe=""), quote(party.secret, safe=""))
        return self.send("POST", self.metadata["token_endpoint"], form, **headers)

    def redeem(self, code: str, party: Party | None = None, **more: str) -> webob.Response:
        party = party or self.first
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": party.callback, **more}
        return self.token(form, party)

    def userinfo(self, token: str, method: str = "GET", way: str = HEADER) -> webob.Response:
        headers = {"Authorization": f"Bearer {token}"} if way == HEADER else {}
        form = {"access_token": token} if way == POST_BODY else None
        return self.send(method, self.metadata["userinfo_endpoint"], form, **headers)

    def request(self, party: Party | None = None, **changes: str | None) -> dict[str, str]:
        """The parameters of an authorization request, in the suite's order."""
        party = party or self.first
        sent: dict[str, str | None] = {
            "client_id": party.client.client_id,
            "redirect_uri": party.callback,
            "scope": "openid",
            "state": f'{secrets.token_hex(8)} +&="<%/',
            "nonce": secrets.token_hex(8),
            "response_type": "code",
            "response_mode": self.mode,
            **changes,
        }
        return {name: value for name, value in sent.items() if value is not None}

    # -- the person at the browser

    def visit(self, sent: dict[str, str], method: str = "GET") -> Visit:
        """Open the authorization endpoint, sign in and agree where that is asked for, as far as it goes."""
        url = self.metadata["authorization_endpoint"]
        if method == "POST":
            return self.walk(self.browser.open(url, sent, **ELSEWHERE))
        return self.walk(self.browser.open(f"{url}?{urlencode(sent)}"))

    def walk(self, page: webob.Response) -> Visit:
        visit = Visit(page)
        for _ in range(10):
            self.world.clock.advance(0.1)  # nobody is infinitely quick
            page = visit.page
            if page.status_code in (302, 303):
                if not page.location.startswith(f"{self.world.base}/"):
                    visit.url = page.location
                    return visit
                visit.page = self.browser.open(page.location)
                continue
            form = next(iter(Page(page.text).forms), None)
            if form is None:
                return visit
            if not form.action.startswith(f"{self.world.base}/"):
                assert form.method == "post" and page.status_code == 200
                visit.url, visit.form = form.action, form.fields
                return visit
            if "password" in form.fields:
                visit.logins += 1
                form.fields.update(username="ann", password=PASSWORD)
            elif "transaction" in form.fields:
                visit.consents += 1
                form.fields["decision"] = "allow"
            else:
                assert "request" in form.fields and "Sign out?" in page.text
                visit.confirmed += 1
            visit.page = self.browser.open(form.action, form.fields)
        raise AssertionError("the browser goes in circles")

    def end_session(self, **members: str) -> Visit:
        """Lead the browser to the end_session_endpoint; the person confirms where that is asked for."""
        return self.walk(self.browser.open(f"{self.metadata['end_session_endpoint']}?{urlencode(members)}"))

    def is_signed_out(self) -> bool:
        """Whether prompt=none gets an error that says that a person is needed."""
        sent = self.request(prompt="none")
        return self.error(self.visit(sent), sent) in NEEDS_A_PERSON

    # -- whole flows

    def flow(self, party: Party | None = None, *, method: str = "GET", **changes: str | None) -> Flow:
        """A code flow from the request to UserInfo."""
        party = party or self.first
        sent = self.request(party, **changes)
        return self.complete(self.visit(sent, method), sent, party)

    def complete(self, visit: Visit, sent: dict[str, str], party: Party | None = None, **more: str) -> Flow:
        party = party or self.first
        answer = self.answer(visit, sent)
        assert set(answer) == {"code", "state", "iss"} and VISIBLE.match(answer["code"])
        response = self.redeem(answer["code"], party, **more)
        tokens = self.token_answer(response, sent["scope"])
        claims = self.id_token(tokens["id_token"], party, tokens["access_token"], sent.get("nonce"))
        told = self.userinfo(tokens["access_token"])
        assert told.status_code == 200 and told.content_type == "application/json"
        assert told.json["sub"] == claims["sub"]
        return Flow(sent, visit, answer["code"], tokens, claims, told.json)
