"""The keys of one trusted issuer (RFC 7517), imported once a reading and looked up by kid, algorithm and kind.

The set is read in the background ahead of its age, and once for a kid that is not in it; never once a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import jose
from ..fetch import Fetched, Fetcher, Refused, strict_json
from ..jose import JoseRefused, UnknownKey
from ..trusted_issuers import TrustedIssuer
from .metadata import IssuerMetadata
from .refreshed import Refreshed

MOST_KEYS = 100
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "k"})


class KeySet:
    """The usable public keys of a JWK Set; raises Refused for what no honest server publishes."""

    def __init__(self, document: Any) -> None:
        found = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(found, list) or len(found) > MOST_KEYS:
            raise Refused(f"it is not a JWK Set of at most {MOST_KEYS} keys")
        self._keys: list[tuple[Mapping[str, Any], jose.Key]] = []
        for data in found:
            if isinstance(data, dict) and data.get("kty") != "oct" and not _PRIVATE.isdisjoint(data):
                raise Refused("a key in the JWK Set is a private one")
            try:
                self._keys.append((data, jose.load_public(data)))
            except JoseRefused:
                continue  # of another kind, or too weak: nothing that it signs is accepted
        if not self._keys:
            raise Refused("there is no usable public key in the JWK Set")

    def pick(self, kid: str | None, algorithm: str) -> jose.Key:
        """The one key that is meant; raises UnknownKey where there is none and JoseRefused where it could be several."""
        meant = [key for data, key in self._keys if kid in (None, data.get("kid")) and jose.fits(data, algorithm)]
        if len(meant) == 1:
            return meant[0]
        if meant:
            raise JoseRefused("several keys of its issuer could be meant")
        raise UnknownKey("its issuer has no such key")


class IssuerKeys:
    """The keys of one issuer, kept fresh."""

    def __init__(self, entry: TrustedIssuer, fetcher: Fetcher, metadata: IssuerMetadata) -> None:
        self._fetcher = fetcher
        self._metadata = metadata
        self._keys = Refreshed(f"the keys of {entry.issuer}", self.read)

    def read(self, now: float) -> KeySet:
        """The keys as the issuer publishes them now, however long that takes; raises FetchError."""
        return self._fetcher.read(self._metadata.member("jwks_uri", now), _read)

    def find(self, kid: str | None, algorithm: str, now: float) -> jose.Key:
        """The key of a token; raises JoseRefused where there is none and IssuerUnavailable where that cannot be said."""
        try:
            return self._keys.get(now).pick(kid, algorithm)
        except UnknownKey:
            newer = self._keys.newer(now)
            if newer is None:
                raise
            return newer.pick(kid, algorithm)


def _read(fetched: Fetched) -> KeySet:
    return KeySet(strict_json(fetched))
