"""How rows are named, and what is kept of a secret."""

from __future__ import annotations

import hashlib


def public_id(number: int) -> str:
    """A row's number as people and programs see it."""
    return format(number, "016x")


def digest(secret: str) -> bytes:
    """What is stored of a secret that was generated with at least 128 random bits."""
    return hashlib.sha256(secret.encode()).digest()
