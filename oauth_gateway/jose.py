"""JSON Web Keys and signed JWTs on joserfc: the only place that knows it.

Every signature names its algorithm beforehand; `none` is not among them, a key never decides how it is used, and what a
token's header says about where keys are found (jku, jwk, x5u) is not read.
"""

from __future__ import annotations

import base64
import json
import re
import warnings
from collections.abc import Collection, Mapping
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, JWKRegistry, OctKey, OKPKey, RSAKey

# what EdDSA is called in OpenID metadata; RFC 9864 renames it, clients do not know the new name yet
warnings.filterwarnings("ignore", "EdDSA is deprecated", SecurityWarning)

Key = RSAKey | ECKey | OKPKey | OctKey
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
# what others may sign with: a public key checks each of them
FOREIGN_ALGORITHMS = tuple("RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA".split())  # noqa: SIM905
LEAST_RSA_BITS = 2048  # RFC 7518 section 3.3
LONGEST = 16_384  # characters of a token that is looked at
MOST_DEPTH = 16  # of its header and claims
_MADE_OF: dict[str, tuple[str, str | int]] = {
    "RS256": ("RSA", 2048),
    "PS256": ("RSA", 2048),
    "ES256": ("EC", "P-256"),
    "EdDSA": ("OKP", "Ed25519"),
}
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519"}
_COMPACT = re.compile(r"[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\Z")


class JoseRefused(ValueError):
    """A key or token will not do; the text says why, for the log."""


def generate(algorithm: str) -> Key:
    """A new private key for `algorithm`."""
    kind, size = _MADE_OF[algorithm]
    return JWKRegistry.generate_key(kind, size)


def load(data: Mapping[str, Any] | bytes) -> Key:
    """The key in a JWK or in PEM; raises JoseRefused."""
    try:
        if isinstance(data, Mapping):
            return JWKRegistry.import_key(dict(data))
        for kind in (RSAKey, ECKey, OKPKey):
            try:
                return kind.import_key(data)
            except (JoseError, ValueError, TypeError):
                continue
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise JoseRefused(f"not a usable key ({type(error).__name__})") from None
    raise JoseRefused("neither an RSA, an EC nor an Ed25519 key in PEM without a passphrase")


def load_public(data: Any) -> Key:
    """A key of somebody else's in a JWK; raises JoseRefused where it is weak, secret or private."""
    if not isinstance(data, Mapping) or data.get("kty") == "oct":
        raise JoseRefused("not a public key")
    key = load(data)
    if key.is_private:
        raise JoseRefused("not a public key; never hand a private one to a server")
    if isinstance(key, RSAKey) and key.raw_value.key_size < LEAST_RSA_BITS:
        raise JoseRefused(f"an RSA key of fewer than {LEAST_RSA_BITS} bits")
    return key


def fits(data: Mapping[str, Any], algorithm: str) -> bool:
    """Whether a public JWK is of the kind that `algorithm` needs, and not meant for anything else."""
    curve = _CURVES.get(algorithm)
    kind = "RSA" if curve is None else "OKP" if algorithm == "EdDSA" else "EC"
    meant = data.get("alg", algorithm)
    return (
        data.get("kty") == kind
        and (curve is None or data.get("crv") == curve)
        and meant in ((algorithm, "Ed25519") if algorithm == "EdDSA" else (algorithm,))
        and data.get("use", "sig") == "sig"
        and "verify" in data.get("key_ops", ["verify"])
    )


