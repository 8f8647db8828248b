"""JWTs of trusted issuers: whose they are, what makes one good here, and what it is to the app."""

from __future__ import annotations

import base64
import hmac
import json
import random
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import webob

from oauth_gateway import OAuthGateway, jose
from oauth_gateway.testing import Clock

from .conftest import RecordingApp, World, make_world, send
from .counted_work import instructions_of
from .issuers import AUDIENCE, Issuer, entry, gate, issuer, signed_by


@pytest.fixture
def other() -> Iterator[Issuer]:
    with issuer("/realms/a") as made:
        yield made


def call(gateway: OAuthGateway, token: str, path: str = "/thing", **headers: str) -> webob.Response:
    return send(gateway, "GET", path, base=AUDIENCE, headers={"Authorization": f"Bearer {token}", **headers})


def encoded(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_a_good_token_reaches_the_app_and_makes_nobody_a_user(other: Issuer, clock: Clock) -> None:
    """R162, R163: what the app sees; no REMOTE_USER without a claim and a prefix"""
    gateway, app = gate(entry(other))
    answer = call(
        gateway, other.token(clock, preferred_username="ann", email="ann@example.com", auth_time=5, acr="2", amr=["pwd"])
    )
    assert answer.status_code == 200 and app.calls == 1
    token = app.environ["oauth_gateway.token"]
    assert "REMOTE_USER" not in app.environ and app.environ["AUTH_TYPE"] == "Bearer"
    assert (token.user_id, token.username, token.subject, token.client_id) == (None, None, "f-1", "phone")
    assert (token.issuer, token.audience, token.scopes) == (other.name, AUDIENCE, {"read"})
    assert (token.auth_time, token.acr, token.amr, token.grant_id) == (5.0, "2", ("pwd",), None)
    assert token.claims["email"] == "ann@example.com" and "HTTP_AUTHORIZATION" not in app.environ
    assert token.issued_at == clock() and token.expires_at == clock() + 600 == token.claims["exp"]
    assert token.get_expires_in() == 600 and not token.is_expired()


def test_a_claim_and_a_prefix_make_a_person(other: Issuer, clock: Clock) -> None:
    """R167: and a client that acts for itself is none"""
    gateway, app = gate(entry(other, username_claim="preferred_username", prefix="kc:"), identity_headers=True)
    assert call(gateway, other.token(clock, preferred_username="änn")).status_code == 200
    token = app.environ["oauth_gateway.token"]
    assert app.environ["REMOTE_USER"] == "kc:änn".encode().decode("latin-1")
    assert (token.user_id, token.username, token.subject, token.client_id) == ("kc:f-1", "kc:änn", "kc:f-1", "kc:phone")
    assert app.environ["HTTP_X_AUTH_SUBJECT"] == "kc:f-1"
    call(gateway, other.token(clock, sub="phone", preferred_username="ann"))
    assert "REMOTE_USER" not in app.environ, "a client that acts for itself is no person"
    call(gateway, other.token(clock))
    assert "REMOTE_USER" not in app.environ and app.environ["oauth_gateway.token"].user_id is None


@pytest.mark.parametrize("name", ["", " ann", "ann\n", "a" * 256, "an\u0000n", "\u202enna", 7, ["ann"], {"a": 1}])
def test_a_name_that_cannot_be_one_is_refused(name: Any, other: Issuer, clock: Clock) -> None:
    gateway, app = gate(entry(other, username_claim="preferred_username", prefix="kc:"))
    assert call(gateway, other.token(clock, preferred_username=name)).status_code == 401 and not app.calls


def test_an_address_that_was_not_verified_names_nobody(other: Issuer, clock: Clock) -> None:
    gateway, app = gate(entry(other, username_claim="email", prefix=""))
    for verified, status in ((None, 401), (False, 401), ("false", 401), (True, 200)):
        assert call(gateway, other.token(clock, email="a@example.com", email_verified=verified)).status_code == status
    assert app.environ["REMOTE_USER"] == "a@example.com"


def test_without_a_prefix_the_identity_headers_name_neither_subject_nor_client(other: Issuer, clock: Clock) -> None:
    """The app could take them for its own: whose they are is not in these headers"""
    gateway, app = gate(entry(other), identity_headers=True)
    assert call(gateway, other.token(clock), X_Auth_Subject="root").status_code == 200
    assert "HTTP_X_AUTH_SUBJECT" not in app.environ and "HTTP_X_AUTH_CLIENT_ID" not in app.environ
    assert app.environ["HTTP_X_AUTH_SCOPE"] == "read"


BAD: dict[str, dict[str, Any]] = {
    "for another audience": {"aud": "https://other.example"},
    "for several others": {"aud": ["https://other.example", AUDIENCE + "/"]},
    "for an audience in other case": {"aud": AUDIENCE.upper()},
    "without an audience": {"aud": None},
    "an audience that is no text": {"aud": 7},
    "an audience in an object": {"aud": {"0": AUDIENCE}},
    "an audience with something else": {"aud": [AUDIENCE, 7]},
    "expired": {"exp": 1},
    "exp zero": {"exp": 0},
    "without exp": {"exp": None},
    "exp as text": {"exp": "1900000000"},
    "exp true": {"exp": True},
    "exp huge": {"exp": 10**30},
    "exp negative": {"exp": -1},
    "nbf in the future": {"nbf": 1_800_000_061},
    "nbf as text": {"nbf": "soon"},
    "iat in the future": {"iat": 1_800_000_061},
    "a login in the future": {"auth_time": 1_800_000_061},
    "a login at no date": {"auth_time": "now"},
    "without sub": {"sub": None},
    "sub a number": {"sub": 7},
    "sub empty": {"sub": ""},
    "sub of two lines": {"sub": "f-1\r\nX-Auth-Subject: root"},
    "sub that turns text round": {"sub": "\u202eann"},
    "sub of 1001 characters": {"sub": "s" * 1001},
    "without client_id": {"client_id": None},
    "client_id empty": {"client_id": ""},
    "client_id with a NUL": {"client_id": "phone\0"},
    "client_id a list": {"client_id": ["phone"]},
    "without jti": {"jti": None},
    "without iat": {"iat": None},
    "scope an object": {"scope": {"read": 1}},
    "bound to a key": {"cnf": {"jkt": "x"}},
    "an ID token's nonce": {"nonce": "n"},
    "an ID token's at_hash": {"at_hash": "n"},
    "a logout token's events": {"events": {}},
    "a DPoP proof's htm": {"htm": "GET"},
}


@pytest.mark.parametrize("bad", BAD)
def test_a_signed_token_with_bad_claims_is_refused(bad: str, other: Issuer, clock: Clock) -> None:
    """R163, R165, A063, A064"""
    gateway, app = gate(entry(other))
    answer = call(gateway, other.token(clock, **BAD[bad]))
    assert answer.status_code == 401 and answer.json["error"] == "invalid_token" and not app.calls
    assert "invalid_token" in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "typ", [None, "JWT", "jwt", "id+jwt", "logout+jwt", "dpop+jwt", "at+jwt ", "oauth-authz-req+jwt", 7, ["at+jwt"]]
)
def test_another_typ_is_no_access_token(typ: Any, other: Issuer, clock: Clock) -> None:
    """R164, A064"""
    gateway, app = gate(entry(other))
    assert call(gateway, other.token(clock, typ=None, header={"typ": typ})).status_code == 401 and not app.calls
    for good in ("at+jwt", "AT+JWT", "application/at+jwt"):
        assert call(gateway, other.token(clock, typ=good)).status_code == 200


