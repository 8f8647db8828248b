"""The tables, and what each version of them added.

Every key carries a `realm`, so that one database may serve several issuers. Rows that come in large numbers have a
time-ordered integer key and no second index: inserts append, and expired rows are found by walking that key.
"""

from __future__ import annotations

from sqlalchemy import BigInteger as Big
from sqlalchemy import (
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

VERSION = 3  # 2: oauth_origin; 3: oauth_key by generation
REALM = ""  # the only realm so far
metadata = MetaData()
Number = Big().with_variant(Integer, "sqlite")  # SQLite makes INTEGER PRIMARY KEY the row's own key

meta = Table(
    "oauth_meta",
    metadata,
    Column("realm", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
feed = Table(
    "oauth_feed",
    metadata,
    Column("realm", String(64), primary_key=True),
    Column("head", Number, nullable=False),
    Column("floor", Number, nullable=False),
)
change = Table(
    "oauth_change",
    metadata,
    Column("realm", String(64), primary_key=True),
    Column("number", Number, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("at", Float, nullable=False),
)
client = Table(
    "oauth_client",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=False),
    Column("realm", String(64), nullable=False),
    Column("client_id", String(2048), nullable=False),
    Column("metadata", Text, nullable=False),
    Column("secrets", Text, nullable=False),
    Column("owner", String(255)),
    Column("created", Float, nullable=False),
    Column("disabled", Float),
    Column("last_used", Float),
    UniqueConstraint("realm", "client_id"),
)
origin = Table(
    "oauth_origin",
    metadata,
    Column("realm", String(64), primary_key=True),
    Column("origin", String(255), primary_key=True),
    Column("client", Number, primary_key=True, autoincrement=False),
    Index("oauth_origin_client", "client"),
)
user = Table(
    "oauth_user",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("realm", String(64), nullable=False),
    Column("source", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("username", String(255), nullable=False),
    Column("password", Text),
    Column("claims", Text, nullable=False),
    Column("locale", String(35)),
    Column("created", Float, nullable=False),
    Column("disabled", Float),
    UniqueConstraint("realm", "source", "name"),
)
session = Table(
    "oauth_session",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("realm", String(64), nullable=False),
    Column("sid", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("auth_time", Float, nullable=False),
    Column("amr", String(255), nullable=False),
    Column("acr", String(255)),
    Column("created", Float, nullable=False),
    Column("idle_expires", Float),
    Column("expires", Float, nullable=False),
    Index("oauth_session_user", "user_id"),
    Index("oauth_session_expires", "expires"),
)
consent = Table(
    "oauth_consent",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("realm", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("client", Number, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("revoked", Float),
    Index("oauth_consent_user", "user_id", "client"),
)
grant = Table(
    "oauth_grant",
    metadata,
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
    Column("auth_time", Float),
    Column("acr", String(255)),
    Column("amr", String(255), nullable=False),
    Column("claims", Text),
    Column("authorization_details", Text),
    Column("locale", String(35)),
    Column("created", Float, nullable=False),
    Column("expires", Float),
    Column("revoked", Float),
    Column("last_used", Float),
    # the grace of refresh rotation: which refresh token was redeemed last, and the sealed answer it bought
    Column("predecessor", Number),
    Column("sealed", LargeBinary),
    Column("sealed_until", Float),
    Index("oauth_grant_user", "user_id"),
)
token = Table(
    "oauth_token",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("realm", String(64), nullable=False),
    Column("kind", String(24), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("client", Number, nullable=False),
    Column("grant_id", Number),
    Column("parent", Number),
    Column("generation", Integer, nullable=False),
    Column("jti", String(64)),
    Column("scope", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("cnf", Text),
    Column("issued", Float, nullable=False),
    Column("expires", Float, nullable=False),
    Column("redeemed", Float),
    Column("revoked", Float),
    Column("failures", Integer, nullable=False),
    Column("redirect_uri", Text),
    Column("code_challenge", String(128)),
)
entry = Table(
    "oauth_entry",
    metadata,
    Column("realm", String(64), primary_key=True),
    Column("space", String(32), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("expires", Float, nullable=False),
    Index("oauth_entry_expires", "expires"),
)
counter = Table(
    "oauth_counter",
    metadata,
    Column("realm", String(64), primary_key=True),
    Column("space", String(32), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("value", Integer, nullable=False),
    Column("expires", Float, nullable=False),
    Index("oauth_counter_expires", "expires"),
)
key = Table(
    "oauth_key",
    metadata,
    Column("realm", String(64), primary_key=True),
    Column("algorithm", String(16), primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),  # so that one of several makers wins
    Column("kid", String(64), nullable=False),
    Column("public", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created", Float, nullable=False),
    Column("active", Float, nullable=False),
    Column("longest", Integer, nullable=False),
    Column("revoked", Float),
)
job = Table(
    "oauth_job",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("realm", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("payload", Text, nullable=False),
    Column("due", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("lease", Float),
    Index("oauth_job_due", "due"),
)
