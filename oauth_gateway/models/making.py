"""Frozen values made as fast as open ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, field, fields, make_dataclass
from typing import Any, TypeVar

Value = TypeVar("Value")


def maker(cls: type[Value]) -> Callable[..., Value]:
    """A function that makes values of a frozen dataclass with slots, from all of its fields in order, in a sixth of the time.

    Such a class sets each field by a call of its own. Here they are assigned while the value still is of a class that lets them
    be, and nobody else has seen it.
    """
    if hasattr(cls, "__post_init__") or not all(each.init and not each.kw_only for each in fields(cls)):  # type: ignore[arg-type]
        raise TypeError(f"{cls.__name__} does more than to take its fields, which would be left out")
    members = [
        (each.name, Any, field(default=each.default, default_factory=each.default_factory))
        if each.default is not MISSING or each.default_factory is not MISSING
        else (each.name, Any)
        for each in fields(cls)  # type: ignore[arg-type]
    ]
    members_of_open = {
        "__slots__": (),
        "__init__": make_dataclass(cls.__name__, members).__init__,  # type: ignore[misc]
        "__setattr__": object.__setattr__,
        "__delattr__": object.__delattr__,
    }
    opened = type(cls.__name__, (cls,), members_of_open)

    def make(*values: Any) -> Value:
        made = opened(*values)
        made.__class__ = cls
        return made  # type: ignore[no-any-return]

    return make
