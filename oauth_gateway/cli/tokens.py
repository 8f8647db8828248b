"""`oauth-gateway token …`: for scripts, tests and the day when a token has leaked."""

from __future__ import annotations

import argparse
from typing import Any

from .. import clock
from ..errors import ConfigurationError
from ..models import Grant, StoredToken, public_id
from ..sealing import new_number
from ..server import AuthorizationServer
from .context import Context, moment, read_secret, records, show, table


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    verbs = commands.add_parser("token", help="issue, list and end tokens").add_subparsers(metavar="VERB", required=True)
    verb = verbs.add_parser("issue", parents=[shared], help="a new access token, for scripts and tests")
    verb.add_argument("--client", metavar="ID", required=True)
    verb.add_argument("--user", metavar="NAME", help="in whose name; without it the client acts for itself")
    verb.add_argument("--scope", metavar='"A B"')
    verb.set_defaults(run=issue)
    verb = verbs.add_parser("list", parents=[shared], help="tokens that are not expired")
    verb.add_argument("--client", metavar="ID")
    verb.add_argument("--user", metavar="NAME")
    verb.set_defaults(run=list_all)
    verb = verbs.add_parser("inspect", parents=[shared], help="what a token on standard input is")
    verb.add_argument("text", nargs="?", help=argparse.SUPPRESS)
    verb.set_defaults(run=inspect)
    verb = verbs.add_parser("revoke", parents=[shared], help="end a token from standard input, or by its public id")
    verb.add_argument("--id", metavar="ID", help="the public id that `token list` shows")
    verb.add_argument("--all", action="store_true", help="end every grant and token, after a backup was restored, say")
    verb.add_argument("--client", metavar="ID", help="with --all: only this client's")
    verb.add_argument("--user", metavar="NAME", help="with --all: only this person's")
    verb.add_argument("text", nargs="?", help=argparse.SUPPRESS)
    verb.set_defaults(run=revoke)


def document(token: StoredToken, audience: str) -> dict[str, Any]:
    """Names as in RFC 7662; `active` is what the gateway for `audience` says."""
    return {
        "id": token.id,
        "token_type": token.kind,
        "client_id": token.client_id,
        "username": token.username,
        "sub": token.subject,
        "scope": token.get_scope(),
        "aud": token.audience,
        "iat": int(token.issued_at),
        "exp": int(token.expires_at),
        "active": token.lives(clock.now(), audience),
    }


def issue(arguments: argparse.Namespace) -> None:
    context = Context(arguments)
    server = AuthorizationServer(context.deployment, context.events)
    client = context.clients.find(arguments.client)
    now = clock.now()
    if client.disabled is not None:
        raise ConfigurationError(f"client {client.client_id!r}: is disabled; `client enable` accepts it again")
    scope = server.scopes.grant(client, arguments.scope)
    grant = None
    if arguments.user is None:
        minted = server.mint(client, scope, now, "client_credentials")
        context.store.issue(minted.rows[0])
    else:
        user = context.users.named(arguments.user)
        if user.disabled is not None:
            raise ConfigurationError(f"user name {arguments.user!r}: is disabled; `user enable` accepts it again")
        user_id = user.user_id
        audience = context.settings.audience
        grant = Grant(
            new_number(), client.number, user_id, server.claims.subject(user_id, client), scope, audience, now, server.ends(now)
        )
        minted = server.mint(client, scope, now, "authorization_code", grant)
        context.store.authorize(grant, minted.rows, None)
    known = {"client_id": client.client_id, "user_id": grant.user_id if grant else None}
    grant_id = public_id(grant.id) if grant else None
    context.events.emit("token.issued", **known, grant_id=grant_id, token=minted.token_id, scope=scope)
    show(arguments, minted.answer, [minted.answer["access_token"]])


def list_all(arguments: argparse.Namespace) -> None:
    context = Context(arguments)
    store, audience = context.store, context.settings.audience
    if arguments.client:
        context.clients.find(arguments.client)
    if arguments.user:
        context.users.named(arguments.user)
    found: list[StoredToken] = []
    after = 0
    while page := store.tokens(after):
        after = page[-1].number
        found.extend(token for token in page if _wanted(token, arguments))
    rows = [
        [
            t.id,
            t.kind,
            t.client_id,
            t.username or "-",
            t.get_scope(),
            moment(t.expires_at),
            _state(t, audience),
        ]
        for t in found
    ]
    head = ["ID", "KIND", "CLIENT", "USER", "SCOPE", "EXPIRES", "STATE"]
    show(arguments, [document(t, audience) for t in found], table(rows, head))


