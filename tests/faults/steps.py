"""What clients, people and operators do, one answer a step, so that a run can stop at any of them and be gone on with."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import webob

from oauth_gateway.cli import main
from oauth_gateway.errors import StoreUnavailable
from oauth_gateway.sessions import Sessions

from ..conftest import CALLBACK, PASSWORD, VERIFIER, Browser, World, hidden, query_of
from .points import WORDS

AFTER_LOGOUT = "https://client.test/bye"
SCOPE = "openid read"
Facts = dict[str, Any]


class Unavailable(Exception):
    """503 with Retry-After, or the like of a command: nothing was said, try again."""


class Refused(Exception):
    """An answer that says no; the text is the error."""


@dataclass
class Case:
    """One run of a flow: its people and clients, and what they know by now.

    `told` hears what happens, for those who outlive this process.
    """

    world: World  # whose gateway faults strike
    peer: World  # another process of the same deployment
    name: str  # of the person
    config: str  # the deployment's settings in a file, for commands
    facts: Facts = field(default_factory=dict)
    done: int = 0
    told: Callable[[Any], object] = lambda message: None

    def learn(self, **facts: Any) -> None:
        self.facts.update(facts)
        self.told(("facts", facts))

    def tokens(self) -> dict[str, str]:
        """The access tokens that were handed out, by name."""
        return {name: self.facts[name] for name in ("access", "access2", "machine", "dead", "stolen") if name in self.facts}

    def browser(self) -> Browser:
        return Browser(self.world.gateway, self.world.base, self.facts.setdefault("cookies", {}))

    def run(self, steps: tuple[Step, ...]) -> None:
        """The steps that are not done yet; raises Unavailable or Refused at the first that is not answered as wished."""
        for step in steps[self.done :]:
            facts = step(self) or {}
            self.learn(**{"cookies": self.facts.get("cookies", {}), **facts})
            self.done += 1
            self.told(("done", self.done))


Step = Callable[[Case], Facts | None]


def answered(answer: webob.Response) -> webob.Response:
    """The answer where it grants what was asked for."""
    if answer.status_code == 503:
        assert re.fullmatch("[0-9]+", answer.headers.get("Retry-After", "")), "503 without Retry-After"
        raise Unavailable(answer.text)
    assert answer.status_code < 500, f"answered {answer.status}: {answer.text}"
    if answer.status_code >= 400:
        document = answer.json if answer.content_type == "application/json" else {}
        raise Refused(document.get("error", answer.status))
    return answer


def command(case: Case, *arguments: str) -> str:
    """What `oauth-gateway` with these arguments prints, run in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([*arguments, "--config", case.config])
    if status:
        told = err.getvalue()
        assert told.startswith("oauth-gateway: ") and told.count("\n") == 1, f"not one clear line: {told}"
        raise Unavailable(told) if WORDS in told else Refused(told)
    return out.getvalue()


# -- a person at a browser


def see_login(case: Case) -> Facts:
    return {"login": hidden(answered(case.browser().open("/authorize/login")))}


def log_in(case: Case) -> None:
    form = {**case.facts["login"], "username": case.name, "password": PASSWORD, "next": ""}
    answered(case.browser().open("/authorize/login", form))


def signed_in(case: Case) -> Facts:
    """The same at once, for what comes after it."""
    gateway, now = case.peer.gateway, case.world.clock()
    sessions = Sessions(gateway.settings, gateway.store, gateway.server.sealer)
    value, _ = sessions.start(gateway.server.users.named(case.name), None, now)
    return {"cookies": {f"__Host-oauth_gateway-{hashlib.sha256(case.world.base.encode()).hexdigest()[:8]}": value}}


def ask(case: Case) -> Facts:
    page = answered(case.browser().open(case.world.authorize_url(scope=SCOPE, state="st")))
    if page.status_code == 303:
        return _code_in(page)
    if 'name="password"' in page.text:
        raise Refused("login")
    return {"consent": hidden(page)}


def decide(case: Case) -> Facts:
    if "code" in case.facts:  # agreed to before
        return {}
    page = answered(case.browser().open("/authorize", {**case.facts["consent"], "decision": "allow"}))
    return _code_in(page)


def _code_in(page: webob.Response) -> Facts:
    if not page.location.startswith(CALLBACK):
        raise Refused("login")
    found = query_of(page.location)
    if "error" in found:
        raise Refused(found["error"])
    return {"code": found["code"]}


# -- a client