def test_times_are_forgiven_a_minute_and_no_more(other: Issuer, clock: Clock) -> None:
    """R168: both directions"""
    gateway, _ = gate(entry(other))
    now = int(clock())
    for changes, status in (
        ({"exp": now - 59}, 200),
        ({"exp": now - 60}, 401),
        ({"nbf": now + 60}, 200),
        ({"nbf": now + 61}, 401),
        ({"iat": now + 60}, 200),
        ({"iat": now + 61}, 401),
    ):
        assert call(gateway, other.token(clock, **changes)).status_code == status, changes
    token = other.token(clock, exp=now + 100)
    assert call(gateway, token).status_code == 200
    clock.advance(159)
    assert call(gateway, token).status_code == 200
    clock.advance(1)
    assert call(gateway, token).status_code == 401, "also out of what is remembered"


def forged(other: Issuer, clock: Clock) -> dict[str, str]:
    good = other.token(clock)
    header, payload, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    public = other.published[0]
    key = other.keys["k1"][0]
    made = {
        f"alg {name!r}": f"{encoded({'alg': name, 'typ': 'at+jwt', 'kid': 'k1'})}.{payload}.{signature}"
        for name in ("none", "None", "nOnE", "HS256", "RS384", "", ["RS256"], None, 7, {"a": 1})
    }
    for name, secret in {"PEM": key.as_pem(private=False), "DER": key.as_der(private=False), "JWK": json.dumps(public)}.items():
        signed = f"{encoded({'alg': 'HS256', 'typ': 'at+jwt', 'kid': 'k1'})}.{payload}"
        mac = hmac.digest(secret if isinstance(secret, bytes) else secret.encode(), signed.encode(), "sha256")
        made[f"HS256 with the {name}"] = f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
    made["no alg"] = f"{encoded({'typ': 'at+jwt', 'kid': 'k1'})}.{payload}.{signature}"
    made["no signature"] = f"{header}.{payload}."
    made["another's signature"] = f"{header}.{payload}.{other.token(clock, sub='f-2').split('.')[2]}"
    made["other claims"] = f"{header}.{encoded({**claims, 'sub': 'root'})}.{signature}"
    stranger = jose.generate("RS256")
    for name, value in {
        "jwk": jose.public_of(stranger, "RS256", "k1"),
        "jku": other.base + "/evil",
        "x5u": other.base + "/evil",
        "x5c": ["MIIB"],
    }.items():
        made[f"a stranger's with {name}"] = signed_by(
            stranger, {"alg": "RS256", "typ": "at+jwt", "kid": "k1", name: value}, claims
        )
    made["crit"] = f"{encoded({'alg': 'RS256', 'typ': 'at+jwt', 'kid': 'k1', 'crit': ['exp'], 'exp': 1})}.{payload}.{signature}"
    for name, kid in {"a path": "../../dev/null", "SQL": "' OR 1=1 --", "a list": ["k1"], "long": "k" * 12_000}.items():
        made[f"kid {name}"] = f"{encoded({'alg': 'RS256', 'typ': 'at+jwt', 'kid': kid})}.{payload}.{signature}"
    text = json.dumps(claims)
    twice, deep = text[:-1] + ', "sub": "root"}', '{"a":' * 5000 + "1" + "}" * 5000
    made["a member twice"] = f"{header}.{encoded(twice)}.{signature}"
    made["NaN"] = f"{header}.{encoded(text.replace(str(claims['exp']), 'NaN'))}.{signature}"
    made["deep"] = f"{header}.{encoded(deep)}.{signature}"
    made["5000 segments"] = ".".join([header] * 5000)
    made["a megabyte"] = f"{header}.{payload}{'A' * 1_000_000}.{signature}"
    made["a JWE"] = f"{encoded({'alg': 'PBES2-HS256+A128KW', 'enc': 'A128GCM', 'p2c': 10**7})}.AAAA.AAAA.AAAA.AAAA"
    made["an issuer that is no text"] = f"{header}.{encoded({**claims, 'iss': [other.name]})}.{signature}"
    made["another issuer"] = f"{header}.{encoded({**claims, 'iss': other.base})}.{signature}"
    made["no issuer"] = f"{header}.{encoded({'sub': 'f-1'})}.{signature}"
    return made


