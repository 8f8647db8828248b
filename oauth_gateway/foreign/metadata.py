"""Where a trusted issuer keeps its keys and answers questions: its entry says so, or its own metadata.

Metadata counts only where it names the very issuer that was asked for (RFC 8414 section 3.3, OpenID Connect Discovery 4.3).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from ..fetch import Documents, Fetched, Fetcher, FetchError, Refused, strict_json
from ..trusted_issuers import TrustedIssuer


def locations(entry: TrustedIssuer) -> list[str]:
    """Where the metadata may be, in order: RFC 8414 puts its name before the issuer's path, OpenID Connect behind it."""
    parts = urlsplit(entry.issuer)
    path = parts.path.rstrip("/")
    base = f"{parts.scheme}://{parts.netloc}"
    places = {
        "oauth-authorization-server": f"{base}/.well-known/oauth-authorization-server{path}",
        "openid-configuration": f"{base}{path}/.well-known/openid-configuration",
    }
    return [places[name] for name in entry.shape.documents]


class IssuerMetadata:
    """The metadata of one issuer, remembered. It is read by whoever asks, so never in a request's own thread."""

    def __init__(self, entry: TrustedIssuer, fetcher: Fetcher) -> None:
        self._entry = entry
        self._documents = Documents(fetcher, self._read)

    def member(self, name: str, now: float) -> str:
        """The address that the entry or the metadata gives as `name`; raises FetchError."""
        told: str | None = getattr(self._entry, name)
        if told is not None:
            return told
        failures = []
        for url in locations(self._entry):
            try:
                address = self._documents.refreshed(url, now).get(name)
            except FetchError as error:
                failures.append(str(error))
                continue
            if isinstance(address, str):
                return address
            failures.append(f"its metadata has no {name}")
        raise FetchError("; ".join(failures))

    def _read(self, fetched: Fetched) -> dict[str, Any]:
        document = strict_json(fetched)
        if not isinstance(document, dict):
            raise Refused("the metadata is not a JSON object")
        if document.get("issuer") != self._entry.issuer:
            raise Refused("the metadata names another issuer")
        return document
