"""What a request for a scope may get (RFC 6749 section 3.3), and which scopes others imply.

A token keeps what was granted; what that implies is added where it is looked at, so a changed `scope_implies` holds for
tokens that were issued before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from .errors import OAuthError
from .models import Client
from .sentences import Sentence
from .settings import Settings

IDENTITY = {  # OpenID Connect Core sections 5.4 and 11, and what each lets a client do
    "openid": Sentence("Sign you in with this account"),
    "profile": Sentence("See your profile: your name and what you told about yourself"),
    "email": Sentence("See your e-mail address"),
    "address": Sentence("See your postal address"),
    "phone": Sentence("See your phone number"),
    "offline_access": Sentence("Keep its access while you are signed out"),
}
CLAIMS = {  # the standard ones that a request may name by themselves (section 5.1)
    "name": Sentence("See your name"),
    "given_name": Sentence("See your given name"),
    "family_name": Sentence("See your family name"),
    "middle_name": Sentence("See your middle name"),
    "nickname": Sentence("See your nickname"),
    "preferred_username": Sentence("See your user name"),
    "profile": Sentence("See the address of your profile page"),
    "picture": Sentence("See your picture"),
    "website": Sentence("See your website"),
    "email": Sentence("See your e-mail address"),
    "email_verified": Sentence("See whether your e-mail address is confirmed"),
    "gender": Sentence("See your gender"),
    "birthdate": Sentence("See your date of birth"),
    "zoneinfo": Sentence("See your time zone"),
    "locale": Sentence("See your language"),
    "phone_number": Sentence("See your phone number"),
    "phone_number_verified": Sentence("See whether your phone number is confirmed"),
    "address": Sentence("See your postal address"),
    "updated_at": Sentence("See when your profile was last changed"),
}
CLAIM = "claim:"  # before the name of a claim, among scopes
SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*\Z")


class ScopePolicy:
    """The policy of one deployment. An own one is a subclass: `gateway.server.scopes = MyPolicy(gateway.settings)`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        on = "openid" in settings.features
        identity = {**IDENTITY, **dict.fromkeys(settings.openid_scope_claims, "")} if on else {}
        self.identity = {scope: text for scope, text in identity.items() if scope not in settings.own_scopes}
        self._every = {**self.identity, **settings.scopes}
        self._implied = _closure(settings.scope_implies)

    @property
    def every(self) -> dict[str, str]:
        """All scopes with their descriptions."""
        return self._every

    def described(self, words: Iterable[str]) -> list[dict[str, str]]:
        """The `name` and the `description`, empty where there is none, of each scope in the order of the settings, and then of
        each `claim:NAME`, as `AuthorizationRequest.agreement` has them.
        """
        every, given = self.every, set(words)
        claims = {word: word.removeprefix(CLAIM) for word in sorted(given) if word.startswith(CLAIM)}
        ordered = [scope for scope in every if scope in given] + sorted(given - every.keys() - claims.keys())
        scopes = [{"name": scope, "description": every.get(scope, "")} for scope in ordered]
        return [*scopes, *({"name": claim, "description": claim_sentence(claim)} for claim in claims.values())]

    def effective(self, scopes: Iterable[str]) -> frozenset[str]:
        """The scopes with all that they imply."""
        found = frozenset(scopes)
        return found.union(*(self._implied[scope] for scope in found if scope in self._implied)) if self._implied else found

    def allowed(self, client: Client) -> frozenset[str]:
        """What the client may ask for: its registered scopes and what they imply, of those that there are."""
        scopes = self.effective(client.scopes)
        return scopes & self.every.keys() if self._settings.scopes else scopes

    def grant(self, client: Client, asked: str | None) -> str:
        """The scope of a request: all of what it asks for, never narrowed, or what a request without `scope` means, which
        is never a request to sign somebody in.

        `offline_access` means nothing for a client without refresh tokens (OpenID Connect Core section 11). Raises
        OAuthError `invalid_scope`.
        """
        if asked is None:
            words = client.scopes - self.identity.keys()
            if self._settings.default_scope is not None:
                words &= frozenset(self._settings.default_scope.split())
            return " ".join(sorted(words & self.allowed(client)))
        wanted = words_of(asked)
        if "offline_access" in self.identity and not client.check_grant_type("refresh_token"):
            wanted.discard("offline_access")
        if not self.allowed(client).issuperset(wanted):
            cause = f"client {client.client_id!r} may not have {' '.join(sorted(set(wanted) - self.allowed(client)))!r}"
            raise OAuthError("invalid_scope", "The client may not have this scope.", cause=cause)
        return " ".join(sorted(wanted))

    def for_itself(self, scope: str) -> str:
        """`scope` where it says nothing of a person; raises OAuthError `invalid_scope`."""
        if not self.identity.keys().isdisjoint(scope.split()):
            raise OAuthError("invalid_scope", "A client acting for itself is nobody who signs in.")
        return scope

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


def claim_sentence(claim: str) -> Sentence:
    """What a client may do that is given one claim."""
    return CLAIMS.get(claim) or Sentence("See this about you: %(claim)s", claim=claim.replace("_", " "))


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