def test_whatever_was_not_signed_by_the_issuer_is_refused_and_nothing_it_names_is_fetched(other: Issuer, clock: Clock) -> None:
    """R165, A059, A060, A061, A062, A063"""
    gateway, app = gate(entry(other))
    assert call(gateway, other.token(clock)).status_code == 200
    bad = forged(other, clock)
    assert len(bad) > 30
    for name, text in bad.items():
        assert call(gateway, text).status_code == 401, name
    assert app.calls == 1 and not other.asked["/evil"]
    assert other.asked[other.jwks] <= 2, "unknown kids brought one more reading in all"


def test_algorithms_are_what_the_entry_says(other: Issuer, clock: Clock) -> None:
    """A059: an issuer that signs with another one than configured is refused"""
    other.add_key("e1", "ES256")
    other.add_key("d1", "EdDSA")
    gateway, _ = gate(entry(other))
    assert call(gateway, other.token(clock, kid="e1")).status_code == 401
    gateway, _ = gate(entry(other, algorithms="ES256 EdDSA"))
    assert call(gateway, other.token(clock, kid="e1")).status_code == 200
    assert call(gateway, other.token(clock, kid="d1")).status_code == 200
    assert call(gateway, other.token(clock)).status_code == 401


def test_without_a_kid_there_must_be_one_key_only(other: Issuer, clock: Clock) -> None:
    """A060: absent kid with two keys, and one kid twice"""
    gateway, _ = gate(entry(other))
    assert call(gateway, other.token(clock, header={"kid": None})).status_code == 200
    other.add_key("k2")
    clock.advance(4000)
    assert call(gateway, other.token(clock, header={"kid": None})).status_code == 401
    assert call(gateway, other.token(clock, kid="k2")).status_code == 200
    other.published[1]["kid"] = "k1"
    clock.advance(4000)
    assert call(gateway, other.token(clock)).status_code == 401


