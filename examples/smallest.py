"""The smallest wrap: `gunicorn -c gunicorn.conf.py examples.smallest:app`."""

from oauth_gateway import OAuthGateway


def hello(environ, start_response):
    token = environ["oauth_gateway.token"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"Hello {token.username or token.client_id}\n".encode()]


app = OAuthGateway(hello)
