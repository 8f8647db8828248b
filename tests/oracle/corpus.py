"""Negative requests for both servers, as data, and why the answers differ where they do.

In `query`, `form` and `headers` a `{name}` stands for a value that the harness makes afresh for each server and case, such as
`{code}`. `checks` are numbers of CHECKS.md. `why` is one clause of a specification, and is there exactly where a difference is.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from urllib.parse import urlencode

CALLBACK = "https://client.test/cb"
LOOPBACK = "http://127.0.0.1/cb"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # RFC 7636 appendix B
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.3CyrXbVBGkZqjRXcXWRr9xkXbXC_oZwwV8vkTBGtTlU"
FORM = "application/x-www-form-urlencoded"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

PAGE = "RFC 6749 4.1.2.1 has the person told and names no code for it; theirs borrows the one of RFC 7591 3.2.2"
SYNTAX = "RFC 6749 5.2: who tried by the Authorization header and failed gets invalid_client with 401; theirs blames the syntax"
NOBODY = "RFC 6749 5.2 has invalid_client where client authentication is missing; theirs misses the client_id"
METHOD = "RFC 9110 15.5.6 has 405 with Allow for a known address and another method; theirs has no such route"
MEDIA = "RFC 9110 15.5.16 names 415 for an unsupported media type, RFC 6749 5.2 names 400 for anything malformed"
UTF8 = "RFC 6749 appendix B has parameters in UTF-8; theirs reads U+FFFD for what is not"
GRANT = "RFC 6749 5.2 has unauthorized_client for a grant type that is not this client's"
SCOPE = "RFC 6749 3.3 lets a server ignore an unknown scope or refuse it"
TWICE = "RFC 6749 3.1 and 3.2 forbid to repeat any parameter; theirs looks at those it knows"
VERIFIES = "RFC 7636 4.6 has invalid_grant for a verifier that does not fit; theirs judges its syntax (4.1) first"
IGNORED = "RFC 6749 3.1 has unknown parameters ignored; theirs knows this one from OpenID Connect Core"
AGAIN = "RFC 9110 15.4.4: ours asks a posted request again by GET, where it gets the error of the case above"
REGISTERED = "RFC 7591 2 has one method a client; theirs takes the two secret methods for one and judges the token"
EMPTY = "RFC 7009 2.2 has clients ignore the body; ours is an empty object, theirs is no body"
FOREIGN = "RFC 7009 2.1 has it refused, 2.2 has no error for an invalid token; ours does not tell that another's token exists"
ANYONE = "RFC 7662 2.1 wants authorization against token scanning, a name is none; theirs lets a public client ask for its own"
MANY = "RFC 9110 17.5 lets a server bound what it reads; ours stops at 100 parameters"

SECRETS = {name: f"{name}-secret-0123456789abcdef" for name in ("confidential", "poster", "machine")}


@dataclass(frozen=True, slots=True)
class Case:
    """One request."""

    name: str
    checks: str
    path: str
    method: str = "POST"
    query: str = ""
    form: str | bytes | None = None
    headers: dict[str, str | bytes] = field(default_factory=dict)
    why: str = ""


def basic(client: str, secret: str | None = None) -> dict[str, str | bytes]:
    text = f"{client}:{SECRETS.get(client, '') if secret is None else secret}"
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def raw_basic(credentials: bytes) -> dict[str, str | bytes]:
    return {"Authorization": b"Basic " + base64.b64encode(credentials)}


Pairs = dict[str, str | None]


def encode(pairs: Pairs, extra: str = "") -> str:
    """Form text of `pairs`, where None leaves one out and braces stay as they are."""
    text = urlencode({name: value for name, value in pairs.items() if value is not None}, safe="{}:/")
    return "&".join(part for part in (text, extra) if part)


def ask(name: str, checks: str, changes: Pairs | None = None, why: str = "", *, extra: str = "", method: str = "GET") -> Case:
    """A request to the authorization endpoint: a good one with `changes`, and `extra` as raw text behind it."""
    pairs: Pairs = {
        "response_type": "code",
        "client_id": "confidential",
        "redirect_uri": CALLBACK,
        "scope": "read",
        "state": "st",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **(changes or {}),
    }
    text = encode(pairs, extra)
    if method == "POST":
        return Case(name, checks, "/authorize", method, form=text, why=why)
    return Case(name, checks, "/authorize", method, text, why=why)


def post(
    path: str, name: str, checks: str, pairs: Pairs, why: str = "", *, client: str | None = "confidential", extra: str = ""
) -> Case:
    """A form for `client`, which authenticates as it is registered; None for nobody."""
    headers: dict[str, str | bytes] = {}
    if client in ("confidential", "machine"):
        headers = basic(client)
    elif client is not None:
        pairs = {"client_id": client, "client_secret": SECRETS.get(client), **pairs}
    return Case(name, checks, path, form=encode(pairs, extra), headers=headers, why=why)


def token(name: str, checks: str, pairs: Pairs, why: str = "", *, client: str | None = "confidential", extra: str = "") -> Case:
    return post("/token", name, checks, pairs, why, client=client, extra=extra)


def redeem(name: str, checks: str, changes: Pairs, why: str = "", *, client: str = "confidential", extra: str = "") -> Case:
    pairs: Pairs = {"grant_type": "authorization_code", "code": "{code}", "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    return token(name, checks, {**pairs, **changes}, why, client=client, extra=extra)


def refresh(name: str, checks: str, changes: Pairs, why: str = "", *, client: str = "confidential") -> Case:
    return token(name, checks, {"grant_type": "refresh_token", "refresh_token": "{refresh}", **changes}, why, client=client)


def revoke(
    name: str, checks: str, pairs: Pairs, why: str = "", *, client: str | None = "confidential", extra: str = ""
) -> Case:
    return post("/token/revoke", name, checks, pairs, why, client=client, extra=extra)


def look(name: str, checks: str, pairs: Pairs, why: str = "", *, client: str | None = "confidential", extra: str = "") -> Case:
    return post("/token/introspect", name, checks, pairs, why, client=client, extra=extra)


MACHINE: Pairs = {"grant_type": "client_credentials"}
MACHINE_FORM = encode(MACHINE)

AUTHORIZATION = [
    ask("unknown client", "R012", {"client_id": "nobody"}),
    ask("client_id missing", "R012", {"client_id": None}),
    ask("client_id repeated", "R005", extra="client_id=public"),
    ask("redirect_uri on another host", "R011", {"redirect_uri": "https://evil.test/cb"}, why=PAGE),
    ask("redirect_uri with a longer path", "R011", {"redirect_uri": f"{CALLBACK}/x"}, why=PAGE),
    ask("redirect_uri with a query", "R011", {"redirect_uri": f"{CALLBACK}?a=b"}, why=PAGE),
    ask("redirect_uri with a fragment", "R008", {"redirect_uri": f"{CALLBACK}#f"}, why=PAGE),
    ask("redirect_uri with an upper-case host", "R011", {"redirect_uri": "https://CLIENT.test/cb"}, why=PAGE),
    ask("redirect_uri with a port", "R011", {"redirect_uri": "https://client.test:8443/cb"}, why=PAGE),
    ask("redirect_uri with the default port", "R011", {"redirect_uri": "https://client.test:443/cb"}, why=PAGE),
    ask("redirect_uri with a user name", "R011", {"redirect_uri": "https://client.test@evil.test/cb"}, why=PAGE),
    ask("redirect_uri with dot segments", "R011", {"redirect_uri": "https://client.test/a/../cb"}, why=PAGE),
    ask("redirect_uri over http", "R011", {"redirect_uri": "http://client.test/cb"}, why=PAGE),
    ask("redirect_uri relative", "R011", {"redirect_uri": "/cb"}, why=PAGE),
    ask("redirect_uri javascript:", "R011", {"redirect_uri": "javascript:alert(1)"}, why=PAGE),
    ask(
        "redirect_uri repeated",
        "R005",
        extra=encode({"redirect_uri": CALLBACK}),
        why="RFC 6749 4.1.2.1 has no redirect to an invalid URI, and two (3.1) are none; theirs takes the only registered one",
    ),
    ask("redirect_uri missing, two registered", "R010", {"client_id": "public", "redirect_uri": None}),
    ask("loopback by another name", "R011", {"client_id": "public", "redirect_uri": "http://localhost:9/cb"}, why=PAGE),
    ask("loopback with another path", "R011", {"client_id": "public", "redirect_uri": "http://127.0.0.1:9/other"}, why=PAGE),
    ask("loopback port too large", "R011", {"client_id": "public", "redirect_uri": "http://127.0.0.1:65536/cb"}, why=PAGE),
    ask("redirect_uri percent-encoded", "R011", {"redirect_uri": "https://client.test/%63b"}, why=PAGE),
    ask("redirect_uri with a newline", "R011", {"redirect_uri": CALLBACK + "\n"}, why=PAGE),
    ask("loopback as a short address", "R011", {"client_id": "public", "redirect_uri": "http://127.1:9/cb"}, why=PAGE),
    ask("loopback as a number", "R011", {"client_id": "public", "redirect_uri": "http://2130706433:9/cb"}, why=PAGE),
    ask("loopback with a query", "R011", {"client_id": "public", "redirect_uri": "http://127.0.0.1:9/cb?a=b"}, why=PAGE),
    ask("loopback with a fragment", "R008", {"client_id": "public", "redirect_uri": "http://127.0.0.1:9/cb#f"}, why=PAGE),
    ask(
        "loopback as a user name", "R011", {"client_id": "public", "redirect_uri": "http://127.0.0.1:9@evil.test/cb"}, why=PAGE
    ),
    ask("loopback with dot segments", "R011", {"client_id": "public", "redirect_uri": "http://127.0.0.1:9/x/../cb"}, why=PAGE),
    ask(
        "loopback with port 0",
        "R011",
        {"client_id": "public", "redirect_uri": "http://127.0.0.1:0/cb"},
        why="RFC 8252 7.3 allows any port, RFC 6335 6 reserves 0: nothing can listen there",
    ),
    ask(
        "loopback with an empty port",
        "R011",
        {"client_id": "public", "redirect_uri": "http://127.0.0.1:/cb"},
        why="RFC 9700 2.1 compares strings save for the port of a loopback URI, and an empty port is none",
    ),
    ask("loopback over https", "R011", {"client_id": "public", "redirect_uri": "https://127.0.0.1:9/cb"}, why=PAGE),
    ask("client without the code grant", "R009", {"client_id": "machine"}, why=PAGE),
    ask("response_type missing", "R006", {"response_type": None}),
    ask("response_type empty", "R006", {"response_type": ""}),
    ask("response_type unknown", "R007", {"response_type": "zzz"}),
    ask(
        "response_type token",
        "R007 R050",
        {"response_type": "token"},
        why="RFC 6749 3.1.1 has an unsupported type answered by 4.1.2.1, in the query; theirs by 4.2.2.1, in the fragment",
    ),
    ask(
        "response_type code token",
        "R007",
        {"response_type": "code token"},
        why="RFC 6749 3.1.1 has an unsupported type answered by 4.1.2.1, in the query; theirs by 4.2.2.1, in the fragment",
    ),
    ask(
        "response_type none",
        "R007",
        {"response_type": "none"},
        why="RFC 6749 4.1.2.1 names unsupported_response_type; theirs supports none in general, not for this client",
    ),
    ask(
        "response_type code code",
        "R007",
        {"response_type": "code code"},
        why="RFC 6749 3.1.1 makes the order of values irrelevant, not their number; theirs folds them",
    ),
    ask("response_type repeated", "R005", extra="response_type=code"),
    ask(
        "response_type unknown and redirect_uri foreign",
        "R013",
        {"response_type": "zzz", "redirect_uri": "https://evil.test/"},
        why=PAGE,
    ),
    ask("challenge missing", "R065", {"code_challenge": None, "code_challenge_method": None}),
    ask("challenge missing, method given", "R065", {"code_challenge": None}),
    ask(
        "challenge missing and redirect_uri foreign",
        "R013",
        {"code_challenge": None, "redirect_uri": "https://evil.test/"},
        why=PAGE,
    ),
    ask("challenge plain", "R066", {"code_challenge_method": "plain"}),
    ask("challenge S512", "R066", {"code_challenge_method": "S512"}),
    ask("challenge method missing", "R066", {"code_challenge_method": None}),
    ask("challenge of 42 characters", "R067", {"code_challenge": CHALLENGE[:42]}),
    ask("challenge of 129 characters", "R067", {"code_challenge": "a" * 129}),
    ask("challenge with padding", "R067", {"code_challenge": CHALLENGE + "="}),
    ask("challenge with a newline", "R067", {"code_challenge": CHALLENGE + "\n"}),
    ask("challenge repeated", "R005", extra=f"code_challenge={CHALLENGE}"),
    ask("scope unknown", "R025", {"scope": "read zzz"}, why=SCOPE),
    ask("scope with a quote", "R025", {"scope": 're"ad'}),
    ask("scope with two spaces", "R025", {"scope": "read  write"}),
    ask("scope in capitals", "R025", {"scope": "READ"}, why=SCOPE),
    ask("scope unknown and redirect_uri foreign", "R013", {"scope": 're"ad', "redirect_uri": "https://evil.test/"}, why=PAGE),
    ask("scope repeated", "R005", extra="scope=write"),
    ask("scope repeated, once empty", "R005", extra="scope="),
    ask("state repeated", "R005", extra="state=other"),
    ask("unknown parameter repeated", "R005", extra="foo=1&foo=2", why=TWICE),
    ask("prompt none, nobody signed in", "R013", {"prompt": "none"}),
    ask("prompt none and redirect_uri foreign", "R013", {"prompt": "none", "redirect_uri": "https://evil.test/"}, why=PAGE),
    ask("prompt none login", "R013", {"prompt": "none login"}),
    ask("prompt unknown", "R013", {"prompt": "zzz"}),
    ask("request object", "R013", {"request": JWT}),
    ask("request_uri", "R013", {"request_uri": "https://client.test/request"}),
    ask("request object and redirect_uri foreign", "R013", {"request": JWT, "redirect_uri": "https://evil.test/"}, why=PAGE),
    ask(
        "response_mode unknown",
        "R013",
        {"response_mode": "zzz"},
        why="RFC 6749 4.1.2.1 has invalid_request for an invalid value; theirs has a code of its own",
    ),
    ask("resource unknown", "R155", {"resource": "https://other.test/"}),
    ask("resource with a fragment", "R155", {"resource": "https://other.test/#f"}),
    ask("resource relative", "R155", {"resource": "/api"}),
    ask("registration", "R003", {"registration": "{}"}, why=IGNORED),
    ask("max_age negative", "R003", {"max_age": "-1"}),
    ask("state not UTF-8", "R014", {"state": None}, extra="state=%ff", why=UTF8),
    ask(
        "state with NUL",
        "R014",
        {"state": None},
        extra="state=%00",
        why="RFC 6749 A.5 makes state of visible characters; theirs takes NUL",
    ),
    ask("scope not UTF-8", "R025", {"scope": None}, extra="scope=%ff", why=UTF8),
    ask("client_id not UTF-8", "R012", {"client_id": None}, extra="client_id=%ff", why=UTF8),
    ask("broken percent escape, challenge missing", "R014", {"code_challenge": None, "state": None}, extra="state=%zz"),
    ask("101 parameters", "R003", extra="&".join(f"x{i}=1" for i in range(94)), why=MANY),
    ask("POST, unknown client", "R002 R012", {"client_id": "nobody"}, method="POST", why=AGAIN),
    ask(
        "POST, challenge missing",
        "R002 R065",
        {"code_challenge": None, "code_challenge_method": None},
        method="POST",
        why=AGAIN,
    ),
    ask("PUT", "R002", method="PUT", why=METHOD),
]

TOKEN = [
    Case("GET", "R028", "/token", "GET", MACHINE_FORM, headers=basic("machine"), why=METHOD),
    Case("PUT", "R028", "/token", "PUT", form=MACHINE_FORM, headers=basic("machine"), why=METHOD),
    Case(
        "OPTIONS, another origin",
        "R028",
        "/token",
        "OPTIONS",
        headers={"Origin": "https://client.test", "Access-Control-Request-Method": "POST"},
    ),
    token("no grant_type", "R042", {}),
    token("grant_type unknown", "R042", {"grant_type": "zzz"}),
    token("grant_type password", "R050", {"grant_type": "password", "username": "ann", "password": "x"}),
    token("grant_type implicit", "R050", {"grant_type": "implicit"}),
    Case(
        "body of JSON",
        "R030",
        "/token",
        form='{"grant_type":"client_credentials"}',
        headers={**basic("machine"), "Content-Type": "application/json"},
        why=MEDIA,
    ),
    Case(
        "body multipart",
        "R030",
        "/token",
        form="--b\r\n\r\n--b--\r\n",
        headers={**basic("machine"), "Content-Type": "multipart/form-data; boundary=b"},
        why=MEDIA,
    ),
    Case("no Content-Type", "R030", "/token", form=MACHINE_FORM, headers={**basic("machine"), "Content-Type": ""}, why=MEDIA),
    Case("parameters in the query", "R029", "/token", query=MACHINE_FORM, headers=basic("machine")),
    token("grant_type repeated", "R029", MACHINE, client="machine", extra=MACHINE_FORM),
    token("scope repeated", "R029", {**MACHINE, "scope": "read"}, client="machine", extra="scope=read"),
    token("client_id repeated", "R029", MACHINE, client="machine", extra="client_id=machine&client_id=machine"),
    token("unknown parameter repeated", "R029", MACHINE, client="machine", extra="foo=1&foo=2", why=TWICE),
    redeem("code repeated", "R029", {}, extra="code=x"),
    token("Basic and body secret", "R031", {**MACHINE, "client_secret": SECRETS["machine"]}, client="machine"),
    token(
        "Basic and assertion",
        "R031",
        {**MACHINE, "client_assertion": JWT, "client_assertion_type": ASSERTION_TYPE},
        client="machine",
    ),
    token("body secret and assertion", "R031", {"grant_type": "refresh_token", "client_assertion": JWT}, client="poster"),
    token(
        "assertion only",
        "R037",
        {**MACHINE, "client_id": "machine", "client_assertion": JWT, "client_assertion_type": ASSERTION_TYPE},
        client=None,
        why="RFC 6749 5.2 has invalid_client where nobody authenticated, 3.2 ignores the rest; theirs reads the assertion",
    ),
    token("Basic and another client_id", "R034", {**MACHINE, "client_id": "confidential"}, client="machine"),
    Case("wrong secret by Basic", "R036", "/token", form=MACHINE_FORM, headers=basic("machine", "wrong")),
    token("wrong secret in the body", "R036", {**MACHINE, "client_id": "poster", "client_secret": "wrong"}, client=None),
    Case("empty secret by Basic", "R036", "/token", form=MACHINE_FORM, headers=basic("machine", ""), why=SYNTAX),
    token("confidential client without secret", "R037", {**MACHINE, "client_id": "machine"}, client=None),
    token("nobody at all", "R037", MACHINE, client=None),
    Case("unknown client by Basic", "R036", "/token", form=MACHINE_FORM, headers=basic("nobody", "x")),
    token("unknown client in the body", "R036", {**MACHINE, "client_id": "nobody", "client_secret": "x"}, client=None),
    token("unknown public client", "R037", {**MACHINE, "client_id": "nobody"}, client=None),
    token(
        "registered for Basic, secret in the body",
        "R036",
        {
            "grant_type": "refresh_token",
            "refresh_token": "x",
            "client_id": "confidential",
            "client_secret": SECRETS["confidential"],
        },
        client=None,
        why=REGISTERED,
    ),
    Case(
        "registered for the body, secret by Basic",
        "R036",
        "/token",
        form="grant_type=refresh_token&refresh_token=x",
        headers=basic("poster"),
        why=REGISTERED,
    ),
    token(
        "public client with a secret",
        "R036",
        {"grant_type": "refresh_token", "refresh_token": "x", "client_id": "public", "client_secret": "x"},
        client=None,
    ),
    Case("Basic not base64", "R036", "/token", form=MACHINE_FORM, headers={"Authorization": "Basic !!!"}, why=SYNTAX),
    Case("Basic empty", "R036", "/token", form=MACHINE_FORM, headers={"Authorization": "Basic "}, why=SYNTAX),
    Case("Basic without colon", "R036", "/token", form=MACHINE_FORM, headers=raw_basic(b"machine"), why=SYNTAX),
    Case("Basic not UTF-8", "R036", "/token", form=MACHINE_FORM, headers=raw_basic(b"machine:\xfe\xff"), why=SYNTAX),
    Case("Basic with a broken escape", "R033", "/token", form=MACHINE_FORM, headers=raw_basic(b"machine:%zz"), why=SYNTAX),
    Case(
        "Basic raw byte outside ASCII",
        "R036",
        "/token",
        form=MACHINE_FORM,
        headers={"Authorization": b"Basic \xe9"},
        why=SYNTAX,
    ),
    Case("Bearer in place of Basic", "R036", "/token", form=MACHINE_FORM, headers={"Authorization": "Bearer x"}, why=SYNTAX),
    Case(
        "Bearer and body secret",
        "R031",
        "/token",
        form=f"grant_type=refresh_token&refresh_token=x&client_id=poster&client_secret={SECRETS['poster']}",
        headers={"Authorization": "Bearer x"},
    ),
    Case(
        "Bearer and a public client",
        "R031",
        "/token",
        form="grant_type=refresh_token&refresh_token=x&client_id=public",
        headers={"Authorization": "Bearer x"},
    ),
    Case(
        "Basic and two spaces",
        "R036",
        "/token",
        form="grant_type=zzz",
        headers={"Authorization": str(basic("machine")["Authorization"]).replace(" ", "  ")},
        why="RFC 9110 11.4 allows several spaces before the credentials; theirs one",
    ),
    Case(
        "Basic without padding",
        "R036",
        "/token",
        form="grant_type=zzz",
        headers={"Authorization": str(basic("machine")["Authorization"]).rstrip("=")},
    ),
    Case(
        "public client by Basic, empty secret",
        "R036",
        "/token",
        form="grant_type=refresh_token&refresh_token=x",
        headers=basic("public"),
        why=SYNTAX,
    ),
    Case(
        "secret in the query",
        "R032",
        "/token",
        query=encode({"client_id": "machine", "client_secret": SECRETS["machine"]}),
        form=MACHINE_FORM,
    ),
    token("public client with client_credentials", "R043", MACHINE, client="public", why=GRANT),
    token("client_credentials not registered", "R042", MACHINE, why=GRANT),
    redeem("authorization_code not registered", "R042", {}, client="machine", why=GRANT),
    token("scope beyond the client's", "R042", {**MACHINE, "scope": "read write"}, client="machine"),
    token("scope unknown", "R042", {**MACHINE, "scope": "zzz"}, client="machine", why=SCOPE),
    token("scope malformed", "R025", {**MACHINE, "scope": 're"ad'}, client="machine"),
    token("resource unknown", "R155", {**MACHINE, "resource": "https://other.test/"}, client="machine"),
    Case(
        "secret not UTF-8",
        "R036",
        "/token",
        form="client_id=poster&client_secret=%ff&grant_type=refresh_token",
        why="RFC 6749 appendix B has parameters in UTF-8; theirs compares U+FFFD with the secret",
    ),
    Case("secret outside ASCII", "R036", "/token", form="client_id=poster&client_secret=%C3%A9&grant_type=refresh_token"),
    Case(
        "raw byte in the body",
        "R030",
        "/token",
        form=b"grant_type=client_credentials&scope=\xff",
        headers=basic("machine"),
        why="RFC 6749 appendix B has octets percent-encoded; theirs reads U+FFFD and refuses it as a scope",
    ),
    Case(
        "NUL in a parameter",
        "R030",
        "/token",
        form="grant_type=client_credentials&scope=%00",
        headers=basic("machine"),
        why="RFC 6749 5.2 calls it malformed; theirs gets as far as the scope (A.4)",
    ),
    Case(
        "body of 70 KB",
        "R030",
        "/token",
        form=MACHINE_FORM + "&x=" + "a" * 70_000,
        headers=basic("machine"),
        why="RFC 9110 15.5.14 names 413 for content that is too large, RFC 6749 5.2 names 400",
    ),
    redeem("code missing", "R042", {"code": None}),
    redeem("code unknown", "R042", {"code": "zzz"}),
    redeem("code cut short", "R047", {"code": "{short_code}"}),
    redeem("code of another client", "R038", {"code": "{public_code}"}),
    redeem("code of another client, public", "R038", {}, client="public"),
    redeem("code used twice", "R018", {"code": "{used_code}"}),
    redeem("verifier wrong", "R068", {"code_verifier": "a" * 43}),
    redeem("verifier missing", "R069", {"code_verifier": None}),
    redeem("verifier missing, public client", "R069", {"code": "{public_code}", "code_verifier": None}, client="public"),
    redeem("verifier with a newline", "R070", {"code_verifier": VERIFIER + "\n"}, why=VERIFIES),
    redeem("verifier of 42 characters", "R070", {"code_verifier": VERIFIER[:42]}, why=VERIFIES),
    redeem("verifier of 129 characters", "R070", {"code_verifier": "a" * 129}, why=VERIFIES),
    redeem("verifier is the challenge", "R073", {"code_verifier": CHALLENGE}),
    redeem(
        "right verifier after five wrong ones",
        "R074",
        {"code": "{guessed_code}"},
        why="RFC 6749 10.10 has guessing prevented; ours ends a code after five wrong verifiers",
    ),
    redeem("redirect_uri wrong", "R039", {"redirect_uri": "https://client.test/other"}),
    redeem(
        "redirect_uri missing",
        "R039",
        {"redirect_uri": None},
        why="RFC 6749 4.1.3 requires it where the request had it, OAuth 2.1 10.2 does not; theirs fills in the registered one",
    ),
    redeem(
        "redirect_uri missing, two registered",
        "R039",
        {"code": "{public_code}", "redirect_uri": None},
        client="public",
        why="RFC 6749 5.2: ours says that it does not match (invalid_grant), theirs that it is missing (invalid_request)",
    ),
    redeem("resource unknown, with a code", "R156", {"resource": "https://other.test/"}),
    redeem("refresh token as code", "R042", {"code": "{refresh}"}),
    redeem("access token as code", "R042", {"code": "{access}"}),
    refresh("refresh token missing", "R042", {"refresh_token": None}),
    refresh("refresh token unknown", "R046", {"refresh_token": "zzz"}),
    refresh("refresh token of another client", "R045", {"refresh_token": "{public_refresh}"}),
    refresh("refresh token of another client, public", "R045", {}, client="public"),
    refresh("refresh token revoked", "R046", {"refresh_token": "{revoked_refresh}"}),
    refresh(
        "refresh token used twice at once",
        "R046",
        {"refresh_token": "{used_refresh}"},
        why="RFC 9700 4.14.2 invalidates the old token; ours repeats the very same answer for 10 s to a client that lost it",
    ),
    refresh("refresh token used twice, the new one used too", "R046", {"refresh_token": "{old_refresh}"}),
    refresh("refresh token, an older one was reused", "R046", {"refresh_token": "{reused_refresh}"}),
    refresh("refresh token, its code was replayed", "R018", {"refresh_token": "{replayed_refresh}"}),
    refresh(
        "refresh token, its access token was revoked",
        "R083",
        {"refresh_token": "{bereft_refresh}"},
        why="RFC 7009 2.1: with an access token the refresh token MAY be revoked; theirs does",
    ),
    refresh("refresh with wider scope", "R044", {"scope": "read write"}),
    refresh("refresh with unknown scope", "R044", {"scope": "zzz"}),
    refresh("refresh with malformed scope", "R044", {"scope": 're"ad'}),
    refresh("resource unknown, at refresh", "R158", {"resource": "https://other.test/"}),
    refresh("access token as refresh token", "R046", {"refresh_token": "{access}"}),
    refresh("code as refresh token", "R046", {"refresh_token": "{code}"}),
]

REVOCATION = [
    Case("GET", "R076", "/token/revoke", "GET", "token=x", headers=basic("confidential"), why=METHOD),
    Case(
        "body of JSON",
        "R076",
        "/token/revoke",
        form='{"token":"x"}',
        headers={**basic("confidential"), "Content-Type": "application/json"},
        why=MEDIA,
    ),
    revoke("token missing", "R076", {}),
    Case("token in the query", "R076", "/token/revoke", query="token=x", headers=basic("confidential")),
    revoke("token repeated", "R029", {"token": "x"}, extra="token=y"),
    revoke("nobody at all", "R077", {"token": "{access}"}, NOBODY, client=None),
    Case(
        "Bearer in place of Basic", "R077", "/token/revoke", form="token=x", headers={"Authorization": "Bearer x"}, why=SYNTAX
    ),
    revoke("confidential client without secret", "R077", {"token": "{access}", "client_id": "confidential"}, client=None),
    Case("wrong secret", "R077", "/token/revoke", form="token=x", headers=basic("confidential", "wrong")),
    Case("unknown client", "R077", "/token/revoke", form="token=x", headers=basic("nobody", "x")),
    revoke("token unknown", "R079", {"token": "zzz"}, why=EMPTY),
    revoke("token revoked before", "R079", {"token": "{revoked_access}"}, why=EMPTY),
    revoke("token of another client", "R078", {"token": "{public_access}"}, why=FOREIGN),
    revoke("refresh token of another client", "R078", {"token": "{public_refresh}"}, why=FOREIGN),
    revoke("token of another client, asked by a public one", "R078", {"token": "{access}"}, client="public", why=EMPTY),
    revoke("hint unknown", "R080", {"token": "{access}", "token_type_hint": "zzz"}, why=EMPTY),
    revoke("hint wrong", "R080", {"token": "{access}", "token_type_hint": "refresh_token"}, why=EMPTY),
    revoke(
        "token is a JWT",
        "R081",
        {"token": JWT},
        why="RFC 7009 2.2 has 200 for a token that is unknown; theirs has a type that it cannot revoke (2.2.1)",
    ),
    revoke("token is a code", "R079", {"token": "{code}"}, why=EMPTY),
]

INTROSPECTION = [
    Case("GET", "R087", "/token/introspect", "GET", "token=x", headers=basic("confidential"), why=METHOD),
    Case(
        "body of JSON",
        "R087",
        "/token/introspect",
        form='{"token":"x"}',
        headers={**basic("confidential"), "Content-Type": "application/json"},
        why=MEDIA,
    ),
    look("token missing", "R087", {}),
    Case("token in the query", "R087", "/token/introspect", query="token=x", headers=basic("confidential")),
    look("token repeated", "R029", {"token": "x"}, extra="token=y"),
    look("nobody at all", "R087", {"token": "{access}"}, NOBODY, client=None),
    Case(
        "Bearer in place of Basic",
        "R087",
        "/token/introspect",
        form="token=x",
        headers={"Authorization": "Bearer x"},
        why=SYNTAX,
    ),
    look("confidential client without secret", "R087", {"token": "{access}", "client_id": "confidential"}, client=None),
    Case("wrong secret", "R093", "/token/introspect", form="token=x", headers=basic("confidential", "wrong")),
    Case("unknown client", "R093", "/token/introspect", form="token=x", headers=basic("nobody", "x")),
    look("token unknown", "R088", {"token": "zzz"}),
    look("token revoked", "R088", {"token": "{revoked_access}"}),
    look("token whose code was replayed", "R018", {"token": "{replayed_access}"}),
    look("token whose refresh token was revoked", "R082", {"token": "{bereft_access}"}),
    look("token of another client", "R090", {"token": "{public_access}"}),
    look("refresh token used up", "R088", {"token": "{old_refresh}"}),
    look("token is a code", "R088", {"token": "{code}"}),
    look(
        "token is a JWT",
        "R088",
        {"token": JWT},
        why="RFC 7662 2.2 has active=false for a token that is unknown; theirs refuses the format",
    ),
    look("public client, its own token", "R087", {"token": "{public_access}"}, client="public", why=ANYONE),
    look("public client, another's token", "R087", {"token": "{access}"}, client="public", why=ANYONE),
]

CASES = [*AUTHORIZATION, *TOKEN, *REVOCATION, *INTROSPECTION]
