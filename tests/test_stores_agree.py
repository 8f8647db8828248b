"""Whatever the sequence of calls: SqlStore, records in memory and Redis answer the same."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oauth_gateway.models import Client, Consent, Grant, Job, Party, Session, SigningKey, User, digest
from oauth_gateway.store import Ended, NewToken, Purchase, Store, open_store
from oauth_gateway.store.records import RecordStore
from oauth_gateway.testing import NOW, MemoryRecords

from .redis_server import RedisServer

runs = itertools.count()
few = st.integers(0, 2)
KINDS = ("authorization_code", "refresh_token", "access_token")
SCOPES = ("read", "openid read", "openid offline_access")


def client(number: int, disabled: bool = False) -> Client:
    metadata = {"token_endpoint_auth_method": "none", "redirect_uris": [f"https://{number}.test/cb"]}
    return Client(f"client {number}", metadata, (), NOW, NOW if disabled else None, number + 1, "owner")


def user(number: int, disabled: bool = False) -> User:
    return User(f"u{number}", f"User {number}", "builtin", None, NOW, NOW if disabled else None, {"a": [1]}, "de")


def session(number: int, who: int, cookie: int = 0) -> Session:
    return Session(digest(f"{number}.{cookie}"), f"s{number}", f"u{who}", NOW, NOW, NOW + 50, ("pwd", "otp"), "1")


def token(number: int, kind: int, whose: int, grant: int | None = None) -> NewToken:
    return NewToken(
        100 + number, KINDS[kind], digest(f"t{number}"), whose + 1, "read", "aud", NOW, NOW + 30,
        None if grant is None else 10 + grant, None, 0, "https://a.test/cb", "challenge",
    )  # fmt: skip


class Run:
    """A sequence of calls on one store, with answers that can be compared."""

    def __init__(self, store: Store) -> None:
        self.store, self.now, self.serial = store, NOW, itertools.count()
        self.jobs: list[Job] = []
        self.whose: dict[int, int] = {}  # of a grant, the client
        self.dropped = False

    def __call__(self, call: tuple[Any, ...]) -> Any:
        before, head = self.store.epoch(), self.store.changes(-1).head
        answer = getattr(self, call[0])(*call[1:])
        changes = self.store.changes(head)
        return answer, self.store.epoch() != before, sorted(changes.entries), changes.head, changes.complete

    def wait(self, seconds: int) -> None:
        self.now += seconds

    def register(self, one: int) -> Any:
        return self.store.add_client(client(one)), self.store.client(f"client {one}"), self.store.client_numbered(one + 1)

    def change_client(self, one: int, off: bool) -> Any:
        done = self.store.update_client(client(one, off), self.now)
        return done, self.store.has_origin(f"https://{one}.test"), [each.client_id for each in self.store.clients(0, 2)]

    def drop_client(self, one: int) -> Any:
        self.dropped = True
        return self.store.delete_client(f"client {one}", self.now), self.store.has_origin(f"https://{one}.test")

    def enrol(self, one: int) -> Any:
        return self.store.add_user(user(one), f"name {one % 2}"), self.store.user_named("builtin", f"name {one % 2}")

    def change_user(self, one: int, off: bool, revoke: bool) -> Any:
        done = self.store.update_user(user(one, off), self.now, revoke=revoke)
        return done, self.store.user(f"u{one}"), [each.user_id for each in self.store.users("u0", 5)]

    def drop_user(self, one: int) -> Any:
        self.dropped = True
        return self.store.delete_user(f"u{one}", self.now), self.store.user(f"u{one}")

    def log_in(self, one: int, who: int) -> Any:
        new = session(one, who)
        if any(known.sid == new.sid for known in self.store.sessions()):
            return None  # a sid is given once
        return self.store.add_session(new), self.store.session(new.digest, self.now)

    def log_in_again(self, one: int, who: int, cookie: int) -> Any:
        new, old = session(one, who, cookie + 1), session(one, who, cookie)
        if self.store.session(new.digest, 0) is not None:
            return None
        found = [known for known in self.store.sessions() if known.digest == old.digest]
        return bool(found) and self.store.add_session(replace(new, user_id=found[0].user_id), old.digest)

    def log_out(self, one: int, who: int | None, by: bool) -> Any:
        how: dict[str, Any] = {"sid": f"s{one}"} if by else {"digest": session(one, 0).digest}
        ended = self.store.end_session(self.now, **how, user_id=None if who is None else f"u{who}")
        return ended and Ended(ended.session, tuple(sorted(ended.parties, key=_party)))

    def log_out_everywhere(self, who: int, but: int | None) -> Any:
        ended = self.store.end_sessions_of(f"u{who}", self.now, None if but is None else f"s{but}")
        return sorted((each.session.sid, sorted(each.parties, key=_party)) for each in ended)

    def look_at_sessions(self, who: int | None) -> Any:
        return list(self.store.sessions(None if who is None else f"u{who}", "s0", 2))

    def decide(self, one: int, whose: int, who: int | None, within: int | None, scope: int, agree: bool) -> Any:
        person = None if who is None else f"u{who}"
        if one in self.whose and self.dropped:
            return None  # ids are never given again: a grant that may be deleted is not decided on a second time
        whose = self.whose.setdefault(one, whose)
        grant = Grant(
            10 + one, whose + 1, person, "subject", SCOPES[scope], "aud", NOW, None if scope else NOW + 25, 5,
            None if within is None else f"s{within}", NOW, ("pwd",), "1", None, {"nonce": "n"},
        )  # fmt: skip
        agreed = Consent(50 + next(self.serial), f"u{who}", whose + 1, "https://a.test/cb", "aud", "read", NOW)
        outcome = self.store.authorize(grant, [token(one, one, whose, one)], agreed if agree and who is not None else None)
        return outcome, self.store.consent(f"u{who}", whose + 1, "https://a.test/cb", "aud")

    def issue(self, whose: int) -> Any:
        new = token(10 + next(self.serial), 2, whose)
        self.store.issue(new)
        return self.store.token(new.number, new.digest)[0]

    def redeem(self, one: int, sealed: bool) -> Any:
        bought = token(1000 + next(self.serial), 2, self.whose.get(one, 0), one)
        purchase = Purchase((bought,), b"answer" if sealed else None, self.now + 5)
        return self.store.redeem(100 + one, purchase, self.now), self.store.token(bought.number, None)[0]

    def fail(self, one: int) -> None:
        self.store.fail_code(100 + one, 2, self.now)

    def look_at_token(self, one: int, dormant: bool) -> Any:
        found = self.store.token(100 + one, digest(f"t{one}"), dormant=dormant)[0]
        return found, self.store.code(100 + one, digest(f"t{one}"), dormant=dormant), len(self.store.tokens(0, 50))

    def revoke_token(self, one: int) -> Any:
        return self.store.revoke_token(100 + one, self.now)

    def revoke_grant(self, one: int) -> Any:
        return self.store.revoke_grant(10 + one, self.now)

    def add(self, one: int, seconds: int) -> Any:
        return self.store.add("jti", f"{one}", self.now + seconds, self.now), self.store.has("jti", f"{one}", self.now + 1)

    def count(self, one: int, amount: int) -> Any:
        return self.store.count("login", f"{one}", 20, self.now, amount)

    def forget(self, one: int) -> Any:
        return self.store.forget_count("login", f"{one}")

    def make_key(self, one: int, generation: int) -> Any:
        made = SigningKey(f"k{one}", "RS256", generation, {"kty": "RSA"}, b"sealed", NOW, NOW, 60)
        if any(known.kid == made.kid for known in self.store.signing_keys()):
            return None
        return self.store.add_key(made, self.now), list(self.store.signing_keys())

    def change_key(self, one: int, revoke: bool) -> Any:
        self.store.update_key(f"k{one}", self.now, **({"revoked": self.now, "sealed": b""} if revoke else {"active": self.now}))
        return list(self.store.signing_keys())

    def drop_key(self, one: int) -> Any:
        self.store.delete_key(f"k{one}")
        return list(self.store.signing_keys())

    def work(self, seconds: int) -> Any:
        self.store.add_job(Job(200 + next(self.serial), "work", {"a": 1}, self.now + seconds, 0))
        return self.store.next_job()

    def take(self, seconds: int) -> Any:
        self.jobs = sorted(self.store.take_jobs(self.now, self.now + seconds + 1), key=_job)
        return [_job(job) for job in self.jobs], self.store.next_job()

    def finish(self, postpone: int | None) -> Any:
        for job in self.jobs:
            if postpone is None:
                self.store.finish_job(job)
            else:
                self.store.postpone_job(job, self.now + postpone)
        return self.store.next_job()


def _party(party: Party) -> tuple[int, str]:
    return party.client, party.subject


def _job(job: Job) -> Any:
    return job.due, job.name, sorted(job.payload.items()), job.attempts, job.lease


def calls() -> st.SearchStrategy[tuple[Any, ...]]:
    off, maybe = st.booleans(), st.one_of(st.none(), few)
    return st.one_of(
        *(
            st.tuples(st.just(name), *arguments)
            for name, arguments in {
                "wait": [st.sampled_from([1, 6, 21])],
                "register": [few], "change_client": [few, off], "drop_client": [few],
                "enrol": [few], "change_user": [few, off, off], "drop_user": [few],
                "log_in": [few, few], "log_in_again": [few, few, few], "log_out": [few, maybe, off],
                "log_out_everywhere": [few, maybe],
                "look_at_sessions": [maybe],
                "decide": [few, few, maybe, maybe, few, off], "issue": [few], "redeem": [few, off], "fail": [few],
                "look_at_token": [few, off], "revoke_token": [few], "revoke_grant": [few],
                "add": [few, st.sampled_from([1, 10])], "count": [few, st.sampled_from([-1, 1, 3])], "forget": [few],
                "make_key": [few, few], "change_key": [few, off], "drop_key": [few],
                "work": [st.sampled_from([0, 5])], "take": [st.sampled_from([0, 10])], "finish": [st.one_of(st.none(), few)],
            }.items()
        )
    )  # fmt: skip


BEGINNING = [("register", 0), ("register", 1), ("enrol", 0), ("enrol", 1), ("log_in", 0, 0), ("decide", 1, 0, 0, 0, 1, True)]


@pytest.fixture(scope="module")
def quick() -> Iterator[RedisServer]:
    server = RedisServer("--appendonly", "no")
    yield server
    server.close()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(sequence=st.lists(calls(), min_size=5, max_size=40))
def test_every_store_answers_the_same(quick: RedisServer, sequence: list[tuple[Any, ...]]) -> None:
    stores = {
        "sql": open_store("sqlite://"),
        "memory": RecordStore(MemoryRecords()),
        "redis": open_store(f"{quick.address}?tag=run-{next(runs)}", strict=False),
    }
    for store in stores.values():
        store.prepare()
    made = {name: Run(store) for name, store in stores.items()}
    for call in [*BEGINNING, *sequence]:
        answers = {name: run(call) for name, run in made.items()}
        assert answers["memory"] == answers["sql"], call
        assert answers["redis"] == answers["sql"], call
    for store in stores.values():
        store.close()
