"""Making the tokens of one answer: the JSON for the client, the rows for the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import clock
from .claims import Claims
from .jwt_access_tokens import JwtAccessTokens
from .models import Client, Grant, User, public_id
from .scopes import ScopePolicy
from .sealing import Credential, Sealer, new_number
from .settings import Settings
from .store import NewToken, Store
from .users import Users

NO_ISSUER = "http://127.0.0.1"  # where nobody said what the Host is, as on the command line
LONGEST = 100 * 365 * 86400  # seconds
Generator = Callable[..., Mapping[str, Any]]  # as Authlib's register_token_generator takes it


@dataclass(slots=True)  # not frozen, as the next one: that takes three times as long, at every answer
class Minted:
    """Tokens made but not yet stored: the answer for the client and the rows for the store, the access token first."""

    answer: dict[str, Any] = field(repr=False)
    rows: tuple[NewToken, ...]

    @property
    def token_id(self) -> str:
        """The public id of the access token."""
        return public_id(self.rows[0].number)


@dataclass(slots=True)
class Issue:
    """One answer in the making, as the steps of `on_token` see it; they may add members to `answer`."""

    client: Client
    grant: Grant | None
    grant_type: str
    scope: str
    issuer: str
    now: float
    answer: dict[str, Any] = field(repr=False)


class Unsaved(dict[str, Any]):
    """An answer that a grant of Authlib's own making carries from `generate_token` to `save_token`."""

    def __init__(self, minted: Minted, family: Grant | None) -> None:
        super().__init__(minted.answer)
        self.minted = minted
        self.family = family

    def __repr__(self) -> str:
        return "Unsaved(…)"


