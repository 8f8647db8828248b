"""PasteDeploy: `use = egg:oauth-gateway` as a filter around an app, and as an app that is the server alone.

Only the section's own values are settings; what stands in `[DEFAULT]` is for all sections and is not read.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .gateway import OAuthGateway, WSGIApplication
from .settings import anchored


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[WSGIApplication], OAuthGateway]:
    """For `[filter:…]` in a pipeline or as `filter-with`."""

    def wrap(app: WSGIApplication) -> OAuthGateway:
        return OAuthGateway(app, **_settings(global_conf, local_conf))

    return wrap


def app_factory(global_conf: dict[str, str], **local_conf: str) -> OAuthGateway:
    """For `[app:…]`: the authorization server alone."""
    return OAuthGateway(None, **_settings(global_conf, local_conf))


def _settings(global_conf: dict[str, str], local_conf: dict[str, str]) -> dict[str, Any]:
    """The section's values; a relative database is relative to the folder of the ini, which PasteDeploy calls `here`."""
    here = global_conf.get("here")
    return {**local_conf, **(anchored(local_conf.get("database"), Path(here)) if here else {})}