def date_of(claims: Mapping[str, Any], name: str) -> float | None:
    """A numeric date, or None where there is none; raises JoseRefused for anything else."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 10**11:
        raise JoseRefused(f"{name} is not a date")
    return float(value)


def secret_key(secret: str) -> Key:
    """A client secret as the key of an HMAC (OpenID Connect Core section 10.1)."""
    return OctKey.import_key(secret)


def algorithm_of(key: Key) -> str:
    """What a key of our own signs with: its `alg`, else the usual one of its kind; raises JoseRefused for a weak one."""
    data: dict[str, Any] = dict(key.as_dict(private=False))
    usual = {"RSA": "RS256", "P-256": "ES256", "Ed25519": "EdDSA"}.get(data.get("crv", data["kty"]))
    algorithm = data.get("alg", usual)
    algorithm = "EdDSA" if algorithm == "Ed25519" else algorithm
    if usual is None or algorithm not in ({usual, "PS256"} if usual == "RS256" else {usual}):
        raise JoseRefused("must be an RSA, P-256 or Ed25519 key for RS256, PS256, ES256 or EdDSA")
    if isinstance(key, RSAKey) and key.raw_value.key_size < LEAST_RSA_BITS:
        raise JoseRefused(f"an RSA key must have {LEAST_RSA_BITS} bits or more")
    if data.get("use", "sig") != "sig":
        raise JoseRefused("its `use` must be sig")
    return str(algorithm)


def public_of(key: Key, algorithm: str, kid: str) -> dict[str, Any]:
    """The public JWK as it is published (RFC 7517 section 4)."""
    bare = {name: value for name, value in key.as_dict(private=False).items() if name in ("kty", "n", "e", "crv", "x", "y")}
    return {**bare, "use": "sig", "alg": algorithm, "kid": kid}


def private_of(key: Key) -> dict[str, Any]:
    return dict(key.as_dict(private=True))


def encode(key: Key, algorithm: str, kid: str, typ: str, claims: Mapping[str, Any]) -> str:
    """A signed JWT."""
    return jwt.encode({"alg": algorithm, "typ": typ, "kid": kid}, dict(claims), key, [algorithm])


def peek(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a compact JWT, nothing of it believed yet; raises JoseRefused."""
    if len(text) > LONGEST or not _COMPACT.match(text):
        raise JoseRefused("not a signed JWT")
    try:
        header, claims = (_strict_json(part) for part in text.split(".")[:2])
    except (ValueError, RecursionError) as error:
        raise JoseRefused(f"not a signed JWT ({type(error).__name__})") from None
    if not isinstance(header, dict) or not isinstance(claims, dict) or max(_depth(header), _depth(claims)) > MOST_DEPTH:
        raise JoseRefused("header and claims must be objects, and not nested deeply")
    return header, claims


def _strict_json(part: str) -> Any:
    """What a part of a JWT says in JSON that every reader reads alike; raises ValueError."""
    text = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()
    value = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()  # neither 1e999 nor half of a surrogate pair in it
    return value


def verify(text: str, key: Key, algorithms: Collection[str]) -> dict[str, Any]:
    """The claims of a token that `key` signed with one of `algorithms`; raises JoseRefused. Times are not looked at."""
    _, claims = peek(text)  # strict JSON, and bounded, before anything is computed
    try:
        # header members that nobody here knows are ignored, save what `crit` lists (RFC 7515 section 4)
        jwt.decode(text, key, registry=jws.JWSRegistry(algorithms=algorithms, strict_check_header=False))
    except (JoseError, ValueError, TypeError, KeyError, RecursionError, AttributeError) as error:
        raise JoseRefused(f"the signature is not good ({type(error).__name__})") from None
    return claims


def verify_with(text: str, keys: Any, algorithms: Collection[str]) -> dict[str, Any]:
    """The same with a JWK Set of somebody else's: the key with the token's kid, or every key that could be meant.

    Raises UnknownKey where the set has none, so that a newer one can be asked for.
    """
    header, _ = peek(text)
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise JoseRefused("signed with an algorithm that is not allowed here")
    found = keys.get("keys") if isinstance(keys, Mapping) else None
    candidates = []
    for data in found if isinstance(found, list) else ():
        if isinstance(data, Mapping) and (kid is None or data.get("kid") == kid):
            try:
                candidates.append(load_public(data))
            except JoseRefused:
                continue
    for key in candidates[:10]:
        try:
            return verify(text, key, [algorithm])
        except JoseRefused:
            continue
    if not candidates:
        raise UnknownKey("no key of the client's fits")
    raise JoseRefused("the signature is not good")


class UnknownKey(JoseRefused):
    """The key set has no key with the token's kid."""


def _depth(value: Any) -> int:
    """How deeply it is nested, at most one more than is allowed."""
    level, depth = [value], 0
    while level and depth <= MOST_DEPTH:
        inner = [item for each in level for item in (each.values() if isinstance(each, dict) else each)]
        level = [item for item in inner if isinstance(item, (dict, list))]
        depth += 1
    return depth


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is there twice")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")
