"""Whatever the sequence: one code is worth one living family, a revoked grant has no living token, and nothing is a 5xx."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from oauth_gateway.models import Client
from oauth_gateway.testing import frozen_time

from .conftest import Browser, World, make_world

CLIENTS = st.sampled_from(["confidential", "public", "second"])
SCOPES = st.sampled_from([None, "read", "read write", "write", "admin"])


class Family:
    """What the model knows of one code: its tokens, and whether anything of it may still be alive."""

    def __init__(self, client: str, code: str) -> None:
        self.client = client
        self.code = code
        self.redeemed = False
        self.dead = False
        self.failures = 0
        self.access: list[str] = []
        self.ended: set[str] = set()  # access tokens revoked one by one
        self.refresh: list[str] = []  # in the order of their issue


class Machine(RuleBasedStateMachine):
    families = Bundle("families")

    @initialize()
    def open(self) -> None:
        self.frozen = frozen_time()
        clock = self.frozen.__enter__()
        self.world: World = make_world("sqlite://", clock)
        second, self.second_secret = self.world.clients.create(
            now=clock(), client_name="Second", redirect_uris=["https://client.test/cb"]
        )
        self.known: dict[str, Client] = {
            "confidential": self.world.confidential,
            "public": self.world.public,
            "second": second,
        }
        self.browser: Browser = self.world.browser()
        self.world.log_in(self.browser)
        self.all: list[Family] = []
        self.disabled: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "frozen"):
            self.frozen.__exit__(None, None, None)

    def ask(self, client: str, path: str, form: dict[str, str]) -> Any:
        from .conftest import basic, send

        known, headers = self.known[client], {}
        if client == "public":
            form = {"client_id": known.client_id, **form}
        else:
            secret = self.world.secret if client == "confidential" else self.second_secret
            headers["Authorization"] = basic(known.client_id, secret or "")
        answer = send(self.world.gateway, "POST", path, form, headers=headers)
        assert answer.status_code < 500, answer.text
        return answer

    def lives(self, token: str) -> bool:
        return bool(self.world.call(token).status_code == 200)

    @rule(target=families, client=CLIENTS, scope=st.sampled_from(["read", "read write"]))
    def authorize(self, client: str, scope: str) -> Any:
        if client in self.disabled:
            return multiple()
        family = Family(client, self.world.code(self.known[client], self.browser, scope=scope))
        self.all.append(family)
        return family

    @rule(family=families, client=CLIENTS, right=st.booleans(), late=st.sampled_from([0, 0, 0, 61]))
    def redeem(self, family: Family, client: str, right: bool, late: int) -> None:
        self.world.clock.advance(late)
        verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" if right else "x" * 43
        form = {"grant_type": "authorization_code", "code": family.code, "redirect_uri": "https://client.test/cb"}
        answer = self.ask(client, "/token", {**form, "code_verifier": verifier})
        valid = right and client == family.client and client not in self.disabled
        if answer.status_code == 200:
            assert valid and not family.redeemed and not family.dead and family.failures < 5, "one code, one family"
            family.redeemed = True
            family.access.append(answer.json["access_token"])
            family.refresh.append(answer.json["refresh_token"])
        elif valid and family.redeemed:
            family.dead = True  # a replay that is otherwise valid ends the grant
        elif client == family.client and not right and not family.redeemed:
            family.failures += 1

    @rule(family=families, client=CLIENTS, back=st.integers(0, 3), scope=SCOPES, wait=st.sampled_from([0, 0, 11]))
    def refresh(self, family: Family, client: str, back: int, scope: str | None, wait: int) -> None:
        self.world.clock.advance(wait)
        if back >= len(family.refresh):
            return
        old = family.refresh[-1 - back]
        form = {"grant_type": "refresh_token", "refresh_token": old, **({"scope": scope} if scope else {})}
        answer = self.ask(client, "/token", form)
        if answer.status_code == 200:
            assert client == family.client and not family.dead and client not in self.disabled and back <= 1
            fresh = answer.json
            if back == 0:
                family.refresh.append(fresh["refresh_token"])
                family.access.append(fresh["access_token"])
            else:
                assert fresh["refresh_token"] == family.refresh[-1], "the grace gives the very same answer again"
        elif client == family.client and client not in self.disabled and back and answer.json["error"] == "invalid_grant":
            # any other reuse by its own client ends the grant; a repetition for another scope within the grace only fails
            family.dead = family.dead or not any(self.lives(token) for token in family.access if token not in family.ended)

    @rule(family=families, client=CLIENTS, kind=st.sampled_from(["access", "refresh"]), index=st.integers(0, 5))
    def revoke(self, family: Family, client: str, kind: str, index: int) -> None:
        tokens = family.access if kind == "access" else family.refresh
        if index >= len(tokens):
            return
        answer = self.ask(client, "/token/revoke", {"token": tokens[index]})
        if client in self.disabled:
            assert answer.status_code == 401
        elif client == family.client:
            assert answer.status_code == 200
            if kind == "refresh":
                family.dead = True
            else:
                family.ended.add(tokens[index])

    @rule(client=CLIENTS)
    def disable_or_enable(self, client: str) -> None:
        from dataclasses import replace

        off = client not in self.disabled
        now = self.world.clock()
        self.world.gateway.store.update_client(replace(self.known[client], disabled=now if off else None), now)
        (self.disabled.add if off else self.disabled.discard)(client)

    @rule(family=consumes(families))
    def forget(self, family: Family) -> None:
        """Leave a family alone for the rest; the invariants go on looking at it."""

    @invariant()
    def nothing_dead_lives(self) -> None:
        for family in getattr(self, "all", ()):
            for token in family.access:
                if family.dead or token in family.ended or family.client in self.disabled:
                    assert not self.lives(token), "a token of a revoked grant is dead"
                    told = self.world.introspect(token).json if family.client == "confidential" else {"active": False}
                    assert told.get("active") is not True
            assert sum(not self.known_dead(token) for token in family.refresh) <= 1, "one refresh token of a family is alive"

    def known_dead(self, text: str) -> bool:
        credential = self.world.gateway.server.sealer.recognise(text)
        assert credential is not None
        token = self.world.gateway.store.token(credential.number, credential.digest)[0]
        return token is None or token.redeemed is not None or token.revoked


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
