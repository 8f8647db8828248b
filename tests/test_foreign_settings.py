"""`trusted_issuers`, `server = false` and `claim:` in routes: what may be written, what `check` says, and what is served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oauth_gateway import ConfigurationError, OAuthGateway
from oauth_gateway.cli import main
from oauth_gateway.settings import gate as checked
from oauth_gateway.settings import load
from oauth_gateway.testing import Clock

from .conftest import RecordingApp, make_world, send
from .issuers import AUDIENCE, Issuer, entry, gate, issuer
from .test_foreign_jwts import call

NAME = "https://id.example/realms/a"
ASKS = {"tokens": "opaque", "client_id": "gate", "client_secret": "hunter2-hunter2"}


@pytest.fixture
def other() -> Iterator[Issuer]:
    with issuer() as made:
        yield made


BAD: dict[str, tuple[Any, str]] = {
    "no issuer": ({"audience": AUDIENCE}, "needs an `issuer`"),
    "http": ({"issuer": "http://id.example"}, "https"),
    "a query": ({"issuer": NAME + "?a=b"}, "query"),
    "an unknown name": ({"issuer": NAME, "audiences": AUDIENCE}, "'audiences' is unknown"),
    "an unknown profile": ({"issuer": NAME, "profile": "okta"}, "must be one of"),
    "HS256": ({"issuer": NAME, "algorithms": "HS256"}, "must be of RS256"),
    "none": ({"issuer": NAME, "algorithms": ["RS256", "none"]}, "must be of RS256"),
    "no algorithm": ({"issuer": NAME, "algorithms": []}, "must be of RS256"),
    "no audience": ({"issuer": NAME, "audience": ""}, "must not be empty"),
    "a claim without a prefix": ({"issuer": NAME, "username_claim": "sub"}, "needs a `prefix`"),
    "a prefix without a claim": ({"issuer": NAME, "prefix": "x:"}, "needs `username_claim`"),
    "opaque without a client": ({"issuer": NAME, "tokens": "opaque"}, "need `client_id`"),
    "opaque with two secrets": ({"issuer": NAME, **ASKS, "client_key": "x"}, "either"),
    "a secret for JWTs": ({"issuer": NAME, "client_secret": "hunter2"}, "are for `tokens` with opaque"),
    "Cognito without clients": ({"issuer": NAME, "profile": "cognito"}, "client_ids"),
    "Google without an audience": ({"issuer": NAME, "profile": "google"}, "as `audience`"),
    "a long cache": ({"issuer": NAME, **ASKS, "introspection_cache": "1h"}, "at most 300s"),
    "a map to nothing": ({"issuer": NAME, "scope_map": {"a": ""}}, "our scopes"),
    **{
        f"no tenant: {issuer}": ({"issuer": f"https://{issuer}", "profile": "entra"}, "must name one tenant by its ID")
        for issuer in (
            "login.microsoftonline.com/common/v2.0",
            "login.microsoftonline.com/organizations/v2.0",
            "login.microsoftonline.com/consumers/v2.0",
            "login.microsoftonline.com/{tenantid}/v2.0",
            "login.microsoftonline.com/example.onmicrosoft.com/v2.0",
            "login.microsoftonline.us/common/v2.0",
            "sts.windows.net/common/",
            "sts.windows.net/",
            "login.microsoftonline.com",
            "login.microsoftonline.com/9B1F5C1E-0000-4000-8000-1C5A3C2C7A11/v2.0",
        )
    },
    "twice": ([{"issuer": NAME}, {"issuer": NAME}], "twice"),
    "two that are asked": ([{"issuer": NAME, **ASKS}, {"issuer": NAME + "b", **ASKS}], "cannot be told apart"),
    "prefixes that overlap": (
        [{"issuer": NAME, **ASKS, "token_prefix": "a_"}, {"issuer": NAME + "b", **ASKS, "token_prefix": "a_b"}],
        "cannot be told apart",
    ),
    "our own prefix": ({"issuer": NAME, **ASKS, "token_prefix": "oga1_at"}, "this gateway's own"),
    "ourselves": ({"issuer": AUDIENCE}, "is this gateway itself"),
    "a number": (7, "list of tables"),
    "numbers": ([7], "a table or a line"),
    "a line of words": (NAME, "name=value"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_entry_is_refused_at_start_without_its_secrets(bad: str) -> None:
    value, text = BAD[bad]
    with pytest.raises(ConfigurationError) as caught:
        checked({"issuer": AUDIENCE, "trusted_issuers": value})
    assert text in str(caught.value) and "hunter2" not in str(caught.value) and str(caught.value).startswith("trusted_issuers")


def test_entries_are_read_from_toml_text_and_the_environment(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2-hunter2\n")
    file = tmp_path / "oauth_gateway.toml"
    file.write_text(f"""
        [oauth_gateway]
        issuer = "{AUDIENCE}"
        [[oauth_gateway.trusted_issuers]]
        issuer = "{NAME}"
        profile = "keycloak"
        tokens = ["jwt", "opaque"]
        client_id = "gate"
        client_secret = "file:{tmp_path}/secret"
        scope_claims = ["realm_access.roles"]
        algorithms = ["RS256", "ES256"]
        [oauth_gateway.trusted_issuers.scope_map]
        boss = "read write"
    """)
    line = (
        f"issuer={NAME} profile=keycloak tokens=jwt,opaque client_id=gate client_secret=file:{tmp_path}/secret"
        " scope_claims=realm_access.roles algorithms=RS256,ES256 'scope_map=boss: read write'"
    )
    from_file = load(file=file, environ={}).trusted_issuers
    from_text = load({"issuer": AUDIENCE}, environ={"OAUTH_GATEWAY_TRUSTED_ISSUERS": f"\n# ours\n{line}\n"}).trusted_issuers
    assert from_file == from_text and len(from_file) == 1
    assert from_file[0].client_secret == "hunter2-hunter2" and from_file[0].scope_map == {"boss": "read write"}


def test_without_a_server_only_the_gate_and_its_metadata_are_there(
    other: Issuer, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No endpoint, no file, no table: what the server would take from the app is the app's"""
    monkeypatch.chdir(tmp_path)
    gateway, app = gate(entry(other), routes=["* /authorize public", "* /token/** public", "* /.well-known/** public"])
    document = send(gateway, "GET", "/.well-known/oauth-protected-resource").json
    assert document == {
        "resource": AUDIENCE,
        "authorization_servers": [other.name],
        "bearer_methods_supported": ["header"],
    }
    assert not app.calls
    for path in ("/authorize", "/token/revoke", "/.well-known/openid-configuration", "/.well-known/jwks.json"):
        assert send(gateway, "GET", path).text == "app"
    refused = send(gateway, "GET", "/thing")
    assert refused.status_code == 401
    assert f'resource_metadata="{AUDIENCE}/.well-known/oauth-protected-resource"' in refused.headers["WWW-Authenticate"]
    assert call(gateway, "oga1_at_" + "A" * 67).status_code == 401
    assert call(gateway, other.token(clock)).status_code == 200 and not list(tmp_path.iterdir())
    clock.advance(5)
    assert call(gateway, other.token(clock)).status_code == 200
    preflight = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    assert send(gateway, "OPTIONS", "/thing", headers=preflight).status_code == 200