def _state(token: StoredToken, audience: str) -> str:
    """In a word, why the gateway accepts a token or does not."""
    if token.revoked:
        return "revoked"
    if token.redeemed is not None:
        return "used"
    if token.is_expired():
        return "expired"
    return "active" if token.audience == audience else f"for {token.audience}, not for {audience}"


def read_token(arguments: argparse.Namespace) -> str:
    if arguments.text:
        raise ConfigurationError(
            "token: is read from standard input, never from the arguments, which others can see; pipe it in"
        )
    return read_secret("Token", True).strip().removeprefix("Bearer ")


def _wanted(token: StoredToken, arguments: argparse.Namespace) -> bool:
    if token.is_expired() or (arguments.client and token.client_id != arguments.client):
        return False
    return not arguments.user or token.username == arguments.user


def inspect(arguments: argparse.Namespace) -> None:
    context = Context(arguments)
    credential = context.sealer.recognise(read_token(arguments))
    token = context.store.token(credential.number, credential.digest)[0] if credential else None
    if token is None:
        show(arguments, {"active": False}, ["This is no token of this database, or its client, user or grant is gone."])
        return
    told = document(token, context.settings.audience)
    shown = {
        **told,
        "iat": moment(token.issued_at),
        "exp": moment(token.expires_at),
        "state": _state(token, context.settings.audience),
    }
    show(arguments, told, [f"{name:12}{value}" for name, value in shown.items()])


def revoke(arguments: argparse.Namespace) -> None:
    if (arguments.client or arguments.user) and not arguments.all:
        raise ConfigurationError("token revoke: --client and --user narrow --all; say that too")
    if arguments.all and (arguments.id or arguments.text):
        raise ConfigurationError("token revoke: name one token or say --all, not both")
    context = Context(arguments)
    if arguments.all:
        return revoke_all(arguments, context)
    number, digest = _named_token(context, arguments)
    # also of a disabled client or person, so that it does not come back when that is enabled
    token = context.store.token(number, digest, dormant=True)[0]
    if token is None or token.revoked:
        raise ConfigurationError("token: there is no such token, or it has ended already")
    if token.kind == "refresh_token" and token.grant is not None:
        context.store.revoke_grant(token.grant.id, clock.now())
    else:
        context.store.revoke_token(token.number, clock.now())
    known = {"client_id": token.client_id, "user_id": token.user_id, "grant_id": token.grant_id}
    context.events.emit("token.revoked", **known, token=token.id)
    show(arguments, {"id": token.id, "revoked": True}, [f"token {token.id} revoked"])


def _named_token(context: Context, arguments: argparse.Namespace) -> tuple[int, bytes | None]:
    """The number and digest of the token on standard input, or the number of the public id that was given."""
    if arguments.id:
        try:
            return int(arguments.id, 16) & (2**63 - 1), None
        except ValueError:
            raise ConfigurationError(f"--id {arguments.id!r}: is not an id; `token list` shows them") from None
    credential = context.sealer.recognise(read_token(arguments))
    if credential is None:
        raise ConfigurationError("token: there is no such token, or it has ended already")
    return credential.number, credential.digest


def revoke_all(arguments: argparse.Namespace, context: Context) -> None:
    """Grants with all their tokens, the tokens of clients that act for themselves, and, unless for one client, logins."""
    client = context.clients.find(arguments.client).number if arguments.client else None
    user = context.users.named(arguments.user).user_id if arguments.user else None
    now, store = clock.now(), context.store
    ended = {"grants": 0, "tokens": 0, "sessions": 0}
    for grant in records("grant", store):
        if grant["revoked"] is None and client in (None, grant["client"]) and user in (None, grant["user_id"]):
            store.revoke_grant(grant["id"], now)
            ended["grants"] += 1
    for token in records("token", store) if user is None else ():
        mine = token["grant_id"] is None and client in (None, token["client"])
        if mine and token["revoked"] is None and token["expires"] > now:
            store.revoke_token(token["id"], now)
            ended["tokens"] += 1
    for session in records("session", store) if client is None else ():
        if user in (None, session["user_id"]):
            ended["sessions"] += store.end_session(now, digest=session["digest"]) is not None
    context.events.emit("token.revoked", client_id=arguments.client, user_id=user, token="all")
    show(arguments, ended, [", ".join(f"{count} {name}" for name, count in ended.items()) + " ended"])
