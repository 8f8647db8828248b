"""The private servers that other tests kill and freeze do what these tests rely on."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from .services import ENGINES, MariaDB, PostgreSQL, Redis, Service, family, listens, program, runs


@pytest.fixture(params=ENGINES)
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    with ENGINES[request.param]() as made:
        yield made


def remember(service: Service) -> None:
    if isinstance(service, PostgreSQL):
        service.sql("CREATE TABLE kept (number integer); INSERT INTO kept VALUES (7)")
    elif isinstance(service, MariaDB):
        service.sql("CREATE DATABASE kept; CREATE TABLE kept.kept (number integer); INSERT INTO kept.kept VALUES (7)")
    elif isinstance(service, Redis):
        service.ask("SET", "kept", "7")


def recall(service: Service) -> str:
    if isinstance(service, PostgreSQL):
        return service.sql("SELECT number FROM kept").strip()
    if isinstance(service, MariaDB):
        return service.sql("SELECT number FROM kept.kept").strip()
    assert isinstance(service, Redis)
    return service.ask("GET", "kept").strip()


def test_a_server_is_killed_stopped_and_started_again_on_the_same_data(service: Service) -> None:
    remember(service)
    assert service.process is not None
    before = family(service.process.pid)
    service.kill()
    assert not listens(service.port) and not [pid for pid in before if runs(pid)]
    service.start()
    assert recall(service) == "7"
    service.stop()
    assert not listens(service.port)
    service.start()
    assert recall(service) == "7"


def test_every_url_is_an_empty_database_of_its_own(service: Service) -> None:
    urls = [service.url(), service.url()]
    assert len(set(urls)) == 2 and all(f"127.0.0.1:{service.port}/" in url for url in urls)


def test_a_frozen_server_answers_nothing_until_it_is_resumed(service: Service) -> None:
    service.pause()
    with socket.create_connection(("127.0.0.1", service.port), 5) as connection:  # the kernel takes it
        connection.settimeout(0.3)
        connection.sendall(b"PING\r\n" if isinstance(service, Redis) else b"\0\0\0\x08\x04\xd2\x16\x2f")  # SSLRequest
        with pytest.raises(TimeoutError):
            connection.recv(1)
        service.resume()
        connection.settimeout(10)
        assert connection.recv(1)


def waiting(service: Service) -> list[str]:
    """A command that waits in a new database, connected to it."""
    database = service.url().rpartition("/")[2]
    where = ["-h", "127.0.0.1", "--port" if not isinstance(service, Redis) else "-p", str(service.port)]
    if isinstance(service, PostgreSQL):
        return ["psql", *where, "-U", "postgres", "-d", database, "-c", "SELECT pg_sleep(60)"]
    if isinstance(service, MariaDB):
        return ["mariadb", "--no-defaults", *where, "-u", "root", "--skip-reconnect", database, "-e", "SELECT SLEEP(60)"]
    return ["redis-cli", *where, "BLPOP", "nothing", "60"]


def test_connections_are_closed_and_the_server_goes_on(service: Service) -> None:
    command = waiting(service)
    with subprocess.Popen(
        [program(command[0]) or "", *command[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as client:
        time.sleep(0.5)
        assert client.poll() is None, client.communicate()
        service.disconnect()
        client.wait(20)
    assert service.answers()


def test_a_server_deletes_what_it_made(service: Service) -> None:
    folder = service.folder
    service.close()
    assert not folder.exists() and not listens(service.port)


def test_a_server_starts_within_seconds(service: Service) -> None:
    service.kill()
    began = time.monotonic()
    service.start()
    assert time.monotonic() - began < 15
