"""Consents, grants, codes and tokens in SQL: what is redeemed is redeemed in one transaction.

A conditional update picks the winner, so it does so on engines that let several transactions write at once, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Double, and_, bindparam, or_, select, update

from ..models import AuthorizationCode, Consent, Grant, StoredToken, public_id
from . import NewToken, Outcome, Purchase, Redemption, rows
from .database import TAKEN, add_row
from .part import Part
from .prepared import Prepared
from .schema import REALM, client, consent, feed, grant, session, token, user

_STATE = (
    select(
        token.c.client,
        token.c.kind,
        token.c.grant_id,
        token.c.expires,
        token.c.redeemed,
        token.c.revoked,
        grant.c.id.label("living_grant"),
        grant.c.revoked.label("grant_revoked"),
        grant.c.expires.label("grant_expires"),
        grant.c.predecessor,
        grant.c.sealed,
        grant.c.sealed_until,
        client.c.disabled.label("client_disabled"),
        client.c.number.label("living_client"),
        user.c.disabled.label("user_disabled"),
        user.c.id.label("living_user"),
        grant.c.user_id,
    )
    .join_from(token, grant, grant.c.id == token.c.grant_id, isouter=True)
    .outerjoin(client, client.c.number == token.c.client)
    .outerjoin(user, user.c.id == grant.c.user_id)
)
# what `rows` makes values of, and no more: each column costs a little at every look-up
_OF_TOKEN = "id kind digest client grant_id parent generation scope audience issued expires redeemed revoked"
_OF_GRANT = "user_id subject scope audience created expires consent_id session auth_time amr acr revoked claims"
_TOKEN = (
    select(
        *(token.c[name] for name in _OF_TOKEN.split()),
        client.c.client_id,
        client.c.disabled.label("client_disabled"),
        user.c.username,
        user.c.disabled.label("user_disabled"),
        *(grant.c[name].label(f"grant_{name}") for name in _OF_GRANT.split()),
    )
    .join_from(token, client, client.c.number == token.c.client)
    .outerjoin(grant, grant.c.id == token.c.grant_id)
    .outerjoin(user, user.c.id == grant.c.user_id)
    .where(token.c.realm == REALM)
)
_ONE = token.c.id == bindparam("number")
_SEEN = _TOKEN.add_columns(select(feed.c.head).where(feed.c.realm == REALM).scalar_subquery().label("head"))
_TOKEN_AND_HEAD = Prepared(_SEEN.where(_ONE))
_HEAD = Prepared(select(feed.c.head).where(feed.c.realm == REALM))
_CODE = Prepared(_TOKEN.add_columns(token.c.redirect_uri, token.c.code_challenge).where(_ONE))
_CONSENT = Prepared(
    select(consent)
    .where(consent.c.user_id == bindparam("user_id"), consent.c.client == bindparam("client"), consent.c.revoked.is_(None))
    .where(consent.c.redirect_uri == bindparam("redirect_uri"), consent.c.audience == bindparam("audience"))
    .order_by(consent.c.id.desc())
)
_SIGNED_IN = Prepared(
    select(session.c.sid)
    .where(session.c.user_id == bindparam("user_id"), session.c.sid == bindparam("sid"))
    .with_for_update(read=True)
)
_AGREED = Prepared(
    select(consent.c.id).where(consent.c.id == bindparam("consent"), consent.c.revoked.is_(None)).with_for_update(read=True)
)
_REDEEMABLE = Prepared(_STATE.where(_ONE))
_NOW = bindparam("at", type_=Double)
# all that `rows.redeemable` asks for, so that what is redeemed, as most is, needs no SELECT before
_LIVING_FAMILY = (
    select(grant.c.id)
    .join(client, client.c.number == grant.c.client)
    .outerjoin(user, user.c.id == grant.c.user_id)
    .where(grant.c.id == token.c.grant_id, grant.c.revoked.is_(None), or_(grant.c.expires.is_(None), grant.c.expires > _NOW))
    .where(client.c.number == token.c.client, client.c.disabled.is_(None))
    .where(or_(grant.c.user_id.is_(None), and_(user.c.id.is_not(None), user.c.disabled.is_(None))))
)
_REDEEM = Prepared(
    update(token)
    .where(_ONE, token.c.redeemed.is_(None), token.c.revoked.is_(None), token.c.expires > _NOW)
    .where(_LIVING_FAMILY.exists())
    .values(redeemed=_NOW)
)
_USED = ("last_used", "predecessor", "sealed", "sealed_until")
_USE = Prepared(
    update(grant)
    .where(grant.c.id == select(token.c.grant_id).where(_ONE).scalar_subquery(), grant.c.revoked.is_(None))
    .values({column: bindparam(column) for column in _USED})
)


class Grants(Part):
    """The part of the store about what was authorized."""

    def consent(self, user_id: str, number: int, redirect_uri: str, audience: str) -> Consent | None:
        """The living consent of this person for this client, redirect URI and audience."""
        with self.database.read() as connection:
            row = _CONSENT.first(connection, user_id=user_id, client=number, redirect_uri=redirect_uri, audience=audience)
        if row is None:
            return None
        return Consent(row.id, row.user_id, row.client, row.redirect_uri, row.audience, row.scope, row.created)

    def authorize(self, record: Grant, tokens: Sequence[NewToken], agreed: Consent | None) -> Outcome:
        """Store grant, code or tokens and a new consent together: WON, REPLAYED where this decision was stored before,
        GONE where the login session that it was made in, or the consent that it is based on, has ended.
        """
        try:
            # a code that a power loss takes is asked for again, but not what a person agreed to
            with self.database.write(durable=agreed is not None or self.durable_tokens) as connection:
                where = {"user_id": record.user_id, "sid": record.session}
                if record.session is not None and _SIGNED_IN.first(connection, **where) is None:
                    return Outcome.GONE
                remembered = record.consent_id is not None and agreed is None  # it may have been taken back meanwhile
                if remembered and _AGREED.first(connection, consent=record.consent_id) is None:
                    return Outcome.GONE
                if not add_row(connection, grant, rows.grant_values(record)):
                    return Outcome.REPLAYED
                if agreed is not None:
                    connection.execute(consent.insert().values(rows.consent_values(agreed)))
                rows.insert(connection, tokens)
        except TAKEN:
            return Outcome.REPLAYED  # its grant went with a client or person, its code is still there
        return Outcome.WON

    def code(self, number: int, digest: bytes, *, dormant: bool = False) -> AuthorizationCode | None:
        """The code, redeemed or not, while its grant, client and person live; with `dormant` also while one is disabled."""
        with self.database.read() as connection:
            row = _CODE.first(connection, number=number)
        if row is None or row.digest != digest or row.kind != "authorization_code" or not rows.lives(row, dormant):
            return None
        return AuthorizationCode(
            id=row.id,
            digest=row.digest,
            grant=rows.grant_of(row),
            issued=row.issued,
            expires=row.expires,
            redirect_uri=row.redirect_uri,
            code_challenge=row.code_challenge,
            redeemed=row.redeemed,
        )

    def fail_code(self, number: int, limit: int, now: float) -> None:
        """Count a wrong verifier; the one that reaches `limit` kills the code."""
        with self.database.write() as connection:
            living = (token.c.id == number, token.c.redeemed.is_(None))  # a redeemed one must stay known as such
            connection.execute(update(token).where(*living).values(failures=token.c.failures + 1))
            connection.execute(update(token).where(*living, token.c.failures >= limit).values(revoked=now))

    def issue(self, new: NewToken) -> None:
        """Store one token that nothing was redeemed for; its commit need not reach the disk before the answer, unless the
        operator wants that.
        """
        with self.database.write(durable=self.durable_tokens, alone=True) as connection:
            rows.INSERT_ONE.run_in_order(connection, new)

    def redeem(self, number: int, purchase: Purchase, now: float) -> Redemption:
        """Mark the code or refresh token as redeemed and store what it buys, if nobody did before."""
        with self.database.write() as connection:
            if _REDEEM.run(connection, number=number, at=now) == 1:
                return self._buy(connection, number, purchase, now)
            row = _REDEEMABLE.first(connection, number=number)
            if row is None or row.redeemed is None or not rows.redeemable(row, now):
                return Redemption(Outcome.GONE)
            if row.predecessor == number and row.sealed is not None and now < row.sealed_until:
                return Redemption(Outcome.REPEATED, row.sealed)
        return Redemption(Outcome.REPLAYED)

    def _buy(self, connection: Connection, number: int, purchase: Purchase, now: float) -> Redemption:
        """Within the transaction that redeemed `number`: what it buys, unless the grant was revoked a moment ago."""
        values = {"last_used": now, "predecessor": number, "sealed": purchase.sealed}
        values["sealed_until"] = purchase.sealed_until if purchase.sealed else None
        if _USE.run(connection, number=number, **values) != 1:
            return Redemption(Outcome.GONE)
        rows.insert(connection, purchase.tokens)
        return Redemption(Outcome.WON)

    def token(self, number: int, digest: bytes | None, *, dormant: bool = False) -> tuple[StoredToken | None, int]:
        """The token while its client, grant and person live, and the feed's head, read in one transaction.

        With `dormant` also while client or person are disabled: what they would get back can still be revoked.
        """
        with self.database.read() as connection:
            row = _TOKEN_AND_HEAD.first(connection, number=number)
            if row is None:
                feed_row = _HEAD.first(connection)
                return None, feed_row.head if feed_row else 0
        if (digest is not None and row.digest != digest) or row.kind == "authorization_code" or not rows.lives(row, dormant):
            return None, row.head
        return rows.token_of(row), row.head

    def tokens(self, after: int = 0, limit: int = 100) -> Sequence[StoredToken]:
        """A page of access and refresh tokens in the order of their issue, after the one numbered `after`."""
        query = _TOKEN.where(token.c.kind != "authorization_code").order_by(token.c.id).limit(limit)
        found: list[StoredToken] = []
        with self.database.read() as connection:
            while not found:  # a page of tokens whose client or grant is gone is not the end
                found_rows = connection.execute(query.where(token.c.id > after)).all()
                if not found_rows:
                    break
                found = [rows.token_of(row) for row in found_rows if rows.lives(row)]
                after = found_rows[-1].id
        return found

    def revoke_token(self, number: int, now: float) -> bool:
        """End one token; False where there was nothing left to end."""
        with self.revoking(now) as (connection, entries):
            done = connection.execute(update(token).where(token.c.id == number, token.c.revoked.is_(None)).values(revoked=now))
            if done.rowcount:
                entries.append(("token", public_id(number)))
        return done.rowcount == 1

    def revoke_grant(self, grant_id: int, now: float) -> None:
        """End the grant: every token of its family is refused from here on."""
        with self.revoking(now) as (connection, entries):
            done = connection.execute(
                update(grant)
                .where(grant.c.id == grant_id, grant.c.revoked.is_(None))
                .values(revoked=now, sealed=None, sealed_until=None)
            )
            if done.rowcount:
                entries.append(("grant", public_id(grant_id)))