def redeem(case: Case) -> Facts:
    found = answered(case.world.redeem(case.facts["code"])).json
    return {"access": found["access_token"], "refresh": found["refresh_token"], "id_token": found["id_token"]}


def refresh(case: Case) -> Facts:
    found = answered(case.world.refresh(case.facts["refresh"])).json
    return {"access2": found["access_token"], "refresh2": found["refresh_token"]}


def replay_code(case: Case) -> Facts:
    return _refused_as("invalid_grant", lambda: answered(case.world.redeem(case.facts["code"])))


def replay_refresh(case: Case) -> Facts:
    return _refused_as("invalid_grant", lambda: answered(case.world.refresh(case.facts["refresh"])))


def wrong_verifier(case: Case) -> Facts:
    wrong = VERIFIER[::-1]
    return _refused_as("invalid_grant", lambda: answered(case.world.redeem(case.facts["code"], code_verifier=wrong)))


def _refused_as(error: str, request: Callable[[], object]) -> Facts:
    """The step whose wished answer is this refusal."""
    try:
        request()
    except Refused as refusal:
        if str(refusal) != error:
            raise
        return {"refused": True}
    raise AssertionError(f"answered with success where {error} is due")


def revoke_access(case: Case) -> None:
    answered(case.world.revoke(case.facts["access"]))


def revoke_refresh(case: Case) -> None:
    answered(case.world.revoke(case.facts["refresh"]))


def own_token(case: Case) -> Facts:
    answer = answered(case.world.token({"grant_type": "client_credentials"}, case.world.machine))
    return {"machine": answer.json["access_token"]}


def revoked_token(case: Case) -> Facts:
    """One that will be revoked by another process before the steps."""
    return {"dead": case.world.machine_token()}


def introspect(case: Case) -> None:
    active = answered(case.world.introspect(case.facts["access"])).json["active"]
    assert active or case.facts.get("doomed"), "introspection says that a living token is dead"


def introspect_dead(case: Case) -> None:
    assert answered(case.world.introspect(case.facts["dead"], case.world.machine)).json == {"active": False}


# -- the app


def call(case: Case, name: str = "access", path: str = "/thing") -> webob.Response:
    """A request with a token by its name among the facts; the app was called if and only if it was let through."""
    token, app = case.facts.get(name), case.world.app
    calls = app.calls
    answer = case.world.call(token, path)
    if answer.status_code == 200:
        assert app.calls == calls + 1 and answer.body == b"app"
        seen = app.environ["oauth_gateway.token"]
        assert (seen is None) == (path == "/public/x"), "the app was called with another verdict than is due"
    else:
        assert app.calls == calls, f"the app was called though {answer.status} was answered"
    return answer


def use(case: Case) -> None:
    answered(call(case))


def use_after_a_second(case: Case) -> None:
    case.world.clock.advance(1.1)
    answered(call(case))


def use_dead(case: Case) -> Facts:
    return _refused_as("invalid_token", lambda: answered(call(case, "dead")))


def use_public(case: Case) -> None:
    assert call(case, path="/public/x").status_code == 200, "public paths ask no store"


def use_garbage(case: Case) -> None:
    case.learn(garbage="oga1_at_" + "x" * 67)
    assert call(case, "garbage").status_code == 401, "garbage is told without any store"


# -- the end of a session


def log_out(case: Case) -> None:
    asked = {"id_token_hint": case.facts["id_token"], "post_logout_redirect_uri": AFTER_LOGOUT}
    answer = answered(case.browser().open(f"/authorize/logout?{urlencode(asked)}"))
    assert answer.location == AFTER_LOGOUT or case.facts.get("doomed"), answer.location


def tell_parties(case: Case) -> None:
    """What the thread of the jobs does; it takes a store that does not answer for a reason to look again later."""
    try:
        case.world.gateway.server.jobs.work()
    except StoreUnavailable as error:
        raise Unavailable(str(error)) from None


# -- an operator


def disable_user(case: Case) -> None:
    command(case, "user", "disable", case.name)


def delete_client(case: Case) -> None:
    command(case, "client", "delete", case.world.confidential.client_id)


def rotate_keys(case: Case) -> None:
    command(case, "keys", "rotate")


def rotate_keys_at_once(case: Case) -> None:
    command(case, "keys", "rotate", "--now")


def see_key(case: Case) -> Facts:
    return {"kid": case.peer.gateway.server.keys.signing("RS256", case.world.clock()).kid}


def revoke_key(case: Case) -> None:
    command(case, "keys", "revoke", case.facts["kid"])
