"""An own grant: a long-lived API key of one's own buys a token. `gunicorn -c gunicorn.conf.py examples.own_grant:app`.

The grant type's name is a URI of one's own (RFC 6749 section 4.5); a client is registered for it by that name:
`oauth-gateway client create --grant-type urn:example:api-key --scope read`.
"""

from authlib.oauth2.rfc6749 import BaseGrant, InvalidGrantError, TokenEndpointMixin, UnauthorizedClientError

from oauth_gateway import OAuthGateway

KEYS = {"key-of-ann-0123456789abcdef": "ann"}


class ApiKeyGrant(BaseGrant, TokenEndpointMixin):
    GRANT_TYPE = "urn:example:api-key"
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]

    def validate_token_request(self):
        self.request.client = self.authenticate_token_endpoint_client()
        if not self.request.client.check_grant_type(self.GRANT_TYPE):
            raise UnauthorizedClientError()
        self.request.user = KEYS.get(self.request.form.get("api_key", ""))
        if self.request.user is None:
            raise InvalidGrantError()

    def create_token_response(self):
        token = self.generate_token(user=self.request.user, scope=self.request.payload.scope)
        self.save_token(token)
        return 200, token, self.TOKEN_RESPONSE_HEADER


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"Hello {environ['REMOTE_USER']}\n".encode()]


app = OAuthGateway(hello, scopes={"read": "Read your things"})
app.server.register_grant(ApiKeyGrant)
