"""What the access tokens of well-known issuers look like, by name; an entry of `trusted_issuers` names one.

A profile says how an access token is told from every other JWT that the same keys sign. Where an issuer sets no `typ` for
that, it is its own claims: `token_use` of Cognito, `typ` of Keycloak, an `appid` or `azp` beside scopes or roles of Entra.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Claims = Mapping[str, Any]
AT_JWT = frozenset({"at+jwt", "application/at+jwt"})
PLAIN = frozenset({"", "jwt"})  # without a typ, or with the one that says nothing
# claims of ID tokens, logout tokens, DPoP proofs, request objects and introspection answers
OTHER_KINDS = frozenset(
    "nonce at_hash c_hash s_hash events htm htu ath response_type redirect_uri token_introspection".split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How an access token of one kind of issuer is recognised and read.

    `typs` are the header's, in lower case, `required` are claims that must be there and `fixed` those with one value; of each
    group in `one_of` one must be there, `refused` are those of other kinds of JWT. `clients` and `scopes` are where the
    client and the scope are looked for, the first that is there. `audience` says whether there is always an `aud`. `documents`
    are the well-known documents that name the keys, `aliases` are other values of `iss` for the same issuer.
    `acts_alone` says whether the client acts for itself and not for a person.
    """

    typs: frozenset[str] = PLAIN | AT_JWT
    required: tuple[str, ...] = ()
    one_of: tuple[tuple[str, ...], ...] = ()
    fixed: Mapping[str, str] = field(default_factory=dict)
    refused: frozenset[str] = OTHER_KINDS
    clients: tuple[str, ...] = ("client_id", "azp")
    scopes: tuple[str, ...] = ("scope",)
    audience: bool = True
    documents: tuple[str, ...] = ("openid-configuration",)
    aliases: Mapping[str, str] = field(default_factory=dict)
    acts_alone: Callable[[Claims], bool] = lambda claims: False


def _names_itself(claims: Claims) -> bool:
    return claims.get("sub") in (None, claims.get("client_id"))


def _is_keycloak_service(claims: Claims) -> bool:
    return str(claims.get("preferred_username", "")).startswith("service-account-")


def _is_entra_app(claims: Claims) -> bool:
    """An application's own token has roles and no `scp`; `idtyp` says so too where it is switched on."""
    return claims.get("idtyp") == "app" or "scp" not in claims


def _is_auth0_machine(claims: Claims) -> bool:
    return claims.get("gty") == "client-credentials" or str(claims.get("sub", "")).endswith("@clients")


def _is_cognito_machine(claims: Claims) -> bool:
    return "username" not in claims


PROFILES: dict[str, Profile] = {
    "rfc9068": Profile(
        typs=AT_JWT,
        required=("sub", "client_id", "iat", "jti"),  # section 2.2; iss, aud and exp are for every profile
        documents=("oauth-authorization-server", "openid-configuration"),
        acts_alone=_names_itself,
    ),
    "keycloak": Profile(
        required=("azp",),
        fixed={"typ": "Bearer"},  # ID, Refresh, Offline and Logout are the others
        refused=OTHER_KINDS - {"nonce"},  # older versions put it into access tokens too
        clients=("azp", "client_id"),
        acts_alone=_is_keycloak_service,
    ),
    "entra": Profile(
        typs=PLAIN,
        required=("tid",),
        one_of=(("azp", "appid"), ("scp", "roles")),  # an ID token may have roles, but names no other client
        clients=("azp", "appid"),  # version 2.0, version 1.0
        scopes=("scp",),
        acts_alone=_is_entra_app,
    ),
    "auth0": Profile(
        required=("sub",),
        one_of=(("azp", "client_id"),),
        clients=("azp", "client_id"),
        acts_alone=_is_auth0_machine,
    ),
    "cognito": Profile(
        required=("sub", "client_id"),
        fixed={"token_use": "access"},
        clients=("client_id",),
        audience=False,  # only where the client asked for a resource
        acts_alone=_is_cognito_machine,
    ),
    # its access tokens are opaque and Google's own; what a service of one's own is shown is an ID token
    "google": Profile(
        typs=PLAIN,
        required=("sub", "iat"),
        refused=OTHER_KINDS - {"nonce", "at_hash"},
        clients=("azp",),
        scopes=(),
        aliases={"accounts.google.com": "https://accounts.google.com"},
    ),
}
