"""The application as it was before: people, OAuth clients and tokens in the tables that Authlib documents, and its own admin."""

import time

from authlib.integrations.sqla_oauth2 import OAuth2ClientMixin, OAuth2TokenMixin
from sqlalchemy import ForeignKey, Integer, String, select
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column


class Model(DeclarativeBase):
    pass


class User(Model):
    __tablename__ = "user"
    id = mapped_column(Integer, primary_key=True)
    username = mapped_column(String(40), unique=True)


class OAuth2Client(Model, OAuth2ClientMixin):
    __tablename__ = "oauth2_client"
    id = mapped_column(Integer, primary_key=True)
    user_id = mapped_column(Integer, ForeignKey("user.id", ondelete="CASCADE"))


class OAuth2Token(Model, OAuth2TokenMixin):
    __tablename__ = "oauth2_token"
    id = mapped_column(Integer, primary_key=True)
    user_id = mapped_column(Integer, ForeignKey("user.id", ondelete="CASCADE"))


def tokens_of(session: Session, username: str) -> list[OAuth2Token]:
    """The admin's page about a person."""
    return list(session.scalars(select(OAuth2Token).join(User).where(User.username == username).order_by(OAuth2Token.id)))


def revoke(session: Session, token: OAuth2Token) -> None:
    """The admin's button beside each token there."""
    token.access_token_revoked_at = token.refresh_token_revoked_at = int(time.time())
    session.commit()


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"The orders of {environ.get('REMOTE_USER')}\n".encode()]
