"""What a request for a scope may get (RFC 6749 section 3.3), and which scopes others imply.

A token keeps what was granted; what that implies is added where it is looked at, so a changed `scope_implies` holds for
tokens that were issued before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from .errors import OAuthError
from .models import Client
from .settings import Settings

SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*\Z")


class ScopePolicy:
    """The policy of one deployment. An own one is a subclass: `gateway.server.scopes = MyPolicy(gateway.settings)`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._implied = _closure(settings.scope_implies)

    def effective(self, scopes: Iterable[str]) -> frozenset[str]:
        """The scopes with all that they imply."""
        found = frozenset(scopes)
        return found.union(*(self._implied[scope] for scope in found if scope in self._implied)) if self._implied else found

    def allowed(self, client: Client) -> frozenset[str]:
        """What the client may ask for: its registered scopes and what they imply, of those that there are."""
        scopes = self.effective(client.scopes)
        return scopes & frozenset(self._settings.scopes) if self._settings.scopes else scopes

    def grant(self, client: Client, asked: str | None) -> str:
        """The scope of a request: all of what it asks for, never narrowed, or what a request without `scope` means.

        Raises OAuthError `invalid_scope`.
        """
        if asked is None:
            words = client.scopes
            if self._settings.default_scope is not None:
                words &= frozenset(self._settings.default_scope.split())
            return " ".join(sorted(words & self.allowed(client)))
        wanted = words_of(asked)
        if not self.allowed(client).issuperset(wanted):
            cause = f"client {client.client_id!r} may not have {' '.join(sorted(set(wanted) - self.allowed(client)))!r}"
            raise OAuthError("invalid_scope", "The client may not have this scope.", cause=cause)
        return " ".join(sorted(wanted))

    def refresh(self, client: Client, held: str, asked: str | None) -> str:
        """The scope of a refreshed token: what is asked for out of what was granted, else all of that (RFC 6749 section 6).

        What the operator took from the client since is not given again.
        """
        granted = held.split()
        if asked is None:
            return " ".join(sorted(self.allowed(client).intersection(granted)))
        if not self.effective(granted).issuperset(words_of(asked)):
            raise OAuthError("invalid_scope", "The scope is more than was granted.")
        return self.grant(client, asked)

    def covers(self, agreed: str, wanted: str) -> bool:
        """Whether a person who agreed to the one has agreed to the other."""
        return self.effective(agreed.split()).issuperset(wanted.split())


def words_of(scope: str) -> set[str]:
    """The names in a scope parameter; raises OAuthError where it is malformed."""
    if not SCOPE.match(scope):
        raise OAuthError("invalid_scope", "The scope is malformed.")
    return set(scope.split(" "))


def _closure(implies: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Everything that each scope implies, directly or through others."""
    closed: dict[str, frozenset[str]] = {}
    for scope in implies:
        found: set[str] = set()
        waiting = [scope]
        while waiting:
            for word in implies.get(waiting.pop(), "").split():
                if word not in found:
                    found.add(word)
                    waiting.append(word)
        closed[scope] = frozenset(found)
    return closed
