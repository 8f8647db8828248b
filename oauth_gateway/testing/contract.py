"""The contract that every store passes, ours and users' own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from ..models import Client, Consent, public_id
from ..sealing import new_number
from ..store import Outcome, Purchase
from ..tokens import Tokens
from .contract_of_access import AccessContract
from .contract_of_logins import LoginContract
from .contract_of_work import WorkContract
from .parts import expect, sealer
from .tools import NOW, race


class StoreContract(LoginContract, AccessContract, WorkContract):
    """Inherit it in a pytest class and define `store(self)`, which gives a new and empty prepared store.

    ```python
    class TestMyStore(StoreContract):
        def store(self): ...
    ```
    """

    # -- what every store promises

    def test_a_client_reads_back_as_it_was_written_and_its_id_is_taken_once(self) -> None:
        store = self.store()
        client = self.a_client(store)
        expect(store.client(client.client_id) == client, "the client reads back equal")
        expect(store.client_numbered(client.number) == client, "also by its number")
        expect(not store.add_client(replace(client, number=new_number())), "the id is taken")
        expect(store.client("nobody") is None, "an unknown client is None")

    def test_lists_come_in_pages(self) -> None:
        store = self.store()
        made = [self.a_client(store).client_id for _ in range(5)]
        first = store.clients(limit=3)
        rest = store.clients(after=first[-1].number, limit=3)
        expect([c.client_id for c in (*first, *rest)] == made, "two pages are all clients, in order")

    def test_a_name_is_one_person(self) -> None:
        store = self.store()
        user = self.a_user(store)
        expect(not store.add_user(replace(user, user_id="other"), user.user_id), "the name is taken")
        expect(store.user_named("builtin", user.user_id) == user, "found by name")
        expect(store.user_named("elsewhere", user.user_id) is None, "another source is another person")

    def test_a_decision_is_stored_once(self) -> None:
        store = self.store()
        client, user, grant, code = self.a_grant(store)
        agreed = Consent(new_number(), user.user_id, client.number, "https://a.test/cb", "aud", "read", NOW)
        expect(store.authorize(grant, (code,), agreed) is Outcome.REPLAYED, "the same grant again is refused")
        expect(store.consent(user.user_id, client.number, "https://a.test/cb", "aud") is None, "and stores nothing")

    def test_one_of_many_threads_redeems_a_code(self) -> None:
        store = self.store()
        for _ in range(20):
            client, _, grant, code = self.a_grant(store)
            bought = [self.a_token(client, grant_id=grant.id) for _ in range(8)]
            calls = [lambda t=token, n=code.number: store.redeem(n, Purchase((t,)), NOW) for token in bought]
            outcomes = [getattr(result, "outcome", result) for result in race(*calls)]
            expect(outcomes.count(Outcome.WON) == 1, f"one winner: {outcomes}")
            expect(outcomes.count(Outcome.REPLAYED) == 7, f"the others learn that it was a replay: {outcomes}")
            expect(sum(self.found(store, token) for token in bought) == 1, "only the winner's token exists")

    def test_what_a_dead_grant_s_code_buys_is_nothing(self) -> None:
        store = self.store()
        client, _, grant, code = self.a_grant(store)
        store.revoke_grant(grant.id, NOW)
        token = self.a_token(client, grant_id=grant.id)
        expect(store.redeem(code.number, Purchase((token,)), NOW).outcome is Outcome.GONE, "the grant is revoked")
        expect(not self.found(store, token), "no token is stored")

    def test_an_expired_code_is_gone(self) -> None:
        store = self.store()
        client, _, grant, code = self.a_grant(store)
        token = self.a_token(client, grant_id=grant.id)
        expect(store.redeem(code.number, Purchase((token,)), NOW + 601).outcome is Outcome.GONE, "too late")

    def test_wrong_verifiers_kill_a_code(self) -> None:
        store = self.store()
        client, _, grant, code = self.a_grant(store)
        for _ in range(5):
            store.fail_code(code.number, 5, NOW)
        token = self.a_token(client, grant_id=grant.id)
        expect(store.redeem(code.number, Purchase((token,)), NOW).outcome is Outcome.GONE, "five were too many")

    def test_the_predecessor_gets_its_answer_again_within_the_grace_and_only_it(self) -> None:
        store = self.store()
        client, _, grant, first = self.a_grant(store, "rt")
        second = self.a_token(client, "rt", grant_id=grant.id)
        third = self.a_token(client, "rt", grant_id=grant.id)
        expect(store.redeem(first.number, Purchase((second,), b"s1", NOW + 10), NOW).outcome is Outcome.WON, "won")
        again = store.redeem(first.number, Purchase((), b"x", NOW + 10), NOW + 9)
        expect((again.outcome, again.sealed) == (Outcome.REPEATED, b"s1"), "the same answer within the grace")
        late = store.redeem(first.number, Purchase((), b"x", NOW + 10), NOW + 10)
        expect(late.outcome is Outcome.REPLAYED, "after it, a replay")
        expect(store.redeem(second.number, Purchase((third,), b"s2", NOW + 20), NOW + 1).outcome is Outcome.WON, "next")
        old = store.redeem(first.number, Purchase((), b"x", NOW + 10), NOW + 2)
        expect(old.outcome is Outcome.REPLAYED, "once the successor was used there is no grace")

    def test_an_access_token_outlives_the_refresh_token_that_came_with_it(self) -> None:
        store = self.store()
        client, _, grant, code = self.a_grant(store)
        access, refresh = (self.a_token(client, kind, grant_id=grant.id) for kind in ("at", "rt"))
        store.redeem(code.number, Purchase((access, refresh)), NOW)
        later = tuple(self.a_token(client, kind, grant_id=grant.id) for kind in ("at", "rt"))
        expect(store.redeem(refresh.number, Purchase(later), NOW).outcome is Outcome.WON, "the refresh token is exchanged")
        expect(self.found(store, access), "the access token lives on")
        expect(all(self.found(store, token) for token in later), "beside the two that were bought")
        expect(store.revoke_token(access.number, NOW), "until it is revoked")
        expect(all(self.found(store, token) for token in later), "which ends no other")

    def test_revoking_ends_the_family_and_is_in_the_feed(self) -> None:
        store = self.store()
        client, user, grant, token = self.a_grant(store, "rt")
        position = store.changes(0).head
        ends: list[tuple[Callable[[], object], tuple[str, str]]] = [
            (lambda: store.revoke_grant(grant.id, NOW), ("grant", public_id(grant.id))),
            (lambda: store.delete_client(client.client_id, NOW), ("client", client.client_id)),
            (lambda: store.delete_user(user.user_id, NOW), ("user", user.user_id)),
        ]
        for end, entry in ends:
            before = store.epoch()
            end()
            changes = store.changes(position)
            expect(changes.entries == (entry,), f"{entry} is in the feed: {changes}")
            expect(changes.complete and changes.head == position + 1, "and moves its head by one")
            expect(store.epoch() != before, "and changes the epoch")
            expect(not self.found(store, token), "and the token is dead")
            position = changes.head

    def test_a_revocation_changes_the_epoch_also_when_there_was_nothing_left_to_revoke(self) -> None:
        store = self.store()
        before = store.epoch()
        store.revoke_token(1, NOW)
        expect(store.epoch() != before, "rule (d)")

    def test_a_revoker_racing_readers_is_never_overtaken(self) -> None:
        store = self.store()
        client = self.a_client(store)
        tokens = Tokens(store, sealer, audience="aud", issuer="iss", size=1000, grace=None)
        answered: set[str] = set()
        current: list[str] = []
        done = threading.Event()
        stale: list[str] = []

        def read() -> None:
            while not done.is_set():
                header = current[-1]
                ended_before = header in answered
                if tokens.find(header, NOW) is not None and ended_before:
                    stale.append(header)

        def revoke() -> None:
            for _ in range(150):
                text, credential = sealer.issue("at")
                new = self.a_token(client)._replace(number=credential.number, digest=credential.digest)
                store.issue(new)
                current.append(f"Bearer {text}")
                expect(tokens.find(current[-1], NOW) is not None, "it is good")
                store.revoke_token(new.number, NOW)
                answered.add(current[-1])
            done.set()

        text, _ = sealer.issue("at")
        current.append(f"Bearer {text}")
        results = race(revoke, read, read, read)
        done.set()
        expect(results == [None] * 4 and not stale, f"stale: {len(stale)}, {results}")

    def test_a_position_outside_the_feed_is_not_complete(self) -> None:
        store = self.store()
        expect(not store.changes(-1).complete, "before its floor")
        expect(not store.changes(10_000).complete, "beyond its head")

    def test_feed_numbers_are_in_commit_order_without_gaps(self) -> None:
        store = self.store()
        grants = [self.a_grant(store)[2] for _ in range(16)]
        position = store.changes(0).head
        race(*[lambda g=g: store.revoke_grant(g.id, NOW) for g in grants])
        changes = store.changes(position)
        expect(changes.head == position + 16 and len(set(changes.entries)) == 16, f"sixteen entries: {changes}")

    def test_a_disabled_client_or_person_has_no_tokens_until_enabled_again(self) -> None:
        store = self.store()
        client, user, _, token = self.a_grant(store, "rt")
        store.update_client(replace(client, disabled=NOW), NOW)
        expect(not self.found(store, token), "the client is disabled")
        store.update_client(client, NOW)
        expect(self.found(store, token), "and enabled")
        store.update_user(replace(user, disabled=NOW), NOW, revoke=True)
        expect(not self.found(store, token), "the person is disabled")

    def test_what_is_disabled_can_still_be_found_to_be_revoked(self) -> None:
        store = self.store()
        _client, user, grant, token = self.a_grant(store, "rt")
        store.update_user(replace(user, disabled=NOW), NOW, revoke=True)
        expect(store.token(token.number, token.digest)[0] is None, "it opens nothing")
        expect(store.token(token.number, token.digest, dormant=True)[0] is not None, "and is found")
        store.revoke_grant(grant.id, NOW)
        store.update_user(user, NOW, revoke=True)
        expect(not self.found(store, token), "so that enabling the person brings nothing back")

    def test_an_origin_is_that_of_an_enabled_public_client(self) -> None:
        store = self.store()
        metadata = {"token_endpoint_auth_method": "none", "allowed_origins": ["https://a.test"]}
        client = Client("script", metadata, (), NOW, number=new_number())
        expect(not store.has_origin("https://a.test"), "nobody's")
        store.add_client(client)
        expect(store.has_origin("https://a.test") and not store.has_origin("https://b.test"), "registered")
        store.update_client(replace(client, disabled=NOW), NOW)
        expect(not store.has_origin("https://a.test"), "disabled")
        store.update_client(replace(client, metadata={**metadata, "allowed_origins": ["https://b.test"]}), NOW)
        expect(store.has_origin("https://b.test") and not store.has_origin("https://a.test"), "replaced")
        store.delete_client("script", NOW)
        expect(not store.has_origin("https://b.test"), "deleted")

    def test_add_says_no_where_the_key_is_known_until_it_expires(self) -> None:
        store = self.store()
        results = race(*[lambda: store.add("jti", "a", NOW + 60, NOW)] * 8)
        expect(results.count(True) == 1, f"one of eight: {results}")
        expect(store.has("jti", "a", NOW) and not store.has("jti", "b", NOW), "known")
        expect(store.add("jti", "a", NOW + 120, NOW + 60), "free again after its expiry")

    def test_counts_are_exact_under_threads_and_start_anew_after_the_window(self) -> None:
        store = self.store()
        race(*[lambda: store.count("login", "ann", 900, NOW)] * 8)
        expect(store.count("login", "ann", 900, NOW).value == 9, "none was lost")
        expect(store.count("login", "ann", 900, NOW + 900).value == 1, "a new window")
        store.forget_count("login", "ann")
        expect(store.count("login", "ann", 900, NOW).value == 1, "forgotten")

    def test_purge_deletes_what_expired_and_nothing_else(self) -> None:
        store = self.store()
        client, _, _, refresh = self.a_grant(store, "rt")
        dead = [self.a_token(client) for _ in range(250)]
        for token in dead:
            store.issue(token)
        living = self.a_token(client, expires=NOW + 10 * 86400)
        store.issue(living)
        batch = store.purge(NOW + 1000, 100)
        expect(0 < batch <= 100, f"a bounded batch: {batch}")
        for _ in range(5):
            store.purge(NOW + 1000, 100)
        expect(not any(self.found(store, token) for token in dead), "the expired ones are gone")
        expect(self.found(store, living), "a living one stays")
        expect(store.token(refresh.number, refresh.digest)[0] is not None, "a refresh token stays to show its replay")

    def test_secrets_and_tokens_are_stored_as_digests_only(self) -> None:
        store = self.store()
        client, _, _, token = self.a_grant(store, "rt")
        wrong = bytes(32)
        expect(store.token(token.number, wrong)[0] is None, "the number alone is worth nothing")
        expect(client.check_client_secret("x") and not client.check_client_secret("y"), "secrets are compared by digest")
