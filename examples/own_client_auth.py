"""An own client authentication method: a header with an HMAC of the request's body, so that no secret is ever sent.

`gunicorn -c gunicorn.conf.py examples.own_client_auth:app`. A client is registered for it by the method's URI:
`oauth-gateway client create --token-endpoint-auth-method urn:example:hmac`.
"""

import hashlib
import hmac

from oauth_gateway import OAuthGateway

KEYS = {}  # client_id to the bytes that this client keeps; in your own table


def authenticate_by_hmac(query_client, request):
    """The client, or None where the request does not use this method."""
    given = request.headers.get("X-Client-HMAC", "")
    client_id = request.form.get("client_id", "")
    if not given or client_id not in KEYS:
        return None
    made = hmac.new(KEYS[client_id], request.params.text.encode(), hashlib.sha256).hexdigest()
    return query_client(client_id) if hmac.compare_digest(made.encode(), given.encode()) else None


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["oauth_gateway.token"].client_id.encode()]


app = OAuthGateway(hello, scopes={"read": "Read your things"})
app.server.register_client_auth_method("urn:example:hmac", authenticate_by_hmac)
