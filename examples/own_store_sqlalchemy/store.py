"""What is added so that the gateway keeps its clients and tokens in the shop's tables: one table of records, and this store.

Clients that the shop registered stay as they are. Their secrets stand there in clear text, as Authlib's mixin has it, and are
accepted; those that the gateway makes are kept as digests in the record, and so is the old one from the first change that the
gateway makes to its client. Tokens of the gateway get a row in the shop's table with digests in place of their texts.
"""

import json
import os
import time
from contextlib import contextmanager, suppress
from dataclasses import replace

from sqlalchemy import Column, Double, Index, String, Table, Text, create_engine, delete, event, insert, inspect, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from oauth_gateway.errors import StoreUnavailable
from oauth_gateway.forks import reset_in_children
from oauth_gateway.models import Secret, digest
from oauth_gateway.store.records import Conflict, ExistingTables, Records, RecordStore

from .shop import Model, OAuth2Client, OAuth2Token, User

RECORD = Table(
    "gateway_record",
    Model.metadata,
    Column("key", String(512), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("name", String(512), unique=True),
    Column("look1", String(512), index=True),
    Column("look2", String(512), index=True),
    Column("look3", String(512), index=True),
    Column("ripe", Double),
    Column("body", Text, nullable=False),
    Index("gateway_record_ripe", "kind", "ripe"),
)
CLIENT, TOKEN = OAuth2Client.__table__, OAuth2Token.__table__
DEADLOCK = {"40P01", "40001"}  # what PostgreSQL says to the one of two that it chose to end


class ShopRecords(Records):
    def __init__(self, url):
        self._engine = create_engine(url, pool_pre_ping=True, pool_timeout=2)
        self._readers = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._writers = self._engine.execution_options()
        if self._engine.dialect.name == "sqlite":  # no row locks there: one transaction that writes at a time
            event.listen(self._writers, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        else:
            self._writers.update_execution_options(isolation_level="READ COMMITTED")
        self.place = self._engine.url.render_as_string(hide_password=True)
        reset_in_children(self)

    def reset(self):
        self._engine.dispose(close=False)

    def close(self):
        self._engine.dispose()

    @contextmanager
    def reading(self):
        with answers(), self._readers.connect() as connection:
            yield ShopTables(connection, locks=False)

    @contextmanager
    def writing(self, now):
        with answers(), self._writers.connect() as connection:
            with conflicts():
                yield ShopTables(connection, locks=True)
            connection.commit()  # what fails here may have happened: that is no Conflict

    def tell(self, client_id):
        """For the shop, after it revoked a token, or changed or deleted a client: no process goes on with what it remembers."""
        now = time.time()
        with self.writing(now) as tables:
            tables.announce([("client", client_id)], now)

    def prepare(self):
        with answers():
            if not inspect(self._engine).has_table(RECORD.name):
                with suppress(DBAPIError):  # another process may be faster; without the table the next lines fail
                    RECORD.create(self._engine)
        with self.reading() as tables:
            tables.adopt()


@contextmanager
def answers():
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreUnavailable(f"the shop's database did not answer: {error}") from error


@contextmanager
def conflicts():
    try:
        yield
    except IntegrityError as error:
        raise Conflict(str(error.orig)) from error
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) in DEADLOCK:
            raise Conflict(str(error.orig)) from error
        raise


class ShopTables(ExistingTables):
    def __init__(self, connection, locks):
        super().__init__(locks)
        self._connection = connection

    def _select(self, statement):
        return self._connection.execute(statement.with_for_update() if self.locks else statement)

    # -- the table of records

    def rows(self, column, values, limit=None):
        return self._select(select(RECORD.c.body).where(RECORD.c[column].in_(values)).limit(limit)).scalars().all()

    def between(self, column, low, high, limit):
        c = RECORD.c[column]
        statement = select(RECORD.c.body).where(c >= low, c < high).order_by(c).limit(limit)
        return self._connection.execute(statement).scalars().all()

    def due(self, kind, until, limit):
        is_due = RECORD.c.ripe.is_not(None) if until is None else RECORD.c.ripe <= until
        found = select(RECORD.c.body).where(RECORD.c.kind == kind, is_due).order_by(RECORD.c.ripe).limit(limit)
        return self._select(found).scalars().all()

    def add(self, row):
        with conflicts():
            self._connection.execute(insert(RECORD).values(row))

    def put(self, row):
        self._connection.execute(update(RECORD).where(RECORD.c.key == row["key"]).values(row))

    def drop(self, key):
        self._connection.execute(delete(RECORD).where(RECORD.c.key == key))

    # -- the shop's clients

    def client_rows(self, client_ids):
        wanted = select(CLIENT)
        if client_ids is not None:
            wanted = wanted.where(CLIENT.c.client_id.in_(client_ids))
        return self._select(wanted).mappings().all()

    def client_columns(self, client):
        return {"client_metadata": json.dumps(client.metadata), "client_secret": ""}

    def client_in(self, row, known):
        secrets = known.secrets
        if row["client_secret"]:  # the shop's, and then no other
            shown = digest(row["client_secret"]).hex()
            secrets = (Secret(shown, row["client_id_issued_at"], row["client_secret_expires_at"]),)
        metadata = json.loads(row["client_metadata"] or "{}")
        return replace(known, metadata=metadata, secrets=secrets, created=known.created or row["client_id_issued_at"])

    def add_client(self, client_id, columns):
        values = {"client_id": client_id, "client_id_issued_at": int(time.time()), **columns}
        self._connection.execute(insert(CLIENT).values(values))

    def change_client(self, client_id, columns):
        self._connection.execute(update(CLIENT).where(CLIENT.c.client_id == client_id).values(columns))

    def delete_client(self, client_id):
        self._end(TOKEN.c.client_id == client_id, TOKEN.c.client_id == client_id)
        self._connection.execute(delete(CLIENT).where(CLIENT.c.client_id == client_id))

    # -- and its tokens

    def living(self, marks):
        alone = TOKEN.c.refresh_token.is_not_distinct_from(TOKEN.c.access_token)  # a refresh token that came alone
        access = select(TOKEN.c.access_token).where(
            TOKEN.c.access_token.in_(marks), TOKEN.c.access_token_revoked_at == 0, ~alone
        )
        refresh = select(TOKEN.c.refresh_token).where(TOKEN.c.refresh_token.in_(marks), TOKEN.c.refresh_token_revoked_at == 0)
        return self._connection.execute(access.union_all(refresh)).scalars().all()

    def add_token(self, access, refresh, token, client_id, username):
        values = {
            "client_id": client_id,
            "token_type": "Bearer",
            "access_token": access,
            "refresh_token": refresh,
            "scope": token["scope"],
            "issued_at": int(token["issued"]),
            "expires_in": int(token["expires"] - token["issued"]),
            "user_id": select(User.id).where(User.username == username).scalar_subquery(),
        }
        self._connection.execute(insert(TOKEN).values(values))

    def pair(self, access, refresh):
        self._connection.execute(update(TOKEN).where(TOKEN.c.access_token == access).values(refresh_token=refresh))

    def end_tokens(self, marks):
        self._end(TOKEN.c.access_token.in_(marks), TOKEN.c.refresh_token.in_(marks))

    def _end(self, access, refresh):
        now = int(time.time())
        for wanted, column in (access, "access_token_revoked_at"), (refresh, "refresh_token_revoked_at"):
            self._connection.execute(update(TOKEN).where(wanted, TOKEN.c[column] == 0).values({column: now}))


def open_shop():
    """The store for the setting `database`, or for the command line: `examples.own_store_sqlalchemy.store:open_shop`."""
    return RecordStore(ShopRecords(os.environ.get("SHOP_DATABASE", "sqlite:///shop.db")))
