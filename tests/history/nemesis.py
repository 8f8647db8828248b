"""The nemesis: kills workers, masters, hosts and the database, one after the other, and writes down when all is well again."""

from __future__ import annotations

import itertools
import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..services import Service
from .hosts import Host
from .ledger import Ledger
from .wire import Wire

REST = (0.2, 0.5)  # seconds of peace after each fault


class Nemesis:
    """Faults for hosts and their `database`, a service or a SQLite file; `wire` is what connects the first host with it."""

    def __init__(self, hosts: Sequence[Host], database: Service | Path, wire: Wire | None, ledger: Ledger, seed: int) -> None:
        self.hosts = hosts
        self.database = database
        self.ledger = ledger
        self.chance = random.Random(seed)
        here = self._faults_of_sqlite(database) if isinstance(database, Path) else self._faults_of_service(database)
        self.faults: dict[str, Callable[[], None]] = {
            "kill a worker": lambda: self.host().kill_workers(1),
            "kill the workers of a host": lambda: self.host().kill_workers(),
            "kill a master": self.kill_master,
            "kill a host": self.kill_host,
            **here,
            **({} if wire is None else self._faults_of_wire(wire)),
        }

    def run(self, seconds: float, only: Sequence[str] = ()) -> None:
        """Every fault, or `only` some, in a random order, again and again until `seconds` are over; each once at least."""
        deadline, names = time.monotonic() + seconds, list(only or self.faults)
        for number in itertools.count():
            if number % len(names) == 0:
                self.chance.shuffle(names)
            time.sleep(self.chance.uniform(*REST))
            if time.monotonic() >= deadline and number >= len(names):
                return
            name = names[number % len(names)]
            self.ledger.event("fault", fault=name)
            self.faults[name]()
            self.heal()
            self.ledger.event("healed", fault=name)

    def heal(self) -> None:
        """Wait until every host that was killed is back; one that ended by itself is written down and started again."""
        for host in self.hosts:
            if host.gave_up():
                self.ledger.event("gave up", port=host.port, log=host.log()[-1500:])
            host.start()

    def host(self) -> Host:
        return self.chance.choice(self.hosts)

    def kill_master(self) -> None:
        self.host().kill_master()

    def kill_host(self) -> None:
        host = self.host()
        host.kill()
        time.sleep(self.chance.uniform(0, 0.5))

    def _faults_of_sqlite(self, file: Path) -> dict[str, Callable[[], None]]:
        def lock() -> None:
            connection = sqlite3.connect(file, timeout=10, isolation_level=None)
            connection.execute("BEGIN EXCLUSIVE")
            time.sleep(1)
            connection.execute("ROLLBACK")
            connection.close()

        return {"lock the database": lock}

    def _faults_of_service(self, service: Service) -> dict[str, Callable[[], None]]:
        def kill() -> None:
            service.kill()
            time.sleep(self.chance.uniform(0, 0.7))
            service.start()

        def restart() -> None:
            service.stop()
            service.start()

        def freeze() -> None:
            service.pause()
            time.sleep(self.chance.uniform(0.5, 1.5))
            service.resume()

        def kill_both() -> None:
            """Workers are replaced while the database is down."""
            service.kill()
            for host in self.hosts:
                host.kill_workers(1)
            time.sleep(2)
            service.start()

        return {
            "kill the database": kill,
            "restart the database": restart,
            "freeze the database": freeze,
            "kill the connections": service.disconnect,
            "kill the database and a worker of each host": kill_both,
        }

    def _faults_of_wire(self, wire: Wire) -> dict[str, Callable[[], None]]:
        """One host is cut off, and the other one goes on and revokes what the first remembers."""

        def cut() -> None:
            wire.cut()
            time.sleep(self.chance.uniform(0.5, 1.5))
            wire.mend()

        def hush() -> None:
            wire.hush()
            time.sleep(self.chance.uniform(2.5, 3.5))  # longer than a duration of `revocation` here
            wire.mend()

        return {"cut a host off from the database": cut, "drop what a host and the database say": hush}
