"""The project's settings. New is the second way into the same database, so that the gateway never takes part in a view's
transaction: what it wrote must stand when it answers.
"""

import os

SECRET_KEY = "for the example only"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "examples.own_store_django.urls"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "examples.own_store_django"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", "shop.sqlite3"),
        "OPTIONS": {"timeout": 10, "init_command": "PRAGMA journal_mode=WAL"},
    }
}
DATABASES["gateway"] = {
    **DATABASES["default"],
    "CONN_MAX_AGE": None,  # kept by each thread; 0 where every request has one of its own, as under gevent
    "CONN_HEALTH_CHECKS": True,
    # Only for SQLite, and Django 5.1 or newer: it has no row locks, so who will write waits before it reads
    "OPTIONS": {**DATABASES["default"]["OPTIONS"], "transaction_mode": "IMMEDIATE"},
    "TEST": {"MIRROR": "default"},
}
