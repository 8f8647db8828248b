"""The features, in the order in which their steps run. A new one is a file here, a line below, its tests and its page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from . import (
    authorization_code,
    client_credentials,
    health,
    hybrid,
    implicit,
    introspection,
    metadata,
    openid,
    password,
    refresh_token,
    revocation,
)

if TYPE_CHECKING:
    from ..server import AuthorizationServer

INSTALL: dict[str, Callable[[AuthorizationServer], None]] = {
    "authorization_code": authorization_code.install,
    "refresh_token": refresh_token.install,
    "client_credentials": client_credentials.install,
    "openid": openid.install,
    "hybrid": hybrid.install,
    "implicit": implicit.install,
    "password": password.install,
    "revocation": revocation.install,
    "introspection": introspection.install,
    "health": health.install,
    "metadata": metadata.install,
}
