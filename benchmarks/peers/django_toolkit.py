"""Django with django-oauth-toolkit; `prepare_hashed` leaves client secrets to its default hasher."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.peers import CALLBACK, LIFETIME, Facts, basic, is_used, new_text
from benchmarks.peers.django_project import configure

PATHS = {"token": "/o/token/", "authorize": "/o/authorize/", "introspect": "/o/introspect/"}
SCOPES = {"read": "Read your things", "introspection": "Introspect"}
# one refresh token after another and the end of the whole family at a replay, as the gateway does by default
PROVIDER = {"SCOPES": SCOPES, "DEFAULT_SCOPES": ["read"], "PKCE_REQUIRED": True, "REFRESH_TOKEN_REUSE_PROTECTION": True}


def app() -> Any:
    setup()
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


def setup() -> None:
    configure("benchmarks.peers.django_toolkit_urls", ["oauth2_provider"], OAUTH2_PROVIDER=PROVIDER)


def prepare(into: Path, rows: int, hashed: bool = False) -> Facts:
    """`rows` access tokens of a client; a person whose Django session is signed in. One call a process: Django is one."""
    os.environ["BENCH_FOLDER"] = str(into)
    setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connections
    from oauth2_provider.models import AccessToken, Application

    call_command("migrate", verbosity=0)
    user = User.objects.create_user("ann", password="a long enough password")
    secret, known = new_text(), {"client_type": Application.CLIENT_CONFIDENTIAL, "hash_client_secret": hashed}
    machine = Application(authorization_grant_type="client-credentials", client_secret=secret, name="machine", **known)
    flow = {"redirect_uris": CALLBACK, "skip_authorization": True}  # agreed before, as with everybody
    shop = Application(authorization_grant_type="authorization-code", client_secret=secret, name="shop", **known, **flow)
    machine.save()
    shop.save()
    texts, used = (new_text() for _ in range(rows)), []
    expires = datetime.now(UTC) + timedelta(seconds=LIFETIME)
    batch: list[AccessToken] = []
    for index, text in enumerate(texts):
        if is_used(index, rows):
            used.append(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        batch.append(AccessToken(token=text, token_checksum=digest, application=machine, expires=expires, scope="read"))
        if len(batch) == 10_000 or index == rows - 1:
            AccessToken.objects.bulk_create(batch)
            batch.clear()
    cookie = f"sessionid={signed_in(user)}"
    connections.close_all()
    known_by = {"machine": basic(machine.client_id, secret), "wrong": basic(machine.client_id, "wrong")}
    return Facts(used, **known_by, shop=basic(shop.client_id, secret), shop_id=shop.client_id, cookie=cookie, paths=PATHS)


def prepare_hashed(into: Path, rows: int) -> Facts:
    return prepare(into, rows, hashed=True)


def signed_in(user: Any) -> str:
    """The key of a session of `user`."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return str(session.session_key)
