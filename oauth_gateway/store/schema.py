"""The tables, and what each version of them added.

Every key carries a `realm`, so that one database may serve several issuers. Rows that come in large numbers have a
time-ordered integer key and no second index: inserts append, and expired rows are found by walking that key.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    UniqueConstraint,
)
from sqlalchemy import Table as PlainTable
from sqlalchemy import Text as PlainText
from sqlalchemy.dialects import mysql

VERSION = 5  # 2: oauth_origin; 3: oauth_key by generation; 4: oauth_feed.epoch; 5: oauth_session.device, .seen
OLDEST = 4  # the oldest code that may serve on the schema of VERSION
REALM = ""  # the only realm so far
metadata = MetaData()
Number = BigInteger().with_variant(Integer, "sqlite")  # SQLite makes INTEGER PRIMARY KEY the row's own key
Text = PlainText().with_variant(mysql.MEDIUMTEXT(), "mysql")
Digest = LargeBinary(32).with_variant(mysql.VARBINARY(32), "mysql")  # a BLOB could be no key there
ClientId = String(2048).with_variant(mysql.VARCHAR(2048, charset="ascii", collation="ascii_bin"), "mysql")


def Table(name: str, *args: Any) -> PlainTable:
    """A table whose texts MySQL compares as everybody else does."""
    return PlainTable(name, metadata, *args, mysql_charset="utf8mb4", mysql_collate="utf8mb4_bin", mysql_engine="InnoDB")


meta = Table(
    "oauth_meta",
    Column("realm", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
feed = Table(
    "oauth_feed",
    Column("realm", String(64), primary_key=True),
    Column("head", Number, nullable=False),
    Column("floor", Number, nullable=False),
    Column("epoch", Number, nullable=False, server_default="0"),  # another one after every revocation
)
change = Table(
    "oauth_change",
    Column("realm", String(64), primary_key=True),
    Column("number", Number, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("at", Double, nullable=False),
)
client = Table(
    "oauth_client",
    Column("number", Number, primary_key=True, autoincrement=False),
    Column("realm", String(64), nullable=False),
    Column("client_id", ClientId, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("secrets", Text, nullable=False),
    Column("owner", String(255)),
    Column("created", Double, nullable=False),
    Column("disabled", Double),
    Column("last_used", Double),
    UniqueConstraint("realm", "client_id"),
)
origin = Table(
    "oauth_origin",
    Column("realm", String(64), primary_key=True),
    Column("origin", String(255), primary_key=True),
    Column("client", Number, primary_key=True, autoincrement=False),
    Index("oauth_origin_client", "client"),
)
user = Table(
    "oauth_user",
    Column("id", String(64), primary_key=True),
    Column("realm", String(64), nullable=False),
    Column("source", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("username", String(255), nullable=False),
    Column("password", Text),
    Column("claims", Text, nullable=False),
    Column("locale", String(35)),
    Column("created", Double, nullable=False),
    Column("disabled", Double),
    UniqueConstraint("realm", "source", "name"),
)
session = Table(
    "oauth_session",
    Column("digest", Digest, primary_key=True),
    Column("realm", String(64), nullable=False),
    Column("sid", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("auth_time", Double, nullable=False),
    Column("amr", String(255), nullable=False),
    Column("acr", String(255)),
    Column("created", Double, nullable=False),
    Column("idle_expires", Double),
    Column("expires", Double, nullable=False),
    Column("device", String(100)),
    Column("seen", Double),
    Index("oauth_session_user", "user_id"),
    Index("oauth_session_expires", "expires"),
)
consent = Table(
    "oauth_consent",
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("realm", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("client", Number, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("revoked", Double),
    Index("oauth_consent_user", "user_id", "client"),
)
grant = Table(
    "oauth_grant",
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("realm", String(64), nullable=False),
    Column("consent_id", Number),
    Column("client", Number, nullable=False),
    Column("user_id", String(64)),
    Column("subject", String(255), nullable=False),
    Column("session", String(64)),
    Column("scope", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("cnf", Text),
    Column("auth_time", Double),
    Column("acr", String(255)),
    Column("amr", String(255), nullable=False),
    Column("claims", Text),
    Column("authorization_details", Text),
    Column("locale", String(35)),
    Column("created", Double, nullable=False),
    Column("expires", Double),
    Column("revoked", Double),
    Column("last_used", Double),
    # the grace of refresh rotation: which refresh token was redeemed last, and the sealed answer it bought
    Column("predecessor", Number),
    Column("sealed", LargeBinary),
    Column("sealed_until", Double),
    Index("oauth_grant_user", "user_id"),
)
token = Table(
    "oauth_token",
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("realm", String(64), nullable=False),
    Column("kind", String(24), nullable=False),
    Column("digest", Digest, nullable=False),
    Column("client", Number, nullable=False),
    Column("grant_id", Number),
    Column("parent", Number),
    Column("generation", Integer, nullable=False),
    Column("jti", String(64)),
    Column("scope", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("cnf", Text),
    Column("issued", Double, nullable=False),
    Column("expires", Double, nullable=False),
    Column("redeemed", Double),
    Column("revoked", Double),
    Column("failures", Integer, nullable=False),
    Column("redirect_uri", Text),
    Column("code_challenge", String(128)),
)
entry = Table(
    "oauth_entry",
    Column("realm", String(64), primary_key=True),
    Column("space", String(32), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("expires", Double, nullable=False),
    Index("oauth_entry_expires", "expires"),
)
counter = Table(
    "oauth_counter",
    Column("realm", String(64), primary_key=True),
    Column("space", String(32), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("value", Integer, nullable=False),
    Column("expires", Double, nullable=False),
    Index("oauth_counter_expires", "expires"),
)
key = Table(
    "oauth_key",
    Column("realm", String(64), primary_key=True),
    Column("algorithm", String(16), primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),  # so that one of several makers wins
    Column("kid", String(64), nullable=False),
    Column("public", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created", Double, nullable=False),
    Column("active", Double, nullable=False),
    Column("longest", Integer, nullable=False),
    Column("revoked", Double),
)
job = Table(
    "oauth_job",
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("realm", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("payload", Text, nullable=False),
    Column("due", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("lease", Double),
    Index("oauth_job_due", "due"),
)
