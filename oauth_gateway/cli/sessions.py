"""`oauth-gateway session …`: who is signed in, and ending it."""

from __future__ import annotations

import argparse
from typing import Any

from .. import backchannel_logout, clock
from ..errors import ConfigurationError
from ..models import Session
from ..server import AuthorizationServer
from .context import Context, moment, show, table


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    verbs = commands.add_parser("session", help="who is signed in").add_subparsers(metavar="VERB", required=True)
    verb = verbs.add_parser("list", parents=[shared], help="living login sessions")
    verb.add_argument("--user", metavar="NAME")
    verb.set_defaults(run=list_all)
    verb = verbs.add_parser("end", parents=[shared], help="sign somebody out: one session, or all of a person")
    verb.add_argument("sid", metavar="SID", nargs="?", help="the name that `session list` shows")
    verb.add_argument("--user", metavar="NAME", help="all sessions of this person")
    verb.set_defaults(run=end)


def _found(context: Context, name: str | None) -> list[Session]:
    user_id = context.users.named(name).user_id if name else None
    found: list[Session] = []
    while page := context.store.sessions(user_id, found[-1].sid if found else ""):
        found.extend(page)
    return [session for session in found if session.expires > clock.now()]


def list_all(arguments: argparse.Namespace) -> None:
    context = Context(arguments)
    names: dict[str, str] = {}
    rows, documents = [], []
    for session in _found(context, arguments.user):
        if session.user_id not in names:
            user = context.store.user(session.user_id)
            names[session.user_id] = user.username if user else "-"
        name = names[session.user_id]
        seen = session.seen or session.auth_time
        times = [moment(time) for time in (session.created, session.auth_time, seen, session.expires)]
        rows.append([session.sid, name, session.device or "-", *times])
        documents.append(
            {
                "sid": session.sid,
                "username": name,
                "sub": session.user_id,
                "device": session.device,
                "created": int(session.created),
                "auth_time": int(session.auth_time or 0),
                "last_seen": int(seen or session.created),
                "exp": int(session.expires),
            }
        )
    show(arguments, documents, table(rows, ["SID", "USER", "DEVICE", "SINCE", "SIGNED IN", "LAST SEEN", "EXPIRES"]))


def end(arguments: argparse.Namespace) -> None:
    context = Context(arguments)
    if (arguments.sid is None) == (arguments.user is None):
        raise ConfigurationError("session end: name one session by its SID, or a person by --user NAME")
    now = clock.now()
    if arguments.sid:
        one = context.store.end_session(now, sid=arguments.sid)
        done = [one] if one is not None else []
    else:
        user_id = context.users.named(arguments.user).user_id
        done = [each for each in context.store.end_sessions_of(user_id, now) if each.session.expires > now]
    for each in done:
        context.events.emit("session.ended", user_id=each.session.user_id)
    ended = [each.session.sid for each in done]
    if arguments.sid and not ended:
        raise ConfigurationError(f"session {arguments.sid!r}: there is no such session; `session list` shows them")
    if "openid" in context.settings.features:
        server = AuthorizationServer(context.deployment, context.events)
        backchannel_logout.install(server)
        server.jobs.work()  # whoever does not answer is told again by the gateway
    lines = [f"{len(ended)} {'session' if len(ended) == 1 else 'sessions'} ended"]
    show(arguments, {"ended": ended}, lines)