def test_two_issuers_with_one_kid_keep_their_keys_apart(other: Issuer, clock: Clock) -> None:
    """A060: another tenant's kid"""
    with issuer() as second:
        gateway, app = gate(entry(other), entry(second))
        assert call(gateway, other.token(clock)).status_code == 200
        assert call(gateway, second.token(clock)).status_code == 200
        assert app.environ["oauth_gateway.token"].issuer == second.name
        assert call(gateway, other.token(clock, iss=second.name)).status_code == 401
        assert call(gateway, second.token(clock, iss=other.name)).status_code == 401
        ids = {token.id for token, *_ in gateway.guard._tokens._believed.hits.values()}
        assert len(ids) == 2


def test_an_issuer_that_is_not_trusted_is_never_asked(other: Issuer, clock: Clock) -> None:
    with issuer() as stranger:
        gateway, _ = gate(entry(other))
        assert call(gateway, stranger.token(clock)).status_code == 401
        assert not stranger.asked


SCOPES: dict[str, tuple[dict[str, Any], dict[str, Any], set[str]]] = {
    "scope": ({}, {"scope": "read write"}, {"read", "write"}),
    "words between blanks only": ({}, {"scope": "read\u00a0write read\u2028admin read\twrite  ok"}, {"ok"}),
    "scope as a list": ({}, {"scope": ["read"]}, {"read"}),
    "roles are no scopes by themselves": ({}, {"roles": ["write"]}, {"read"}),
    "another claim": ({"scope_claims": "scp roles"}, {"scp": "a b", "roles": ["c"]}, {"a", "b", "c"}),
    "a claim in claims": ({"scope_claims": "realm_access.roles"}, {"realm_access": {"roles": ["admin"]}}, {"admin"}),
    "a name with dots": ({"scope_claims": "https://a.example/roles"}, {"https://a.example/roles": ["x"]}, {"x"}),
    "nothing there": ({"scope_claims": "realm_access.roles"}, {"realm_access": ["roles"]}, set()),
    "mapped": ({"scope_map": {"api-read": "read", "boss": "read write"}}, {"scope": "boss other"}, {"read", "write"}),
    "mapped in text": ({"scope_map": "api-read: read; boss: write"}, {"scope": "api-read admin boss"}, {"read", "write"}),
    "no scopes at all": ({"scope_claims": ""}, {}, set()),
    "words that are none": ({}, {"scope": ['a"b', "ä", "a b", 7, "ok"]}, {"ok"}),
}


@pytest.mark.parametrize("case", SCOPES)
def test_scopes_come_by_rule(case: str, other: Issuer, clock: Clock) -> None:
    settings, claims, scopes = SCOPES[case]
    gateway, app = gate(entry(other, **settings))
    assert call(gateway, other.token(clock, **claims)).status_code == 200
    assert app.environ["oauth_gateway.token"].scopes == scopes


def test_routes_and_implied_scopes_hold_for_foreign_tokens(other: Issuer, clock: Clock) -> None:
    gateway, app = gate(
        entry(other),
        routes=["GET /read scope=read", "GET /write scope=write"],
        scopes=["read", "write"],
        scope_implies="write: read",
    )
    assert call(gateway, other.token(clock), "/read").status_code == 200
    answer = call(gateway, other.token(clock), "/write")
    assert answer.status_code == 403 and 'scope="write"' in answer.headers["WWW-Authenticate"]
    assert call(gateway, other.token(clock, scope="write"), "/read").status_code == 200 and app.calls == 2


