"""The gateway's store over the project's models.

Clients that the project registered stay as they are. A secret in clear text in their row is accepted; secrets that the gateway
makes are kept as digests in its own table, and so is the old one from the first change that the gateway makes to its client.
Tokens of the gateway get a row with digests in place of their texts; those from before the gateway are not accepted by it.
`revoked` in a row is about both of its tokens, as it was: revoking one of them, here or at the gateway, ends the other too.

What is saved or deleted by way of a model, as in Django's admin, holds at once. What goes past the models' signals
(`QuerySet.update`, SQL) holds as soon as the gateway looks into the store: for an access token that it remembers, as late as
its end, unless `forget` is called.
"""

from contextlib import contextmanager

from django.contrib.auth import get_user_model
from django.db import DatabaseError, IntegrityError, InterfaceError, connections, transaction
from django.db.models import Q
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from oauth_gateway import clock
from oauth_gateway.errors import ConfigurationError, StoreUnavailable
from oauth_gateway.forks import reset_in_children
from oauth_gateway.models import Secret, digest
from oauth_gateway.store.records import Conflict, ExistingTables, Records, RecordStore

from .models import GatewayRecord, OAuth2Client, OAuth2Token

ALIAS = "gateway"  # in DATABASES
LISTS = {"redirect_uris": "redirect_uris", "response_type": "response_types", "grant_type": "grant_types"}
TEXTS = ("client_name", "scope", "token_endpoint_auth_method")
_inherited = []  # connections of a parent process, which stay open there: nothing here may close them


class DjangoRecords(Records):
    place = "the project's database"

    def __init__(self):
        reset_in_children(self)

    def reset(self):
        for connection in connections.all(initialized_only=True):
            if connection.alias == ALIAS:
                _inherited.append(connection)
                del connections[ALIAS]

    def close(self):
        """That of this thread: Django has one a thread, and each ends with its thread."""
        connections[ALIAS].close()

    @contextmanager
    def reading(self):
        with answers():
            yield DjangoTables(locks=False)

    @contextmanager
    def writing(self, now):
        with answers(), transaction.atomic(using=ALIAS, durable=True):
            yield DjangoTables(locks=True)

    def prepare(self):
        self.check()
        with self.reading() as tables:
            tables.adopt()

    def check(self):
        with answers():
            known = connections[ALIAS].introspection.table_names()
        if GatewayRecord._meta.db_table not in known:
            raise ConfigurationError(f"database: it has no table {GatewayRecord._meta.db_table}; run manage.py migrate")


class DjangoStore(RecordStore):
    def forget(self, client_id):
        """Have every process look anew at what it remembers of this client and its tokens."""
        now = clock.now()
        self._write(now, lambda writer: writer.announce([("client", client_id)], now))


def open_store():
    return DjangoStore(DjangoRecords())


@receiver([post_save, post_delete], sender=OAuth2Client)
@receiver([post_save, post_delete], sender=OAuth2Token)
def tell(instance, using, **_):
    if using != ALIAS:
        transaction.on_commit(lambda: open_store().forget(instance.client_id), using=using)


@contextmanager
def answers():
    try:
        connections[ALIAS].close_if_unusable_or_obsolete()
        yield
        connections[ALIAS].close_if_unusable_or_obsolete()
    except IntegrityError as error:
        raise Conflict(str(error)) from error
    except (DatabaseError, InterfaceError) as error:
        if is_deadlock(error):
            raise Conflict(str(error)) from error
        raise StoreUnavailable(f"the project's database did not answer: {error}") from error


def is_deadlock(error):
    """Whether PostgreSQL or MySQL chose this one of two that waited for each other, and undid it."""
    return getattr(error.__cause__, "sqlstate", None) in ("40P01", "40001") or error.args[:1] == (1213,)


