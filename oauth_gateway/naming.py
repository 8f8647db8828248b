"""Callables that settings name as MODULE:NAME."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from .errors import ConfigurationError


def named(setting: str, item: Callable[..., Any] | str) -> Callable[..., Any]:
    """The callable; raises ConfigurationError where MODULE:NAME names none."""
    target: Any = item
    if isinstance(item, str):
        module, _, name = item.partition(":")
        try:
            target = importlib.import_module(module)
            for part in name.split("."):
                target = getattr(target, part)
        except Exception as error:
            raise ConfigurationError(f"{setting} = {item!r}: {type(error).__name__}: {error}") from error
    if not callable(target):
        raise ConfigurationError(f"{setting} = {item!r}: is not callable")
    return target  # type: ignore[no-any-return]
