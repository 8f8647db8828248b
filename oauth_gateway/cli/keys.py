"""`oauth-gateway keys …`: what signs ID tokens and JWT access tokens."""

from __future__ import annotations

import argparse
from typing import Any

from .. import clock
from ..keys import LEAD
from .context import Context, moment, show, table


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    verbs = commands.add_parser("keys", help="signing keys").add_subparsers(metavar="VERB", required=True)
    verbs.add_parser("list", parents=[shared], help="all keys and what they do").set_defaults(run=list_all)
    verb = verbs.add_parser("rotate", parents=[shared], help="publish new keys now; they sign some minutes later")
    verb.add_argument(
        "--now", action="store_true", help="they sign at once: whoever keeps an older JWK Set must fetch it again"
    )
    verb.set_defaults(run=rotate)
    verb = verbs.add_parser("revoke", parents=[shared], help="a key has leaked: refuse what it signed, and have another sign")
    verb.add_argument("kid", metavar="KID")
    verb.set_defaults(run=revoke)


def _prepared(arguments: argparse.Namespace) -> Context:
    context = Context(arguments)
    context.keys.prepare(clock.now())
    return context


def list_all(arguments: argparse.Namespace) -> None:
    rows, documents = [], []
    for key, state, until in Context(arguments).keys.listed(clock.now()):
        own = not key.created
        rows.append([key.kid, key.algorithm, state, "own" if own else moment(key.created), moment(key.active), moment(until)])
        documents.append(
            {
                "kid": key.kid,
                "alg": key.algorithm,
                "state": state,
                "created": int(key.created),
                "signs_from": int(key.active),
                "kept_until": int(until) or None,
            }
        )
    show(arguments, documents, table(rows, ["KID", "ALGORITHM", "STATE", "PUBLISHED", "SIGNS FROM", "KEPT UNTIL"]))


def rotate(arguments: argparse.Namespace) -> None:
    context = _prepared(arguments)
    kids = context.keys.rotate(clock.now(), at_once=arguments.now)
    context.events.emit("keys.rotated", kids=kids)
    when = "sign from now on" if arguments.now else f"are published now and sign in {LEAD // 60} minutes"
    show(arguments, {"kids": kids}, [f"{' '.join(kids)} {when}"])


def revoke(arguments: argparse.Namespace) -> None:
    context = _prepared(arguments)
    context.keys.revoke(arguments.kid, clock.now())
    context.events.emit("key.revoked", kid=arguments.kid)
    show(arguments, {"kid": arguments.kid, "revoked": True}, [f"key {arguments.kid} revoked: what it signed is refused"])
