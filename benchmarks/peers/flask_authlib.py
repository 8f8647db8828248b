"""Flask with Authlib as its guide builds it: Flask-SQLAlchemy, the mixins of `sqla_oauth2`, a ResourceProtector.

What its guide leaves to the application is done as the gateway does it: S256 is demanded, a refresh token is rotated, a person
who is signed in and agreed before gets a code at once.
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector
from authlib.integrations.sqla_oauth2 import (
    OAuth2AuthorizationCodeMixin,
    OAuth2ClientMixin,
    OAuth2TokenMixin,
    create_bearer_token_validator,
    create_query_client_func,
    create_query_token_func,
    create_save_token_func,
)
from authlib.oauth2.rfc6749 import grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from flask import Flask, Response, request, session
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event

from benchmarks.peers import CALLBACK, LIFETIME, OURS, PRAGMAS, Facts, basic, folder, is_used, new_text

KEY = "a key for benchmarks"  # signs Flask's session cookie
db = SQLAlchemy()


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    username = db.Column(db.String(40), unique=True)

    def get_user_id(self):
        return self.id


class Client(db.Model, OAuth2ClientMixin):
    id = db.Column(db.Integer, primary_key=True)


class Code(db.Model, OAuth2AuthorizationCodeMixin):
    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.Integer, db.ForeignKey("user.id", ondelete="CASCADE"))
    user = db.relationship("User")


class Token(db.Model, OAuth2TokenMixin):
    id = db.Column(db.Integer, primary_key=True)
    user_id = db.Column(db.Integer, db.ForeignKey("user.id", ondelete="CASCADE"))
    user = db.relationship("User")


class AuthorizationCodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post", "none")

    def save_authorization_code(self, code, request):
        db.session.add(
            Code(
                code=code,
                client_id=request.client.client_id,
                redirect_uri=request.payload.redirect_uri,
                scope=request.payload.scope,
                user_id=request.user.id,
                code_challenge=request.payload.data.get("code_challenge"),
                code_challenge_method=request.payload.data.get("code_challenge_method"),
            )
        )
        db.session.commit()

    def query_authorization_code(self, code, client):
        found = Code.query.filter_by(code=code, client_id=client.client_id).first()
        return found if found and not found.is_expired() else None

    def delete_authorization_code(self, authorization_code):
        db.session.delete(authorization_code)
        db.session.commit()

    def authenticate_user(self, authorization_code):
        return db.session.get(User, authorization_code.user_id)


class RefreshTokenGrant(grants.RefreshTokenGrant):
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token):
        found = Token.query.filter_by(refresh_token=refresh_token).first()
        return found if found and not found.is_revoked() else None

    def authenticate_user(self, credential):
        return db.session.get(User, credential.user_id)

    def revoke_old_credential(self, credential):
        credential.access_token_revoked_at = credential.refresh_token_revoked_at = int(time.time())
        db.session.add(credential)
        db.session.commit()


class Introspection(IntrospectionEndpoint):
    def query_token(self, token_string, token_type_hint):
        return create_query_token_func(db.session, Token)(token_string, token_type_hint)

    def check_permission(self, token, client, request):
        return token.client_id == client.client_id

    def introspect_token(self, token):
        return {
            "active": True,
            "client_id": token.client_id,
            "token_type": token.token_type,
            "scope": token.get_scope(),
            "exp": token.issued_at + token.expires_in,
            "iat": token.issued_at,
        }


def app(where: Path | None = None) -> Flask:
    found = Flask(__name__)
    database = f"sqlite:///{where or folder()}/authlib.db"
    options = {"connect_args": {"timeout": 20}}
    found.config.update(
        SECRET_KEY=KEY,
        SQLALCHEMY_DATABASE_URI=database,
        SQLALCHEMY_ENGINE_OPTIONS=options,
        OAUTH2_REFRESH_TOKEN_GENERATOR=True,
    )
    db.init_app(found)
    with found.app_context():
        event.listen(db.engine, "connect", _set_pragmas)
    _serve(found)
    return found


def _set_pragmas(connection, record):
    for pragma in PRAGMAS:
        connection.execute(pragma)


def _serve(found: Flask) -> None:
    server = AuthorizationServer(found, create_query_client_func(db.session, Client), create_save_token_func(db.session, Token))
    server.register_grant(AuthorizationCodeGrant, [CodeChallenge(required=True)])
    server.register_grant(RefreshTokenGrant)
    server.register_grant(grants.ClientCredentialsGrant)
    server.register_endpoint(Introspection)
    require_oauth = ResourceProtector()
    require_oauth.register_token_validator(create_bearer_token_validator(db.session, Token)())

    @found.get("/thing")
    @require_oauth("read")
    def thing():
        return Response("ok", mimetype="text/plain")

    @found.post("/token")
    def token():
        return server.create_token_response()

    @found.post("/token/introspect")
    def introspect():
        return server.create_endpoint_response("introspection")

    @found.get("/authorize")
    def authorize():
        user = db.session.get(User, session["id"]) if "id" in session else None
        if user is None:
            return Response("sign in", 401)
        grant = server.get_consent_grant(end_user=user)
        return server.create_authorization_response(request, grant_user=user, grant=grant)


def prepare(into: Path, rows: int) -> Facts:
    """`rows` access tokens of a client; a person whose Flask session is signed in."""
    found = app(into)
    with found.app_context():
        db.create_all()
        machine = _client("client_credentials", token_endpoint_auth_method="client_secret_basic")
        flow = {"redirect_uris": [CALLBACK], "response_types": ["code"]}
        shop = _client("authorization_code", "refresh_token", token_endpoint_auth_method="client_secret_basic", **flow)
        db.session.add(User(id=1, username="ann"))
        texts = [new_text() for _ in range(rows)]
        shared = {"client_id": machine.client_id, "token_type": "Bearer", "scope": "read", "expires_in": LIFETIME}
        db.session.execute(Token.__table__.insert(), [{**shared, "access_token": text} for text in texts])
        db.session.commit()
        facts = Facts(
            [text for index, text in enumerate(texts) if is_used(index, rows)],
            machine=basic(machine.client_id, machine.client_secret),
            wrong=basic(machine.client_id, "wrong"),
            shop=basic(shop.client_id, shop.client_secret),
            shop_id=shop.client_id,
            cookie=f"session={found.session_interface.get_signing_serializer(found).dumps({'id': 1})}",
            paths=OURS,
        )
        db.session.remove()
        db.engine.dispose()
    return facts


def _client(*grant_types: str, **metadata: object) -> Client:
    found = Client(client_id=secrets.token_hex(12), client_secret=new_text())
    found.set_client_metadata({"grant_types": grant_types, "scope": "read", **metadata})
    db.session.add(found)
    return found
