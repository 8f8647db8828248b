"""`oauth-gateway user …`"""

from __future__ import annotations

import argparse
import json
from typing import Any

from .. import clock
from ..claims import SCOPE_CLAIMS
from ..errors import ConfigurationError
from ..models import User
from ..users import SOURCE, normalise
from .context import Context, moment, read_secret, show, table

KINDS: dict[str, type] = {"email_verified": bool, "phone_number_verified": bool, "updated_at": int, "address": dict}


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    verbs = commands.add_parser("user", help="accounts of people").add_subparsers(metavar="VERB", required=True)
    for name, run, text in (
        ("create", create, "a new account; the password is asked for or piped in"),
        ("set-password", set_password, "a new password; ends the person's sign-ins, and keeps what they allowed to apps"),
        ("disable", disable, "refuse the person and their tokens from now on"),
        ("enable", enable, "accept a disabled person again"),
        ("delete", delete, "delete an account with all it allowed"),
    ):
        verb = verbs.add_parser(name, parents=[shared], help=text)
        verb.add_argument("name", metavar="NAME")
        if run in (create, set_password):
            verb.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
        verb.set_defaults(run=run)
    verb = verbs.add_parser("set-claims", parents=[shared], help="what OpenID clients may learn of the person")
    verb.add_argument("name", metavar="NAME")
    verb.add_argument(
        "claims", metavar="CLAIM=VALUE", nargs="+", help="JSON or plain text, such as email=ann@example.com; CLAIM= removes"
    )
    verb.set_defaults(run=set_claims)
    verbs.add_parser("list", parents=[shared], help="all accounts").set_defaults(run=list_all)


def document(user: User) -> dict[str, Any]:
    return {
        "user_id": user.user_id,
        "username": user.username,
        "source": user.source,
        "claims": user.claims,
        "created": int(user.created),
        "disabled": user.disabled is not None,
    }


def create(arguments: argparse.Namespace) -> None:
    context = Context(arguments, makes=True)
    if context.store.user_named(SOURCE, normalise(arguments.name)) is not None:
        raise ConfigurationError(f"user name {arguments.name!r}: there is such an account already")
    password = read_secret("Password", arguments.password_stdin, twice=True)
    user = context.users.create(arguments.name, password, clock.now())
    show(arguments, document(user), [f"user {user.username} created ({user.user_id})"])


def set_password(arguments: argparse.Namespace) -> None:
    context = Context(arguments)
    user = context.users.named(arguments.name, SOURCE)  # others have no password here
    context.users.set_password(user, read_secret("Password", arguments.password_stdin, twice=True), clock.now())
    show(arguments, document(user), [f"user {user.username}: the password is changed"])


def set_claims(arguments: argparse.Namespace) -> None:
    context = Context(arguments)
    user = context.users.named(arguments.name)
    claims = dict(user.claims)
    for text in arguments.claims:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ConfigurationError(f"claim {text!r}: write it as CLAIM=VALUE, for example email=ann@example.com")
        if value:
            claims[name] = _value(name, value)
        else:
            claims.pop(name, None)
    changed = context.users.set_claims(user, claims, clock.now())
    lines = [f"{name:24}{json.dumps(value, ensure_ascii=False)}" for name, value in sorted(changed.claims.items())]
    show(arguments, document(changed), lines)


def _value(name: str, text: str) -> Any:
    """What the claim may be (OpenID Connect Core section 5.1); others are JSON where they are such, else the text itself."""
    kind = KINDS.get(name, str if name in " ".join(SCOPE_CLAIMS.values()).split() else None)
    if kind is str:
        return text
    try:
        value = json.loads(text, parse_constant=str)
    except ValueError:
        value = text
    if kind is not None and type(value) is not kind:
        example = {bool: "true or false", int: "a number", dict: 'an object such as {"locality": "Zug"}'}[kind]
        raise ConfigurationError(f"claim {name}={text}: must be {example}")
    return value


def disable(arguments: argparse.Namespace) -> None:
    _set_disabled(arguments, True)


def enable(arguments: argparse.Namespace) -> None:
    _set_disabled(arguments, False)


def _set_disabled(arguments: argparse.Namespace, disabled: bool) -> None:
    context = Context(arguments)
    context.users.set_disabled(context.users.named(arguments.name), disabled, clock.now())
    user = context.users.named(arguments.name)
    show(arguments, document(user), [f"user {user.username} is {'disabled' if disabled else 'enabled'}"])


def delete(arguments: argparse.Namespace) -> None:
    context = Context(arguments)
    user = context.users.named(arguments.name)
    context.users.delete(user, clock.now())
    show(arguments, {**document(user), "deleted": True}, [f"user {user.username} deleted"])


def list_all(arguments: argparse.Namespace) -> None:
    store = Context(arguments).store
    found: list[User] = []
    while page := store.users(found[-1].user_id if found else ""):
        found.extend(page)
    rows = [[u.username, u.source, u.user_id, moment(u.created), "disabled" if u.disabled else "enabled"] for u in found]
    show(arguments, [document(u) for u in found], table(rows, ["NAME", "SOURCE", "USER_ID", "CREATED", "STATE"]))
