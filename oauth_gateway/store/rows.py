"""Rows of grants, codes and tokens, and the values that they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row

from ..models import Consent, Grant, StoredToken, public_id
from . import NewToken
from .schema import REALM, token

_INSERT = (
    "INSERT INTO oauth_token (id, realm, kind, digest, client, grant_id, parent, generation, scope, audience, issued,"
    " expires, failures, redirect_uri, code_challenge) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def insert(connection: Connection, tokens: Sequence[NewToken]) -> None:
    """Store tokens; on SQLite by the driver itself, for Core's own cost is several times SQLite's."""
    rows = [_token_values(new) for new in tokens]
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        for row in rows:
            driver.execute(_INSERT, tuple(row.values()))
    elif rows:
        connection.execute(token.insert(), rows)


def _token_values(new: NewToken) -> dict[str, Any]:
    """In the order of _INSERT."""
    return {
        "id": new.number,
        "realm": REALM,
        "kind": new.kind,
        "digest": new.digest,
        "client": new.client,
        "grant_id": new.grant_id,
        "parent": new.parent,
        "generation": new.generation,
        "scope": new.scope,
        "audience": new.audience,
        "issued": new.issued,
        "expires": new.expires,
        "failures": 0,
        "redirect_uri": new.redirect_uri,
        "code_challenge": new.code_challenge,
    }


def lives(row: Row[Any], dormant: bool = False) -> bool:
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


def token_of(row: Row[Any]) -> StoredToken:
    family = grant_of(row) if row.grant_id is not None else None
    expires = row.expires
    if family is not None and family.expires is not None:
        expires = min(expires, family.expires)
    return StoredToken(
        id=public_id(row.id),
        client_id=row.client_id,
        user_id=family.user_id if family else None,
        username=row.username,
        subject=(family.user_id or family.subject) if family else row.client_id,
        scopes=frozenset(row.scope.split()),
        audience=row.audience,
        issuer="",
        grant_id=public_id(row.grant_id) if row.grant_id is not None else None,
        issued_at=row.issued,
        expires_at=expires,
        kind=row.kind,
        auth_time=family.auth_time if family else None,
        acr=family.acr if family else None,
        amr=family.amr if family else (),
        revoked=row.revoked is not None,
        redeemed=row.redeemed,
        grant=family,
        parent=row.parent,
        generation=row.generation,
        session=family.session if family else None,
    )


def grant_of(row: Row[Any]) -> Grant:
    return Grant(
        id=row.grant_id,
        client=row.client,
        user_id=row.grant_user_id,
        subject=row.grant_subject,
        scope=row.grant_scope,
        audience=row.grant_audience,
        created=row.grant_created,
        expires=row.grant_expires,
        consent_id=row.grant_consent_id,
        session=row.grant_session,
        auth_time=row.grant_auth_time,
        amr=tuple(row.grant_amr.split()),
        acr=row.grant_acr,
        revoked=row.grant_revoked,
        asked=json.loads(row.grant_claims) if row.grant_claims else {},
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
