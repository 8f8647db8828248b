"""RFC 7662: what another server says about one of its opaque tokens.

A question is asked once however many wait for its answer, nobody waits longer than PATIENCE for one, and after failures in a
row nobody waits at all. That a token is dead is remembered for a while, that it lives where tokens are remembered anyway.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Mapping, MutableMapping
from typing import Any
from urllib.parse import quote_plus

import cachetools

from .. import clock, jose
from ..errors import ConfigurationError, IssuerUnavailable
from ..fetch import Fetched, Fetcher, FetchError, Refused, strict_json
from ..forks import reset_in_children
from ..jose import JoseRefused, date_of
from ..trusted_issuers import TrustedIssuer
from .breaker import Breaker
from .metadata import IssuerMetadata
from .refreshed import Refreshed

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 60
PATIENCE = 2.0  # seconds for an answer; the fetcher's deadline
DEAD_SECONDS = 60  # for which a dead token is not asked about again
MOST_DEAD = 10_000
# answers that are about what was sent, which anybody may choose, and not about the server
ABOUT_THE_TOKEN = frozenset({400, 413, 414, 422, 431})
Answer = Mapping[str, Any] | None


class _Question:
    """One that is under way; `answer` is None for a dead token."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.answer: Answer = None
        self.failure: IssuerUnavailable | None = IssuerUnavailable("whoever asked went away")


class Introspection:
    """Asks one issuer. Raises ConfigurationError where the entry's key cannot sign."""

    def __init__(self, entry: TrustedIssuer, fetcher: Fetcher, metadata: IssuerMetadata) -> None:
        self._entry = entry
        self._fetcher = fetcher
        self._name = f"introspection at {entry.issuer}"
        self._endpoint = Refreshed(self._name, lambda now: metadata.member("introspection_endpoint", now))
        self._breaker = Breaker(self._name)
        self._key: jose.Key | None = None
        if entry.client_key is not None:
            self._key, self._algorithm, self._kid = _signing_key(entry)
        self.reset()
        reset_in_children(self)

    def reset(self) -> None:
        """Start empty: at first and in a forked child."""
        self._lock = threading.Lock()
        self._questions: dict[str, _Question] = {}
        self._dead: MutableMapping[str, float] = cachetools.FIFOCache(MOST_DEAD)

    def claims_of(self, text: str, now: float) -> Answer:
        """The claims of a living token, None for a dead one; raises IssuerUnavailable where that cannot be said."""
        key = self._digest(text)
        with self._lock:
            if self._dead.get(key, 0.0) > now:
                return None
            question = self._questions.get(key)
            leads = question is None
            if question is None:
                question = self._questions[key] = _Question()
        if leads:
            self._lead(question, key, text, now)
        elif not question.done.wait(2 * PATIENCE):
            raise IssuerUnavailable(f"{self._name}: it has not answered yet")
        if question.failure is not None:
            raise IssuerUnavailable(question.failure.cause, int(dict(question.failure.headers)["Retry-After"]))
        return question.answer

    def bury(self, text: str, now: float) -> None:
        """Remember that the token is of no use here, whatever its server says of it."""
        with self._lock:
            self._dead[self._digest(text)] = now + DEAD_SECONDS

    def _digest(self, text: str) -> str:
        return hashlib.sha256(f"{self._entry.issuer}\0{text}".encode()).hexdigest()

    def _lead(self, question: _Question, key: str, text: str, now: float) -> None:
        """Ask, and land the question whatever happens."""
        try:
            self._breaker.enter(now)
            question.answer = self._ask(text, now)
            question.failure = None
        except IssuerUnavailable as error:
            question.failure = error
        finally:
            with self._lock:
                del self._questions[key]
                if question.failure is None and question.answer is None:
                    self._dead[key] = now + DEAD_SECONDS
            question.done.set()

    def _ask(self, text: str, now: float) -> Answer:
        form, headers = self._credentials(now)
        form = {"token": text, "token_type_hint": "access_token", **form}
        try:
            answer = self._fetcher.ask(self._endpoint.get(now), form, _read, headers)
        except (FetchError, IssuerUnavailable) as error:
            if not isinstance(error, FetchError) or (error.asked and error.status not in ABOUT_THE_TOKEN):
                self._breaker.failed(clock.now())
            cause = error.cause if isinstance(error, IssuerUnavailable) else f"{self._name}: {error}"
            raise IssuerUnavailable(cause) from None
        self._breaker.succeeded()
        return answer if answer["active"] else None

    def probe(self, now: float) -> None:
        """Ask about a token that cannot be, however long that takes; raises FetchError where there is no good answer."""
        form, headers = self._credentials(now)
        try:
            url = self._endpoint.get(now)
        except IssuerUnavailable as error:
            raise FetchError(error.cause) from None
        answer = self._fetcher.ask(url, {"token": secrets.token_hex(16), **form}, _read, headers)
        if answer["active"]:
            raise FetchError("it calls a token active that was made up here")

    def _credentials(self, now: float) -> tuple[dict[str, str], dict[str, str]]:
        """What the form and the headers carry to say who asks (RFC 6749 section 2.3.1, RFC 7523 section 2.2)."""
        client_id = self._entry.client_id or ""
        if self._key is None:
            pair = f"{quote_plus(client_id)}:{quote_plus(self._entry.client_secret or '')}"
            return {}, {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": self._entry.issuer,
            "jti": secrets.token_hex(16),
            "iat": int(now),
            "exp": int(now) + ASSERTION_SECONDS,
        }
        assertion = jose.encode(self._key, self._algorithm, self._kid, "JWT", claims)
        return {"client_id": client_id, "client_assertion_type": ASSERTION, "client_assertion": assertion}, {}


def check_answer(claims: Mapping[str, Any], entry: TrustedIssuer) -> None:
    """Raise JoseRefused for an answer about something that is no access token of this issuer's."""
    if claims.get("iss", entry.issuer) != entry.issuer:
        raise JoseRefused("the answer names another issuer")
    if str(claims.get("token_type", "")).lower() != "bearer":
        raise JoseRefused("the answer does not call it a bearer token, as it would an access token")
    if claims.get("token_use", "access_token") not in ("access_token", "access") or claims.get("typ", "Bearer") != "Bearer":
        raise JoseRefused("the answer calls it another kind of token")
    date_of(claims, "exp")


def _signing_key(entry: TrustedIssuer) -> tuple[jose.Key, str, str]:
    text = entry.client_key or ""
    try:
        data = json.loads(text) if text.startswith("{") else text.encode()
        key = jose.load(data)
        if not key.is_private:
            raise JoseRefused("it must be the private key")
        kid = data.get("kid") if isinstance(data, dict) else None
        return key, jose.algorithm_of(key), str(kid or key.thumbprint())
    except ValueError as error:
        raise ConfigurationError(f"trusted_issuers: client_key of {entry.issuer}: {error}") from None


def _read(fetched: Fetched) -> Any:
    document = strict_json(fetched)
    if not isinstance(document, dict) or not isinstance(document.get("active"), bool):
        raise Refused("the answer does not say whether the token is active")
    return document
