"""What the clients do while servers die: many small errands, some of them deliberately wrong."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from .clients import Answer, Caller, Plan, Registered
from .ledger import OK, REFUSED, Ledger

PAUSE = 0.02  # seconds between errands, on average: the servers are to have some of the processor
PATIENCE = 3.0  # seconds in which a lost refresh is repeated: well within the grace
Kept = TypeVar("Kept")


@dataclass(eq=False)
class Family:
    """A grant as its client knows it: what it bought, and who may rotate it now."""

    client: Registered
    code: str
    access: list[str]
    refresh: str | None
    used: list[str] = field(default_factory=list)
    turn: threading.Lock = field(default_factory=threading.Lock)
    alive: bool = True


class Holdings:
    """All that the threads of a process have been given; the oldest are let go of."""

    def __init__(self) -> None:
        self.families: deque[Family] = deque(maxlen=60)
        self.ended: deque[Family] = deque(maxlen=120)
        self.machine: deque[str] = deque(maxlen=60)
        self.revoked: deque[str] = deque(maxlen=120)


class Thread:
    """One thread's errands."""

    def __init__(self, plan: Plan, ledger: Ledger, holdings: Holdings, number: int, stop: threading.Event) -> None:
        self.caller = Caller(plan, ledger, plan.people[number])
        self.plan = plan
        self.number = number % len(plan.clients)
        self.client = plan.clients[self.number]
        self.holdings = holdings
        self.chance = random.Random(plan.seed * 1000 + number)
        self.stop = stop

    def run(self) -> None:
        errands: dict[Callable[[], object], int] = {
            self.open_family: 16,
            self.ask_for_itself: 8,
            self.use_something: 30,
            self.rotate: 16,
            self.rotate_and_repeat: 4,
            self.end_access: 8,
            self.end_grant: 6,
            self.end_machine_token: 3,
            self.replay_code: 2,
            self.race_code: 3,
            self.reuse_refresh: 3,
        }
        while not self.stop.is_set():
            (errand,) = self.chance.choices(list(errands), list(errands.values()))
            errand()
            self.stop.wait(self.chance.uniform(0, 2 * PAUSE))

    # -- a life without mistakes

    def open_family(self) -> Family | None:
        """A code and what it buys; where the answer is lost the code is tried again."""
        code = self.caller.authorize(self.host(), self.number)
        if code is None:
            self.stop.wait(0.1)
            return None
        answer = self.until_told(lambda host: self.caller.redeem(host, self.client, code))
        return self._bought(code, answer)

    def _bought(self, code: str, answer: Answer) -> Family | None:
        if answer.outcome != OK or "refresh_token" not in answer.document:
            return None
        document = answer.document
        family = Family(self.client, code, [document["access_token"]], document["refresh_token"])
        self.holdings.families.append(family)
        return family

    def ask_for_itself(self) -> None:
        answer = self.caller.machine(self.host())
        if answer.outcome == OK and "access_token" in answer.document:
            self.holdings.machine.append(answer.document["access_token"])

    def use_something(self) -> None:
        """Some calls and questions with whatever there is, living or not."""
        for _ in range(self.chance.randrange(1, 5)):
            if (family := self.pick(self.holdings.families, self.holdings.families, self.holdings.ended)) is not None:
                token = self.chance.choice(family.access)
                if self.chance.random() < 0.3:
                    self.caller.introspect(self.host(), family.client, self.chance.choice([token, family.refresh or token]))
                self.caller.call(self.host(), token)
            if (kept := self.pick(self.holdings.machine, self.holdings.machine, self.holdings.revoked)) is not None:
                self.caller.call(self.host(), kept)
                if self.chance.random() < 0.2:
                    self.caller.introspect(self.host(), self.plan.machine, kept)

    def rotate(self, family: Family | None = None) -> Answer | None:
        """Refresh, again and again while the answer is lost and the grace lasts."""
        family = family or self.pick(self.holdings.families)
        if family is None or not family.turn.acquire(blocking=False):
            return None
        try:
            return self._rotate(family)
        finally:
            family.turn.release()

    def _rotate(self, family: Family) -> Answer | None:
        token = family.refresh
        if token is None or not family.alive:
            return None
        answer = self.until_told(lambda host: self.caller.refresh(host, family.client, token), PATIENCE)
        if answer.outcome == OK and "refresh_token" in answer.document:
            family.used.append(token)
            family.refresh = answer.document["refresh_token"]
            family.access = [*family.access[-3:], answer.document["access_token"]]
        else:
            family.refresh = None  # nobody knows whether it was used: its time to be repeated has passed
        return answer

    def rotate_and_repeat(self) -> None:
        """The same refresh twice, as a client does that lost the answer: the second one gets the same tokens."""
        family = self.pick(self.holdings.families)
        if family is None or not family.turn.acquire(blocking=False):
            return
        try:
            token = family.refresh
            answer = self._rotate(family)
            if token is not None and answer is not None and answer.outcome == OK:
                self.caller.refresh(self.host(), family.client, token)
        finally:
            family.turn.release()

    # -- ends

    def end_access(self) -> None:
        """Revoke an access token that every worker remembers, and use it."""
        family = self.pick(self.holdings.families)
        if family is None:
            return
        token = family.access[-1]
        self.everywhere(token)
        self.until_told(lambda host: self.caller.revoke(host, family.client, token))
        self.everywhere(token)
        self.caller.introspect(self.host(), family.client, token)
        with family.turn:
            family.access = [kept for kept in family.access if kept != token] or family.access
        self.holdings.ended.append(Family(family.client, family.code, [token], None, alive=False))

    def end_grant(self) -> None:
        """Revoke a refresh token, and use everything of its family; whoever rotates it meanwhile loses or wins a dead token."""
        family = self.pick(self.holdings.families)
        if family is None or family.refresh is None:
            return
        token = family.refresh
        for access in family.access[-2:]:
            self.everywhere(access)
        self.finish(family, lambda: self.until_told(lambda host: self.caller.revoke(host, family.client, token)))

    def end_machine_token(self) -> None:
        token = self.pick(self.holdings.machine)
        if token is None:
            return
        self.everywhere(token)
        self.until_told(lambda host: self.caller.revoke(host, self.plan.machine, token))
        self.everywhere(token)
        self.holdings.revoked.append(token)

    def replay_code(self) -> None:
        """A code a second time, which ends its family."""
        family = self.open_family()
        if family is not None:
            self.everywhere(family.access[0])
            code = family.code
            self.finish(family, lambda: self.until_told(lambda host: self.caller.redeem(host, family.client, code)))

    def race_code(self) -> None:
        """A code three times at once: one wins at most, and the others end what it bought."""
        code = self.caller.authorize(self.host(), self.number)
        if code is None:
            return
        barrier = threading.Barrier(3)

        def redeem(host: int) -> Answer:
            barrier.wait()
            return self.caller.redeem(host % len(self.plan.ports), self.client, code)

        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(redeem, range(3)))
        family = next((made for answer in answers if (made := self._bought(code, answer)) is not None), None)
        if family is not None:
            self.finish(family, lambda: None)

    def reuse_refresh(self) -> None:
        """A refresh token whose successor was used already, which ends the family."""
        family = self.pick(self.holdings.families)
        if family is None or not family.turn.acquire(blocking=False):
            return
        try:
            if len(family.used) < 2:
                self._rotate(family)
                self._rotate(family)
            old = family.used[-2] if len(family.used) >= 2 else None
        finally:
            family.turn.release()
        if old is not None:
            self.everywhere(family.access[-1])
            self.finish(family, lambda: self.until_told(lambda host: self.caller.refresh(host, family.client, old)))

    def finish(self, family: Family, end: Callable[[], object]) -> None:
        """End a family by `end`, then try what it had."""
        family.alive = False
        with suppress(ValueError):  # another thread was first
            self.holdings.families.remove(family)
        end()
        for token in family.access:
            self.everywhere(token)
        self.holdings.ended.append(family)

    # -- tools

    def everywhere(self, token: str) -> None:
        """Call the app with `token` at every host; twice, for there are two workers."""
        for host in range(len(self.plan.ports)):
            for _ in range(2):
                self.caller.call(host, token)

    def until_told(self, ask: Callable[[int], Answer], seconds: float = 10.0) -> Answer:
        """Ask, at another host each time, until the answer is yes or no or `seconds` have passed."""
        began, host, pause = time.monotonic(), self.host(), 0.05
        while True:
            answer = ask(host)
            if answer.outcome in (OK, REFUSED) or time.monotonic() - began + pause > seconds:
                return answer
            time.sleep(pause)
            host, pause = (host + 1) % len(self.plan.ports), min(1.0, pause * 2)

    def host(self) -> int:
        return self.chance.randrange(len(self.plan.ports))

    def pick(self, *pools: deque[Kept]) -> Kept | None:
        """Something from one of the pools; None where it is empty."""
        pool = self.chance.choice(pools)
        try:
            return self.chance.choice(pool)
        except IndexError:
            return None
