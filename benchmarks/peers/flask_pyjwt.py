"""Flask that checks JWTs with PyJWT; its keys and tokens are also those of `express_bearer.mjs`."""

from __future__ import annotations

import json
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from flask import Flask, Response, request

from benchmarks.peers import ISSUER, LIFETIME, USED, Facts, folder


def app() -> Flask:
    found = Flask(__name__)
    document = json.loads((folder() / "jwks.json").read_text())["keys"][0]
    key = jwt.PyJWK(document)

    @found.get("/thing")
    def thing() -> Response:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            if scheme.lower() != "bearer":
                raise jwt.InvalidTokenError
            required = {"require": ["exp", "iss", "aud"]}
            claims = jwt.decode(token, key, [document["alg"]], options=required, issuer=ISSUER, audience=ISSUER)
        except jwt.InvalidTokenError:
            return Response("no", 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'})
        if "read" not in claims["scope"].split():
            return Response("no", 403, {"WWW-Authenticate": 'Bearer error="insufficient_scope", scope="read"'})
        return Response("ok", mimetype="text/plain")

    return found


def prepare_rs256(into: Path, rows: int) -> Facts:
    return _prepare(into, "RS256", rsa.generate_private_key(65537, 2048))


def prepare_es256(into: Path, rows: int) -> Facts:
    return _prepare(into, "ES256", ec.generate_private_key(ec.SECP256R1()))


def _prepare(into: Path, algorithm: str, key: PrivateKeyTypes) -> Facts:
    """As many tokens as are used: nothing is stored, so nobody has more or fewer."""
    made = jwt.get_algorithm_by_name(algorithm)
    public = {**made.to_jwk(key.public_key(), as_dict=True), "kid": "1", "alg": algorithm, "use": "sig"}
    (into / "jwks.json").write_text(json.dumps({"keys": [public]}))
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": ISSUER, "scope": "read", "client_id": "machine", "iat": now, "exp": now + LIFETIME}
    headers = {"kid": "1", "typ": "at+jwt"}
    return Facts([jwt.encode({**claims, "sub": f"user{n}", "jti": str(n)}, key, algorithm, headers) for n in range(USED)])
