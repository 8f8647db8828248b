"""Finding the app that MODULE:APP names, and a gateway that it has already."""

from __future__ import annotations

import importlib
import inspect
import os
import traceback
from typing import Any

from ..errors import ConfigurationError
from ..gateway import OAuthGateway


def gateway_in(app: Any) -> OAuthGateway | None:
    """The gateway that `app` is, or that stands in its place as `app.wsgi_app`, as in Flask."""
    for candidate in (app, getattr(app, "wsgi_app", None)):
        if isinstance(candidate, OAuthGateway):
            return candidate
    return None


def load_app(target: str) -> Any:
    """The object that MODULE:APP or MODULE:factory() names; raises ConfigurationError with one line."""
    module_name, colon, name = target.partition(":")
    if not colon or not module_name or not name or "/" in module_name:
        raise ConfigurationError(f"{target!r}: write MODULE:APP with dots, for example shop.wsgi:app")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = str(error.name)
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise ConfigurationError(f"{target!r}: there is no module {missing!r} here ({os.getcwd()})") from error
        raise ConfigurationError(f"{target!r}: {module_name} imports {missing!r}, which is not installed") from error
    except Exception as error:
        raise ConfigurationError(f"{target!r}: importing {module_name} failed: {_where(error)}") from error
    app = getattr(module, name.removesuffix("()"), None)
    if app is None:
        raise ConfigurationError(f"{target!r}: the module {module_name} has no {name.removesuffix('()')!r}")
    if name.endswith("()"):
        try:
            app = app()
        except ConfigurationError:
            raise
        except Exception as error:
            raise ConfigurationError(f"{target!r}: failed: {_where(error)}") from error
    _refuse_what_is_no_wsgi_app(target, app)
    return app


def _refuse_what_is_no_wsgi_app(target: str, app: Any) -> None:
    if not callable(app):
        raise ConfigurationError(f"{target!r}: is a {type(app).__name__}, not a WSGI app")
    if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(type(app).__call__):
        raise ConfigurationError(f"{target!r}: is an ASGI app; the gateway wraps WSGI apps")
    if inspect.isroutine(app):
        try:
            inspect.signature(app).bind({}, None)
        except TypeError:
            raise ConfigurationError(
                f"{target!r}: is no WSGI app (environ, start_response); a factory is written {target}()"
            ) from None
        except ValueError:
            pass  # a built-in without a signature


def _where(error: BaseException) -> str:
    """What was raised, and the line of the app that did."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" ({last[0].filename}:{last[0].lineno})" if last else ""
    return f"{type(error).__name__}: {error}{place}"
