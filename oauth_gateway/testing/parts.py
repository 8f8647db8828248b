"""What the parts of the contract share: a store, and things to put into it."""

from __future__ import annotations

from ..models import Client, Grant, Secret, User, digest
from ..sealing import Sealer, new_number
from ..store import NewToken, Outcome, Store
from .tools import NOW

sealer = Sealer((b"a secret for tests only, 32 bytes+",))


class StoreTest:
    """Gives the building blocks."""

    def store(self) -> Store:
        raise NotImplementedError

    # -- building blocks

    def a_client(self, store: Store) -> Client:
        secret = Secret(digest("x").hex(), NOW)
        client = Client(f"client-{new_number():x}", {"scope": "read"}, (secret,), NOW, number=new_number())
        expect(store.add_client(client), "a new client is stored")
        return client

    def a_user(self, store: Store) -> User:
        user = User(f"user-{new_number():x}", "Ann", "builtin", None, NOW)
        expect(store.add_user(user, user.user_id), "a new user is stored")
        return user

    def a_token(self, client: Client, kind: str = "at", **values: object) -> NewToken:
        names = {"at": "access_token", "rt": "refresh_token", "ac": "authorization_code"}
        _, credential = sealer.issue(kind)
        token = NewToken(
            credential.number, names[kind], credential.digest, client.number, "read", "aud", NOW, NOW + 600, code_challenge="c"
        )
        return token._replace(**values)  # type: ignore[arg-type]

    def a_grant(self, store: Store, kind: str = "ac") -> tuple[Client, User, Grant, NewToken]:
        client, user = self.a_client(store), self.a_user(store)
        grant = Grant(new_number(), client.number, user.user_id, user.user_id, "read", "aud", NOW)
        token = self.a_token(client, kind, grant_id=grant.id)
        expect(store.authorize(grant, (token,), None) is Outcome.WON, "a new grant is stored")
        return client, user, grant, token

    def found(self, store: Store, token: NewToken) -> bool:
        found, _ = store.token(token.number, token.digest)
        return found is not None and not found.revoked


def expect(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)
