"""An own endpoint of Authlib's kind: `POST /token/whoami` tells a client what is registered of it.

`gunicorn -c gunicorn.conf.py examples.own_endpoint:app`. Paths below /authorize and /token are the gateway's, so an own one
there needs no rule and never reaches the app.
"""

from authlib.oauth2.rfc6749 import TokenEndpoint

from oauth_gateway import OAuthGateway


class WhoAmI(TokenEndpoint):
    ENDPOINT_NAME = "whoami"
    CLIENT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]

    def create_endpoint_response(self, request):
        client = self.authenticate_endpoint_client(request)
        return 200, {"client_id": client.get_client_id(), "scope": client.metadata["scope"]}, []


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello\n"]


app = OAuthGateway(hello, scopes={"read": "Read your things"})
app.server.register_endpoint(WhoAmI)
app.server.endpoint("/token/whoami", "whoami", "whoami_endpoint")  # its path, its name, its name in the metadata
