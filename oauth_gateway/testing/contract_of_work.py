"""Signing keys, and jobs that outlive a process."""

from __future__ import annotations

from dataclasses import replace

from ..models import Job, SigningKey
from ..sealing import new_number
from .parts import StoreTest, expect
from .tools import NOW, race


class WorkContract(StoreTest):
    """The part of the contract about what the server itself needs."""

    def a_key(self, kid: str, generation: int = 0, algorithm: str = "RS256") -> SigningKey:
        return SigningKey(kid, algorithm, generation, {"kty": "RSA", "n": "x"}, b"sealed", NOW, NOW + 600, 3600)

    def test_one_of_several_makers_of_a_generation_wins(self) -> None:
        store = self.store()
        keys = [self.a_key(f"k{number}") for number in range(8)]
        results = race(*((lambda key=key: store.add_key(key, NOW)) for key in keys))
        expect(results.count(True) == 1, f"one of eight: {results}")
        expect(list(store.signing_keys()) == [keys[results.index(True)]], "and it is the one that is kept")
        expect(store.add_key(self.a_key("e", algorithm="ES256"), NOW), "another algorithm")
        expect(store.add_key(self.a_key("next", 1), NOW), "another generation")
        expect([key.kid for key in store.signing_keys()][-1] == "next", "by algorithm and generation")

    def test_every_change_of_a_key_is_in_the_feed(self) -> None:
        store = self.store()
        key, epoch = self.a_key("k"), store.epoch()
        store.add_key(key, NOW)
        expect(store.epoch() != epoch and store.changes(0).entries == (("key", "k"),), "added")
        head, epoch = store.changes(-1).head, store.epoch()
        store.update_key("k", NOW, sealed=b"again", longest=7200, active=NOW)
        changed = replace(key, sealed=b"again", longest=7200, active=NOW)
        expect(list(store.signing_keys()) == [changed], "changed")
        expect(store.epoch() != epoch and store.changes(head).entries == (("key", "k"),), "and told")
        store.update_key("k", NOW, revoked=NOW, sealed=b"")
        store.update_key("k", NOW, sealed=b"sealed", active=NOW + 1)
        expect(list(store.signing_keys()) == [replace(changed, revoked=NOW, sealed=b"")], "nothing changes a revoked one")
        store.delete_key("k")
        expect(list(store.signing_keys()) == [], "deleted")

    def test_a_job_is_leased_to_one_and_comes_back_if_that_one_dies(self) -> None:
        store = self.store()
        number = new_number()
        store.add_job(Job(number, "work", {"a": [1]}, NOW, 0))
        expect(store.take_jobs(NOW - 1, NOW) == () and store.next_job() == NOW, "not before it is due")
        taken = race(*[lambda: store.take_jobs(NOW, NOW + 60)] * 8)
        (job,) = [job for jobs in taken for job in jobs]  # type: ignore[attr-defined]
        expect((job.id, job.name, dict(job.payload), job.attempts) == (number, "work", {"a": [1]}, 1), f"{job}")
        expect(store.take_jobs(NOW + 59, NOW + 120) == () and store.next_job() == NOW + 60, "leased")
        (again,) = store.take_jobs(NOW + 60, NOW + 120)
        expect(again.attempts == 2, "taken over")
        store.finish_job(job)
        store.postpone_job(job, NOW + 1)
        expect(store.next_job() == NOW + 120, "whoever lost the lease changes nothing")
        store.postpone_job(again, NOW + 300)
        expect(store.take_jobs(NOW + 299, NOW + 400) == (), "postponed")
        (third,) = store.take_jobs(NOW + 300, NOW + 400)
        expect(third.attempts == 3, "and tried again")
        store.finish_job(third)
        expect(store.take_jobs(NOW + 10**6, NOW + 10**7) == () and store.next_job() is None, "finished")

    def test_jobs_are_taken_oldest_first_and_few_at_a_time(self) -> None:
        store = self.store()
        for due in (30, 10, 20):
            store.add_job(Job(new_number(), f"{due}", {}, NOW + due, 0))
        expect([job.name for job in store.take_jobs(NOW + 60, NOW + 120, 2)] == ["10", "20"], "the first two")
        expect([job.name for job in store.take_jobs(NOW + 60, NOW + 120, 2)] == ["30"], "the rest")
