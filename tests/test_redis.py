"""The shipped contract on Redis, and how records lie there."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from oauth_gateway.errors import ConfigurationError, StoreUnavailable
from oauth_gateway.models import Consent, Grant, Job, Session, SigningKey, digest
from oauth_gateway.sealing import new_number
from oauth_gateway.store import Outcome, Purchase, Store, open_store
from oauth_gateway.store.redis import RedisStore
from oauth_gateway.store.redis.layout import after_all, text_of
from oauth_gateway.store.redis.transactions import NET
from oauth_gateway.testing import NOW, StoreContract, race
from oauth_gateway.testing.parts import sealer

from .redis_server import RedisServer

tags = itertools.count()
contract = StoreContract()


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A server that may be used with strict revocation."""
    server = RedisServer()
    yield server
    server.close()


def fresh(server: RedisServer) -> Store:
    store = open_store(f"{server.address}?tag=test-{next(tags)}")
    store.prepare()
    return store


@pytest.fixture
def store(server: RedisServer) -> Iterator[Store]:
    server.connection.flushall()
    store = fresh(server)
    yield store
    store.close()


class TestRedis(StoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, server: RedisServer) -> Iterator[None]:
        self.server, self.stores = server, []  # type: tuple[RedisServer, list[Store]]
        yield
        for store in self.stores:
            store.close()

    def store(self) -> Store:
        self.stores.append(fresh(self.server))
        return self.stores[-1]


def everything(store: Store) -> None:
    """One record of every kind at least."""
    client, user, _, code = contract.a_grant(store)
    session = Session(digest("cookie"), "sid", user.user_id, NOW, NOW, NOW + 600, ("pwd",))
    store.add_session(session)
    grant = Grant(new_number(), client.number, user.user_id, "s", "openid", "aud", NOW, session="sid")
    agreed = Consent(new_number(), user.user_id, client.number, "https://a.test/cb", "aud", "read", NOW)
    assert store.authorize(grant, (contract.a_token(client, "rt", grant_id=grant.id),), agreed) is Outcome.WON
    bought = contract.a_token(client, grant_id=code.grant_id)
    assert store.redeem(code.number, Purchase((bought,), b"sealed answer", NOW + 10), NOW).outcome is Outcome.WON
    store.update_client(replace(client, metadata={**client.metadata, "token_endpoint_auth_method": "none",
                                                  "redirect_uris": ["https://a.test/cb"]}), NOW)  # fmt: skip
    store.add("jti", "one", NOW + 60, NOW)
    store.count("login", "ann", 900, NOW)
    store.add_key(SigningKey("kid", "RS256", 0, {"kty": "RSA"}, b"sealed", NOW, NOW, 60), NOW)
    store.add_job(Job(new_number(), "work", {}, NOW, 0))


def keys(server: RedisServer) -> list[bytes]:
    return sorted(server.connection.scan_iter(count=1000))


def test_all_keys_of_a_deployment_are_in_one_slot_of_a_cluster(server: RedisServer, store: Store) -> None:
    everything(store)
    found = keys(server)
    assert len({key_slot(name) for name in found}) == 1 and len(found) > 40, found
    assert len({name[: name.index(b"}")] for name in found}) == 1


def test_everything_that_expires_has_a_time_to_live_and_nothing_else(server: RedisServer, store: Store) -> None:
    everything(store)
    kinds = {b"token", b"grant", b"session", b"entry", b"counter"}
    lasting = set(b"client user consent origin key job meta feed change order ripe index unique".split())
    for name in keys(server):
        kind, _, rest = name[name.index(b"}:") + 2 :].partition(b":")
        left = server.connection.ttl(name)
        if kind in kinds or (kind == b"index" and rest.split(b":")[0] in kinds):
            assert NET < left < NET + 90_000 * 2, name
        else:
            assert kind in lasting and left == -1, name


