"""Who is compared: one file a peer, with what it serves and a function that prepares its data, and this list of them all."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

CALLBACK = "https://client.example.com/callback"
ISSUER = "https://api.example.com"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # RFC 7636 appendix B
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
USED = 1000  # tokens, of all that are stored
LIFETIME = 7 * 86_400  # seconds
PRAGMAS = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL")  # everybody's, so that none waits for the disk more
OURS = {"token": "/token", "authorize": "/authorize", "introspect": "/token/introspect"}

PROTECTED = ("protected-1", "protected-1000")
FLOWS = ("client_credentials", "code", "refresh", "introspection")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the load needs to know of a prepared peer; `machine`, `shop` and `wrong` are Authorization headers.

    `guarded` is False for what lets everybody in, and is measured as a yardstick.
    """

    tokens: list[str] = field(repr=False)
    machine: str = field(default="", repr=False)
    wrong: str = field(default="", repr=False)
    shop: str = field(default="", repr=False)
    shop_id: str = ""
    cookie: str = field(default="", repr=False)
    paths: Mapping[str, str] = field(default_factory=lambda: OURS)
    guarded: bool = True

    def write(self, folder: Path) -> None:
        (folder / "facts.json").write_text(json.dumps(asdict(self)))
        (folder / "lines").write_text("\n".join(self.tokens) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Facts:
        return cls(**json.loads((folder / "facts.json").read_text()))


@dataclass(frozen=True, slots=True)
class Peer:
    """One system: MODULE:APP for gunicorn or an .mjs file for Node, who prepares its folder, what it can do, and how it is set.

    `prepare` is MODULE:FUNCTION, called with a folder and the number of tokens to store, and gives Facts; `meet`, if any, is
    called with the port and the Facts of the running server and gives better ones.
    """

    name: str
    target: str
    prepare: str
    works: tuple[str, ...]
    how: str
    environ: Mapping[str, str] = field(default_factory=dict)
    meet: str = ""
    module: str = ""  # that must be there, of what only benchmarks need
    seconds: int = 0  # of load, at least: for those that need as much for a single answer to everybody


def folder() -> Path:
    """Where the peer that this process serves was prepared."""
    return Path(os.environ["BENCH_FOLDER"])


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def is_used(index: int, rows: int) -> bool:
    """Whether the token of the row at `index` is one of those that are used: they lie evenly among all."""
    return index % max(rows // USED, 1) == 0 and index // max(rows // USED, 1) < USED


def new_text() -> str:
    return secrets.token_urlsafe(32)


_P = "benchmarks.peers"
_JWT = {"OAUTH_GATEWAY_ACCESS_TOKEN_FORMAT": "jwt"}
_DURABLE = {"OAUTH_GATEWAY_DURABLE_TOKENS": "true"}
_ES256, _RS256 = ({**_JWT, "OAUTH_GATEWAY_ACCESS_TOKEN_ALGORITHM": name} for name in ("ES256", "RS256"))
_NODE = f"{_P}.oidc_provider"
PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            "bare app",
            f"{_P}.plain:bare",
            f"{_P}.plain:prepare_bare",
            (*PROTECTED, "paths-1000", "client_credentials"),
            "answers `ok` to everything: what gunicorn itself costs",
        ),
        Peer(
            "bare app beside ours",
            f"{_P}.gateway:beside()",
            f"{_P}.plain:prepare_bare",
            PROTECTED,
            "the bare app answers, in a process with a gateway that nobody asks: what a larger process costs",
        ),
        Peer("dict check", f"{_P}.plain:dict_check()", f"{_P}.plain:prepare", PROTECTED, "all tokens in a dict"),
        Peer("SHA-256 and dict", f"{_P}.plain:sha256_check()", f"{_P}.plain:prepare", PROTECTED, "their digests in a set"),
        Peer(
            "gateway",
            f"{_P}.gateway:bare()",
            f"{_P}.gateway:prepare",
            (*PROTECTED, "paths-1000", *FLOWS),
            "around the bare app, all defaults: SQLite, strict revocation; codes and refresh tokens are redeemed durably",
        ),
        Peer(
            "gateway, durable",
            f"{_P}.gateway:bare()",
            f"{_P}.gateway:prepare",
            ("client_credentials",),
            "`durable_tokens = true`: every answer waits for the disk",
            _DURABLE,
        ),
        Peer(
            "gateway, ES256",
            f"{_P}.gateway:bare()",
            f"{_P}.gateway:prepare",
            ("client_credentials",),
            "access tokens are JWTs, stored too",
            _ES256,
        ),
        Peer(
            "gateway, RS256",
            f"{_P}.gateway:bare()",
            f"{_P}.gateway:prepare",
            ("client_credentials",),
            "access tokens are JWTs, stored too",
            _RS256,
        ),
        Peer(
            "hand-written",
            f"{_P}.handwritten:app()",
            f"{_P}.gateway:prepare",
            ("client_credentials",),
            "`parse_qsl`, `sqlite3`, the gateway's own table, SHA-256 of the secret, clients in a dict, and nothing else",
        ),
        Peer(
            "Flask in gateway",
            f"{_P}.gateway:flask()",
            f"{_P}.gateway:prepare",
            PROTECTED,
            "the Flask app of the next row without its protector; a route demands scope=read",
        ),
        Peer(
            "Flask, Authlib",
            f"{_P}.flask_authlib:app()",
            f"{_P}.flask_authlib:prepare",
            (*PROTECTED, *FLOWS),
            "Authlib's documented Flask integration, Flask-SQLAlchemy on SQLite; secrets and tokens in clear as in its guide",
            module="flask_sqlalchemy",
        ),
        Peer(
            "Django in gateway",
            f"{_P}.gateway:django()",
            f"{_P}.gateway:prepare",
            PROTECTED,
            "the Django project of the next row without its protector; a route demands scope=read",
        ),
        Peer(
            "Django, toolkit",
            f"{_P}.django_toolkit:app()",
            f"{_P}.django_toolkit:prepare",
            (*PROTECTED, *FLOWS),
            "django-oauth-toolkit on SQLite, persistent connections, startproject's middleware, client secrets not hashed",
            module="oauth2_provider",
        ),
        Peer(
            "Django, toolkit, hashed",
            f"{_P}.django_toolkit:app()",
            f"{_P}.django_toolkit:prepare_hashed",
            ("client_credentials",),
            "the same with its default, secrets hashed by PBKDF2",
            module="oauth2_provider",
            seconds=6,
        ),
        Peer(
            "Flask, PyJWT RS256",
            f"{_P}.flask_pyjwt:app()",
            f"{_P}.flask_pyjwt:prepare_rs256",
            PROTECTED,
            "signature, iss, aud, exp and scope of a JWT; the key is loaded once; nothing can be revoked",
            module="jwt",
        ),
        Peer(
            "Flask, PyJWT ES256",
            f"{_P}.flask_pyjwt:app()",
            f"{_P}.flask_pyjwt:prepare_es256",
            PROTECTED,
            "the same with ES256",
            module="jwt",
        ),
        Peer(
            "express, JWT bearer",
            "benchmarks/peers/express_bearer.mjs",
            f"{_P}.flask_pyjwt:prepare_rs256",
            PROTECTED,
            "express-oauth2-jwt-bearer, RS256, its key from a JWK Set on this machine; Node; nothing can be revoked",
            {"NODE_ENV": "production"},
            module="jwt",
        ),
        *(
            Peer(
                f"oidc-provider{suffix}",
                "benchmarks/peers/oidc_provider.mjs",
                f"{_NODE}:prepare",
                works,
                how,
                {"NODE_ENV": "production", **more},
                meet=f"{_NODE}:meet",
            )
            for suffix, works, how, more in (
                ("", FLOWS, "node-oidc-provider, everything in Maps in memory, nothing is kept; Node", {}),
                (", ES256", ("client_credentials",), "JWTs, nothing is stored; Node", {"BENCH_ALGORITHM": "ES256"}),
                (", RS256", ("client_credentials",), "JWTs, nothing is stored; Node", {"BENCH_ALGORITHM": "RS256"}),
            )
        ),
    )
}
