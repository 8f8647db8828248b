"""`django.contrib.auth` behind the gateway: people sign in to the app as ever, and clients get tokens for them.

`gunicorn -c gunicorn.conf.py examples.django_login_app:app`, a Django project in one file. Everything down to the line is a
project as it was before; its login view is Django's own.
"""

import os
import tempfile

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse

if not settings.configured:
    settings.configure(
        ROOT_URLCONF=__name__,
        SECRET_KEY="for the example only, with more than fifty characters in it",
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": os.environ.get("SHOP_DATABASE", os.path.join(tempfile.gettempdir(), "shop.sqlite3")),
            }
        },
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {
                    "loaders": [
                        (
                            "django.template.loaders.locmem.Loader",
                            {
                                "registration/login.html": "<!doctype html><title>The shop</title><h1>Sign in to the shop</h1>"
                                '<form method="post">{% csrf_token %}{{ form }}'
                                '<input type="hidden" name="next" value="{{ next }}"><button>Sign in</button></form>'
                            },
                        )
                    ]
                },
            }
        ],
        LOGIN_URL="/login",
        LOGIN_REDIRECT_URL="/",
        USE_TZ=True,
    )
    django.setup()

from django.contrib.auth import views
from django.contrib.auth.decorators import login_required
from django.urls import path


@login_required
def home(request):
    return HttpResponse(f"<!doctype html><title>The shop</title>Welcome to the shop, {request.user}")


def orders(request):
    return JsonResponse({"customer": request.META["REMOTE_USER"], "orders": []})


urlpatterns = [
    path("", home),
    path("login", views.LoginView.as_view()),
    path("logout", views.LogoutView.as_view(next_page="/login")),
    path("api/orders", orders),
]
application = get_wsgi_application()


# -- what the gateway needs: who is signed in, by Django's own session; and when, for clients that ask

import time  # noqa: E402

from django.contrib.auth import get_user  # noqa: E402
from django.contrib.auth.signals import user_logged_in  # noqa: E402
from django.contrib.sessions.middleware import SessionMiddleware  # noqa: E402
from django.core.handlers.wsgi import WSGIRequest  # noqa: E402
from django.db import close_old_connections  # noqa: E402

from oauth_gateway import OAuthGateway  # noqa: E402


def remember_when(sender, request, user, **_):
    request.session["signed_in"] = time.time()


user_logged_in.connect(remember_when)
sessions = SessionMiddleware(lambda request: None)


def signed_in(environ):
    """The person of Django's session, as `AuthenticationMiddleware` finds them; disabled ones are nobody."""
    close_old_connections()  # as Django does around each request of its own
    try:
        request = WSGIRequest(environ)
        sessions.process_request(request)
        user = get_user(request)
        if not user.is_authenticated or not user.is_active:
            return None
        return {
            "name": user.get_username(),
            "auth_time": request.session.get("signed_in"),
            "claims": {"email": user.email, "name": user.get_full_name()},
        }
    finally:
        close_old_connections()


app = OAuthGateway(
    application,
    authenticate=signed_in,
    login_url="/login",
    scopes={"orders": "See your orders"},
    routes=["* /api/** scope=orders", "* /** public"],  # the pages guard themselves, as ever
)
