"""`oauth-gateway check` and `routes test`: is this deployment sound, and which rule decides. Neither writes anything."""

from __future__ import annotations

import argparse
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from jinja2 import Environment, FileSystemLoader, TemplateError

from .. import brand
from ..authentication import REMOTE_USER
from ..deployment import file_of, open_deployment
from ..errors import ConfigurationError, StoreUnavailable
from ..gateway import is_well_known
from ..own_keys import own_keys
from ..pages import Pages
from ..policy import Policy, Rule, not_canonical, word_text, wsgi_path
from ..sessions import PASSWORD_ACR
from ..settings import Settings
from ..step_up import JUDGES
from .check_issuers import check_trusted_issuers
from .context import named_here, settings_of, show, subscribers_of

Finding = tuple[str, str, str]  # level (ok, warning, error), subject, sentence
METHODS = frozenset(
    """GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK""".split()  # noqa: SIM905
)
FIELDS = {"login": ("csrf", "username", "password"), "consent": ("csrf", "transaction", "decision")}


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    command = commands.add_parser("check", parents=[shared], help="is this deployment sound? exit 1 where it is not")
    command.set_defaults(run=check)
    routes = commands.add_parser("routes", help="what the rules say").add_subparsers(metavar="VERB", required=True)
    verb = routes.add_parser("test", parents=[shared], help="which rule decides about a request, and why")
    verb.add_argument("method", metavar="METHOD")
    verb.add_argument("path", metavar="PATH", help="as the app sees it: percent-decoded, without a query")
    verb.set_defaults(run=test_route)


def check(arguments: argparse.Namespace) -> int:
    findings = list(_findings(settings_of(arguments)))
    document = [dict(zip(("level", "subject", "message"), finding, strict=True)) for finding in findings]
    show(arguments, document, [f"{level:8} {subject:10} {text}" for level, subject, text in findings])
    return 1 if any(level == "error" for level, _, _ in findings) else 0


def _findings(settings: Settings) -> Iterator[Finding]:
    yield "ok", "settings", f"read from {settings.origin}: every name and value is understood"
    yield from _check_issuer(settings)
    yield from _check_routes(settings)
    yield from check_trusted_issuers(settings)
    for look in (_check_database, _check_people, _check_features, _check_clients, _check_openid) if settings.server else ():
        yield from look(settings)
    yield from _check_templates(settings)
    try:
        Pages(settings)
        if "colour" in settings.brand:
            yield from (("warning", "brand", text) for text in brand.advice(settings.brand["colour"]))
    except ConfigurationError as error:
        yield "error", "pages", str(error)
    try:
        subscribers_of(settings)
    except ConfigurationError as error:
        yield "error", "events", str(error)


def _check_issuer(settings: Settings) -> Iterator[Finding]:
    if not settings.server:
        yield "ok", "server", "is off: the gate stands alone, and what others issued is all that it accepts"
    if settings.issuer is None:
        yield "warning", "issuer", "is not set: only this machine is served; set it to the public https URL"
    elif settings.issuer.startswith("http://"):
        yield "warning", "issuer", f"{settings.issuer} is not https: good for this machine only"
    else:
        yield "ok", "issuer", settings.issuer
        if not settings.trusted_proxies:
            text = "is not set: where a proxy terminates TLS, throttles and events see the proxy's address only"
            yield "warning", "trusted_proxies", text
    if settings.issuer_path and settings.server:
        names = ["oauth-authorization-server", *(["openid-configuration"] if "openid" in settings.features else [])]
        where = " and ".join(f"/.well-known/{name}{settings.issuer_path}" for name in names)
        text = f"has a path: the front server must send {where} here too, and strip {settings.issuer_path} or set SCRIPT_NAME"
        yield "warning", "issuer", text