class DjangoTables(ExistingTables):
    def _rows_of(self, model):
        found = model.objects.using(ALIAS)
        return found.select_for_update() if self.locks else found

    # -- the table of records

    def rows(self, column, values, limit=None):
        return list(self._rows_of(GatewayRecord).filter(**{f"{column}__in": values}).values_list("body", flat=True)[:limit])

    def between(self, column, low, high, limit):
        found = GatewayRecord.objects.using(ALIAS).filter(**{f"{column}__gte": low, f"{column}__lt": high})
        return list(found.order_by(column).values_list("body", flat=True)[:limit])

    def due(self, kind, until, limit):
        is_due = Q(ripe__isnull=False) if until is None else Q(ripe__lte=until)
        found = self._rows_of(GatewayRecord).filter(is_due, kind=kind).order_by("ripe")
        return list(found.values_list("body", flat=True)[:limit])

    def add(self, row):
        try:
            GatewayRecord.objects.using(ALIAS).create(**row)
        except IntegrityError as error:
            raise Conflict(str(error)) from error

    def put(self, row):
        GatewayRecord.objects.using(ALIAS).filter(key=row["key"]).update(**row)

    def drop(self, key):
        GatewayRecord.objects.using(ALIAS).filter(key=key).delete()

    # -- the project's clients

    def client_rows(self, client_ids):
        found = self._rows_of(OAuth2Client)
        return list((found if client_ids is None else found.filter(client_id__in=client_ids)).values())

    def client_columns(self, client):
        metadata = client.metadata
        columns = {column: " ".join(metadata.get(member, ())) for column, member in LISTS.items()}
        return {
            **columns,
            "default_redirect_uri": "".join(client.redirect_uris[:1]),
            "client_name": client.name[:120],
            "scope": client.scope,
            "token_endpoint_auth_method": client.auth_method,
            "client_secret": "",
        }

    def client_in(self, row, known):
        """Only what differs is taken from the row: the record says more, as in a response type of two words."""
        shown = self.client_columns(known)
        metadata = dict(known.metadata)
        metadata.update({member: row[column].split() for column, member in LISTS.items() if row[column] != shown[column]})
        metadata.update({column: row[column] for column in TEXTS if row[column] and row[column] != shown[column]})
        if row["default_redirect_uri"] and row["default_redirect_uri"] not in metadata.get("redirect_uris", ()):
            metadata["redirect_uris"] = [row["default_redirect_uri"], *metadata.get("redirect_uris", ())]
        written = row["client_secret"]
        secrets = (Secret(digest(written).hex(), known.created),) if written else known.secrets
        return type(known)(known.client_id, metadata, secrets, known.created, known.disabled, known.number, known.owner)

    def add_client(self, client_id, columns):
        OAuth2Client.objects.using(ALIAS).create(client_id=client_id, **columns)

    def change_client(self, client_id, columns):
        OAuth2Client.objects.using(ALIAS).filter(client_id=client_id).update(**columns)

    def delete_client(self, client_id):
        OAuth2Client.objects.using(ALIAS).filter(client_id=client_id).delete()
        OAuth2Token.objects.using(ALIAS).filter(client_id=client_id, revoked=False).update(revoked=True)

    # -- and its tokens

    def living(self, marks):
        rows = OAuth2Token.objects.using(ALIAS).filter(is_any(marks), revoked=False)
        return {mark for row in rows.values_list("access_token", "refresh_token") for mark in row}

    def add_token(self, access, refresh, token, client_id, username):
        user = get_user_model().objects.using(ALIAS).filter(username=username).first() if username else None
        OAuth2Token.objects.using(ALIAS).create(
            user=user,
            client_id=client_id,
            token_type="Bearer",
            access_token=access,
            refresh_token=refresh or "",
            scope=token["scope"],
            issued_at=int(token["issued"]),
            expires_in=int(token["expires"] - token["issued"]),
        )

    def pair(self, access, refresh):
        OAuth2Token.objects.using(ALIAS).filter(access_token=access).update(refresh_token=refresh)

    def end_tokens(self, marks):
        OAuth2Token.objects.using(ALIAS).filter(is_any(marks), revoked=False).update(revoked=True)

    def spend(self, refresh):
        """Nothing: `revoked` would end the access token beside it too."""


def is_any(marks):
    return Q(access_token__in=marks) | Q(refresh_token__in=marks)
