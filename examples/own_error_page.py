"""An own error page: a folder whose files replace ours by name. `gunicorn -c gunicorn.conf.py examples.own_error_page:app`."""

from pathlib import Path

from oauth_gateway import OAuthGateway


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello\n"]


app = OAuthGateway(hello, templates=Path(__file__).parent / "own_error_page")
