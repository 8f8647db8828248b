"""Texts under a good signature of their issuer that are still no token: JSON that two readers could read differently (A063)."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from oauth_gateway.testing import Clock

from .issuers import Issuer, entry, gate, issuer
from .test_foreign_jwts import call

HEADER = '{"alg": "RS256", "kid": "k1", "typ": "at+jwt"}'
EXP = "1800000600"


@pytest.fixture
def other() -> Iterator[Issuer]:
    with issuer() as made:
        yield made


def claims_of(text: str) -> str:
    part = text.split(".")[1]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()


def signed(other: Issuer, header: str | bytes, claims: str | bytes) -> str:
    """Whatever bytes under a good signature."""
    parts = [text if isinstance(text, bytes) else text.encode() for text in (header, claims)]
    body = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    signature = other.keys["k1"][0].raw_value.sign(body.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{body}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


HEADERS: dict[str, str | bytes] = {
    "alg twice": '{"alg": "none", "alg": "RS256", "kid": "k1", "typ": "at+jwt"}',
    "typ twice": '{"alg": "RS256", "kid": "k1", "typ": "JWT", "typ": "at+jwt"}',
    "kid twice": '{"alg": "RS256", "kid": "k2", "kid": "k1", "typ": "at+jwt"}',
    "a BOM": "\ufeff" + HEADER,
    "NaN": HEADER[:-1] + ', "x": NaN}',
    "1e400": HEADER[:-1] + ', "x": 1e400}',
    "half a character": HEADER[:-1] + ', "x": "\\ud800"}',
    "deep": HEADER[:-1] + ', "x": ' + "[" * 17 + "]" * 17 + "}",
    "very deep": HEADER[:-1] + ', "x": ' + "[" * 3000 + "]" * 3000 + "}",
    "long": HEADER[:-1] + ', "x": "' + "a" * 9000 + '"}',
    "crit": HEADER[:-1] + ', "crit": ["b64"], "b64": false}',
    "crit empty": HEADER[:-1] + ', "crit": []}',
    "crit null": HEADER[:-1] + ', "crit": null}',
    "b64": HEADER[:-1] + ', "b64": false}',
    "a list": '["RS256", "k1", "at+jwt"]',
    "null": "null     ",
    "kid a number": HEADER.replace('"k1"', "1"),
    "kid empty": HEADER.replace('"k1"', '""'),
    "typ like it": HEADER.replace("at+jwt", "at+\u212awt"),
}


@pytest.mark.parametrize("bad", HEADERS)
def test_a_header_that_is_not_strict_json_is_refused(bad: str, other: Issuer, clock: Clock) -> None:
    """A059, A060, A063; RFC 7515 section 4: names are unique"""
    gateway, app = gate(entry(other))
    claims = claims_of(other.token(clock))
    assert call(gateway, signed(other, HEADER, claims)).status_code == 200
    assert call(gateway, signed(other, HEADERS[bad], claims)).status_code == 401 and app.calls == 1


@pytest.mark.parametrize(
    "exp",
    ["1e400", "-1e400", "NaN", "Infinity", "-Infinity", f'"{EXP}"', f"[{EXP}]", "true", "null", "{}", "9" * 4000, "9" * 5000],
)
def test_an_end_that_is_no_date_is_none(exp: str, other: Issuer, clock: Clock) -> None:
    """A063"""
    gateway, app = gate(entry(other))
    text = claims_of(other.token(clock))
    assert EXP in text
    assert call(gateway, signed(other, HEADER, text.replace(EXP, exp))).status_code == 401 and not app.calls
    assert call(gateway, signed(other, HEADER, text.replace(EXP, EXP + ".5"))).status_code == 200, "RFC 7519 section 2"
    assert app.environ["oauth_gateway.token"].expires_at == float(EXP) + 0.5


MORE: dict[str, str] = {
    "exp again": f'"exp": {EXP}',
    "a member twice, inside": '"x": {"a": 1, "a": 2}',
    "1e400 somewhere": '"x": 1e400',
    "-1e400 inside": '"x": [[-1e400]]',
    "NaN somewhere": '"x": NaN',
    "5000 digits": f'"x": {"9" * 5000}',
    "half a character": '"x": "\\ud800"',
    "17 deep": '"x": ' + "[" * 16 + "]" * 16,
    "3000 deep": '"x": ' + "[" * 3000 + "]" * 3000,
    "nbf 1e400": '"nbf": 1e400',
    "nbf a list": '"nbf": [1]',
    "auth_time text": '"auth_time": "x"',
    "cnf null": '"cnf": null',
    "events null": '"events": null',
}


@pytest.mark.parametrize("bad", MORE)
def test_claims_that_are_not_strict_json_are_refused(bad: str, other: Issuer, clock: Clock) -> None:
    """A063: 50 ms at most, also for what is deep"""
    gateway, app = gate(entry(other))
    good = claims_of(other.token(clock))
    text = signed(other, HEADER, f"{good[:-1]}, {MORE[bad]}}}")
    began = time.thread_time()
    assert call(gateway, text).status_code == 401 and not app.calls
    assert time.thread_time() - began < 0.05


@pytest.mark.parametrize("name", ["iat", "jti", "sub", "client_id", "aud", "exp", "iss"])
def test_null_is_no_claim(name: str, other: Issuer, clock: Clock) -> None:
    """R163"""
    gateway, app = gate(entry(other))
    claims = {**json.loads(claims_of(other.token(clock))), name: None}
    assert call(gateway, signed(other, HEADER, json.dumps(claims))).status_code == 401 and not app.calls


@pytest.mark.parametrize("how", ["utf-16", "utf-8-sig", "utf-32", "latin-1", "overlong", "more behind", "a list", "text"])
def test_claims_are_one_object_in_utf8(how: str, other: Issuer, clock: Clock) -> None:
    """RFC 7519 section 7.2"""
    gateway, app = gate(entry(other))
    good = claims_of(other.token(clock, name="änn"))
    good = json.dumps(json.loads(good), ensure_ascii=False)
    made = {
        "overlong": good.encode().replace(b"f-1", b"\xc0\xaf"),
        "more behind": f"{good}x".encode(),
        "a list": f"[{good}]".encode(),
        "text": json.dumps(good).encode(),
    }
    text = made[how] if how in made else good.encode(how)
    assert call(gateway, signed(other, HEADER, text)).status_code == 401 and not app.calls
    assert call(gateway, signed(other, HEADER, f" {good}\n")).status_code == 200
    assert app.environ["oauth_gateway.token"].claims["name"] == "änn"


def test_a_text_has_one_shape(other: Issuer, clock: Clock) -> None:
    """Blanks, padding, another alphabet, pieces more or less"""
    gateway, app = gate(entry(other))
    good = other.token(clock)
    header, claims, signature = good.split(".")
    document = json.dumps({"payload": claims, "protected": header, "signature": signature})
    for bad in (
        good.replace(".", " .", 1),
        f"{header}=.{claims}.{signature}",
        good + "=",
        good + "==",
        good + "\n",
        "." + good,
        good + ".",
        good + "." + signature,
        f"{header}.{claims}.",
        f"{header}..{signature}",
        f"{header}.{claims}.{signature}{signature}",
        f"{good},{good}",
        f"{good} {good}",
        base64.b64encode(document.encode()).decode(),
        document,
    ):
        assert call(gateway, bad).status_code in (400, 401), bad
    assert not app.calls and call(gateway, good + "\t ").status_code == 200
