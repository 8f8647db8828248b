"""Consents, grants, codes and tokens: what is redeemed is redeemed in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from ...models import AuthorizationCode, Consent, Grant, StoredToken, public_id
from .. import NewToken, Outcome, Purchase, Redemption
from ..kinds import RETENTION, Record
from ..values import consent_of, consent_record, grant_of, grant_record, token_record
from .families import families
from .numbers import Numbers
from .part import Part, changed
from .primitives import Writer


class Grants(Part):
    """The part of the store about what was authorized."""

    numbers: Numbers

    def consent(self, user_id: str, client: int, redirect_uri: str, audience: str) -> Consent | None:
        """The living consent of this person for this client, redirect URI and audience."""
        with self.records.reading() as reader:
            found = reader.find("consent", {"user_id": user_id, "client": client})
        living = [
            record
            for record in found
            if (record["redirect_uri"], record["audience"], record["revoked"]) == (redirect_uri, audience, None)
        ]
        return consent_of(max(living, key=lambda record: int(record["id"]))) if living else None

    def authorize(self, record: Grant, tokens: Sequence[NewToken], agreed: Consent | None) -> Outcome:
        """Store grant, code or tokens and a new consent together: WON, REPLAYED where this decision was stored before,
        GONE where the login session that it was made in, or the consent that it is based on, has ended.
        """
        new = [token_record(token) for token in tokens]

        def work(writer: Writer) -> Outcome:
            ripe = record.created + RETENTION
            if record.session is not None:
                found = writer.find("session", {"sid": record.session})
                ends = [session["expires"] for session in found if session["user_id"] == record.user_id]
                if not ends:
                    return Outcome.GONE
                ripe = max(ripe, *ends)
            if record.consent_id is not None and agreed is None:  # it may have been taken back since it was looked at
                known = writer.get("consent", record.consent_id)
                if known is None or known["revoked"] is not None:
                    return Outcome.GONE
            if any(writer.get_many([("grant", (record.id,)), *(("token", (token["id"],)) for token in new)])):
                return Outcome.REPLAYED
            writer.insert("grant", grant_record(record, max([ripe, *(token["ripe"] for token in new)])))
            if agreed is not None:
                writer.insert("consent", consent_record(agreed))
            for token in new:
                writer.insert("token", token)
            return Outcome.WON

        return self._write(record.created, work)

    def code(self, number: int, digest: bytes, *, dormant: bool = False) -> AuthorizationCode | None:
        """The code, redeemed or not, while its grant, client and person live; with `dormant` also while one is disabled."""
        with self.records.reading() as reader:
            token = reader.get("token", number)
            if token is None or token["digest"] != digest or token["kind"] != "authorization_code":
                return None
            (family,) = families(reader, [token])
        if family.grant is None or not family.lives(dormant):
            return None
        same = ("id", "digest", "issued", "expires", "redirect_uri", "code_challenge", "redeemed")
        return AuthorizationCode(grant=grant_of(family.grant), **{column: token[column] for column in same})

    def fail_code(self, number: int, limit: int, now: float) -> None:
        """Count a wrong verifier; the one that reaches `limit` kills the code."""

        def work(writer: Writer) -> None:
            token = writer.get("token", number)
            if token is None or token["redeemed"] is not None:  # a redeemed one must stay known as such
                return
            token["failures"] += 1
            if token["failures"] >= limit:
                token["revoked"] = now
            writer.replace("token", token)

        self._write(now, work)

    def issue(self, new: NewToken) -> None:
        """Store one token that nothing was redeemed for."""
        record = token_record(new)
        self._write(new.issued, lambda writer: writer.insert("token", record.copy()))

    def redeem(self, number: int, purchase: Purchase, now: float) -> Redemption:
        """Mark the code or refresh token as redeemed and store what it buys, if nobody did before."""
        return self._write(now, lambda writer: _redeem(writer, number, purchase, now))

    def token(self, number: int, digest: bytes | None, *, dormant: bool = False) -> tuple[StoredToken | None, int]:
        """The token while its client, grant and person live, and the feed's head as it was no later than the token.

        With `dormant` also while client or person are disabled: what they would get back can still be revoked.
        """
        with self.records.reading() as reader:
            feed, token = reader.get_many([("feed", ()), ("token", (number,))])
            if feed is None:
                return None, 0  # not our database any more: what it has is nobody's
            head = self.numbers.shown(feed, feed["head"])
            if token is None or (digest is not None and token["digest"] != digest) or token["kind"] == "authorization_code":
                return None, head
            (family,) = families(reader, [token])
        return (family.value() if family.lives(dormant) else None), head

    def tokens(self, after: int = 0, limit: int = 100) -> Sequence[StoredToken]:
        """A page of access and refresh tokens in the order of their issue, after the one numbered `after`."""
        with self.records.reading() as reader:
            while records := reader.page("token", (after,), limit):
                known = [record for record in records if record["kind"] != "authorization_code"]
                if found := [family.value() for family in families(reader, known) if family.lives()]:
                    return found
                after = records[-1]["id"]  # a page of codes, and of tokens whose client or grant is gone, is not the end
        return []

    def revoke_token(self, number: int, now: float) -> bool:
        """End one token; False where there was nothing left to end."""

        def work(writer: Writer) -> bool:
            token = writer.get("token", number)
            if token is None or token["revoked"] is not None:
                writer.announce((), now)
                return False
            writer.replace("token", changed(token, revoked=now))
            writer.announce([("token", public_id(number))], now)
            return True

        return self._write(now, work)

    def revoke_grant(self, grant_id: int, now: float) -> None:
        """End the grant: every token of its family is refused from here on."""

        def work(writer: Writer) -> None:
            grant = writer.get("grant", grant_id)
            if grant is None or grant["revoked"] is not None:
                writer.announce((), now)
                return
            writer.replace("grant", revoked(grant, now))
            writer.announce([("grant", public_id(grant_id))], now)

        self._write(now, work)


def revoked(grant: Record, now: float) -> Record:
    """The grant as it is after its revocation: without the answer that a repetition would get."""
    return changed(grant, revoked=now, sealed=None, sealed_until=None)


def _redeem(writer: Writer, number: int, purchase: Purchase, now: float) -> Redemption:
    token = writer.get("token", number)
    if token is None:
        return Redemption(Outcome.GONE)
    (family,) = families(writer, [token])
    grant = family.grant
    if grant is None or not family.redeemable(now):
        return Redemption(Outcome.GONE)
    if token["redeemed"] is not None:
        if grant["predecessor"] == number and grant["sealed"] is not None and now < grant["sealed_until"]:
            return Redemption(Outcome.REPEATED, grant["sealed"])
        return Redemption(Outcome.REPLAYED)
    bought = [token_record(new) for new in purchase.tokens]
    writer.replace("token", changed(token, redeemed=now))
    for new in bought:
        writer.insert("token", new)
    grant.update(
        last_used=now,
        predecessor=number,
        sealed=purchase.sealed,
        sealed_until=purchase.sealed_until if purchase.sealed else None,
        ripe=max([grant["ripe"], *(new["ripe"] for new in bought)]),
    )
    writer.replace("grant", grant)
    return Redemption(Outcome.WON)


def extend(grant: Record, until: float) -> Record | None:
    """The grant, kept until then at least; None where it is already."""
    return None if grant["ripe"] >= until else changed(grant, ripe=until)