def test_nothing_but_digests_is_stored_of_secrets(server: RedisServer, store: Store) -> None:
    everything(store)
    texts = []
    client = contract.a_client(store)
    for kind in ("at", "rt", "ac"):
        text, credential = sealer.issue(kind)
        texts.append(text.encode())
        new = contract.a_token(client, kind)
        store.issue(new._replace(number=credential.number, digest=credential.digest))
    server.connection.bgrewriteaof()
    kept = b"".join(path.read_bytes() for path in server.folder.rglob("*") if path.is_file())
    for text in texts:
        random = text.split(b"_", 2)[2][:43]
        assert random not in kept, "the random part of a token"
    assert b"cookie" not in b"".join(keys(server)), "nor a cookie"


def test_deleting_everything_leaves_no_key_behind(server: RedisServer, store: Store) -> None:
    """Indexes too: whatever was entered in one is taken out of it"""
    empty = set(keys(server))
    everything(store)
    for user in store.users():
        store.delete_user(user.user_id, NOW)
    for client in store.clients():
        store.delete_client(client.client_id, NOW)
    store.delete_key("kid")
    for job in store.take_jobs(NOW, NOW + 1, 100):
        store.finish_job(job)
    assert sum(store.sweep(NOW + 10**6)) == 5, "three tokens, an entry, a counter; the other grant went with its person"
    left = set(keys(server)) - empty
    assert {name.rsplit(b":", 1)[-1] for name in left} == {b"change"}, left


def test_what_redis_deleted_by_itself_is_tidied_from_the_indexes(server: RedisServer, store: Store) -> None:
    client = contract.a_client(store)
    for _ in range(30):
        store.issue(contract.a_token(client))
    tokens = [name for name in keys(server) if b":token:" in name and b"order" not in name]
    server.connection.delete(*tokens[:20])  # as if their time had come
    assert sum(store.sweep(NOW + 1000)) == 10
    assert not [name for name in keys(server) if b"token" in name]


def test_a_lost_record_is_not_made_anew_before_its_time(server: RedisServer, store: Store) -> None:
    """A098: an evicted jti must not be accepted again"""
    assert store.add("jti", "x", NOW + 60, NOW)
    (name,) = [name for name in keys(server) if b":entry:" in name and b"order" not in name]
    server.connection.delete(name)
    with pytest.raises(StoreUnavailable, match="noeviction"):
        store.add("jti", "x", NOW + 60, NOW + 1)
    assert store.add("jti", "x", NOW + 200, NOW + 61), "its time is over"


def test_a_counter_that_sixteen_threads_fight_for_is_exact(store: Store) -> None:
    """A conflict is run again and that ends"""
    began = time.monotonic()
    results = race(*[lambda: [store.count("x", "y", 60, NOW) for _ in range(15)]] * 16)
    assert all(isinstance(result, list) for result in results), [r for r in results if not isinstance(r, list)][:3]
    assert store.count("x", "y", 60, NOW).value == 16 * 15 + 1
    assert time.monotonic() - began < 20


def test_a_restart_of_the_server_loads_the_script_again(server: RedisServer, store: Store) -> None:
    server.connection.script_flush()
    contract.a_client(store)


@pytest.mark.parametrize("operation", ["read", "write"])
def test_a_connection_that_was_closed_meanwhile_fails_no_call(server: RedisServer, store: Store, operation: str) -> None:
    client = contract.a_client(store)
    race(*[lambda: store.client(client.client_id)] * 4)  # some connections
    server.connection.client_kill_filter(_type="normal", skipme=True)
    for _ in range(5):
        if operation == "read":
            assert store.client(client.client_id) is not None
        else:
            store.issue(contract.a_token(client))


