"""The project's WSGI application, wrapped: `gunicorn examples.own_store_django.wsgi`, after the tables were made with
`DJANGO_SETTINGS_MODULE=examples.own_store_django.settings django-admin migrate --run-syncdb --pythonpath .`
"""

import os

from django.core.wsgi import get_wsgi_application

from oauth_gateway import OAuthGateway

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examples.own_store_django.settings")
django_application = get_wsgi_application()

from .store import open_store  # noqa: E402 - models can be imported only now

application = OAuthGateway(
    django_application,
    database=open_store(),
    secret=os.environ.get("OAUTH_GATEWAY_SECRET", "for the example only, at least 32 characters"),
    scopes="read: See your orders",
)
