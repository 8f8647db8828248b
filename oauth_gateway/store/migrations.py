"""From an older schema to this one while both codes serve: first expand, and contract once no old code runs any more.

Plain functions and not Alembic: there are few tables, the same step must run on every engine, and what decides about a rolling
restart, which code may still serve on which schema, Alembic does not know. A step can be run again after a crash in its middle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, inspect, select, text, update

from ..errors import ConfigurationError
from .database import Database, add_row
from .registry import every_origin
from .schema import REALM, VERSION, meta, metadata
from .work import keys_by_generation

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Step:
    """What leads to a version: `expand` adds, so that code from `oldest` on still works; `contract` removes what no code of
    this version needs. Both are given a connection that commits every statement.
    """

    what: str
    oldest: int
    expand: Callable[[Connection], None] = lambda _: None
    contract: Callable[[Connection], None] | None = None


def _feed_epoch(connection: Connection) -> None:
    if "epoch" not in {column["name"] for column in inspect(connection).get_columns("oauth_feed")}:
        connection.execute(text("ALTER TABLE oauth_feed ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0"))


def _session_device(connection: Connection) -> None:
    there = {column["name"] for column in inspect(connection).get_columns("oauth_session")}
    for name, kind in (("device", "VARCHAR(100)"), ("seen", "DOUBLE PRECISION")):
        if name not in there:
            connection.execute(text(f"ALTER TABLE oauth_session ADD COLUMN {name} {kind}"))


STEPS: Mapping[int, Step] = {
    2: Step("the web origins of clients", 2, every_origin),
    3: Step("signing keys by generation", 3, keys_by_generation),
    4: Step("an epoch that is asked for over the network", 4, _feed_epoch),
    5: Step("the device of each session, and when it was seen last", 4, _session_device),
}


def create(database: Database) -> None:
    """Make the tables where none is there; safe when several processes start at once."""
    with database.changing_the_schema() as connection:
        if database.version(connection) == 0:
            meta.create(connection, checkfirst=True)  # first: it says whose the others are, should this be interrupted
            metadata.create_all(connection)
            for index in [index for table in metadata.sorted_tables for index in table.indexes]:
                index.create(connection, checkfirst=True)  # a table of an interrupted start may lack some
            _set_oldest(connection, VERSION)
            database.set_version(connection, VERSION)


def migrate(database: Database, tell: Tell, *, contract: bool = False) -> bool:
    """Run the steps that the database has not seen; False where there was nothing to do.

    With `contract` also remove what only older code needs, which then cannot serve any more.
    """
    with database.changing_the_schema() as connection:
        version = database.version(connection)
        if not 0 < version <= VERSION:
            return False
        done = _expand(database, connection, version, tell)
        if contract:
            oldest = _oldest(connection, version)
            for number in range(oldest + 1, VERSION + 1):
                step = STEPS[number]
                if step.contract is not None:
                    tell(f"version {number}: removing what only older code needs ({step.what})")
                    step.contract(connection)
                _set_oldest(connection, number)
                done = True
    return done


def _expand(database: Database, connection: Connection, version: int, tell: Tell) -> bool:
    if version == VERSION:
        return False
    metadata.create_all(connection)  # the tables that are missing
    oldest = _oldest(connection, version)
    for number in range(version + 1, VERSION + 1):
        step = STEPS[number]
        tell(f"version {number} of {VERSION}: {step.what}")
        step.expand(connection)
        oldest = max(oldest, step.oldest)
        _set_oldest(connection, oldest)
        database.set_version(connection, number)
    return True


def check(database: Database) -> None:
    """Raise ConfigurationError where the schema is not one that this code can serve on."""
    database.check_place()
    with database.read() as connection:
        version = database.version(connection)
        oldest = _oldest(connection, version) if version else 0
    if version > VERSION and oldest > VERSION:
        raise ConfigurationError(
            f"database: its schema has version {version} and needs code of version {oldest}, this code knows {VERSION};"
            " upgrade oauth-gateway"
        )
    if version == 0:
        raise ConfigurationError(
            f"database: there is none at {database.place}; serve, client create, user create or copy make it"
        )
    if version < VERSION:
        raise ConfigurationError(
            f"database: its schema has version {version}, this code needs {VERSION}; run oauth-gateway migrate"
        )


def _oldest(connection: Connection, version: int) -> int:
    """The oldest code that may serve; the version itself where none was recorded."""
    if not inspect(connection).has_table(meta.name):
        return version
    recorded = connection.execute(select(meta.c.value).where(meta.c.realm == REALM, meta.c.name == "oldest code")).scalar()
    return int(recorded) if recorded else version


def _set_oldest(connection: Connection, oldest: int) -> None:
    if not add_row(connection, meta, {"realm": REALM, "name": "oldest code", "value": str(oldest)}):
        known = update(meta).where(meta.c.realm == REALM, meta.c.name == "oldest code")
        connection.execute(known.values(value=str(oldest)))
