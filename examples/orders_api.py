"""An API of one's own behind a gate without a server: the tokens are those of an identity provider that is already there.

`ISSUER=https://id.example.com/shop AUDIENCE=https://orders.example.com gunicorn -c gunicorn.conf.py examples.orders_api:app`.
With a Keycloak set PROFILE=keycloak; with one in a private network also NETWORK=10.0.0.0/8.
"""

import json
import os

from oauth_gateway import OAuthGateway

ORDERS = {"1": {"of": "idp:ann", "what": "tea"}, "2": {"of": "idp:bob", "what": "salt"}}


def api(environ, start_response):
    """`/orders` lists one's own orders, `/staff/orders` all of them, `/health` needs no token."""
    path, token = environ["PATH_INFO"], environ["oauth_gateway.token"]
    if path == "/health":
        answer = {"up": True}
    elif path == "/staff/orders":
        answer = ORDERS
    else:
        answer = {number: order for number, order in ORDERS.items() if order["of"] == token.username}
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


issuer = {
    "issuer": os.environ["ISSUER"],
    "profile": os.environ.get("PROFILE", "rfc9068"),
    "username_claim": "preferred_username",
    "prefix": "idp:",
    # the issuer's words on the left, those of the rules below on the right; whatever else it grants means nothing here
    "scope_claims": ["scope", "realm_access.roles"],
    "scope_map": {"orders": "read"},
}
if "NETWORK" in os.environ:
    issuer["private_networks"] = os.environ["NETWORK"]

app = OAuthGateway(
    api,
    server=False,
    resource=os.environ["AUDIENCE"],
    trusted_issuers=[issuer],
    routes="""
        GET,HEAD  /health    public
        GET       /orders    scope=read
        GET       /staff/**  scope=read claim:department=sales,support
    """,
)