def _check_database(settings: Settings) -> Iterator[Finding]:
    if settings.database == "sqlite://":
        yield "warning", "database", "is in memory: everything is forgotten at the end of the process"
        return
    path = file_of(settings.database)
    if path is not None and not path.exists() and path.parent.is_dir():
        yield "warning", "database", f"{path} is not there yet; serve, client create or user create make it"
        return
    try:
        store = open_deployment(settings, look_only=True).store
        yield "ok", "database", store.place
        yield from (("warning", "database", text) for text in store.advice())
    except (ConfigurationError, StoreUnavailable) as error:
        yield "error", "database", str(error)
    for file in (path, Path(f"{path}.secret")) if path is not None else ():
        if file.is_file() and stat.S_IMODE(os.stat(file).st_mode) & 0o077:
            yield "error", "files", f"{file} is readable by others; run chmod 600 on it"


def _check_routes(settings: Settings) -> Iterator[Finding]:
    for rule in settings.routes:
        words = rule.text.split()
        if words[1] in ("/**", "/*") and "public" in words[2:]:
            yield "warning", "routes", f"{rule.text!r} makes every path public that no earlier rule names"
        for scope in sorted(rule.access.scopes - set(settings.scopes)):
            if settings.scopes:
                yield "error", "routes", f"{rule.text!r}: {scope} is not one of `scopes`, so no token can ever have it"
        yield from _check_words(settings, rule)
        for method in sorted(rule.methods - METHODS):
            yield "warning", "routes", f"{rule.text!r}: {method} is a method that few clients know; a typing mistake?"
    if settings.forward_authorization:
        yield "warning", "routes", "forward_authorization hands bearer tokens to the app, which may log or leak them"


def _check_words(settings: Settings, rule: Rule) -> Iterator[Finding]:
    for name, value in rule.access.words:
        if name == "acr" and settings.keeps_accounts and PASSWORD_ACR not in value.split(","):
            yield "error", "routes", f"{rule.text!r}: the logins here have acr {PASSWORD_ACR}, so nobody can ever go there"
        elif name == "max_age" and int(value) < 60:
            yield "warning", "routes", f"{rule.text!r}: whoever needs longer than {value} s must sign in again and again"
        elif name not in JUDGES:
            try:
                named_here("routes", name)
            except ConfigurationError as error:
                yield "error", "routes", str(error)


def _check_people(settings: Settings) -> Iterator[Finding]:
    if settings.keeps_accounts:
        return
    if settings.authenticate == REMOTE_USER:
        yield "ok", "login", "by REMOTE_USER of the server or an outer middleware: nobody must reach the app around it"
        return
    try:
        named_here("authenticate", settings.authenticate)
    except ConfigurationError as error:
        yield "error", "login", str(error)
    if settings.login_url is None:
        yield "warning", "login", "login_url is not set: who is not signed in is told so, and led nowhere"
    elif settings.login_url.startswith("/"):
        path = settings.login_url.partition("?")[0].removeprefix(settings.issuer_path)
        for method in ("GET", "POST"):
            kind = Policy(settings.routes).decide(method, wsgi_path(unquote(path)) or "/").kind
            if kind not in ("public", "optional"):
                yield (
                    "error",
                    "login",
                    f"{method} {path} needs a token by the routes: nobody could sign in there; make it public",
                )


def _check_features(settings: Settings) -> Iterator[Finding]:
    on = set(settings.features)
    if "implicit" in on:
        yield (
            "warning",
            "features",
            "implicit puts tokens into addresses, which leak (RFC 9700 section 2.1.2); use the code flow",
        )
    if "password" in on:
        yield "warning", "features", "password shows people's passwords to clients (RFC 9700 section 2.4); use the code flow"
    if "hybrid" in on:
        yield (
            "warning",
            "features",
            "hybrid puts ID tokens into addresses, which leak (RFC 9700 section 2.1.2); use the code flow",
        )
    if not on & {"authorization_code", "client_credentials", "implicit", "password"}:
        yield "error", "features", "no feature is on that issues tokens"
    if "refresh_token" in on and not on & {"authorization_code", "password"}:
        yield "warning", "features", "refresh_token has no effect without authorization_code or password"


