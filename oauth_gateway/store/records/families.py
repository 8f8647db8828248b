"""A token with the client, grant and person that it lives by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...models import StoredToken, public_id, scope_words
from ..kinds import Key, Record
from ..values import grant_of
from .primitives import Reader


@dataclass(frozen=True, slots=True)
class Family:
    """The records; None for each that is not there."""

    token: Record
    client: Record | None
    grant: Record | None
    user: Record | None

    def lives(self, dormant: bool = False) -> bool:
        """Whether client, grant and person are there and none was revoked, nor disabled unless `dormant` ones count too."""
        client, grant, user = self.client, self.grant, self.user
        if client is None or (client["disabled"] is not None and not dormant):
            return False
        if self.token["grant_id"] is None:
            return True
        if grant is None or grant["revoked"] is not None:
            return False
        if grant["user_id"] is None:
            return True
        return user is not None and (user["disabled"] is None or dormant)

    def redeemable(self, now: float) -> bool:
        """Whether it may be redeemed at `now`, or was and may be asked for its answer again."""
        token, grant = self.token, self.grant
        if grant is None or token["revoked"] is not None or not self.lives():
            return False
        expired = token["expires"] <= now or (grant["expires"] is not None and grant["expires"] <= now)
        return not expired or token["redeemed"] is not None

    def value(self) -> StoredToken:
        """The token of a family that lives."""
        token, user = self.token, self.user
        grant = grant_of(self.grant) if self.grant is not None else None
        client_id = self.client["client_id"] if self.client is not None else ""
        expires = token["expires"]
        if grant is not None and grant.expires is not None:
            expires = min(expires, grant.expires)
        return StoredToken(
            id=public_id(token["id"]),
            client_id=client_id,
            user_id=grant.user_id if grant else None,
            username=user["username"] if user else None,
            subject=(grant.user_id or grant.subject) if grant else client_id,
            scopes=scope_words(token["scope"]),
            audience=token["audience"],
            issuer="",
            grant_id=public_id(grant.id) if grant else None,
            issued_at=token["issued"],
            expires_at=expires,
            kind=token["kind"],
            auth_time=grant.auth_time if grant else None,
            acr=grant.acr if grant else None,
            amr=grant.amr if grant else (),
            revoked=token["revoked"] is not None,
            redeemed=token["redeemed"],
            grant=grant,
            parent=token["parent"],
            generation=token["generation"],
            session=grant.session if grant else None,
        )


def families(reader: Reader, tokens: Sequence[Record]) -> list[Family]:
    """The families of these tokens, in two looks for all of them."""
    clients = {("client", (token["client"],)) for token in tokens}
    grants = {("grant", (token["grant_id"],)) for token in tokens if token["grant_id"] is not None}
    found = _found(reader, [*clients, *grants])
    people = {("user", (found[grant]["user_id"],)) for grant in grants if grant in found}
    found |= _found(reader, [key for key in people if key[1] != (None,)])
    made = []
    for token in tokens:
        grant = found.get(("grant", (token["grant_id"],)))
        user = found.get(("user", (grant["user_id"],))) if grant is not None else None
        made.append(Family(token, found.get(("client", (token["client"],))), grant, user))
    return made


def _found(reader: Reader, keys: list[tuple[str, Key]]) -> dict[tuple[str, Key], Record]:
    records = reader.get_many(keys) if keys else []
    return {key: record for key, record in zip(keys, records, strict=True) if record is not None}