def test_another_gateways_tokens_can_be_asked_about_where_there_is_no_server_here(other: Issuer, clock: Clock) -> None:
    text = "oga1_at_" + "B" * 67
    other.describe(clock, text)
    gateway, _ = gate(entry(other, **ASKS, token_prefix="oga1_at_"))
    assert call(gateway, text).status_code == 200


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"trusted_issuers": []}, "is needed with `server = false`"),
        ({"trusted_issuers": [{"issuer": NAME}], "resource": None}, "say for whom its tokens must be"),
        ({"trusted_issuers": [{"issuer": NAME}], "routes": ["* /x session"]}, "session needs"),
    ],
)
def test_a_gate_without_a_server_says_what_it_lacks(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        OAuthGateway(RecordingApp(), **{"server": False, "resource": AUDIENCE, **settings})


def test_neither_a_server_nor_an_app_is_nothing_to_serve() -> None:
    with pytest.raises(ConfigurationError, match="needs an app"):
        OAuthGateway(None, server=False, resource=AUDIENCE, trusted_issuers=[{"issuer": NAME}])


def configuration(tmp_path: Path, of: Issuer, more: str = "", **settings: str) -> str:
    lines = "\n".join(f'{name} = "{value}"' for name, value in settings.items())
    file = tmp_path / "oauth_gateway.toml"
    file.write_text(f"""
        [oauth_gateway]
        server = false
        resource = "{AUDIENCE}"
        {more}
        [[oauth_gateway.trusted_issuers]]
        issuer = "{of.name}"
        private_networks = "127.0.0.0/8"
        {lines}
    """)
    return str(file)


def findings(capsys: pytest.CaptureFixture[str], file: str) -> tuple[int, list[dict[str, str]]]:
    capsys.readouterr()
    status = main(["check", "--json", "--config", file])
    return status, json.loads(capsys.readouterr().out)


def test_check_asks_every_issuer(other: Issuer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def trusted(file: str) -> tuple[int, dict[str, str]]:
        status, found = findings(capsys, file)
        about = [each for each in found if each["subject"] == "trusted"]
        assert "database" not in {each["subject"] for each in found}
        return status, about[0]

    assert trusted(configuration(tmp_path, other)) == (
        0,
        {"level": "ok", "subject": "trusted", "message": f"{other.name} (rfc9068): its keys are found"},
    )
    status, about = trusted(configuration(tmp_path, other, tokens="jwt opaque", client_id="a", client_secret="b" * 20))
    assert status == 0 and "it answers questions about tokens" in about["message"]
    other.replies[other.introspection] = lambda: (401, "application/json", b"{}")
    status, about = trusted(configuration(tmp_path, other, tokens="opaque", client_id="a", client_secret="b" * 20))
    assert status == 1 and "status is 401" in about["message"]
    other.replies[other.introspection] = lambda: (200, "application/json", b'{"active": true}')
    status, about = trusted(configuration(tmp_path, other, tokens="opaque", client_id="a", client_secret="b" * 20))
    assert status == 1 and "made up here" in about["message"]
    other.replies[other.jwks] = lambda: (200, "application/json", b'{"keys": []}')
    status, about = trusted(configuration(tmp_path, other))
    assert status == 1 and about["message"].endswith("there is no usable public key in the JWK Set")


def test_check_names_what_is_weak(other: Issuer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = configuration(tmp_path, other, username_claim="email", prefix="", scope_claims="roles")
    _, found = findings(capsys, file)
    told = "\n".join(each["message"] for each in found if each["level"] == "warning")
    assert "may be changed there" in told and "see `scope_map`" in told


def test_commands_that_need_a_server_say_that_there_is_none(
    other: Issuer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = configuration(tmp_path, other)
    for command in (["client", "create"], ["user", "list"], ["keys", "list"], ["purge"]):
        assert main([*command, "--config", file]) == 1
        assert "server = false" in capsys.readouterr().err
    assert main(["routes", "test", "GET", "/token", "--config", file]) == 0
    assert "needs: token" in capsys.readouterr().out


CLAIMS: list[tuple[str, Any, int]] = [
    ("claim:team=red", "red", 200),
    ("claim:team=red", ["blue", "red"], 200),
    ("claim:team=red,green", ["green"], 200),
    ("claim:team=red", "reddish", 403),
    ("claim:team=red", "RED", 403),
    ("claim:team=red", None, 403),
    ("claim:team=red", {"red": 1}, 403),
    ("claim:team=red", [["red"]], 403),
    ("claim:team=None", None, 403),
    ("claim:team=true", True, 200),
    ("claim:team=1", True, 403),
    ("claim:team=1", 1, 200),
    ("claim:team=red claim:team=blue", ["blue", "red"], 200),
    ("claim:team=red claim:team=blue", ["red"], 403),
    ("scope=read claim:team=red", "red", 200),
    ("scope=write claim:team=red", "red", 403),
    ("claim:team.name=red", {"name": "red"}, 200),
    ("claim:team.name=red", "red", 403),
]


@pytest.mark.parametrize(("access", "value", "status"), CLAIMS)
def test_routes_may_ask_for_a_claim(access: str, value: Any, status: int, other: Issuer, clock: Clock) -> None:
    gateway, app = gate(entry(other), routes=[f"GET /thing {access}"])
    assert call(gateway, other.token(clock, team=value)).status_code == status and app.calls == (status == 200)


def test_a_claim_that_a_rule_asks_for_is_asked_of_own_tokens_too(clock: Clock) -> None:
    world = make_world("sqlite://", clock, routes=["* /thing claim:team=red"])
    assert world.call(world.tokens()["access_token"]).status_code == 403 and not world.app.calls


@pytest.mark.parametrize(
    "word", ["claim:", "claim:=a", "claim:a=", "claim:a", "claim:a=b,", "public claim:a=b", "optional claim:a=b"]
)
def test_a_claim_is_written_with_name_and_value(word: str) -> None:
    with pytest.raises(ConfigurationError, match="route"):
        checked({"routes": [f"GET /x {word}"]})
