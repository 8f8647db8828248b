"""A store over primitives: the contract on records in memory, what the primitives owe, and how long records are kept."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from oauth_gateway.cli.copying import differences
from oauth_gateway.errors import ConfigurationError, StoreUnavailable
from oauth_gateway.models import Client, Consent, Grant, Job, Session, SigningKey, User, digest
from oauth_gateway.sealing import new_number
from oauth_gateway.store import NewToken, Outcome, Purchase, Store, open_store, schema
from oauth_gateway.store.kinds import FEED_KEPT, KIND, KINDS, RETENTION
from oauth_gateway.store.records import Conflict, RecordStore, Writer
from oauth_gateway.store.records.numbers import COUNTED
from oauth_gateway.store.records.table import records_in, row_of
from oauth_gateway.store.values import session_of, session_record
from oauth_gateway.testing import NOW, MemoryRecords, StoreContract

from .conftest import ENGINES
from .redis_server import own_url

contract = StoreContract()


def memory() -> RecordStore:
    store = RecordStore(MemoryRecords())
    store.prepare()
    return store


class TestMemory(StoreContract):
    def store(self) -> RecordStore:
        return memory()


class Restless(MemoryRecords):
    """Every third transaction meets another one that came first."""

    def __init__(self) -> None:
        super().__init__()
        self.random = random.Random(7)

    @contextmanager
    def writing(self, now: float) -> Iterator[Writer]:
        with self._lock, super().writing(now) as writer:
            yield writer
            if self.random.random() < 0.33:
                raise Conflict("for the test")


class TestWithConflicts(StoreContract):
    """Whatever a transaction does, it does by its Writer, and may so be run again."""

    def store(self) -> RecordStore:
        store = RecordStore(Restless())
        store.prepare()
        return store


def test_kinds_are_the_tables_of_the_schema() -> None:
    tables = {table.name.removeprefix("oauth_"): table for table in schema.metadata.sorted_tables}
    assert set(KINDS) == set(tables)
    for name, table in tables.items():
        assert set(KIND[name].columns) == {column.name for column in table.c} - {"realm"}, name
        assert KINDS[name] == tuple(column.name for column in table.primary_key if column.name != "realm"), name
        binary = {column.name for column in table.c if column.type.python_type is bytes}
        assert KIND[name].binary == binary, name


def test_a_conflict_that_never_ends_is_a_store_that_does_not_answer() -> None:
    store = memory()
    token = contract.a_token(contract.a_client(store))
    store.issue(token)
    with pytest.raises(StoreUnavailable, match="again and again"):
        store.issue(token)


# -- any engine as the source and as the target


def a_file(folder: Path) -> Store:
    return open_store(f"sqlite:///{folder / f'{new_number()}.db'}")


MAKERS: dict[str, Callable[[Path], Store]] = {
    "memory": lambda _: RecordStore(MemoryRecords()),
    "sqlite": a_file,
    **({"redis": lambda _: open_store(own_url())} if "redis" in ENGINES else {}),
}


@pytest.fixture(params=MAKERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store = MAKERS[request.param](tmp_path)
    store.prepare()
    yield store
    store.close()


@pytest.fixture(params=[name for name in MAKERS if name != "sqlite"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store over records."""
    store = MAKERS[request.param](tmp_path)
    store.prepare()
    yield store
    store.close()


def fill(store: Store) -> NewToken:
    """Something of every kind; a refresh token that lives long."""
    client, user, _, code = contract.a_grant(store)
    store.update_client(
        replace(client, metadata={"token_endpoint_auth_method": "none", "redirect_uris": ["https://a.test/"]}), NOW
    )
    store.add_user(User("Ünal", "Ü", "ldap", "hash", NOW, None, {"a": ["b"]}, "de"), "Ünal")
    session = Session(digest("cookie"), "sid", user.user_id, NOW, NOW, NOW + 10**6, ("pwd", "otp"), "1")
    store.add_session(session)
    grant = Grant(new_number(), client.number, user.user_id, "s", "openid", "aud", NOW, session="sid", asked={"nonce": "ü"})
    token = contract.a_token(client, "rt", grant_id=grant.id)._replace(expires=NOW + 10 * RETENTION)
    agreed = Consent(new_number(), user.user_id, client.number, "https://a.test/", "aud", "read", NOW)
    assert store.authorize(grant, (token,), agreed) is Outcome.WON
    bought = contract.a_token(client, grant_id=code.grant_id)
    assert store.redeem(code.number, Purchase((bought,), b"\0sealed\xff", NOW + 10), NOW).outcome is Outcome.WON
    for number in range(3):
        store.add("jti", f"{number}", NOW + 60, NOW)
        store.count("login", f"ü {number}", 900, NOW, 2)
        store.add_job(Job(new_number(), "work", {"a": number}, NOW + number, 0))
        store.add_key(SigningKey(f"k{number}", "RS256", number, {"kty": "RSA"}, b"s", NOW, NOW, 60), NOW)
    store.take_jobs(NOW, NOW + 60, 1)
    store.set_meta("issuer", "https://a.test")
    return token


