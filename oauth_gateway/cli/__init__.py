"""`oauth-gateway COMMAND`: a failure is one line on standard error and exit status 1, or 2 for usage."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..errors import ConfigurationError, OAuthError, StoreUnavailable
from . import check, clients, copying, demo, keys, maintenance, serve, sessions, tokens, users


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and say how it ended."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    rest: list[str] = []
    if "--" in given:
        at = given.index("--")
        given, rest = given[:at], given[at + 1 :]
    parsed = parser().parse_args(given)
    parsed.rest = rest
    try:
        return int(parsed.run(parsed) or 0)
    except (ConfigurationError, StoreUnavailable) as error:
        print(f"oauth-gateway: {error}", file=sys.stderr)
        return 1
    except OAuthError as error:
        print(f"oauth-gateway: {error.cause or error.description}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except (OSError, UnicodeError, OverflowError) as error:
        print(f"oauth-gateway: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="oauth-gateway",
        description="OAuth in front of any WSGI app. Start with: oauth-gateway demo",
    )
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--config",
        metavar="FILE",
        help="a TOML file with an [oauth_gateway] table, or a PasteDeploy .ini; ./oauth_gateway.toml if not given",
    )
    shared.add_argument("--database", metavar="URL", help="the database, such as sqlite:///oauth_gateway.db")
    shared.add_argument("--json", action="store_true", help="one JSON document on standard output")
    wrapped = argparse.ArgumentParser(add_help=False, parents=[shared])
    wrapped.add_argument("--app", metavar="MODULE:APP", help="a gateway whose settings are given in code")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    serve.add(commands, shared)
    copying.add(commands, shared)
    for module in (demo, clients, users, tokens, sessions, keys, check, maintenance):
        module.add(commands, wrapped)
    return top
