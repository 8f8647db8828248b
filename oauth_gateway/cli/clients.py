"""`oauth-gateway client …`"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from .. import clock
from ..client_metadata import MEMBERS, is_member
from ..errors import ConfigurationError
from ..models import Client
from ..values import from_file
from .context import Context, moment, show, table


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    verbs = commands.add_parser("client", help="register and manage clients").add_subparsers(metavar="VERB", required=True)
    verb = verbs.add_parser("create", parents=[shared], help="register a client and print its secret once")
    _metadata_arguments(verb)
    verb.set_defaults(run=create)
    verb = verbs.add_parser("list", parents=[shared], help="all clients")
    verb.set_defaults(run=list_all)
    for name, run, text in (
        ("show", show_one, "everything about a client but its secret"),
        ("rotate-secret", rotate_secret, "a new secret in place of the old one"),
        ("disable", disable, "refuse the client and its tokens from now on"),
        ("enable", enable, "accept a disabled client again"),
        ("delete", delete, "delete a client; its tokens stop working at once"),
    ):
        verb = verbs.add_parser(name, parents=[shared], help=text)
        verb.add_argument("client_id", metavar="ID")
        verb.set_defaults(run=run)
    verb = verbs.add_parser(
        "update", parents=[shared], help="replace members of what a client registered, whole; an empty text removes one"
    )
    verb.add_argument("client_id", metavar="ID")
    _metadata_arguments(verb)
    verb.set_defaults(run=update)


def _metadata_arguments(verb: argparse.ArgumentParser) -> None:
    """An option for each member of the registration."""
    text = "the name in another language; may be repeated"
    verb.add_argument("--client-name-in", metavar="TAG=NAME", action="append", type=_name_in, dest="names", help=text)
    for name, member in MEMBERS.items():
        option = "--" + (name.removesuffix("s") if member.kind == "list" else name).replace("_", "-")
        if member.kind == "flag":
            verb.add_argument(option, action=argparse.BooleanOptionalAction, help=member.help, dest=name)
        elif member.kind == "list":
            text = f"{member.help}; may be repeated"
            verb.add_argument(option, metavar=member.metavar, action="append", dest=name, help=text)
        else:
            kinds: dict[str, Callable[[str], Any]] = {"number": int, "document": _document}
            kind = kinds.get(member.kind, str)
            verb.add_argument(option, metavar=member.metavar, type=kind, dest=name, help=member.help)


def _name_in(text: str) -> tuple[str, str]:
    tag, equals, name = text.partition("=")
    if not equals or not is_member(f"client_name#{tag}"):
        raise argparse.ArgumentTypeError(f"{text[:100]!r}: write a language and the name in it, for example ja=写真")
    return tag, name


def _document(text: str) -> Any:
    """JSON, or that of the file which is named as file:PATH."""
    try:
        found = from_file(text)
        return json.loads(found)
    except ValueError as error:
        why = str(error) if "cannot be read" in str(error) else "it is neither JSON nor file:PATH of JSON"
        raise argparse.ArgumentTypeError(f"{text[:100]!r}: {why}") from None


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    given = {name: value for name in MEMBERS if (value := getattr(arguments, name)) is not None}
    return given | {f"client_name#{tag}": name for tag, name in arguments.names or ()}


def document(client: Client) -> dict[str, Any]:
    return {
        "client_id": client.client_id,
        **client.metadata,
        "client_id_issued_at": int(client.created),
        "disabled": client.disabled is not None,
    }


def create(arguments: argparse.Namespace) -> None:
    context = Context(arguments, makes=True)
    client, secret = context.clients.create(now=clock.now(), **_given(arguments))
    answer = document(client)
    lines = [f"client_id      {client.client_id}"]
    if secret:
        answer.update(client_secret=secret, client_secret_expires_at=0)
        lines.append(f"client_secret  {secret}   (shown this once)")
    lines += [
        f"grant types    {' '.join(client.metadata['grant_types'])}",
        f"scope          {client.metadata['scope'] or '(none)'}",
        f"acts for       {'people who allow it' if client.redirect_uris else 'itself: no --redirect-uri was given'}",
    ]
    show(arguments, answer, lines)
    if not client.metadata["scope"] and arguments.scope is None:
        hint = f"client update {client.client_id} --scope"
        print(f"oauth-gateway: no `scopes` are set, so this client has none; see {hint}", file=sys.stderr)


def list_all(arguments: argparse.Namespace) -> None:
    store = Context(arguments).store
    found: list[Client] = []
    while page := store.clients(found[-1].number if found else 0):
        found.extend(page)
    rows = [
        [c.client_id, c.name, c.auth_method, " ".join(c.metadata["grant_types"]), c.metadata["scope"], _state(c)] for c in found
    ]
    head = ["CLIENT_ID", "NAME", "AUTHENTICATION", "GRANT TYPES", "SCOPE", "STATE"]
    show(arguments, [document(c) for c in found], table(rows, head))


def _state(client: Client) -> str:
    return "disabled" if client.disabled is not None else "enabled"


def show_one(arguments: argparse.Namespace) -> None:
    client = Context(arguments).clients.find(arguments.client_id)
    show(arguments, document(client), [*_lines(client), f"{'created':28}{moment(client.created)}"])


def _lines(client: Client) -> list[str]:
    def told(value: Any) -> Any:
        return " ".join(value) if isinstance(value, list) else json.dumps(value) if isinstance(value, dict) else value

    return [f"{name:28}{told(value)}" for name, value in document(client).items()]


def rotate_secret(arguments: argparse.Namespace) -> None:
    context = Context(arguments)
    secret = context.clients.rotate_secret(context.clients.find(arguments.client_id), clock.now())
    answer = {"client_id": arguments.client_id, "client_secret": secret, "client_secret_expires_at": 0}
    show(arguments, answer, [f"client_secret  {secret}   (shown this once; the old one no longer works)"])


def disable(arguments: argparse.Namespace) -> None:
    _set_disabled(arguments, True)


def enable(arguments: argparse.Namespace) -> None:
    _set_disabled(arguments, False)


def _set_disabled(arguments: argparse.Namespace, disabled: bool) -> None:
    context = Context(arguments)
    client = context.clients.set_disabled(context.clients.find(arguments.client_id), disabled, clock.now())
    show(arguments, document(client), [f"client {client.client_id} is {_state(client)}"])


def update(arguments: argparse.Namespace) -> None:
    context, changes = Context(arguments), _given(arguments)
    client = context.clients.find(arguments.client_id)
    if not changes:
        raise ConfigurationError(f"client {client.client_id!r}: nothing was given to change; see client update --help")
    changed = context.clients.update(client, changes, clock.now())
    show(arguments, document(changed), [f"client {changed.client_id} updated:", *_lines(changed)])


def delete(arguments: argparse.Namespace) -> None:
    Context(arguments).clients.delete(arguments.client_id, clock.now())
    show(arguments, {"client_id": arguments.client_id, "deleted": True}, [f"client {arguments.client_id} deleted"])