def test_a_revocation_is_heard_within_milliseconds(server: RedisServer, store: Store) -> None:
    tag = f"test-{next(tags) - 1}"
    other = open_store(f"{server.address}?tag={tag}")
    client = contract.a_client(store)
    other.last_epoch()
    deadline = time.monotonic() + 5
    while not server.connection.pubsub_channels() and time.monotonic() < deadline:
        time.sleep(0.01)
    other.watch()
    times = []
    for _ in range(20):
        token = contract.a_token(client)
        store.issue(token)
        before = other.last_epoch()
        store.revoke_token(token.number, NOW)
        began = time.perf_counter()
        while other.last_epoch() == before:
            assert time.perf_counter() - began < 2, "not heard"
            time.sleep(0.0002)
        times.append(time.perf_counter() - began)
    assert sorted(times)[10] < 0.05, times
    other.close()


def test_a_listener_comes_back_after_its_connection_was_lost(server: RedisServer, store: Store) -> None:
    store.last_epoch()
    for _ in range(2):
        deadline = time.monotonic() + 10
        while not server.connection.pubsub_channels():
            assert time.monotonic() < deadline, "it does not listen"
            time.sleep(0.02)
        server.connection.client_kill_filter(_type="pubsub")


def test_several_processes_may_prepare_at_once(server: RedisServer) -> None:
    """A101"""
    url = f"{server.address}?tag=test-{next(tags)}"
    stores = [open_store(url) for _ in range(8)]
    assert race(*[store.prepare for store in stores]) == [None] * 8
    assert len({store.epoch() for store in stores}) == 1
    for store in stores:
        store.close()


def test_tags_keep_deployments_apart(server: RedisServer) -> None:
    one, other = fresh(server), fresh(server)
    client = contract.a_client(one)
    assert other.client(client.client_id) is None and other.client_numbered(client.number) is None
    with pytest.raises(ConfigurationError, match="tag"):
        RedisStore(f"{server.address}?tag=a}}b")
    one.close()
    other.close()


def test_another_version_of_the_records_is_refused_with_what_to_do(server: RedisServer, store: Store) -> None:
    (name,) = [name for name in keys(server) if name.endswith(b"meta:records.version")]
    for version, what in (("99", "upgrade oauth-gateway"), ("0", "run oauth-gateway migrate")):
        server.connection.set(name, json.dumps({"name": "records.version", "value": version}))
        with pytest.raises(ConfigurationError, match=what):
            store.check()


def test_what_newer_code_has_written_into_a_record_is_kept(server: RedisServer, store: Store) -> None:
    """An upgrade one process after the other"""
    client = contract.a_client(store)
    (name,) = [name for name in keys(server) if b"}:client:" in name]
    known = json.loads(server.connection.get(name))
    server.connection.set(name, json.dumps({**known, "newer": [1]}))
    store.update_client(replace(client, disabled=NOW), NOW)
    assert json.loads(server.connection.get(name)) == {**known, "newer": [1], "disabled": NOW}
    assert store.client(client.client_id) == replace(client, disabled=NOW) and "newer" not in store.dump("client")[0]


def test_what_was_never_prepared_is_no_database(server: RedisServer) -> None:
    store = open_store(f"{server.address}?tag=test-{next(tags)}")
    with pytest.raises(ConfigurationError, match="version 0"):
        store.check()
    with pytest.raises(StoreUnavailable, match="no database of ours"):
        store.epoch()
    with pytest.raises(StoreUnavailable, match="no database of ours"):
        store.set_meta("a", "b")
    assert keys(server) == [] or all(b"test-" in name for name in keys(server))
    store.close()


texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=6) | st.text(alphabet="\0\1a", max_size=4)


@given(st.lists(st.tuples(texts, texts), min_size=2, max_size=2))
def test_keys_sort_as_what_they_name_and_no_two_are_the_same(pair: list[tuple[str, str]]) -> None:
    one, other = pair
    assert (text_of(one) < text_of(other)) == (one < other) and (text_of(one) == text_of(other)) == (one == other)
    if one[0] != other[0]:
        assert (after_all(one[:1]) < text_of(other)) == (one[0] < other[0])
    assert text_of(one) < after_all(one[:1])


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_numbers_sort_as_numbers(one: int, other: int) -> None:
    assert (text_of((one,)) < text_of((other,))) == (one < other)
