"""What a database server does to those who depend on it (CHECKS A095, A097): it is stopped, hangs, forgets its clients, has no
connection left, takes no writes. A request that cannot be judged gets 503 within a bounded time, and all is well again by
itself afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
import webob

from oauth_gateway.deployment import open_deployment
from oauth_gateway.errors import ConfigurationError
from oauth_gateway.settings import load
from oauth_gateway.store import open_store, server

from .conftest import SECRET, World, make_world
from .services import MariaDB, PostgreSQL, Service

BOUND = server.ANSWER_SECONDS + server.CONNECT_SECONDS + 2.0  # seconds until the first 503; the next come at once
SOON = 20.0  # for what must come back by itself; far more than it takes
SERVICES = {"postgresql": PostgreSQL, "mysql": MariaDB}


@pytest.fixture(scope="module", params=list(SERVICES))
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    with SERVICES[request.param]() as service:
        yield service


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    with PostgreSQL() as service:
        yield service


def open_world(url: str, **settings: object) -> World:
    return make_world(url, time.time, secret=SECRET, **settings)  # type: ignore[arg-type]


def timed(call: Callable[[], webob.Response]) -> tuple[int, float]:
    started = time.monotonic()
    answer = call()
    if answer.status_code == 503:
        assert answer.headers["Retry-After"]
    return answer.status_code, time.monotonic() - started


def until(status: int, call: Callable[[], webob.Response]) -> float:
    """Seconds until `call` is answered with `status`; anything but that and 503 is a failure."""
    started = time.monotonic()
    while (found := call().status_code) != status:
        assert found == 503 and time.monotonic() < started + SOON, found
        time.sleep(0.05)
    return time.monotonic() - started


def refuses_until_it_is_back(world: World, token: str, back: Callable[[], None]) -> None:
    """The database is away: see the module."""
    calls = [
        lambda: world.call(token),
        lambda: world.token({"grant_type": "client_credentials"}, world.machine),
        lambda: world.introspect(token),
        lambda: world.revoke(token, world.machine),
    ]
    for call in calls:
        status, seconds = timed(call)
        assert status == 503 and seconds < BOUND, (status, seconds)
    started = time.monotonic()
    for _ in range(20):
        assert timed(lambda: world.call(token))[0] == 503
    assert time.monotonic() - started < BOUND, "once it is known to be away nobody waits"
    assert world.call(None, "/public/x").status_code == 200
    assert world.call("garbage").status_code == 401
    assert world.call(None).status_code == 401
    back()
    assert until(200, lambda: world.call(token)) < SOON
    assert world.token({"grant_type": "client_credentials"}, world.machine).status_code == 200
    assert world.revoke(token, world.machine).status_code == 200 and world.call(token).status_code == 401


def test_a_server_that_is_stopped_refuses_and_comes_back(service: Service) -> None:
    world = open_world(service.url())
    token = world.machine_token()
    assert world.call(token).status_code == 200
    service.stop()
    refuses_until_it_is_back(world, token, service.start)
    world.gateway.store.close()


def test_a_server_that_hangs_is_not_waited_for_by_everybody(service: Service) -> None:
    world = open_world(service.url())
    token = world.machine_token()
    assert world.call(token).status_code == 200
    service.pause()
    try:
        refuses_until_it_is_back(world, token, service.resume)
    finally:
        service.resume()
    world.gateway.store.close()


def test_connections_that_the_server_closed_are_replaced_unnoticed(service: Service) -> None:
    """A097: pg_terminate_backend"""
    world = open_world(service.url())
    token = world.machine_token()
    for _ in range(3):
        service.disconnect()
        assert world.call(token).status_code == 200
        assert world.token({"grant_type": "client_credentials"}, world.machine).status_code == 200
        assert world.redeem(world.code()).status_code == 200
    world.gateway.store.close()


def test_a_server_that_was_killed_has_lost_nothing(service: Service) -> None:
    world = open_world(service.url())
    kept, gone = world.machine_token(), world.machine_token()
    assert world.revoke(gone, world.machine).status_code == 200
    service.kill()
    assert world.call(kept).status_code == 503
    service.start()
    assert until(200, lambda: world.call(kept)) < SOON
    assert world.call(gone).status_code == 401
    world.gateway.store.close()


def test_no_connection_is_left(postgresql: PostgreSQL) -> None:
    """A097: too many connections"""
    postgresql.sql("CREATE ROLE few LOGIN CONNECTION LIMIT 4")
    url = postgresql.url()
    name = url.rpartition("/")[2]
    postgresql.sql(f"ALTER DATABASE {name} OWNER TO few")
    url = url.replace("postgres@", "few@")
    world = open_world(url)
    token = world.machine_token()
    world.gateway.store.close()
    with open_for(url), open_for(url), open_for(url), open_for(url):
        with pytest.raises(ConfigurationError, match="too many connections"):
            open_deployment(load({"database": url, "secret": SECRET}))
        status, seconds = timed(lambda: world.call(token))
        assert status == 503 and seconds < BOUND
    until(200, lambda: world.call(token))
    world.gateway.store.close()


def open_for(url: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(url, autocommit=True)


def test_a_primary_that_becomes_a_standby_is_not_asked_any_more(postgresql: PostgreSQL) -> None:
    """A097: what it does not know yet was revoked; no read may come from it"""
    url = postgresql.url()
    world, name = open_world(url), url.rpartition("/")[2]
    token = world.machine_token()
    postgresql.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    postgresql.disconnect()
    assert world.call(token).status_code == 503
    assert world.token({"grant_type": "client_credentials"}, world.machine).status_code == 503
    postgresql.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = off")
    until(200, lambda: world.call(token))
    world.gateway.store.close()


def test_a_table_that_is_locked_holds_up_writers_for_a_bounded_time_and_readers_not_at_all(postgresql: PostgreSQL) -> None:
    """A095"""
    url = postgresql.url()
    world = open_world(url)
    token = world.machine_token()
    with open_for(url) as other, other.transaction():
        other.execute("LOCK TABLE oauth_token IN SHARE MODE")
        status, seconds = timed(lambda: world.token({"grant_type": "client_credentials"}, world.machine))
        assert status == 503 and seconds < BOUND
        assert timed(lambda: world.call(token))[0] == 200
    assert world.token({"grant_type": "client_credentials"}, world.machine).status_code == 200
    world.gateway.store.close()


def test_the_victim_of_another_transaction_runs_again(postgresql: PostgreSQL) -> None:
    """A097: serialization failures and deadlocks"""
    url = postgresql.url()
    world = open_world(url)
    with open_for(url) as other:
        other.execute("CREATE SEQUENCE tries")
        other.execute(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF nextval('tries') < 3 THEN RAISE EXCEPTION"
            " 'a deadlock, say' USING ERRCODE = '40P01'; END IF; RETURN NEW; END $$"
        )
        other.execute("CREATE TRIGGER fail BEFORE INSERT ON oauth_token FOR EACH ROW EXECUTE FUNCTION fail()")
        assert world.call(world.machine_token()).status_code == 200
        assert other.execute("SELECT last_value FROM tries").fetchone() == (3,)
    world.gateway.store.close()


def test_an_answer_to_a_commit_that_is_lost_is_never_asked_for_again(postgresql: PostgreSQL) -> None:
    """Whether it happened is not known: the client hears 503 and the code is worth one token at most (A090)."""
    url = postgresql.url()
    world = open_world(url)
    code = world.code()
    with open_for(url) as other:
        other.execute(
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$"
        )
        other.execute(
            "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON oauth_token DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
            " EXECUTE FUNCTION die()"
        )
        assert world.redeem(code).status_code == 503
        other.execute("DROP TRIGGER die ON oauth_token")
    answer = world.redeem(code)
    assert answer.status_code == 200 and world.call(answer.json["access_token"]).status_code == 200
    assert world.redeem(code).status_code == 400, "once"
    world.gateway.store.close()


def test_a_process_that_starts_while_the_database_is_away_serves_once_it_is_back(service: Service) -> None:
    """One that ended instead would take its gunicorn with it, and nobody would start that again."""
    world = open_world(service.url())
    token = world.machine_token()
    world.gateway.store.close()
    service.stop()
    started = time.monotonic()
    late, stranger = OtherGateway(world), OtherGateway(world, secret="another secret, also of 32 bytes!")
    assert time.monotonic() - started < 2 * BOUND
    for gateway in (late, stranger):
        assert gateway.call(token) == (503 if gateway is late else 401), "by the checksum"
        assert gateway.call("garbage") == 401 and gateway.call(None, "/public/x") == 200
        assert gateway.call(None, "/.well-known/oauth-authorization-server") == 503
        assert gateway.call(None, "/token/health/live") == 200 and gateway.call(None, "/token/health/ready") == 503
    service.start()
    started = time.monotonic()
    while late.call(token) != 200:
        assert time.monotonic() < started + SOON
        time.sleep(0.05)
    assert late.call(None, "/token/health/ready") == 200
    time.sleep(1.1)  # until it looks again
    assert stranger.call(token) == 401, "its secret is not the database's"
    assert stranger.call(None, "/token/health/ready") == 503 and stranger.call(None, "/authorize/login") == 503
    late.close()
    stranger.close()


# -- revocation everywhere


def test_strict_a_revocation_that_was_answered_is_known_to_every_gateway(service: Service) -> None:
    """A075"""
    url = service.url()
    one = open_world(url)
    other = OtherGateway(one)
    for _ in range(20):
        token = one.machine_token()
        assert other.call(token) == 200
        assert one.revoke(token, one.machine).status_code == 200
        assert other.call(token) == 401
    other.close()
    one.gateway.store.close()


def test_a_duration_is_milliseconds_in_practice(service: Service) -> None:
    """A push, or on MariaDB frequent questions; a connection that listens and is lost makes it a second, not more."""
    one = open_world(service.url(), revocation="10s")
    other = OtherGateway(one)
    other.call(one.machine_token())
    time.sleep(0.5)  # until it listens
    taken = []
    for round in range(5):
        token = one.machine_token()
        assert other.call(token) == 200
        if round == 4:
            service.disconnect()
        assert one.revoke(token, one.machine).status_code == 200
        started = time.monotonic()
        while other.call(token) != 401:
            assert time.monotonic() < started + 10
            time.sleep(0.005)
        taken.append(time.monotonic() - started)
        assert one.call(token).status_code == 401, "where it was revoked it is known at once"
    assert sorted(taken[:4])[2] < 0.5 and max(taken) < 3.0, taken
    other.close()
    one.gateway.store.close()


def test_a_duration_is_how_long_a_cache_trusts_itself_without_an_answer(service: Service) -> None:
    world = open_world(service.url(), revocation="3s")
    token, unseen = world.machine_token(), world.machine_token()
    assert world.call(token).status_code == 200
    service.kill()  # at once: an orderly stop takes longer than the trust lasts where the machine is busy
    started, trusted = time.monotonic(), 0.0
    while time.monotonic() < started + 6:
        if world.call(token).status_code == 200:
            trusted = time.monotonic() - started
        assert world.call(unseen).status_code == 503, "what is not remembered cannot be judged"
        time.sleep(0.1)
    assert 1.5 < trusted < 3.3, trusted
    service.start()
    until(200, lambda: world.call(token))
    world.gateway.store.close()


class OtherGateway:
    """On the same database, as in another process on another host."""

    def __init__(self, world: World, secret: str = SECRET) -> None:
        from oauth_gateway import OAuthGateway

        from .conftest import RecordingApp, send

        known = world.gateway.settings
        revocation = "strict" if known.revocation is None else known.revocation
        self.gateway = OAuthGateway(
            RecordingApp(),
            issuer=world.base,
            database=known.database,
            secret=secret,
            revocation=revocation,
            features="default health",
            routes=["* /public/** public"],
        )
        self._send = send

    def call(self, token: str | None, path: str = "/thing") -> int:
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        answer = self._send(self.gateway, "GET", path, headers=headers)
        return int(answer.status_code)

    def close(self) -> None:
        self.gateway.store.close()


def test_a_store_that_is_closed_opens_again_when_it_is_asked(service: Service) -> None:
    store = open_store(service.url())
    store.prepare()
    before = store.epoch()
    store.close()
    assert store.epoch() == before and store.watch() is True
    store.close()
