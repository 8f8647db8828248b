"""A run: hosts and clients start, servers die, and the judge reads the ledger.

`python -m tests.history --database postgresql --seconds 600`
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from oauth_gateway import OAuthGateway
from oauth_gateway.clients import Clients
from oauth_gateway.clock import now

from ..conftest import PASSWORD
from ..services import ENGINES, Service
from ..test_command_line import ROOT, free_port
from .broken import FAULTS
from .checker import Report, judge
from .clients import Plan, Registered
from .hosts import SECONDS, Host
from .ledger import Ledger, read
from .nemesis import Nemesis
from .wire import Wire

DATABASES = ("sqlite", *ENGINES)
GRACE = 5  # seconds of refresh_token_reuse_grace, so that a run outlasts it
RECOVERY = 3.0  # seconds after the last fault from which on every request must succeed
SECRET = "a secret of these tests that is long enough"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What to run: `seconds` of faults, and at most `look` for the last look at everything; with `requests` no faults, and so
    many requests or more: revocations must have had time to be too late. `faults` are some of the nemesis's, by name;
    `broken` names a fault of the gateway.
    """

    database: str = "sqlite"
    seconds: float = 12.0
    look: float = 5.0
    threads: int = 6
    processes: int = 1
    seed: int = 1
    revocation: str = "strict"
    faults: tuple[str, ...] = ()
    broken: str = ""
    requests: int = 0


def run(what: Run, folder: Path) -> Report:
    """Do it in `folder` and judge the ledger that is left there."""
    ledger = Ledger(folder, "nemesis")
    with ExitStack() as stack:
        service, wire, urls = _database(what, folder, stack)
        ports = [free_port(), free_port()]
        settings = [_settings(what, url, ports[0]) for url in urls]
        plan = _plan(what, settings[-1], ports)
        (folder / "plan.json").write_text(json.dumps(asdict(plan)))
        hosts = [Host(port, folder, settings[index], index, what.broken) for index, port in enumerate(ports)]
        for host in hosts:
            stack.callback(host.kill)
        with ThreadPoolExecutor() as pool:
            list(pool.map(Host.start, hosts))
        ledger.event("setup", **_promises(what, len(hosts)))
        with _clients(what, folder) as clients:
            if what.requests:
                _wait_for(what.requests, folder)
                time.sleep(2 * _bound(what))
            else:
                nemesis = Nemesis(hosts, service or folder / "gateway.db", wire, ledger, what.seed)
                nemesis.run(what.seconds, what.faults)
                time.sleep(RECOVERY + 0.1)
            for client in clients:
                client.communicate(b"sweep\n", timeout=what.look + 60)
                assert client.returncode == 0, "a client process failed"
    ledger.close()
    return judge(read(folder))


def _database(what: Run, folder: Path, stack: ExitStack) -> tuple[Service | None, Wire | None, list[str]]:
    """The server, the wire of the first host to it, and for each host the URL under which it knows it."""
    if what.database == "sqlite":
        return None, None, [f"sqlite:///{folder}/gateway.db"] * 2
    service = stack.enter_context(ENGINES[what.database]())
    wire = Wire(service.port)
    stack.callback(wire.close)
    url = service.url()
    return service, wire, [url.replace(f":{service.port}/", f":{wire.port}/"), url]


def _settings(what: Run, url: str, port: int) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "issuer": f"http://127.0.0.1:{port}",
        "database": url,
        "scopes": {"read": "Read your things"},
        "refresh_token_reuse_grace": GRACE,
        "revocation": what.revocation,
    }
    return settings if what.database == "sqlite" else {**settings, "secret": SECRET}


def _promises(what: Run, hosts: int) -> dict[str, Any]:
    """What the judge may hold the deployment to."""
    return {
        **asdict(what),
        "grace": GRACE,
        "revocation": _bound(what),
        "hosts": hosts,
        "code_lifetime": 60,
        "recovery": RECOVERY,
    }


def _bound(what: Run) -> float:
    """The seconds for which a revoked token may be accepted."""
    return 0.0 if what.revocation == "strict" else float(what.revocation.rstrip("s"))


def _plan(what: Run, settings: dict[str, Any], ports: list[int]) -> Plan:
    """Register the clients and the people."""
    gateway = OAuthGateway(None, **settings)
    clients = Clients(gateway.settings, gateway.store, gateway.events, gateway.server.sealer)
    made = []
    # consent is remembered for the first, the second is always asked
    for uri in ("https://shop.test/cb", "http://127.0.0.1/cb"):
        client, secret = clients.create(now=now(), client_name="Shop", redirect_uris=[uri])
        made.append(Registered(client.client_id, str(secret), uri))
    machine, secret = clients.create(now=now(), client_name="Robot")
    people = [f"ann{number}" for number in range(what.threads * what.processes)]
    for name in people:
        gateway.server.users.create(name, PASSWORD, now())
    gateway.store.close()
    robot = Registered(machine.client_id, str(secret))
    return Plan(str(settings["issuer"]), ports, made, robot, people, PASSWORD, what.threads, what.seed, what.look)


@contextmanager
def _clients(what: Run, folder: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    command = [sys.executable, "-m", "tests.history.process", str(folder / "plan.json"), str(folder)]
    started = [subprocess.Popen([*command, str(number)], cwd=ROOT, stdin=subprocess.PIPE) for number in range(what.processes)]
    try:
        while not all((folder / f"client{number}.jsonl").exists() for number in range(what.processes)):
            time.sleep(0.01)
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def _wait_for(requests: int, folder: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while sum(path.read_bytes().count(b"\n") for path in folder.glob("client*.jsonl")) < 2 * requests:
        assert time.monotonic() < deadline, "the clients are far too slow"
        time.sleep(0.1)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.history", description=__doc__)
    parser.add_argument("--database", choices=DATABASES, default="sqlite")
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("HISTORY_SECONDS", "12")))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--revocation", default="strict", help="strict, or a duration in seconds such as 2s")
    parser.add_argument(
        "--fault", dest="faults", action="append", default=[], help="only this one of the faults, and others named so"
    )
    parser.add_argument("--threads", type=int, default=6)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--broken", choices=FAULTS, default="", help="a gateway with this fault, which must be found")
    parser.add_argument("--requests", type=int, default=0, help="kill nothing, and end after so many")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="a new folder, where the ledger and the logs stay")
    parser.add_argument("--judge", type=Path, metavar="FOLDER", help="run nothing; judge the ledger that was kept there")
    given = vars(parser.parse_args())
    kept: Path | None = given.pop("keep")
    judged: Path | None = given.pop("judge")
    if judged is not None:
        report = judge(read(judged))
        print(report)
        return 1 if report.violations else 0
    with tempfile.TemporaryDirectory() as folder:
        if kept is not None:
            kept.mkdir(parents=True)
        report = run(Run(**given, look=max(5.0, min(60.0, given["seconds"]))), kept or Path(folder))
    print(report)
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
