"""A deployment that faults strike, and the loop that has them strike at every point of a flow."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

from oauth_gateway import OAuthGateway
from oauth_gateway.keys import LEAD
from oauth_gateway.models import Client
from oauth_gateway.sealing import new_number
from oauth_gateway.testing import Clock

from ..conftest import CALLBACK, PASSWORD, SECRET, RecordingApp, World, make_world
from .actors import Act
from .children import Tell, die, in_a_child
from .drivers import statements
from .flows import Flow
from .heard import Heard
from .invariants import check_families, check_fates, check_in_another_thread, check_keys, check_rows
from .points import EDGES, Faults, FaultyStore, Strike, fail, opened_through
from .steps import AFTER_LOGOUT, Case, Refused, Unavailable

MOST = 400  # points of one flow
BACK = "https://client.test/back"
Wrap = Callable[[Any], Any]


@dataclass(frozen=True)
class Mode:
    """How a fault strikes: `strike` at the points in `places`, once or `lasting` until it is over; in a process that it
    `kills`; by somebody else who `acts` meanwhile; at the points of calls or `statements`. `patient` clients try again after
    what is not answered is known anyway.
    """

    name: str
    strike: Strike = fail
    places: frozenset[str] = EDGES
    lasting: bool = False
    kills: bool = False
    patient: bool = False
    statements: bool = False
    acts: Act | None = None


class Scene:
    """One deployment: `world` has the gateway that faults strike, `peer` is another process that has seen every token."""

    def __init__(
        self, url: str, clock: Clock, folder: Path, heard: Heard, wrap: Wrap = lambda store: store, **more: Any
    ) -> None:
        self.clock, self.heard, self._wrap = clock, heard, wrap
        self.calls = self.faults = Faults()
        settings = {"secret": SECRET} if not url.startswith("sqlite") else {}
        with self.struck_by_faults():
            self.world = make_world(url, clock, **settings, **more)
        self.peer, self.fresh = self.another(), self.another()
        self._made = 0
        self._people: tuple[str, Client, str] | None = None
        self._config = folder / f"{new_number()}.toml"
        shown = {"issuer": self.world.base, "database": url, **settings, **more}
        lines = [f"{name} = {json.dumps(value)}" for name, value in shown.items()]
        scopes = 'scopes = { read = "Read your things", write = "Change your things" }'
        self._config.write_text("\n".join(["[oauth_gateway]", *lines, scopes]))

    def struck_by_faults(self) -> AbstractContextManager[None]:
        """Within it whatever opens the deployment is struck too."""
        return opened_through(lambda store: self._wrap(FaultyStore(store, self.calls)))

    @property
    def age(self) -> int:
        """How many revocations there were."""
        head: int = self.peer.gateway.store.changes(1 << 60).head
        return head

    def another(self) -> World:
        """The same deployment in a process of its own, as far as it can tell."""
        app = RecordingApp()
        return replace(self.world, app=app, gateway=OAuthGateway.from_settings(validator(app), self.world.gateway.settings))

    def close(self) -> None:
        for world in (self.world, self.peer, self.fresh):
            world.gateway.store.close()

    def empty(self, world: World) -> World:
        """The gateway as a process that has just begun has it: nothing is open and nothing remembered."""
        world.gateway.store.close()
        world.gateway.guard._tokens.reset()
        world.gateway.server.keys.reset()
        return world

    def case(self, flow: Flow, mode: Mode) -> Case:
        """People, clients, and what the flow needs before it."""
        self.heard.minted.clear()
        self._let_keys_settle()
        shared = flow.shared and mode.acts is None
        name, client, secret = people = self._people if shared and self._people else self._new_people()
        self._people = people if shared else None
        world = replace(self.world, confidential=client, secret=secret)
        peer = replace(self.peer, confidential=client, secret=secret)
        case = Case(world, peer, name, str(self._config), told=lambda message: self.heard.told(message))
        case.run(flow.before)
        case.done = 0
        self.clock.advance(flow.late)
        if flow.warm:
            for text in case.tokens().values():
                assert case.world.call(text).status_code == case.peer.call(text).status_code == 200
        if "dead" in case.facts:
            assert peer.revoke(case.facts["dead"], peer.machine).status_code == 200
        return case

    def _new_people(self) -> tuple[str, Client, str]:
        """The name of a person, and a client with its secret."""
        self._made += 1
        name = f"person-{self._made}"
        self.peer.gateway.server.users.create(name, PASSWORD, self.clock())
        client, secret = self.peer.clients.create(
            now=self.clock(),
            client_name="Shop",
            redirect_uris=[CALLBACK],
            post_logout_redirect_uris=[AFTER_LOGOUT],
            backchannel_logout_uri=f"{BACK}/{self._made}",
        )
        return name, client, secret or ""

    def _let_keys_settle(self) -> None:
        """What waits signs, and what is of no more use is gone: each run has one key an algorithm."""
        keys, store = self.peer.gateway.server.keys, self.peer.gateway.store
        listed = keys.listed(self.clock())
        if any(state == "next" for _, state, _ in listed):
            self.clock.advance(LEAD)
            listed = keys.listed(self.clock())
        for key, state, _ in listed:
            if state != "signs":
                store.delete_key(key.kid)

    # -- one n

    def attempt(self, case: Case, flow: Flow, n: int, mode: Mode) -> str:
        """Run the steps until the fault of this n, if there is one, ends them: through, unavailable, killed or refused."""
        if mode.kills:
            return self._attempt_in_a_child(case, flow, n, mode)
        strike = mode.strike if mode.acts is None else lambda _: mode.acts(case)  # type: ignore[misc]
        self.faults = Faults() if mode.statements else self.calls
        self.faults.arm(n, strike, mode.places, lasting=mode.lasting)
        try:
            with self.struck_by_faults(), statements(self.faults) if mode.statements else nullcontext():
                case.run(flow.steps)
            return "through"
        except Unavailable:
            return "unavailable"
        except Refused as refusal:
            return f"refused: {refusal}"
        finally:
            self.faults.clear()

    def _attempt_in_a_child(self, case: Case, flow: Flow, n: int, mode: Mode) -> str:
        self.close()  # so that whoever comes after the child finds the files as it left them
        told = self.heard.told

        def work(tell: Tell) -> None:
            def strike(error: Exception) -> None:
                tell(("struck", self.faults.struck))
                die(error)

            self.heard.told = tell
            tell(("ended", self.attempt(case, flow, n, replace(mode, kills=False, strike=strike))))

        messages, killed = in_a_child(work)
        self.faults.struck = []
        ended = "killed"
        for kind, value in messages:
            if kind == "facts":
                case.facts.update(value)
            elif kind == "done":
                case.done = value
            elif kind == "struck":
                self.faults.struck = value
            elif kind == "ended":
                ended = value
            else:
                self.heard.hear(kind, value)
        assert killed == bool(self.faults.struck) and self.heard.told is told
        return ended

    def check(self, case: Case, flow: Flow, mode: Mode, ended: str, since: int) -> None:
        """Try again what was not answered, then look at everything."""
        worlds = {"struck": case.world, "peer": case.peer, "fresh": self.empty(self.fresh)}
        if mode.patient:
            self.clock.advance(1.1)  # by now what a killed process committed is known everywhere, whoever tries again
            check_fates(worlds, {text: None for text in [*case.tokens().values(), *self.heard.minted]}, self._named(case))
        if ended in ("unavailable", "killed"):
            assert mode.acts is None, "503, though the store answered"
            ended = self._try_again(case, flow)
        elif ended != "through":
            assert mode.acts is not None, f"{ended}, because the store did not answer"
        fates = self._fates(case, flow, ended)
        check_fates(worlds, fates, self._named(case))
        self._ended += [text for text, fate in fates.items() if fate is False]
        check_families(case, since)
        check_rows(case.peer.gateway.store, since)
        if flow.settings:
            check_keys(worlds.values(), self.clock())
        self._check_logouts(case)

    def _try_again(self, case: Case, flow: Flow) -> str:
        try:
            case.run(flow.steps)
        except Unavailable as error:
            raise AssertionError(f"503 again, though the store is well: {error}") from None
        except Refused as refusal:
            assert re.search(flow.refused, str(refusal)), f"trying again is answered {refusal}"
            return f"refused: {refusal}"
        return "through"

    def _fates(self, case: Case, flow: Flow, ended: str) -> dict[str, bool | None]:
        held = case.tokens()
        lost: dict[str, bool | None] = dict.fromkeys(self.heard.minted, None if flow.lost_live else False)
        if case.facts.get("doomed") or ended != "through":
            return {**lost, **dict.fromkeys(held.values(), None if case.facts.get("unsure") else False)}
        known = {"stolen": True, **dict.fromkeys(flow.alive, True), **dict.fromkeys(flow.dead, False)}
        return {**lost, **{text: None if case.facts.get("unsure") else known.get(name) for name, text in held.items()}}

    def _named(self, case: Case) -> Callable[[str], str]:
        names = {text: name for name, text in case.tokens().items()}
        return lambda text: f"the token {names.get(text, 'that was not handed out')!r}"

    def _check_logouts(self, case: Case) -> None:
        """Every relying party of the session is told, however often it takes."""
        store, jobs = case.peer.gateway.store, case.peer.gateway.server.jobs
        while (due := store.next_job()) is not None:
            self.clock.time = max(self.clock.time, due)
            jobs.work()
        client = store.client(case.world.confidential.client_id)
        if client is not None and "id_token" in case.facts and not store.sessions(self._user(case)):
            assert case.peer.confidential.metadata["backchannel_logout_uri"] in self.heard.posted, "a party was not told"

    def _user(self, case: Case) -> str:
        return case.peer.gateway.server.users.named(case.name).user_id

    # -- every n

    def loop(self, flow: Flow, mode: Mode) -> list[str]:
        """Have a fault strike at every point of the flow, one a run; where it struck."""
        struck: list[str] = []
        self._ended: list[str] = []
        for n in range(1, MOST):
            since = new_number()
            case = self.case(flow, mode)
            try:
                ended = self.attempt(case, flow, n, mode)
                where = self.faults.struck[:1]
                check_in_another_thread(lambda: self.check(case, flow, mode, ended, since))  # noqa: B023
                if not where:
                    assert ended == "through", f"left untouched, and {ended}"
                    self._check_what_ended()
                    return struck
            except AssertionError as error:
                raise AssertionError(f"{mode.name}, n = {n} ({self.faults.struck[:1]}): {error}") from error
            struck += where
        raise AssertionError(f"no run was left untouched: {struck[-5:]}")

    def _check_what_ended(self) -> None:
        """What ended in any of the runs has stayed so, also for those who start now."""
        worlds = {"struck": self.world, "peer": self.peer, "fresh": self.another()}
        check_fates(worlds, dict.fromkeys(self._ended, False), lambda text: "a token that had ended")
        worlds["fresh"].gateway.store.close()
