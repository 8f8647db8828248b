"""A module imports from a lower floor only, and libraries stay in their places (docs/architecture.md)."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "oauth_gateway"
FLOORS = [
    {"sentences", "errors", "clock", "cookies", "redirects", "jose", "forks", "later"},
    {
        "languages",
        "brand",
        "issuer_profiles",
        "trusted_issuers",
        "fetch",
        "naming",
        "authentication",
        "values",
        "settings",
        "models",
        "params",
        "policy",
        "sealing",
        "scopes",
    },
    {"store", "remembered", "refused", "seen", "foreign"},
    {"events", "tokens", "near", "users", "sessions", "deployment", "keys", "own_keys", "jwt_access_tokens", "claims", "jobs"},
    {
        "devices",
        "exchange",
        "request",
        "authlib_errors",
        "pages",
        "client_metadata",
        "clients",
        "cors",
        "refusals",
        "guard",
        "fetch_metadata",
        "step_up",
        "browser_sessions",
    },
    {"issuing", "authorizing", "answering", "client_assertions", "client_auth", "id_tokens", "navigation"},
    {"server", "resource_server"},
    {
        "decision",
        "codes",
        "login",
        "external_login",
        "logout",
        "account",
        "authorize",
        "discovery",
        "jwk_set",
        "userinfo",
        "backchannel_logout",
        "features",
    },
    {"gateway"},
    {"paste", "testing", "cli", "demo_app", "__init__"},
]
# on one floor, in one direction
SAME_FLOOR = {
    ("errors", "sentences"),
    ("models", "redirects"),
    ("values", "policy"),
    ("settings", "policy"),
    ("settings", "trusted_issuers"),
    ("trusted_issuers", "issuer_profiles"),
    ("trusted_issuers", "sealing"),
    ("trusted_issuers", "values"),
    ("resource_server", "server"),
    ("settings", "authentication"),
    ("authentication", "values"),
    ("settings", "values"),
    ("settings", "brand"),
    ("brand", "values"),
    ("scopes", "models"),
    ("scopes", "settings"),
    ("users", "events"),
    ("claims", "users"),
    ("jwt_access_tokens", "keys"),
    ("deployment", "keys"),
    ("keys", "own_keys"),
    ("deployment", "jwt_access_tokens"),
    ("clients", "client_metadata"),
    ("client_auth", "client_assertions"),
    ("id_tokens", "issuing"),
    ("codes", "decision"),
    ("logout", "login"),
    ("account", "login"),
    ("account", "logout"),
    ("authorize", "account"),
    ("authorize", "logout"),
    ("jwk_set", "discovery"),
    ("features", "backchannel_logout"),
    ("features", "codes"),
    ("foreign", "remembered"),
    ("seen", "store"),
    ("sessions", "near"),
    ("features", "discovery"),
    ("features", "userinfo"),
    ("pages", "exchange"),
    ("request", "exchange"),
    ("cors", "exchange"),
    ("refusals", "exchange"),
    ("refusals", "pages"),
    ("refusals", "cors"),
    ("guard", "exchange"),
    ("guard", "browser_sessions"),
    ("guard", "step_up"),
    ("browser_sessions", "exchange"),
    ("browser_sessions", "fetch_metadata"),
    ("browser_sessions", "refusals"),
    ("browser_sessions", "step_up"),
    ("guard", "cors"),
    ("guard", "refusals"),
    ("authorize", "login"),
    ("authorize", "external_login"),
    ("external_login", "login"),
    ("authorize", "decision"),
    ("features", "authorize"),
    ("features", "decision"),
    ("cli", "demo_app"),
}
LIBRARIES = {
    "sqlalchemy": {"store"},
    "redis": {"store"},
    "authlib": {"models", "request", "authlib_errors", "authorizing", "client_auth", "server", "features"},
    "joserfc": {"jose"},
    "webob": {"exchange", "authorizing", "answering"},
}


def floor(module: str) -> int:
    return next(index for index, names in enumerate(FLOORS) if module in names)


def imports() -> list[tuple[str, str, str]]:
    """(module, imported part of ours or "", imported library or "") for every import that runs."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        module = parts[0]
        tree = ast.parse(path.read_text())
        for_types = {
            id(node)
            for branch in ast.walk(tree)
            if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
            for node in ast.walk(branch)
        }
        for node in ast.walk(tree):
            if id(node) in for_types:
                continue
            if isinstance(node, ast.Import):
                found += [(module, "", alias.name.split(".")[0]) for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.append((module, "", (node.module or "").split(".")[0]))
            elif isinstance(node, ast.ImportFrom):
                above = len(parts) - node.level  # 0: the package itself
                names = [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
                found += [(module, name if above == 0 else module, "") for name in names]
    return found


def test_every_module_has_a_floor_and_imports_from_below() -> None:
    found = imports()
    assert len(found) > 100
    for module, ours, _ in found:
        if ours and ours != module:
            assert floor(ours) < floor(module) or (module, ours) in SAME_FLOOR, f"{module} imports {ours}"


def test_libraries_stay_in_their_places() -> None:
    for module, _, library in imports():
        if library in LIBRARIES:
            assert module in LIBRARIES[library], f"{module} imports {library}"


def test_features_do_not_name_one_another() -> None:
    names = {path.stem for path in (PACKAGE / "features").glob("*.py")} - {"__init__"}
    for path in (PACKAGE / "features").glob("*.py"):
        if path.stem == "__init__":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                assert node.module not in names, f"{path.stem} imports {node.module}"


def test_no_exception_is_made_once_and_raised_again() -> None:
    """It would keep the frames of every time that it was raised, and the requests in them"""
    again = [
        f"{file.relative_to(PACKAGE)}:{node.lineno}"
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Name) and node.exc.id.isupper()
    ]
    assert not again, again