def _check_openid(settings: Settings) -> Iterator[Finding]:
    if "openid" in settings.features and "authorization_code" not in settings.features:
        yield "error", "features", "openid needs authorization_code, which signs people in"
    if "openid" in settings.features and settings.issuer is None:
        yield (
            "warning",
            "openid",
            "without `issuer` clients are not told of logouts, and iss is whatever Host this machine is asked by",
        )
    if settings.fetch_private_networks:
        names = " ".join(str(network) for network in settings.fetch_private_networks)
        yield "warning", "fetch", f"fetch_private_networks lets clients' addresses lead into {names}"
    try:
        if settings.openid_claims:
            named_here("openid_claims", settings.openid_claims)
        own_keys(settings.signing_keys)
    except ConfigurationError as error:
        yield "error", "openid", str(error)


def _check_clients(settings: Settings) -> Iterator[Finding]:
    """What was allowed to single clients and is weaker than the rest."""
    file = file_of(settings.database)
    if settings.database == "sqlite://" or (file is not None and not file.exists()):
        return
    try:
        store, after = open_deployment(settings, look_only=True).store, 0
        while page := store.clients(after):
            after = page[-1].number
            for client in page:
                if client.may_omit_pkce:
                    text = (
                        f"{client.client_id} ({client.name}) may omit PKCE: only a nonce, if it sends one, protects its codes"
                    )
                    yield "warning", "clients", text
    except (ConfigurationError, StoreUnavailable):
        return  # told with the database


def _check_templates(settings: Settings) -> Iterator[Finding]:
    if settings.templates is None:
        return
    ours = {path.stem for path in (Path(__file__).parent.parent / "templates").glob("*.html")}
    environment = Environment(loader=FileSystemLoader(settings.templates), autoescape=True, extensions=["jinja2.ext.i18n"])
    for path in sorted(Path(settings.templates).glob("*.html")):
        if path.stem not in ours:
            yield "warning", "templates", f"{path.name} replaces no page; pages are {', '.join(sorted(ours))}"
            continue
        try:
            source = path.read_text("utf-8")
            environment.parse(source)
        except (OSError, UnicodeError, TemplateError) as error:
            yield "error", "templates", f"{path.name}: {error}"
            continue
        for name in FIELDS.get(path.stem, ()):
            if f'name="{name}"' not in source and "extends" not in source:
                yield "error", "templates", f"{path.name} has no field named {name}"


def test_route(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    path, _, query = arguments.path.partition("?")
    path = wsgi_path(path)
    reason = not_canonical(path)
    if reason:
        document = {"decision": "refused", "status": 400, "reason": f"the path is not canonical: {reason}"}
        show(arguments, document, [f"refused with 400: the path is not canonical: {reason}"])
        return 0
    taken = [f"{settings.prefix}/authorize", f"{settings.prefix}/token"]
    ours = path in taken or path.startswith(tuple(f"{name}/" for name in taken)) or is_well_known(path)
    if ours and settings.server:
        show(
            arguments, {"decision": "gateway", "rules": []}, [f"{path} belongs to the gateway itself and never reaches the app"]
        )
        return 0
    decision = Policy(settings.routes).decide(arguments.method, path)
    words = sorted(word_text(word) for word in decision.words)
    scopes = [f"scope={','.join(sorted(decision.scopes))}"] if decision.scopes else []
    needs = " ".join([decision.kind, *scopes, *sorted(words, key=lambda word: ":" in word.partition("=")[0])])
    rules = [rule.text for rule in decision.rules]
    lines = [f"{arguments.method} {path} needs: {needs}", *(f"  by the rule  {text}" for text in rules)]
    if len(rules) > 1:
        lines.append("  Several rules decide, because other spellings of this path or method fall under another one.")
    if query:
        lines.append("  A query plays no part; it was left out.")
    if "%" in path:
        lines.append("  Rules see the path percent-decoded; write it so.")
    document = {"decision": decision.kind, "scopes": sorted(decision.scopes), "words": words, "rules": rules}
    show(arguments, document, lines)
    return 0
