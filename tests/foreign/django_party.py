"""A Django project in one file that signs people in with mozilla-django-oidc: `python django_party.py PORT`, settings from the
environment; run in an empty folder. To others it is https://client.test, as behind a proxy that ends TLS."""

from __future__ import annotations

import os
import sys
from typing import Any
from urllib.parse import urlencode
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import include, path

settings.configure(
    ALLOWED_HOSTS=["client.test"],
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for this test, but long enough to sign sessions with",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "mozilla_django_oidc"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "mozilla_django_oidc.middleware.SessionRefresh",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "party.sqlite3"}},
    AUTHENTICATION_BACKENDS=["mozilla_django_oidc.auth.OIDCAuthenticationBackend"],
    SESSION_COOKIE_NAME="party",
    LOGIN_REDIRECT_URL="/me",
    LOGIN_REDIRECT_URL_FAILURE="/failed",
    LOGOUT_REDIRECT_URL="/bye",
    ALLOW_LOGOUT_GET_METHOD=True,
    OIDC_RP_CLIENT_ID=os.environ["PARTY_CLIENT_ID"],
    OIDC_RP_CLIENT_SECRET=os.environ["PARTY_CLIENT_SECRET"],
    OIDC_RP_SCOPES="openid email read",
    OIDC_RP_SIGN_ALGO="RS256",
    OIDC_USE_PKCE=True,
    OIDC_STORE_ACCESS_TOKEN=True,
    OIDC_STORE_ID_TOKEN=True,
    OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS=-1,  # every page but /me asks the provider again, with prompt=none
    OIDC_EXEMPT_URLS=["/me"],
    OIDC_OP_LOGOUT_URL_METHOD=f"{__name__}.logout_url",
    OIDC_OP_AUTHORIZATION_ENDPOINT=os.environ["PARTY_AUTHORIZATION_ENDPOINT"],
    OIDC_OP_TOKEN_ENDPOINT=os.environ["PARTY_TOKEN_ENDPOINT"],
    OIDC_OP_USER_ENDPOINT=os.environ["PARTY_USERINFO_ENDPOINT"],
    OIDC_OP_JWKS_ENDPOINT=os.environ["PARTY_JWKS_URI"],
)


def me(request: HttpRequest) -> JsonResponse:
    user: Any = request.user
    if not user.is_authenticated:
        return JsonResponse({}, status=401)
    return JsonResponse({"email": user.email, "id": user.pk, "access_token": request.session["oidc_access_token"]})


def logout_url(request: HttpRequest) -> str:
    """Where signing out of this project goes on: to the provider, and back."""
    hint = request.session["oidc_id_token"]
    query = {"id_token_hint": hint, "post_logout_redirect_uri": "https://client.test/bye"}
    return f"{os.environ['PARTY_END_SESSION_ENDPOINT']}?{urlencode(query)}"


urlpatterns = [path("oidc/", include("mozilla_django_oidc.urls")), path("me", me), path("again", me)]


class Quiet(WSGIRequestHandler):
    """Its log would have the codes."""

    def log_message(self, *args: Any) -> None:
        pass


if __name__ == "__main__":
    django.setup()
    call_command("migrate", verbosity=0)
    make_server("127.0.0.1", int(sys.argv[1]), get_wsgi_application(), handler_class=Quiet).serve_forever()
