"""What a person allowed to clients, and taking it back."""

from __future__ import annotations

from dataclasses import replace

from ..models import Client, Consent, Grant, Session, User, digest, public_id
from ..sealing import new_number
from ..store import NewToken, Outcome, Purchase, Store
from .parts import StoreTest, expect
from .tools import NOW, race


class AccessContract(StoreTest):
    """The part of the contract about a person's view of their account."""

    def an_agreement(
        self, store: Store, user: User, client: Client, scope: str = "read", now: float = NOW
    ) -> tuple[Consent, NewToken]:
        """A consent, and a grant based on it with a refresh token."""
        consent = Consent(new_number(), user.user_id, client.number, "https://a.test/cb", "aud", scope, now)
        grant = Grant(new_number(), client.number, user.user_id, "s", scope, "aud", now, consent_id=consent.id)
        token = self.a_token(client, "rt", grant_id=grant.id)
        expect(store.authorize(grant, (token,), consent) is Outcome.WON, "agreed")
        return consent, token

    def test_what_clients_may_do_is_summed_up_by_client_and_comes_in_pages(self) -> None:
        store = self.store()
        ann, bob = self.a_user(store), self.a_user(store)
        clients = [self.a_client(store) for _ in range(5)]
        for client in clients:
            self.an_agreement(store, ann, client)
        self.an_agreement(store, ann, clients[1], "read write", NOW + 9)
        self.an_agreement(store, bob, clients[0], "admin")
        first = store.access(ann.user_id, NOW + 10, limit=3)
        rest = store.access(ann.user_id, NOW + 10, first[-1].client.number, limit=3)
        expect([each.client for each in (*first, *rest)] == clients, "two pages are all of them, in order")
        expect(first[0].scope == "read" and (first[0].since, first[0].used) == (NOW, NOW), f"nobody else's: {first[0]}")
        expect(first[1].scope == "read write" and (first[1].since, first[1].used) == (NOW, NOW + 9), f"both: {first[1]}")

    def test_a_redeemed_token_is_use_and_an_ended_grant_is_no_access(self) -> None:
        store = self.store()
        user, client, other = self.a_user(store), self.a_client(store), self.a_client(store)
        _, token = self.an_agreement(store, user, client)
        store.redeem(token.number, Purchase((self.a_token(client, "at", grant_id=token.grant_id),)), NOW + 5)
        expect([(each.since, each.used) for each in store.access(user.user_id, NOW + 6)] == [(NOW, NOW + 5)], "used")
        short = Grant(new_number(), other.number, user.user_id, "s", "read", "aud", NOW, NOW + 60)
        store.authorize(short, (self.a_token(other, "at", grant_id=short.id),), None)
        expect(len(store.access(user.user_id, NOW + 59)) == 2 and len(store.access(user.user_id, NOW + 60)) == 1, "its end")
        store.delete_client(client.client_id, NOW)
        expect(list(store.access(user.user_id, NOW + 60)) == [], "a client that is gone")

    def test_taking_access_back_ends_the_consents_and_grants_of_one_client_and_person(self) -> None:
        store = self.store()
        ann, bob = self.a_user(store), self.a_user(store)
        client, other = self.a_client(store), self.a_client(store)
        consent, token = self.an_agreement(store, ann, client)
        _, his = self.an_agreement(store, bob, client)
        _, others = self.an_agreement(store, ann, other)
        head, epoch = store.changes(-1).head, store.epoch()
        expect(store.revoke_access(ann.user_id, client.number, NOW), "there was some")
        expect(not self.found(store, token) and self.found(store, his) and self.found(store, others), "hers, of this client")
        known = (ann.user_id, client.number, consent.redirect_uri, consent.audience)
        expect(store.consent(*known) is None, "the client has to ask again")
        expect(
            ("grant", public_id(token.grant_id or 0)) in store.changes(head).entries and store.epoch() != epoch, "in the feed"
        )
        expect([each.client for each in store.access(ann.user_id, NOW)] == [other], "and is listed no more")
        expect(not store.revoke_access(ann.user_id, client.number, NOW), "nothing is left to end")
        expect(not store.revoke_access("nobody", client.number, NOW) and self.found(store, his), "nobody's")
        self.an_agreement(store, ann, client)
        expect(store.revoke_access(ann.user_id, None, NOW) and list(store.access(ann.user_id, NOW)) == [], "all at once")
        expect(not self.found(store, others) and self.found(store, his), "and only hers")

    def test_nothing_is_granted_on_a_consent_that_was_taken_back(self) -> None:
        store = self.store()
        user, client = self.a_user(store), self.a_client(store)
        consent, _ = self.an_agreement(store, user, client)
        again = Grant(new_number(), client.number, user.user_id, "s", "read", "aud", NOW, consent_id=consent.id)
        token = self.a_token(client, "ac", grant_id=again.id)
        store.revoke_access(user.user_id, client.number, NOW)
        expect(store.authorize(again, (token,), None) is Outcome.GONE, "gone")
        expect(store.code(token.number, token.digest) is None, "and nothing is stored")

    def test_a_grant_and_the_end_of_its_consent_at_once_leave_nothing_alive(self) -> None:
        store = self.store()
        user = self.a_user(store)
        for _ in range(10):
            client = self.a_client(store)
            consent, _ = self.an_agreement(store, user, client)
            grant = Grant(new_number(), client.number, user.user_id, "s", "read", "aud", NOW, consent_id=consent.id)
            token = self.a_token(client, "rt", grant_id=grant.id)

            def allow(grant: Grant = grant, token: NewToken = token) -> Outcome:
                return store.authorize(grant, (token,), None)

            def take_back(number: int = client.number) -> bool:
                return store.revoke_access(user.user_id, number, NOW)

            outcome, taken = race(allow, take_back)
            expect(outcome in (Outcome.WON, Outcome.GONE) and taken is True, f"{outcome}, {taken}")
            expect(not self.found(store, token), "alive after its consent")

    def test_a_person_is_changed_only_as_known_and_one_session_may_be_kept(self) -> None:
        store = self.store()
        user = self.a_user(store)
        for sid in ("here", "there"):
            self._a_session(store, user, sid)
        changed = replace(user, password="new")
        expect(not store.update_user(changed, NOW, revoke=True, known=replace(user, disabled=NOW)), "was changed meanwhile")
        expect(store.user(user.user_id) == user and len(store.sessions(user.user_id)) == 2, "nothing happens then")
        expect(store.update_user(changed, NOW, revoke=True, known=user, keeping="here"), "as known")
        expect(store.user(user.user_id) == changed, "is changed")
        expect([session.sid for session in store.sessions(user.user_id)] == ["here"], "one session is kept")
        expect(not store.update_user(changed, NOW, revoke=False, known=user), "once")

    def test_one_of_several_changes_of_the_same_wins(self) -> None:
        store = self.store()
        user = self.a_user(store)
        changes = [replace(user, password=f"new {number}") for number in range(8)]
        results = race(*(lambda c=c: store.update_user(c, NOW, revoke=True, known=user) for c in changes))
        expect(results.count(True) == 1 and results.count(False) == 7, f"one of eight: {results}")
        expect(store.user(user.user_id) == changes[results.index(True)], "and it is the one that is kept")

    def test_a_session_knows_its_device_and_when_it_was_seen(self) -> None:
        store = self.store()
        user = self.a_user(store)
        session = self._a_session(store, user, "sid")
        store.see_sessions([(session.digest, NOW + 9), (digest("nobody"), NOW + 9)])
        expect(store.session(session.digest, NOW) == replace(session, seen=NOW + 9), "seen, and as it was")
        store.end_session(NOW, sid="sid")
        store.see_sessions([(session.digest, NOW + 10)])
        expect(list(store.sessions()) == [], "which brings nothing back")

    def _a_session(self, store: Store, user: User, sid: str) -> Session:
        session = Session(digest(f"cookie {sid}"), sid, user.user_id, NOW, NOW, NOW + 60, ("pwd",), "0", "Firefox on Linux")
        store.add_session(session)
        return session