def test_beside_the_embedded_server_each_token_is_judged_by_its_own_issuer(other: Issuer, clock: Clock) -> None:
    world: World = make_world("sqlite://", clock, trusted_issuers=[entry(other)])
    mine = world.tokens()["access_token"]
    assert world.call(mine).status_code == 200 and world.app.environ["REMOTE_USER"] == "ann"
    assert world.call(other.token(clock)).status_code == 200 and "REMOTE_USER" not in world.app.environ
    assert world.call(other.token(clock, iss=world.base)).status_code == 401
    world.revoke(mine)
    assert world.call(mine).status_code == 401 and world.call(other.token(clock)).status_code == 200
    document = send(world.gateway, "GET", "/.well-known/oauth-protected-resource").json
    assert document["authorization_servers"] == [world.base, other.name]


def test_jwts_of_our_own_are_not_taken_for_the_issuers(other: Issuer, clock: Clock) -> None:
    world = make_world("sqlite://", clock, trusted_issuers=[entry(other)], access_token_format="jwt")
    mine = world.tokens()["access_token"]
    assert world.call(mine).status_code == 200 and world.app.environ["REMOTE_USER"] == "ann"
    assert not other.asked


def test_a_remembered_token_costs_what_an_own_one_costs(other: Issuer, clock: Clock) -> None:
    """In executed instructions: beside a server two looks into a second dict more, without one less than that"""
    world = make_world("sqlite://", clock, trusted_issuers=[entry(other)])
    alone, _ = gate(entry(other))
    text = other.token(clock)
    traced = sys.gettrace()

    def least(gateway: OAuthGateway, text: str) -> int:
        requests = []
        for _ in range(8):
            request = webob.Request.blank("/thing", base_url=AUDIENCE, headers={"Authorization": f"Bearer {text}"})
            requests.append(lambda environ=request.environ: gateway(environ, lambda *_: lambda _: None))
        assert call(gateway, text).status_code == 200
        return min(instructions_of(request).total() for request in requests)

    try:
        bare = OAuthGateway.from_settings(RecordingApp(), world.gateway.settings)
        bare.guard._tokens = world.gateway.guard._tokens
        own, theirs, without = least(bare, world.tokens()["access_token"]), least(bare, text), least(alone, text)
    finally:
        sys.settrace(traced)
    assert own < theirs <= own + 25 and without <= own + 10, (own, theirs, without)


def test_what_a_remembered_token_costs_is_a_look_into_a_dict(
    other: Issuer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same function finds own and foreign ones; nothing of `foreign` runs for a token that was seen"""
    world = make_world("sqlite://", clock, trusted_issuers=[entry(other)])
    tokens = [world.tokens()["access_token"], other.token(clock)]
    for token in tokens:
        assert world.call(token).status_code == 200
    monkeypatch.setattr(world.gateway.guard._tokens, "_load", None)
    for token in tokens:
        assert world.call(token).status_code == 200
    assert other.asked[other.jwks] == 1


def test_header_members_that_nobody_knows_are_ignored(other: Issuer, clock: Clock) -> None:
    """RFC 7515 section 4: some servers write members of their own"""
    gateway, _ = gate(entry(other))
    assert call(gateway, other.token(clock, header={"pi.atm": "x", "x5t": "abc"})).status_code == 200


def test_no_damage_to_a_token_lets_it_through_or_breaks_anything(other: Issuer, clock: Clock) -> None:
    """A059-A063: a byte changed, a piece left out or put in, anywhere"""
    gateway, app = gate(entry(other))
    good = other.token(clock)
    assert call(gateway, good).status_code == 200
    chance = random.Random(7)
    alphabet = "ABCXYZabcxyz019-_.=~+/"
    for _ in range(600):
        at, length = chance.randrange(len(good) - 1), chance.randrange(4)
        put = "".join(chance.choice(alphabet) for _ in range(chance.randrange(4)))
        text = good[:at] + put + good[at + length :]
        if not text.startswith(good[:-1]):  # the last character has bits that mean nothing
            assert call(gateway, text).status_code in (400, 401), text
    assert app.calls == 1


def test_the_log_says_once_why_a_signed_token_is_not_accepted(
    other: Issuer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """And says nothing of what a stranger may have made up"""
    caplog.set_level("INFO", "oauth_gateway")
    gateway, _ = gate(entry(other))
    call(gateway, other.token(clock, typ="JWT"))
    call(gateway, other.token(clock, typ="JWT")[:-4] + "AAAA")
    told = [record.getMessage() for record in caplog.records if "not accepted" in record.getMessage()]
    assert told == [
        f"a token of {other.name} is not accepted: its typ is 'JWT', which is not that of an access token in this `profile`"
    ]