def copy(source: Store, target: Store) -> None:
    for kind in KIND:
        after = None
        while page := source.dump(kind, after, 2):
            target.load(kind, page)
            after = KIND[kind].key_of(page[-1])
            if kind == "feed":
                break


def test_a_copy_is_the_same_whatever_the_engines(store: Store, tmp_path: Path) -> None:
    token = fill(store)
    for make in MAKERS.values():
        target = make(tmp_path)
        target.prepare()
        before = target.epoch()
        for _ in range(2):  # again is no harm
            copy(store, target)
        for kind in KIND:
            if kind not in ("feed", "change"):
                assert list(differences(kind, store, target)) == [], kind
                assert target.size(kind) > 0, kind
        assert target.epoch() != before
        assert target.changes(-1).head >= store.changes(-1).head > 3
        assert not target.changes(3).complete, "no position of the source's feed goes on here"
        assert target.token(token.number, token.digest)[0] == store.token(token.number, token.digest)[0]
        assert sum(target.sweep(NOW + 5 * RETENTION)) > 0
        assert contract.found(target, token), "its grant is kept as long as it"
        assert target.redeem(token.number, Purchase(()), NOW + 5 * RETENTION).outcome is Outcome.WON
        target.close()


def test_what_is_unloaded_is_gone(store: Store) -> None:
    fill(store)
    for kind in KIND:
        if kind not in ("feed", "change", "meta"):
            found = store.dump(kind)
            store.unload(kind, [KIND[kind].key_of(record) for record in found])
            assert found and not store.dump(kind) and store.size(kind) == 0, kind
    assert store.client("nobody") is None and store.meta("issuer") == "https://a.test"


def test_a_dump_comes_in_pages_in_the_order_of_its_keys(store: Store) -> None:
    fill(store)
    for kind in KIND:
        whole = list(store.dump(kind))
        assert whole == sorted(whole, key=KIND[kind].key_of), kind
        assert list(store.dump(kind, KIND[kind].key_of(whole[0]), 1)) == whole[1:2], kind
        assert all(set(record) == {"realm", *KIND[kind].columns} for record in whole), kind


# -- how long records are kept


def test_a_grant_is_kept_while_a_token_of_it_may_be_asked_for(records: Store) -> None:
    client, _, grant, first = contract.a_grant(records, "rt")
    late = NOW + 500
    second = contract.a_token(client, "rt", grant_id=grant.id, issued=late, expires=late + 20 * RETENTION)
    assert records.redeem(first.number, Purchase((second,)), late).outcome is Outcome.WON
    third = contract.a_token(client, "rt", grant_id=grant.id, issued=late, expires=late + RETENTION)
    list(records.sweep(NOW + 15 * RETENTION))
    assert records.redeem(second.number, Purchase((third,)), NOW + 15 * RETENTION).outcome is Outcome.WON
    list(records.sweep(late + 20 * RETENTION))
    assert records.redeem(second.number, Purchase(()), late + 20 * RETENTION).outcome is Outcome.REPLAYED, "still recognised"
    list(records.sweep(late + 22 * RETENTION))
    assert records.redeem(second.number, Purchase(()), late + 22 * RETENTION).outcome is Outcome.GONE
    assert records.size("grant") == records.size("token") == 0


def test_a_grant_is_kept_while_its_session_may_have_to_be_ended(records: Store) -> None:
    """It says whom to tell; also after the person signed in again"""
    client, user = contract.a_client(records), contract.a_user(records)
    session = Session(digest("one"), "sid", user.user_id, NOW, NOW, NOW + 10 * RETENTION, ("pwd",))
    records.add_session(session)
    grant = Grant(new_number(), client.number, user.user_id, "s", "openid", "aud", NOW, session="sid")
    assert records.authorize(grant, (contract.a_token(client, grant_id=grant.id),), None) is Outcome.WON
    list(records.sweep(NOW + 9 * RETENTION))
    again = replace(session, digest=digest("two"), auth_time=NOW + 9 * RETENTION, expires=NOW + 30 * RETENTION)
    assert records.add_session(again, session.digest)
    list(records.sweep(NOW + 29 * RETENTION))
    ended = records.end_session(NOW + 29 * RETENTION, sid="sid")
    assert ended is not None and [party.client for party in ended.parties] == [client.number]