class Issuing:
    """The part of the server that makes tokens; Authlib's names where Authlib asks for it."""

    settings: Settings
    store: Store
    sealer: Sealer
    users: Users
    scopes: ScopePolicy
    claims: Claims
    jwts: JwtAccessTokens
    _token_generators: dict[str, Generator]
    _token_steps: list[Callable[[Issue], None]]

    def on_token(self, step: Callable[[Issue], None]) -> None:
        """Have `step(issue)` shape every token answer while it is made."""
        self._token_steps.append(step)

    def register_token_generator(self, grant_type: str, func: Generator) -> None:
        """Have `func` make the text of tokens for `grant_type`, or for all with `default`; it is called as Authlib calls it.

        It gives `access_token`, and may give `refresh_token`, `expires_in` (seconds) and members of its own. Texts that we did
        not make carry no checksum, so from here on whatever looks like a token is looked up in the store.
        """
        self._token_generators[grant_type] = func
        self.sealer.foreign = True

    def generate_token(
        self,
        grant_type: str,
        client: Client,
        user: Any = None,
        scope: str | None = None,
        expires_in: int | None = None,
        include_refresh_token: bool = True,
    ) -> dict[str, Any]:
        """A token answer for a registered grant that leaves issuing to the server; `save_token` stores it."""
        now = clock.now()
        granted = self.scopes.grant(client, scope) if scope != "" else ""
        family = None
        if user is not None:
            person, audience = self.users.known(user, now).user_id, self.settings.audience
            subject = self.claims.subject(person, client)
            family = Grant(new_number(), client.number, person, subject, granted, audience, now, self.ends(now))
        refresh = include_refresh_token and family is not None and self.refreshes(client)
        return Unsaved(self.mint(client, granted, now, grant_type, family, refresh=refresh, lifetime=expires_in), family)

    def save_token(self, token: dict[str, Any], request: Any) -> None:
        """Store what `generate_token` made."""
        if not isinstance(token, Unsaved):
            raise TypeError("save_token stores the answer of generate_token")
        if token.family is None:
            for row in token.minted.rows:
                self.store.issue(row)
        else:
            self.store.authorize(token.family, token.minted.rows, None)

    def ends(self, now: float) -> float | None:
        """When a grant made now ends, or None for never."""
        return now + self.settings.grant_lifetime if self.settings.grant_lifetime else None

    def refreshes(self, client: Client) -> bool:
        """Whether `client` gets refresh tokens: the feature is on and it is registered for them."""
        return "refresh_token" in self.settings.features and client.check_grant_type("refresh_token")

    def mint(
        self,
        client: Client,
        scope: str,
        now: float,
        grant_type: str = "client_credentials",
        grant: Grant | None = None,
        *,
        refresh: bool = False,
        refresh_scope: str | None = None,
        lifetime: int | None = None,
        parent: int | None = None,
        generation: int = 0,
        credential: tuple[str, Credential] | None = None,
        issuer: str = "",
    ) -> Minted:
        """An access token for `scope` and with `refresh` a refresh token, for `refresh_scope` where it differs; not stored yet.

        No access token outlives its grant. `credential` is it unless a generator makes it; `issuer` is the request's base URL.
        """
        made = self._generated(client, scope, grant_type, grant, lifetime, refresh) if self._token_generators else {}
        seconds = int(made.get("expires_in") or lifetime or self.settings.access_token_lifetime)
        if grant is not None and grant.expires is not None:
            seconds = max(1, min(seconds, int(grant.expires - now)))
        issuer = self.settings.issuer or issuer or NO_ISSUER
        issue = Issue(client, grant, grant_type, scope, issuer, now, {**made, "expires_in": seconds})
        answer, given_refresh = issue.answer, issue.answer.pop("refresh_token", None)
        answer["access_token"], access = self._access_token(issue, credential)
        answer["token_type"] = "Bearer"
        rows = [self._row(issue, "access_token", access, scope, seconds)]
        if refresh:
            words = scope if refresh_scope is None else refresh_scope
            answer["refresh_token"], kept = self.sealer.adopt_or_issue("rt", given_refresh)
            longest = self.settings.refresh_token_lifetime
            rows.append(self._row(issue, "refresh_token", kept, words, longest, parent, generation))
        if scope:
            answer["scope"] = scope
        for step in self._token_steps:
            step(issue)
        return Minted(issue.answer, tuple(rows))

    def _row(
        self,
        issue: Issue,
        kind: str,
        made: Credential,
        scope: str,
        seconds: int,
        parent: int | None = None,
        generation: int = 0,
    ) -> NewToken:
        """What is stored of a token of this answer."""
        grant = issue.grant
        audience, grant_id = (grant.audience, grant.id) if grant is not None else (self.settings.audience, None)
        return NewToken(
            made.number,
            kind,
            made.digest,
            issue.client.number,
            scope,
            audience,
            issue.now,
            issue.now + seconds,
            grant_id,
            parent,
            generation,
        )

    def _access_token(self, issue: Issue, credential: tuple[str, Credential] | None) -> tuple[str, Credential]:
        """The text that a registered generator made, a JWT, or an opaque one, which may have been made before."""
        if issue.answer.get("access_token") is not None:
            return self.sealer.adopt_or_issue("at", issue.answer["access_token"])
        if self.settings.access_token_format == "jwt":
            number = credential[1].number if credential else None
            return self.jwts.issue(
                issue.client, issue.grant, issue.scope, issue.issuer, issue.now, issue.answer["expires_in"], number
            )
        return credential or self.sealer.issue("at")

    def _generated(
        self, client: Client, scope: str, grant_type: str, grant: Grant | None, lifetime: int | None, refresh: bool
    ) -> dict[str, Any]:
        """What a registered token generator gives; empty where there is none. Raises ValueError for what cannot be."""
        generator = self._token_generators.get(grant_type) or self._token_generators.get("default")
        if generator is None:
            return {}
        made = dict(
            generator(
                grant_type=grant_type,
                client=client,
                user=User(grant.user_id, "") if grant and grant.user_id else None,
                scope=scope or None,
                expires_in=lifetime,
                include_refresh_token=refresh,
            )
        )
        made.pop("scope", None)  # what was granted is in the row
        if not 0 <= int(made.get("expires_in") or 0) <= LONGEST:
            raise ValueError("a token generator must give expires_in as seconds from now")
        return made
