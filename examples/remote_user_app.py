"""People whom a proxy has signed in: `gunicorn -c gunicorn.conf.py examples.remote_user_app:app`.

A WSGI middleware around the gateway turns what only the proxy can know into REMOTE_USER: here a header with a secret, which the
proxy must set and must drop when it comes from outside. Servers that set REMOTE_USER themselves need none
of this.
"""

import hmac
import os

from oauth_gateway import OAuthGateway

PROXY_SECRET = os.environ.get("PROXY_SECRET", "for the example only")


def hello(environ, start_response):
    body = f"Hello {environ['REMOTE_USER']}\n".encode("latin-1")
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]


class FromTheProxy:
    """Believes `X-Proxy-User` where `X-Proxy-Secret` is right."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        secret, user = environ.pop("HTTP_X_PROXY_SECRET", ""), environ.pop("HTTP_X_PROXY_USER", None)
        environ.pop("REMOTE_USER", None)
        if user and hmac.compare_digest(secret.encode("latin-1"), PROXY_SECRET.encode()):
            environ["REMOTE_USER"] = user
        return self.app(environ, start_response)


app = FromTheProxy(OAuthGateway(hello, authenticate="remote_user", scopes={"read": "Read your things"}))
