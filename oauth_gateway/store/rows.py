"""Rows of grants, codes and tokens, and the values that they are."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Connection, bindparam, literal_column

from ..models import NOTHING, Consent, Grant, StoredToken, maker, public_id, scope_words
from . import NewToken
from .prepared import Prepared
from .schema import REALM, token

_grant, _stored_token = maker(Grant), maker(StoredToken)
_COLUMNS = ("id", *NewToken._fields[1:])


def insert(connection: Connection, tokens: Sequence[NewToken]) -> None:
    """Store the tokens of an answer, in one statement."""
    if tokens:
        values = tokens[0] if len(tokens) == 1 else tuple(chain.from_iterable(tokens))
        _insert_of(len(tokens)).run_in_order(connection, values)


@functools.cache
def _insert_of(count: int) -> Prepared:
    """The statement for so many tokens, whose values come in the order of NewToken's."""
    names = [f"{column}{place}" for place in range(count) for column in _COLUMNS]
    always: dict[str, Any] = {"realm": literal_column(repr(REALM)), "failures": literal_column("0")}
    each = [{**always, **{column: bindparam(f"{column}{place}") for column in _COLUMNS}} for place in range(count)]
    return Prepared(token.insert().values(each), names)


INSERT_ONE = _insert_of(1)


def lives(row: Any, dormant: bool = False) -> bool:
    """Whether client, grant and person are there and none was revoked, nor disabled unless `dormant` ones count too."""
    if row.client_disabled is not None and not dormant:
        return False
    if row.grant_id is None:
        return True
    if row.grant_created is None or row.grant_revoked is not None:
        return False
    if row.user_disabled is not None and not dormant:
        return False
    return row.grant_user_id is None or row.username is not None


def redeemable(row: Any, now: float) -> bool:
    """Whether it can be redeemed, or could once: what was redeemed before stays known as such after its expiry."""
    if row.living_grant is None or row.living_client is None:
        return False
    if row.revoked is not None or row.grant_revoked is not None or row.client_disabled is not None:
        return False
    if row.user_id is not None and (row.living_user is None or row.user_disabled is not None):
        return False
    expired = row.expires <= now or (row.grant_expires is not None and row.grant_expires <= now)
    return not expired or row.redeemed is not None


def token_of(row: Any) -> StoredToken:
    family = grant_of(row) if row.grant_id is not None else None
    expires = row.expires
    if family is not None and family.expires is not None:
        expires = min(expires, family.expires)
    return _stored_token(  # without their names: with them it takes half as long again
        public_id(row.id),
        row.client_id,
        family.user_id if family else None,
        row.username,
        (family.user_id or family.subject) if family else row.client_id,
        scope_words(row.scope),
        row.audience,
        "",  # the issuer
        public_id(row.grant_id) if row.grant_id is not None else None,
        row.issued,
        expires,
        row.kind,
        family.auth_time if family else None,
        family.acr if family else None,
        family.amr if family else (),
        NOTHING,  # claims
        row.revoked is not None,
        row.redeemed,
        family,
        row.parent,
        row.generation,
        family.session if family else None,
    )


def grant_of(row: Any) -> Grant:
    return _grant(
        row.grant_id,
        row.client,
        row.grant_user_id,
        row.grant_subject,
        row.grant_scope,
        row.grant_audience,
        row.grant_created,
        row.grant_expires,
        row.grant_consent_id,
        row.grant_session,
        row.grant_auth_time,
        tuple(row.grant_amr.split()),
        row.grant_acr,
        row.grant_revoked,
        json.loads(row.grant_claims) if row.grant_claims else {},
    )


def grant_values(record: Grant) -> dict[str, Any]:
    return {
        "id": record.id,
        "realm": REALM,
        "consent_id": record.consent_id,
        "client": record.client,
        "user_id": record.user_id,
        "subject": record.subject,
        "session": record.session,
        "scope": record.scope,
        "audience": record.audience,
        "auth_time": record.auth_time,
        "acr": record.acr,
        "amr": " ".join(record.amr),
        "created": record.created,
        "expires": record.expires,
        "claims": json.dumps(record.asked) if record.asked else None,
    }


def consent_values(record: Consent) -> dict[str, Any]:
    return {
        "id": record.id,
        "realm": REALM,
        "user_id": record.user_id,
        "client": record.client,
        "redirect_uri": record.redirect_uri,
        "scope": record.scope,
        "audience": record.audience,
        "created": record.created,
    }
