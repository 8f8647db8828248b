"""Login sessions, and what ends with them."""

from __future__ import annotations

from dataclasses import replace

from ..models import Grant, Party, Session, User, digest, public_id
from ..sealing import new_number
from ..store import NewToken, Outcome, Store
from .parts import StoreTest, expect
from .tools import NOW, race


class LoginContract(StoreTest):
    """The part of the contract about who is signed in."""

    def a_session(self, store: Store, user_id: str, sid: str = "sid") -> Session:
        session = Session(digest(f"cookie {sid}"), sid, user_id, NOW, NOW, NOW + 60, ("pwd",), "0")
        store.add_session(session)
        return session

    def granted_in(self, store: Store, session: Session, scope: str) -> tuple[Grant, NewToken]:
        """A grant of a new client in the session, with a refresh token."""
        client = self.a_client(store)
        grant = Grant(
            new_number(),
            client.number,
            session.user_id,
            "subject",
            scope,
            "aud",
            NOW,
            session=session.sid,
            asked={"nonce": "n"},
        )
        token = self.a_token(client, "rt", grant_id=grant.id)
        expect(store.authorize(grant, (token,), None) is Outcome.WON, "granted")
        return grant, token

    def test_a_session_lives_until_it_ends_or_expires(self) -> None:
        store = self.store()
        session = self.a_session(store, self.a_user(store).user_id)
        expect(store.session(session.digest, NOW) == session, "found")
        expect(store.session(session.digest, NOW + 60) is None, "expired")
        ended = store.end_session(NOW, digest=session.digest)
        expect(ended is not None and ended.session == session and ended.parties == (), "ended")
        expect(store.session(session.digest, NOW) is None, "gone")
        expect(store.end_session(NOW, digest=session.digest) is None, "nothing is left to end")

    def test_sessions_are_listed_by_person_and_ended_by_name(self) -> None:
        store = self.store()
        ann, bob = self.a_user(store), self.a_user(store)
        mine = [self.a_session(store, ann.user_id, f"a{number}") for number in range(3)]
        his = self.a_session(store, bob.user_id, "b")
        expect(list(store.sessions(ann.user_id)) == mine, "a person's")
        expect(len(store.sessions()) == 4 and list(store.sessions(after="a1", limit=1)) == mine[2:], "all, by the page")
        expect(store.end_session(NOW, sid="a1", user_id=bob.user_id) is None, "not another's")
        expect(
            store.end_session(NOW, sid="a1", user_id=ann.user_id) is not None and store.end_session(NOW, sid="x") is None,
            "by name",
        )
        expect(
            list(store.sessions(ann.user_id)) == [mine[0], mine[2]] and list(store.sessions(bob.user_id)) == [his], "that one"
        )

    def test_signing_in_again_replaces_the_cookie_and_ends_nothing(self) -> None:
        store = self.store()
        session = self.a_session(store, self.a_user(store).user_id)
        _, token = self.granted_in(store, session, "openid")
        again = replace(session, digest=digest("another"), auth_time=NOW + 1)
        head, epoch = store.changes(-1).head, store.epoch()
        store.add_session(again, session.digest)
        expect(store.session(session.digest, NOW) is None and store.session(again.digest, NOW) == again, "one session")
        expect(store.changes(head).entries == (("session", "sid"),) and store.epoch() != epoch, "the old cookie is forgotten")
        expect(self.found(store, token) and store.take_jobs(NOW, NOW + 1) == (), "nothing ended")
        store.end_session(NOW, sid="sid")
        expect(not store.add_session(replace(session, digest=digest("third")), again.digest), "but none that has ended")
        expect(list(store.sessions()) == [], "comes back")

    def test_what_a_grant_was_asked_for_is_kept(self) -> None:
        store = self.store()
        session = self.a_session(store, self.a_user(store).user_id)
        _, token = self.granted_in(store, session, "openid")
        found = store.token(token.number, token.digest)[0]
        grant = found.grant if found else None
        expect(grant is not None and grant.asked == {"nonce": "n"} and grant.subject == "subject", "asked and subject")
        expect(found is not None and found.subject == session.user_id, "the app knows people by their id")

    def test_with_a_session_end_its_online_grants_and_its_parties_are_left_as_jobs(self) -> None:
        """OpenID Connect Back-Channel Logout section 2.7."""
        store = self.store()
        user = self.a_user(store)
        session, other = self.a_session(store, user.user_id), self.a_session(store, user.user_id, "other")
        online, online_token = self.granted_in(store, session, "openid read")
        offline, offline_token = self.granted_in(store, session, "offline_access openid")
        _, plain_token = self.granted_in(store, session, "read")
        _, others_token = self.granted_in(store, other, "openid")
        head, epoch = store.changes(-1).head, store.epoch()
        ended = store.end_session(NOW, digest=session.digest)
        parties = {Party(online.client, "subject"), Party(offline.client, "subject")}
        expect(ended is not None and set(ended.parties) == parties, "who was told of the session")
        expect(not self.found(store, online_token), "ended with it")
        for token in (offline_token, plain_token, others_token):
            expect(self.found(store, token), "not its to end")
        entries = (("session", session.sid), ("grant", public_id(online.id)))
        expect(store.changes(head).entries == entries and store.epoch() != epoch, "in the feed")
        jobs = store.take_jobs(NOW, NOW + 60)
        expect({job.name for job in jobs} == {"backchannel_logout"}, "jobs")
        wanted = [{"client": party.client, "subject": "subject", "sid": "sid"} for party in parties]
        expect(sorted(map(str, (dict(job.payload) for job in jobs))) == sorted(map(str, wanted)), "a job for each party")

    def test_all_sessions_of_a_person_end_at_once_with_what_they_carry(self) -> None:
        store = self.store()
        ann, bob = self.a_user(store), self.a_user(store)
        mine = [self.a_session(store, ann.user_id, f"a{number}") for number in range(3)]
        his = self.a_session(store, bob.user_id, "b")
        granted = [self.granted_in(store, each, "openid") for each in (*mine, his)]
        head, epoch = store.changes(-1).head, store.epoch()
        ended = sorted(store.end_sessions_of(ann.user_id, NOW, "a1"), key=lambda each: each.session.sid)
        expect([each.session for each in ended] == [mine[0], mine[2]], "all but that one")
        told = [(Party(granted[number][0].client, "subject"),) for number in (0, 2)]
        expect([each.parties for each in ended] == told, "and whom each had told")
        expect([self.found(store, token) for _, token in granted] == [False, True, False, True], "with their grants")
        known = {("session", "a0"), ("session", "a2"), *(("grant", public_id(granted[each][0].id)) for each in (0, 2))}
        expect(set(store.changes(head).entries) == known and store.epoch() != epoch, "in the feed")
        expect(len(store.take_jobs(NOW, NOW + 60)) == 2, "a job for each party")
        expect([each.session for each in store.end_sessions_of(ann.user_id, NOW)] == [mine[1]], "or all")
        expect(not store.end_sessions_of(ann.user_id, NOW) and list(store.sessions()) == [his], "and nobody else's")

    def test_nothing_is_granted_in_a_session_that_has_ended(self) -> None:
        store = self.store()
        user = self.a_user(store)
        session, client = self.a_session(store, user.user_id), self.a_client(store)
        store.end_session(NOW, digest=session.digest)
        grant = Grant(new_number(), client.number, user.user_id, "s", "openid", "aud", NOW, session=session.sid)
        token = self.a_token(client, "ac", grant_id=grant.id)
        expect(
            store.authorize(grant, (token,), None) is Outcome.GONE and store.code(token.number, token.digest) is None, "gone"
        )

    def test_a_grant_and_the_end_of_its_session_at_once_leave_nothing_alive(self) -> None:
        store = self.store()
        user = self.a_user(store)
        for number in range(10):
            session, client = self.a_session(store, user.user_id, f"s{number}"), self.a_client(store)
            grant = Grant(new_number(), client.number, user.user_id, "s", "openid", "aud", NOW, session=session.sid)
            token = self.a_token(client, "rt", grant_id=grant.id)

            def allow(grant: Grant = grant, token: NewToken = token) -> Outcome:
                return store.authorize(grant, (token,), None)

            def end(session: Session = session) -> object:
                return store.end_session(NOW, digest=session.digest)

            outcome, ended = race(allow, end)
            expect(outcome in (Outcome.WON, Outcome.GONE), f"{outcome}")
            expect(not self.found(store, token), "alive after its session")
            told = getattr(ended, "parties", None)
            expect(told == ((Party(client.number, "s"),) if outcome is Outcome.WON else ()), f"{outcome}, told {told}")

    def test_a_login_and_a_new_password_at_once_leave_no_session_of_the_old_password(self) -> None:
        """A login looks at the person again once its session is there: it must see what a revocation before it has changed."""
        store = self.store()
        user = self.a_user(store)
        for number in range(10):
            session = Session(digest(f"c{number}"), f"s{number}", user.user_id, NOW, NOW, NOW + 60)
            changed = replace(user, password=f"p{number}")

            def log_in(session: Session = session) -> str | None:
                store.add_session(session)
                found = store.user(session.user_id)
                return found.password if found else None

            def change(changed: User = changed) -> bool:
                return store.update_user(changed, NOW, revoke=True)

            seen, done = race(log_in, change)
            expect(done is True, f"{done}")
            expect(store.session(session.digest, NOW) is None or seen == changed.password, f"lives, and its login saw {seen}")

    def test_a_person_s_sessions_end_with_the_password_and_with_the_person(self) -> None:
        store = self.store()
        for change in ("update", "delete"):
            user = self.a_user(store)
            session = self.a_session(store, user.user_id, change)
            _, token = self.granted_in(store, session, "openid")
            if change == "update":
                store.update_user(replace(user, password="new"), NOW, revoke=True)
            else:
                store.delete_user(user.user_id, NOW)
            expect(store.session(session.digest, NOW) is None and not self.found(store, token), "ended")
            expect(len(store.take_jobs(NOW, NOW + 60)) == 1, "and its party is told")
