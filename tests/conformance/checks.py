"""What the conformance suite's base class asserts of every answer. What it only warns of is an error here.

Tokens are checked by joserfc alone, so that nothing of ours vouches for what we made.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import webob
from joserfc import jwt
from joserfc.jwk import JWKRegistry

from ..conftest import World, send
from .parts import Party, Visit

SITE = "https://suite.test/test/a/gateway"
CALLBACK = f"{SITE}/callback"
BYE = f"{SITE}/post_logout_redirect"
TEXT = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+\Z")  # error and error_description (RFC 6749 section 4.1.2.1)
VISIBLE = re.compile(r"[\x20-\x7e]{22,}\Z")  # tokens and codes (appendix A), of at least 128 bits
BASE64URL = re.compile(r"[A-Za-z0-9_-]+\Z")
ID_TOKEN_CLAIMS = set("iss sub aud exp iat auth_time nonce acr amr azp at_hash sid".split())


class Checks:
    """The checks of one suite, whose answers come by `mode`."""

    world: World
    mode: str | None
    metadata: dict[str, Any]

    def send(self, method: str, url: str, form: dict[str, str] | None = None, **headers: str) -> webob.Response:
        """A request from the suite's own server to an address of the gateway."""
        assert url.startswith(f"{self.world.base}/"), url
        return send(self.world.gateway, method, url[len(self.world.base) :], form, base=self.world.base, headers=headers)

    def answer(self, visit: Visit, sent: dict[str, str]) -> dict[str, str]:
        """The parameters that came to the callback, in the way that was asked for, with the state and the issuer."""
        assert visit.url, f"no redirect but {visit.page.status} {visit.page.text}"
        if self.mode == "form_post":
            assert visit.form is not None and visit.url == sent["redirect_uri"], "neither code nor error in the query"
            answer = dict(visit.form)
        else:
            mark = "#" if self.mode == "fragment" else "?"
            assert visit.form is None and (mark == "#" or "#" not in visit.url)
            place, _, query = visit.url.partition(mark)
            registered, _, own = sent["redirect_uri"].partition("?")
            pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
            kept = parse_qsl(own)
            assert place == registered and all(pairs.count(pair) == 1 for pair in kept)
            answer = dict(pair for pair in pairs if pair not in kept)
            assert len(answer) == len(pairs) - len(kept), "a parameter came twice"
        assert answer.get("state") == sent.get("state")
        assert answer["iss"] == self.metadata["issuer"] == self.world.base
        return answer

    def error(self, visit: Visit, sent: dict[str, str]) -> str:
        """The code of an error that came to the callback."""
        answer = self.answer(visit, sent)
        assert set(answer) <= {"error", "error_description", "error_uri", "state", "iss"}
        return _error(answer)

    def page(self, visit: Visit) -> None:
        """An error that is shown to the person and sent nowhere."""
        assert not visit.url and "Location" not in visit.page.headers
        assert 400 <= visit.page.status_code < 500 and visit.page.content_type == "text/html"
        assert visit.logins == visit.consents == 0, "and before anybody is asked anything"
        assert SITE not in visit.page.text

    def gone_to(self, visit: Visit, state: str | None) -> None:
        """That the browser came to the post_logout_redirect_uri with `state` and nothing else."""
        place, _, query = visit.url.partition("?")
        expected = [] if state is None else [("state", state)]
        assert (place, parse_qsl(query, strict_parsing=bool(query))) == (BYE, expected) and visit.form is None

    def token_answer(self, response: webob.Response, scope: str) -> dict[str, Any]:
        assert response.status_code == 200, response.text
        assert response.content_type == "application/json" and response.headers["Cache-Control"] == "no-store"
        tokens: dict[str, Any] = response.json
        assert set(tokens) <= set("access_token token_type expires_in refresh_token scope id_token".split())
        assert VISIBLE.match(tokens["access_token"]) and tokens["token_type"].lower() == "bearer"
        assert type(tokens["expires_in"]) is int and tokens["expires_in"] > 0
        assert VISIBLE.match(tokens.get("refresh_token", "x" * 22))
        assert set(tokens["scope"].split()) == set(scope.split())
        return tokens

    def token_error(self, response: webob.Response) -> str:
        assert response.status_code in (400, 401), response.text
        assert response.content_type == "application/json" and response.headers["Cache-Control"] == "no-store"
        assert set(response.json) <= {"error", "error_description", "error_uri"}
        return _error(response.json)

    def jwks(self) -> list[dict[str, Any]]:
        """The published keys: all of them named, none twice, and nothing private."""
        response = self.send("GET", self.metadata["jwks_uri"])
        assert response.status_code == 200 and set(response.json) == {"keys"}
        keys: list[dict[str, Any]] = response.json["keys"]
        assert len({key["kid"] for key in keys}) == len(keys) and all(key["kid"] for key in keys)
        for key in keys:
            assert not {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} & key.keys() and key["kty"] in ("RSA", "EC", "OKP")
            assert all(BASE64URL.match(key[name]) for name in ("n", "e", "x", "y") if name in key)
            assert not JWKRegistry.import_key(key).is_private
        return keys

    def id_token(self, text: str, party: Party, access_token: str, nonce: str | None = None) -> dict[str, Any]:
        """The claims of an ID token (OpenID Connect Core section 3.1.3.7)."""
        claims = self.signed(text, party)
        assert claims.get("nonce") == nonce and "exp" in claims
        assert set(claims) <= ID_TOKEN_CLAIMS, "nothing that was not asked for"
        assert isinstance(claims["sub"], str) and claims["sub"].isascii() and 0 < len(claims["sub"]) <= 255
        assert isinstance(claims["acr"], str) and all(isinstance(way, str) for way in claims["amr"])
        assert type(claims["auth_time"]) is int and claims["auth_time"] <= self.world.clock()
        half = hashlib.sha256(access_token.encode()).digest()[:16]
        assert claims["at_hash"] == base64.urlsafe_b64encode(half).decode().rstrip("=")
        return claims

    def signed(self, text: str, party: Party) -> dict[str, Any]:
        """The claims of what the server signed for `party`, by RS256 and the published key that the header names."""
        header = header_of(text)
        (key,) = (key for key in self.jwks() if key["kid"] == header["kid"])
        assert (header["alg"], key["kty"], key.get("use", "sig"), key.get("alg", "RS256")) == ("RS256", "RSA", "sig", "RS256")
        token = jwt.decode(text, JWKRegistry.import_key(key), algorithms=["RS256"])
        registry = jwt.JWTClaimsRegistry(
            now=int(self.world.clock()),
            iss={"essential": True, "value": self.metadata["issuer"]},
            aud={"essential": True, "value": party.client.client_id},
            iat={"essential": True},
        )
        registry.validate(token.claims)
        claims: dict[str, Any] = token.claims
        assert claims["aud"] in (party.client.client_id, [party.client.client_id]) and "azp" not in claims
        assert type(claims["iat"]) is int and abs(claims["iat"] - self.world.clock()) < 300
        assert type(claims.get("exp", 0)) is int
        return claims


def header_of(text: str) -> dict[str, Any]:
    """What a JWT says of itself."""
    part = text.partition(".")[0]
    header: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return header


def unsigned(claims: dict[str, Any]) -> str:
    """A JWT with `alg` none."""
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "none"}, claims))
    return f"{'.'.join(parts)}."


def _error(answer: dict[str, str]) -> str:
    """Its code, and texts that RFC 6749 allows: neither CR, LF nor TAB are among them."""
    assert TEXT.match(answer["error"]) and TEXT.match(answer.get("error_description", "-"))
    assert urlsplit(answer.get("error_uri", "https://a.test/")).scheme == "https"
    return answer["error"]
