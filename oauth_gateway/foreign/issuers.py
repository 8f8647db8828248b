"""Whose a credential is, and what it is worth: one look at its text finds the one issuer that may judge it.

A JWT belongs to the issuer that it names, an opaque token to the entry whose `token_prefix` it begins with. Nothing is tried
with a second issuer, and what begins like our own tokens never with any.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

from .. import jose
from ..fetch import Fetcher
from ..jose import JoseRefused
from ..sealing import PREFIX
from ..trusted_issuers import TrustedIssuer
from .believed import Believed
from .introspection import PATIENCE, Introspection, check_answer
from .judging import SKEW, check_claims, check_header, check_kind
from .jwks import IssuerKeys
from .mapping import token_of
from .metadata import IssuerMetadata

log = logging.getLogger("oauth_gateway")
BELIEVED_SECONDS = 300  # for which a checked JWT is remembered; then its key must still be published
REFUSED_SECONDS = 1.0  # for which the JWT that was refused last is not looked at again
LONGEST_PAUSE = 30.0  # seconds for which the fetcher leaves an issuer alone that failed
_OPAQUE = re.compile(r"[A-Za-z0-9\-._~+/]{10,4096}=*\Z")


class Issuer:
    """One trusted issuer, and how its tokens are judged for `audience`."""

    def __init__(self, entry: TrustedIssuer, audience: str) -> None:
        self.entry = entry
        self._audience = audience
        documents = Fetcher(entry.private_networks, longest_pause=LONGEST_PAUSE, discreet=False)
        questions = Fetcher(entry.private_networks, deadline=PATIENCE)  # apart: a server that hangs must not stop the others
        metadata = IssuerMetadata(entry, documents)
        self._keys = IssuerKeys(entry, documents, metadata) if "jwt" in entry.tokens else None
        self._introspection = Introspection(entry, questions, metadata) if "opaque" in entry.tokens else None

    def judge_jwt(self, text: str, header: dict[str, Any], claims: dict[str, Any], now: float) -> Believed | None:
        """The token, or None where it is not good; the log says why, loudly only of what the issuer really signed."""
        if self._keys is None:
            return self.judge_opaque(text, now)
        level = logging.DEBUG
        try:
            kid, algorithm = header.get("kid"), header.get("alg")
            if algorithm not in self.entry.algorithms or not isinstance(kid, str | None):
                raise JoseRefused("its algorithm is not one of `algorithms`, or its kid is not text")
            key = self._keys.find(kid, str(algorithm), now)
            jose.verify(text, key, [str(algorithm)])
            level = logging.INFO
            check_header(header, self.entry.shape)
            check_kind(claims, self.entry.shape)
            expires = check_claims(claims, self.entry, self._audience, now)
            token = token_of(text, claims, self.entry, self._audience, expires)
            return Believed(token, min(expires + SKEW, now + BELIEVED_SECONDS))
        except JoseRefused as error:
            log.log(level, "a token of %s is not accepted: %s", self.entry.issuer, error)
            return None

    def judge_opaque(self, text: str, now: float) -> Believed | None:
        """The token as the issuer describes it, believed for `introspection_cache` at most."""
        if self._introspection is None:
            return None
        claims = self._introspection.claims_of(text, now)
        if claims is None:
            return None
        believed = now + self.entry.introspection_cache
        try:
            check_answer(claims, self.entry)
            expires = check_claims({"exp": int(believed), **claims}, self.entry, self._audience, now, described=True)
            token = token_of(text, claims, self.entry, self._audience, expires)
            return Believed(token, min(expires + SKEW, believed))
        except JoseRefused as error:
            self._introspection.bury(text, now)
            log.info("a token of %s is not accepted: %s", self.entry.issuer, error)
            return None

    def probe(self, now: float) -> list[str]:
        """Ask the issuer for everything that will be needed, and say what was found; raises FetchError."""
        found = []
        if self._keys is not None:
            self._keys.read(now)
            found.append("its keys are found")
        if self._introspection is not None:
            self._introspection.probe(now)
            found.append("it answers questions about tokens")
        return found


class ForeignTokens:
    """All trusted issuers of a gateway. Raises ConfigurationError for a key that cannot be used."""

    def __init__(self, entries: Sequence[TrustedIssuer], audience: str, *, own: bool = True) -> None:
        """`own` says whether there are tokens of ours."""
        self.issuers = tuple(Issuer(entry, audience) for entry in entries)
        self._own = PREFIX if own else None
        self._refused = "", 0.0  # the guard looks twice before it refuses
        self._by_name = {name: issuer for issuer in self.issuers for name in _names(issuer.entry)}
        asked = [issuer for issuer in self.issuers if "opaque" in issuer.entry.tokens]
        self._asked = [(issuer.entry.token_prefix, issuer) for issuer in asked]

    def find(self, text: str, now: float) -> Believed | None:
        """The living token whose text this is, or None; raises IssuerUnavailable where its issuer cannot be asked."""
        if not self.issuers or not self.may_be(text):
            return None
        if text.startswith("eyJ"):
            return self._find_jwt(text, now)
        for prefix, issuer in self._asked:
            if text.startswith(prefix):
                return issuer.judge_opaque(text, now)
        return None

    def _find_jwt(self, text: str, now: float) -> Believed | None:
        refused, until = self._refused
        if text == refused and now < until:
            return None
        try:
            header, claims = jose.peek(text)
        except JoseRefused:
            return None
        issuer = self._named_in(claims)
        found = issuer.judge_jwt(text, header, claims, now) if issuer is not None else None
        if found is None:
            self._refused = text, now + REFUSED_SECONDS
        return found

    def _named_in(self, claims: dict[str, Any]) -> Issuer | None:
        name = claims.get("iss")
        return self._by_name.get(name) if isinstance(name, str) else None

    def names_theirs(self, text: str) -> bool:
        """Whether it is a JWT that names a trusted issuer, good or not, so that it is not ours."""
        try:
            return self.may_be(text) and text.startswith("eyJ") and self._named_in(jose.peek(text)[1]) is not None
        except JoseRefused:
            return False

    def may_be(self, text: str) -> bool:
        """Whether it could be a token of a trusted issuer, as far as its beginning tells."""
        if not self.issuers or (self._own is not None and text.startswith(self._own)):
            return False
        if text.startswith("eyJ"):
            return text.count(".") == 2
        return _OPAQUE.match(text) is not None and any(text.startswith(prefix) for prefix, _ in self._asked)


def _names(entry: TrustedIssuer) -> tuple[str, ...]:
    return (entry.issuer, *(alias for alias, name in entry.shape.aliases.items() if name == entry.issuer))
