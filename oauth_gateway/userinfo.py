"""OpenID Connect Core section 5.3: what a client with an access token may know of the person."""

from __future__ import annotations

from typing import Any

from . import clock
from .errors import OAuthError
from .exchange import Answer, Exchange, json_answer
from .id_tokens import signing_algorithm
from .models import StoredToken
from .refusals import challenge
from .server import AuthorizationServer

PATH = "/token/userinfo"


class UserInfo:
    """The endpoint: GET and POST with a bearer token in the header, or in a posted form."""

    def __init__(self, server: AuthorizationServer) -> None:
        self._server = server

    def __call__(self, exchange: Exchange) -> Answer:
        try:
            token = self._token(exchange)
            return self._answer(exchange, token)
        except OAuthError as error:
            header = challenge(error, exchange.realm, None)
            shown = error.error or "invalid_token"
            document = {"error": shown, "error_description": error.description}
            return json_answer(error.status, document, [("WWW-Authenticate", header), *error.headers])

    def _token(self, exchange: Exchange) -> StoredToken:
        scheme, _, text = exchange.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        sent = [text.strip()] if scheme.lower() == "bearer" else []
        if exchange.method == "POST":
            form = exchange.form()
            form.refuse_repeated()
            sent += [form["access_token"]] if "access_token" in form else []
        if len(sent) > 1:
            raise OAuthError("invalid_request", "The token was sent in two ways.")
        if not sent:
            raise OAuthError("", "A bearer token is required.", 401)
        token = self._server.presented(sent[0])
        now, audience = clock.now(), self._server.settings.audience
        if token is None or token.kind != "access_token" or not token.lives(now, audience):
            raise OAuthError("invalid_token", "The token is unknown, expired or revoked.", 401)
        if token.grant is None or token.user_id is None or "openid" not in token.scopes:
            raise OAuthError("insufficient_scope", "The token is not one of an OpenID request.", 403, scope="openid")
        return token

    def _answer(self, exchange: Exchange, token: StoredToken) -> Answer:
        server, grant = self._server, token.grant
        user = server.store.user(str(token.user_id))
        client = exchange.client = server.query_client(token.client_id)
        if user is None or client is None or grant is None:
            raise OAuthError("invalid_token", "The token is unknown, expired or revoked.", 401)
        names = server.claims.names(token.scopes)
        told: dict[str, Any] = {
            **server.claims.of(user, names),
            **server.claims.asked(user, grant.asked.get("userinfo", {}), server.scopes.allowed(client)),
            "sub": grant.subject,
        }
        algorithm = signing_algorithm(client, "userinfo_signed_response_alg")
        if algorithm is None:
            return json_answer(200, told)
        claims = {**told, "iss": exchange.base, "aud": client.client_id}
        answer = json_answer(200, None)
        answer.body = server.keys.sign(algorithm, "JWT", claims, clock.now()).encode()
        answer.headers[0] = ("Content-Type", "application/jwt")
        return answer
