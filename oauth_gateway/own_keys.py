"""Signing keys that the operator brings (`signing_keys`), in place of made ones."""

from __future__ import annotations

import json

from . import jose
from .errors import ConfigurationError
from .jose import JoseRefused
from .models import SigningKey


def own_keys(documents: tuple[str, ...]) -> dict[str, tuple[SigningKey, jose.Key]]:
    """By kid, oldest to newest: each document is a JWK, a JWK Set or PEM; raises ConfigurationError."""
    found: list[tuple[jose.Key, str | None]] = []
    for document in documents:
        try:
            if document.lstrip().startswith("{"):
                parsed = json.loads(document)
                found += [(jose.load(jwk), jwk.get("kid")) for jwk in parsed.get("keys", [parsed])]
            else:
                found.append((jose.load(document.encode()), None))
        except (JoseRefused, ValueError, AttributeError) as error:
            raise ConfigurationError(f"signing_keys: {error}; allowed are a private JWK, a JWK Set and PEM") from None
    keys: dict[str, tuple[SigningKey, jose.Key]] = {}
    for number, (key, name) in enumerate(found):
        try:
            algorithm = jose.algorithm_of(key)
        except JoseRefused as error:
            raise ConfigurationError(f"signing_keys: key {number + 1} {error}") from None
        if not key.is_private:
            raise ConfigurationError(f"signing_keys: key {number + 1} is public; give the private one")
        kid = str(name or f"{algorithm.lower()}-{key.thumbprint()[:16]}")
        if kid in keys:
            raise ConfigurationError(f"signing_keys: two keys have the kid {kid!r}")
        keys[kid] = (SigningKey(kid, algorithm, number, jose.public_of(key, algorithm, kid), b"", 0, 0, 0), key)
    return keys
