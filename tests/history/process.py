"""A client process: `python -m tests.history.process PLAN.json FOLDER NUMBER`.

It works until a line or the end comes on standard input, then looks once more at everything it was given, and ends.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .clients import Caller, Plan
from .ledger import OK, Ledger
from .workload import Family, Holdings, Thread


def main(plan: Plan, folder: Path, number: int) -> None:
    ledger, holdings, stop = Ledger(folder, f"client{number}"), Holdings(), threading.Event()
    first = number * plan.threads
    workers = [Thread(plan, ledger, holdings, each, stop) for each in range(first, first + plan.threads)]
    running = [threading.Thread(target=worker.run) for worker in workers]
    for thread in running:
        thread.start()
    told = sys.stdin.readline()
    stop.set()
    for thread in running:
        thread.join()
    if told:
        ledger.event("sweep")
        LastLook(plan, ledger, holdings, plan.people[first]).run()
    ledger.close()


class LastLook:
    """Everything once more, when all is well again: what was given and not revoked works, what was ended does not."""

    def __init__(self, plan: Plan, ledger: Ledger, holdings: Holdings, person: str) -> None:
        self.plan = plan
        self.ledger = ledger
        self.person = person
        self.caller = self.browser()
        self.holdings = holdings
        self.hosts = range(len(plan.ports))
        self.deadline = time.monotonic() + plan.seconds

    def browser(self) -> Caller:
        return Caller(self.plan, self.ledger, self.person)

    def run(self) -> None:
        chance = random.Random(self.plan.seed)
        errands = [lambda family=family: self.living(family) for family in self.holdings.families]
        errands += [lambda family=family: self.ended(family) for family in self.holdings.ended]
        errands += [lambda token=token: self.machine(token) for token in (*self.holdings.machine, *self.holdings.revoked)]
        chance.shuffle(errands)
        errands[:0] = [lambda host=host: self.everything(host) for host in self.hosts]
        with ThreadPoolExecutor(self.plan.threads) as pool:
            list(pool.map(lambda errand: errand() if time.monotonic() < self.deadline else None, errands))

    def everything(self, host: int) -> None:
        """Every kind of request at a host, whatever else there is, with a browser that nobody else uses."""
        plan, caller = self.plan, self.browser()
        for number, client in enumerate(plan.clients):
            code = caller.authorize(host, number)
            bought = caller.redeem(host, client, code).document if code else {}
            fresh = caller.refresh(host, client, bought["refresh_token"]).document if "refresh_token" in bought else {}
            if "access_token" in fresh:
                caller.call(host, fresh["access_token"])
                caller.revoke(host, client, fresh["access_token"])
                caller.introspect(host, client, fresh["access_token"])
        caller.machine(host)

    def living(self, family: Family) -> None:
        for token in family.access:
            for host in self.hosts:
                self.caller.call(host, token)
            self.caller.introspect(self.hosts[0], family.client, token)
        if family.refresh is None:
            return
        self.caller.introspect(self.hosts[-1], family.client, family.refresh)
        answer = self.caller.refresh(self.hosts[-1], family.client, family.refresh)
        if answer.outcome == OK and "access_token" in answer.document:
            for host in self.hosts:
                self.caller.call(host, answer.document["access_token"])

    def ended(self, family: Family) -> None:
        for token in family.access:
            for host in self.hosts:
                self.caller.call(host, token)
            self.caller.introspect(self.hosts[0], family.client, token)
        if family.refresh is not None:
            self.caller.introspect(self.hosts[0], family.client, family.refresh)
            self.caller.refresh(self.hosts[0], family.client, family.refresh)

    def machine(self, token: str) -> None:
        for host in self.hosts:
            self.caller.call(host, token)
        self.caller.introspect(self.hosts[0], self.plan.machine, token)


if __name__ == "__main__":
    main(Plan.read(Path(sys.argv[1]).read_text()), Path(sys.argv[2]), int(sys.argv[3]))
