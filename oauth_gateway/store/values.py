"""Records, rows of one table among them, as the values that they are, and values as records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from ..models import Client, Consent, Grant, Job, Secret, Session, SigningKey, User
from . import NewToken
from .kinds import KIND, Record, ripe_of

CLIENTS_KEPT = 1024  # as values; those who are asked for are read from the database all the same
Values = Mapping[Any, Any]  # by the name of the column


def client_of(record: Values) -> Client:
    return _client(*(record[column] for column in _OF_CLIENT))


_OF_CLIENT = ("client_id", "metadata", "secrets", "created", "disabled", "number", "owner")


@lru_cache(CLIENTS_KEPT)
def _client(
    client_id: str, metadata: str, secrets: str, created: float, disabled: float | None, number: int, owner: str | None
) -> Client:
    """The same client for the same record, which was read just now: what costs is not the database but the parsing."""
    known = tuple(Secret(**secret) for secret in json.loads(secrets))
    return Client(client_id, json.loads(metadata), known, created, disabled, number, owner)


def changes_of_client(value: Client) -> Record:
    """What an update may change."""
    return {
        "metadata": json.dumps(value.metadata),
        "secrets": json.dumps([asdict(secret) for secret in value.secrets]),
        "owner": value.owner,
        "created": value.created,
        "disabled": value.disabled,
    }


def client_record(value: Client) -> Record:
    return KIND["client"].new(number=value.number, client_id=value.client_id, **changes_of_client(value))


def user_of(record: Values) -> User:
    return User(
        user_id=record["id"],
        username=record["username"],
        source=record["source"],
        password=record["password"],
        created=record["created"],
        disabled=record["disabled"],
        claims=json.loads(record["claims"]),
        locale=record["locale"],
    )


def changes_of_user(value: User) -> Record:
    """What an update may change."""
    return {
        "username": value.username,
        "password": value.password,
        "claims": json.dumps(value.claims),
        "locale": value.locale,
        "created": value.created,
        "disabled": value.disabled,
    }


def user_record(value: User, name: str) -> Record:
    return KIND["user"].new(id=value.user_id, source=value.source, name=name, **changes_of_user(value))


def session_of(record: Values) -> Session:
    return Session(
        digest=record["digest"],
        sid=record["sid"],
        user_id=record["user_id"],
        auth_time=record["auth_time"],
        created=record["created"],
        expires=record["expires"],
        amr=tuple(record["amr"].split()),
        acr=record["acr"],
        device=record["device"] or "",
        seen=record["seen"],
    )


def session_record(value: Session) -> Record:
    return KIND["session"].new(**{**asdict(value), "amr": " ".join(value.amr)}, ripe=value.expires)


def consent_of(record: Values) -> Consent:
    columns = ("id", "user_id", "client", "redirect_uri", "audience", "scope", "created")
    return Consent(*(record[column] for column in columns))


def consent_record(value: Consent) -> Record:
    return KIND["consent"].new(**asdict(value))


def grant_of(record: Values) -> Grant:
    same = ("id", "client", "user_id", "subject", "scope", "audience", "created", "expires", "consent_id", "session")
    return Grant(
        **{column: record[column] for column in (*same, "auth_time", "acr", "revoked")},
        amr=tuple(record["amr"].split()),
        asked=json.loads(record["claims"]) if record["claims"] else {},
    )


def grant_record(value: Grant, ripe: float) -> Record:
    values = asdict(value)
    asked = values.pop("asked")
    values.update(amr=" ".join(value.amr), claims=json.dumps(asked) if asked else None, ripe=ripe)
    return KIND["grant"].new(**values)


_TOKEN = KIND["token"].new(failures=0)
_SAME = ("kind", "digest", "client", "scope", "audience", "issued", "expires", "grant_id", "parent", "generation")


def token_record(new: NewToken) -> Record:
    record = _TOKEN.copy()
    record["id"] = new.number
    for column in _SAME:
        record[column] = getattr(new, column)
    record["redirect_uri"], record["code_challenge"] = new.redirect_uri, new.code_challenge
    record["ripe"] = ripe_of("token", record)
    return record


def key_of(record: Values) -> SigningKey:
    values = {column: record[column] for column in KIND["key"].columns}
    return SigningKey(**{**values, "public": json.loads(record["public"])})


def key_record(value: SigningKey) -> Record:
    return KIND["key"].new(**{**asdict(value), "public": json.dumps(dict(value.public))})


def job_of(record: Values) -> Job:
    columns = ("id", "name", "due", "attempts", "lease")
    return Job(**{column: record[column] for column in columns}, payload=json.loads(record["payload"]))


def job_record(value: Job) -> Record:
    record = KIND["job"].new(id=value.id, name=value.name, payload=json.dumps(dict(value.payload)))
    record.update(due=value.due, attempts=value.attempts)
    return ripened("job", record)


def ripened(kind: str, record: Record) -> Record:
    """The record with `ripe` as its other columns have it."""
    record["ripe"] = ripe_of(kind, record)
    return record
