"""`oauth-gateway check` and `routes test`: is this deployment sound, and which rule decides."""

from __future__ import annotations

import argparse
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..deployment import describe, open_deployment
from ..errors import ConfigurationError
from ..policy import Policy, not_canonical, wsgi_path
from ..settings import Settings
from .context import show
from .serve import settings_of

Finding = tuple[str, str, str]  # level (ok, warning, error), subject, sentence


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    command = commands.add_parser("check", parents=[shared], help="is this deployment sound? exit 1 where it is not")
    command.add_argument("--app", metavar="MODULE:APP", help="a gateway whose settings are given in code")
    command.set_defaults(run=check)
    routes = commands.add_parser("routes", help="what the rules say").add_subparsers(metavar="VERB", required=True)
    verb = routes.add_parser("test", parents=[shared], help="which rule decides about a request, and why")
    verb.add_argument("method", metavar="METHOD")
    verb.add_argument("path", metavar="PATH")
    verb.add_argument("--app", metavar="MODULE:APP", help="a gateway whose settings are given in code")
    verb.set_defaults(run=test_route)


def check(arguments: argparse.Namespace) -> int:
    findings = list(_findings(settings_of(arguments)))
    document = [dict(zip(("level", "subject", "message"), finding, strict=True)) for finding in findings]
    show(arguments, document, [f"{level:8} {subject:10} {text}" for level, subject, text in findings])
    return 1 if any(level == "error" for level, _, _ in findings) else 0


def _findings(settings: Settings) -> Iterator[Finding]:
    yield "ok", "settings", "every name and value is understood"
    yield from _check_issuer(settings)
    try:
        open_deployment(settings)
        yield "ok", "database", describe(settings.database)
    except ConfigurationError as error:
        yield "error", "database", str(error)
    yield from _check_files(settings)
    for rule in settings.routes:
        words = rule.text.split()
        if words[1] in ("/**", "/*") and "public" in words[2:]:
            yield "warning", "routes", f"{rule.text!r} makes every path public that no earlier rule names"
    if settings.forward_authorization:
        yield "warning", "routes", "forward_authorization hands bearer tokens to the app, which may log or leak them"


def _check_issuer(settings: Settings) -> Iterator[Finding]:
    if settings.issuer is None:
        yield "warning", "issuer", "is not set: only this machine is served; set it to the public https URL"
    elif settings.issuer.startswith("http://"):
        yield "warning", "issuer", f"{settings.issuer} is not https: good for this machine only"
    else:
        yield "ok", "issuer", settings.issuer
    if settings.issuer_path:
        where = f"/.well-known/oauth-authorization-server{settings.issuer_path}"
        yield "warning", "issuer", f"has a path: the front server must send {where} here too"


def _check_files(settings: Settings) -> Iterator[Finding]:
    if settings.database == "sqlite://":
        yield "warning", "database", "is in memory: everything is forgotten at the end of the process"
        return
    path = Path(describe(settings.database))
    for file in (path, Path(f"{path}.secret")):
        if file.exists() and stat.S_IMODE(os.stat(file).st_mode) & 0o077:
            yield "error", "files", f"{file} is readable by others; run chmod 600 on it"


def test_route(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    path = wsgi_path(arguments.path)
    reason = not_canonical(path)
    if reason:
        document = {"decision": "refused", "status": 400, "reason": f"the path is not canonical: {reason}"}
        show(arguments, document, [f"refused with 400: the path is not canonical: {reason}"])
        return 0
    decision = Policy(settings.routes).decide(arguments.method, path)
    needs = decision.kind + (f" scope={','.join(sorted(decision.scopes))}" if decision.scopes else "")
    rules = [rule.text for rule in decision.rules]
    lines = [f"{arguments.method} {arguments.path} needs: {needs}", *(f"  by the rule  {text}" for text in rules)]
    if len(rules) > 1:
        lines.append("  Several rules decide, because other spellings of this path fall under another one.")
    show(arguments, {"decision": decision.kind, "scopes": sorted(decision.scopes), "rules": rules}, lines)
    return 0