def test_the_feed_forgets_its_beginning_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oauth_gateway.store.records.store.FEED_KEPT", 20)
    store = memory()
    client = contract.a_client(store)
    for _ in range(50):
        store.update_client(client, NOW)
    assert store.changes(0).complete and len(store.changes(0).entries) == 50
    assert [store.purge(NOW, 7) for _ in range(6)] == [7, 7, 7, 7, 2, 0]
    assert not store.changes(29).complete and store.changes(30).complete and len(store.changes(30).entries) == 20
    assert FEED_KEPT == 10_000


def test_redis_forgets_the_beginning_of_the_feed_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oauth_gateway.store.redis.transactions.FEED_KEPT", 20)
    store = MAKERS.get("redis", MAKERS["memory"])(Path())
    store.prepare()
    client = contract.a_client(store)
    for _ in range(50):
        store.update_client(client, NOW)
    if "redis" in MAKERS:
        assert not store.changes(29).complete and len(store.changes(30).entries) == 20 == store.size("change")
    store.close()


def test_consents_that_are_worth_nothing_are_swept(records: Store) -> None:
    client, user = contract.a_client(records), contract.a_user(records)
    kept = Consent(new_number(), user.user_id, client.number, "https://a.test/", "aud", "read", NOW)
    orphans = [replace(kept, id=new_number(), client=5), replace(kept, id=new_number(), user_id="nobody")]
    records.load("consent", [{**record, "id": new_number()} for record in _consents(kept, *orphans)])
    assert records.size("consent") == 3
    assert list(records.sweep(NOW)) == [2]
    assert records.consent(user.user_id, client.number, "https://a.test/", "aud") is not None


def _consents(*consents: Consent) -> list[dict[str, object]]:
    columns = ("id", "user_id", "client", "redirect_uri", "audience", "scope", "created")
    return [{**{column: getattr(one, column) for column in columns}, "revoked": None} for one in consents]


# -- which database it is


def test_another_version_is_refused_with_what_to_do() -> None:
    records = MemoryRecords()
    store = RecordStore(records)
    with pytest.raises(ConfigurationError, match="run oauth-gateway migrate"):
        store.check()
    store.prepare()
    assert store.migrate() is False
    records.records["meta", ("records.version",)]["value"] = "99"
    with pytest.raises(ConfigurationError, match="99.*upgrade oauth-gateway"):
        store.prepare()


def test_a_full_count_of_revocations_makes_everybody_forget_once() -> None:
    records = MemoryRecords()
    store = RecordStore(records)
    store.prepare()
    client = contract.a_client(store)
    store.update_client(client, NOW)
    position = store.changes(0).head
    records.records["feed", ()]["epoch"] |= (1 << COUNTED) - 1
    assert store.changes(position).complete
    store.update_client(client, NOW)
    changes = store.changes(position)
    assert not changes.complete
    store.update_client(client, NOW)
    assert store.changes(changes.head).entries == (("client", client.client_id),)


def test_a_store_without_push_hears_of_revocations_when_it_watches() -> None:
    store = memory()
    client = Client("c", number=1)
    store.add_client(client)
    assert store.watch() and not store.watch()
    before = store.last_epoch()
    store.update_client(client, NOW)
    assert store.last_epoch() == before
    assert store.watch() and store.last_epoch() != before


def test_a_row_that_older_code_wrote_has_nothing_in_the_columns_that_came_later() -> None:
    session = Session(digest("cookie"), "sid", "user", NOW, NOW, NOW + 60, ("pwd",), "0", "Firefox on Linux", NOW)
    body = row_of("session", session_record(session))["body"]
    kind, values = json.loads(body)
    for column in ("device", "seen"):
        del values[column]
    (record,) = records_in([json.dumps([kind, values])])
    assert session_of(record) == replace(session, device="", seen=None) and set(record) == {*KIND["session"].columns, "ripe"}
    assert session_of(records_in([body])[0]) == session
