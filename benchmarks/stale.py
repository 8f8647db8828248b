"""A revoker against readers: no token may be accepted after its revocation was answered.

`python benchmarks/stale.py [SECONDS]`: two reader processes of four threads each and a revoking process on one SQLite file.
The revoker tells of a revocation, through shared memory, only once it was answered; a reader that has read so before its
request and is let in all the same counts as stale. Exits with 1 where there was one.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import threading
import time

from oauth_gateway import OAuthGateway
from oauth_gateway.clients import Clients

BATCH = 400
fork = multiprocessing.get_context("fork")


def app(environ, start_response):
    start_response("200 OK", [])
    return []


def open_gateway(database: str) -> OAuthGateway:
    return OAuthGateway(app, issuer="https://a.test", database=database)


def read(database, headers, revoked, current, stop, results) -> None:
    gateway = open_gateway(database)
    counts = [0, 0]

    def loop() -> None:
        asked = stale = 0
        statuses: list[str] = []
        while not stop.value:
            index = current.value
            for at in (index, max(0, index - 1)):
                ended_before = revoked[at]
                environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/x", "HTTP_AUTHORIZATION": headers[at]}
                statuses.clear()
                gateway(environ, lambda status, _: statuses.append(status))
                asked += 1
                stale += bool(ended_before and statuses[0].startswith("200"))
        counts[0] += asked
        counts[1] += stale

    threads = [threading.Thread(target=loop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put(tuple(counts))


def main(seconds: float) -> int:
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{folder}/stale.db"
        gateway = open_gateway(database)
        client, _ = Clients(gateway.settings, gateway.store, gateway.events, gateway.server.sealer).create(
            now=time.time(), scope=""
        )
        asked = stale = revocations = 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            minted = [gateway.server.mint(client, "", time.time()) for _ in range(BATCH)]
            for one in minted:
                gateway.store.issue(one.rows[0])
            headers = ["Bearer " + one.answer["access_token"] for one in minted]
            revoked, current = fork.Array("b", BATCH, lock=False), fork.Value("i", 0, lock=False)
            stop, results = fork.Value("b", 0, lock=False), fork.Queue()
            arguments = (database, headers, revoked, current, stop, results)
            readers = [fork.Process(target=read, args=arguments) for _ in range(2)]
            for reader in readers:
                reader.start()
            time.sleep(0.3)
            for index, one in enumerate(minted):
                current.value = index
                time.sleep(0.002)
                gateway.store.revoke_token(one.rows[0].number, time.time())
                revoked[index] = 1
                revocations += 1
            time.sleep(0.05)
            stop.value = 1
            for _ in readers:
                one_asked, one_stale = results.get()
                asked, stale = asked + one_asked, stale + one_stale
            for reader in readers:
                reader.join()
        print(f"{asked} requests, {revocations} revocations, {stale} stale answers")
        return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 60))
