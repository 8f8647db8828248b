"""A Django project as startproject lays it out, with one view; `app` is it without any protector."""

from __future__ import annotations

from typing import Any

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

from benchmarks.peers import PRAGMAS, folder

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
APPS = [f"django.contrib.{name}" for name in ("auth", "contenttypes", "sessions", "messages")]


def configure(urls: Any, apps: list[str], **more: Any) -> None:
    """`urls` are a module or a list of patterns; nothing happens where Django is configured already."""
    if settings.configured:
        return
    settings.configure(
        DEBUG=False,
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="a key for benchmarks",
        USE_TZ=True,
        INSTALLED_APPS=[*APPS, *apps],
        MIDDLEWARE=MIDDLEWARE,
        ROOT_URLCONF=urls,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": folder() / "django.db",
                "CONN_MAX_AGE": None,
                "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": "; ".join(PRAGMAS)},
            }
        },
        **more,
    )
    django.setup()


def thing(request: Any) -> HttpResponse:
    return HttpResponse("ok", content_type="text/plain")


urlpatterns = [path("thing", thing)]


def app() -> Any:
    configure(__name__, [])
    return get_wsgi_application()
