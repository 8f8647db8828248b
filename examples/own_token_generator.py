"""Own token texts and lifetimes: `gunicorn -c gunicorn.conf.py examples.own_token_generator:app`.

The function is called as Authlib calls one. Revocation, introspection and the gate treat such tokens like ours; only the
checksum that refuses garbage without a look into the store is missing.
"""

import secrets

from oauth_gateway import OAuthGateway


def acme_tokens(grant_type, client, user=None, scope=None, expires_in=None, include_refresh_token=True):
    token = {"access_token": f"acme-{secrets.token_urlsafe(32)}", "expires_in": 900 if user else 300, "issued_by": "acme"}
    if include_refresh_token:
        token["refresh_token"] = f"acme-refresh-{secrets.token_urlsafe(32)}"
    return token


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["oauth_gateway.token"].subject.encode()]


app = OAuthGateway(hello, scopes={"read": "Read your things"})
app.server.register_token_generator("default", acme_tokens)
