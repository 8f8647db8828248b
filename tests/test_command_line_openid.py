"""`keys`, `session`, `user set-claims`, and what `check` says of OpenID, keys and clients."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oauth_gateway import jose
from oauth_gateway.cli import main
from oauth_gateway.testing import Clock

from .conftest import World, make_world
from .test_command_line import run
from .test_logout import BACK, Receiver, signed_in


@pytest.fixture
def deployed(clock: Clock, tmp_path: Path) -> Iterator[tuple[World, list[str]]]:
    """A world on a file, and the arguments that name it."""
    database = f"sqlite:///{tmp_path}/g.db"
    file = tmp_path / "oauth_gateway.toml"
    file.write_text(
        f'[oauth_gateway]\nissuer = "https://api.example.com"\ndatabase = "{database}"\naccess_token_format = "jwt"\n'
    )
    world = make_world(database, clock, access_token_format="jwt")
    yield world, ["--config", str(file)]
    world.gateway.store.close()


def test_keys_are_listed_rotated_and_revoked(deployed: tuple[World, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    world, config = deployed
    listed = run(capsys, "keys", "list", *config)
    assert sorted(key["alg"] for key in listed) == sorted(jose.ALGORITHMS) and {key["state"] for key in listed} == {"signs"}
    made = run(capsys, "keys", "rotate", *config)["kids"]
    states = {key["kid"]: key["state"] for key in run(capsys, "keys", "list", *config)}
    assert {states[kid] for kid in made} == {"next"} and len(states) == 8
    assert main(["keys", "rotate", "--now", *config]) == 0 and "sign from now on" in capsys.readouterr().out
    token = world.machine_token()
    kid = jose.peek(token)[0]["kid"]
    assert kid in made and world.call(token).status_code == 200
    assert run(capsys, "keys", "revoke", kid, *config)["revoked"] is True
    assert world.call(token).status_code == 401 and world.call(world.machine_token()).status_code == 200
    after = {key["kid"]: key for key in run(capsys, "keys", "list", *config)}
    assert after[kid]["state"] == "revoked" and after[kid]["kept_until"] is not None
    assert main(["keys", "list", *config]) == 0
    text = capsys.readouterr().out
    assert "revoked" in text and "retired" in text and '"d"' not in text
    assert main(["keys", "revoke", "nobody", *config]) == 1
    assert "no such key" in capsys.readouterr().err


def test_sessions_are_listed_and_ended(
    deployed: tuple[World, list[str]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, config = deployed
    receiver = Receiver(monkeypatch)
    world.confidential = world.clients.update(world.confidential, {"backchannel_logout_uri": BACK}, 0)
    browser, tokens = signed_in(world, scope="openid read")
    other, _ = signed_in(world)
    listed = run(capsys, "session", "list", "--user", "ann", *config)
    assert [session["username"] for session in listed] == ["ann", "ann"]
    assert {session["last_seen"] - session["auth_time"] for session in listed} == {0} and listed[0]["device"] == ""
    assert main(["session", "list", *config]) == 0
    assert "DEVICE" in capsys.readouterr().out
    sid = jose.peek(tokens["id_token"])[1]["sid"]
    assert sid in {session["sid"] for session in listed}
    assert run(capsys, "session", "end", sid, *config) == {"ended": [sid]}
    assert world.call(tokens["access_token"]).status_code == 401
    assert browser.open("/authorize/account").location.endswith("/login")
    assert "You are signed in" in other.open("/authorize/account").text
    assert len(run(capsys, "session", "end", "--user", "ann", *config)["ended"]) == 1
    assert run(capsys, "session", "list", *config) == []
    assert len(receiver.got) == 2 and world.gateway.server.jobs.work() == 0, "the command tells the parties itself"
    for arguments, says in ((["x"], "no such session"), ([], "name one session"), (["x", "--user", "ann"], "name one session")):
        assert main(["session", "end", *arguments, *config]) == 1
        assert says in capsys.readouterr().err


def test_claims_of_a_person_are_set_and_removed(deployed: tuple[World, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    _, config = deployed
    given = ["email=ann@example.com", "email_verified=true", 'address={"locality": "Zürich"}', "name=Ann = Ö"]
    claims = run(capsys, "user", "set-claims", "ann", *given, *config)["claims"]
    assert claims == {
        "email": "ann@example.com",
        "email_verified": True,
        "address": {"locality": "Zürich"},
        "name": "Ann = Ö",
    }
    claims = run(capsys, "user", "set-claims", "ann", "email=", "email_verified=", *config)["claims"]
    assert set(claims) == {"address", "name"}
    for text, says in (
        ("sub=x", "is not one of a person"),
        ("email", "write it as CLAIM=VALUE"),
        ("ß=1", "is not one"),
        ("=1", "write"),
    ):
        assert main(["user", "set-claims", "ann", text, *config]) == 1
        assert says in capsys.readouterr().err
    assert main(["user", "set-claims", "ann", "name=" + "x" * 20_000, *config]) == 1


def test_a_registration_with_keys_and_addresses(
    deployed: tuple[World, list[str]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _, config = deployed
    keys = {"keys": [jose.public_of(jose.generate("ES256"), "ES256", "k")]}
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    options = [
        "--token-endpoint-auth-method",
        "private_key_jwt",
        "--jwks",
        f"file:{tmp_path}/keys.json",
        "--default-max-age",
        "60",
    ]
    made = run(capsys, "client", "create", *options, "--redirect-uri", "https://a.test/cb", "--may-omit-pkce", *config)
    assert (
        made["jwks"] == keys and made["default_max_age"] == 60 and "client_secret" not in made and made["may_omit_pkce"] is True
    )
    for bad in (["--jwks", "{"], ["--jwks", "file:/no/such"], ["--default-max-age", "x"]):
        with pytest.raises(SystemExit) as stopped:
            main(["client", "create", *bad, *config])
        assert stopped.value.code == 2
    assert main(["client", "rotate-secret", made["client_id"], *config]) == 1
    assert "has no secret" in capsys.readouterr().err


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    main(["check", *arguments, "--json"])
    findings: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return findings


def test_check_tells_what_is_weaker_and_what_cannot_work(
    deployed: tuple[World, list[str]], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, config = deployed
    world.clients.update(world.confidential, {"may_omit_pkce": True}, 0)
    messages = [f"{finding['level']} {finding['message']}" for finding in check(capsys, *config)]
    assert any("warning" in text and "may omit PKCE" in text and world.confidential.client_id in text for text in messages)
    file = tmp_path / "bad.toml"
    file.write_text(
        '[oauth_gateway]\ndatabase = "sqlite://"\nfeatures = "openid hybrid"\nopenid_claims = "no.such:thing"\n'
        'fetch_private_networks = ["10.0.0.0/8"]\nsigning_keys = "x"\n'
    )
    messages = [f"{finding['level']} {finding['message']}" for finding in check(capsys, "--config", str(file))]
    for text in (
        "error openid needs authorization_code",
        "error openid_claims = 'no.such:thing'",
        "warning hybrid puts ID tokens",
        "warning fetch_private_networks lets",
        "warning without `issuer` clients are not told",
    ):
        assert any(message.startswith(text) for message in messages), (text, messages)


def test_claims_have_the_types_that_openid_gives_them(
    deployed: tuple[World, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    _, config = deployed
    claims = run(capsys, "user", "set-claims", "ann", "birthdate=1990", "updated_at=5", "groups=[1]", "nick=null", *config)[
        "claims"
    ]
    assert claims == {"birthdate": "1990", "updated_at": 5, "groups": [1], "nick": None}
    for text, says in (
        ("email_verified=yes", "true or false"),
        ("address=Berlin", "an object such as"),
        ("updated_at=x", "a number"),
        ("updated_at=true", "a number"),
    ):
        assert main(["user", "set-claims", "ann", text, *config]) == 1
        assert says in capsys.readouterr().err


def test_an_update_replaces_and_an_empty_text_removes(
    deployed: tuple[World, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    world, config = deployed
    client_id = world.confidential.client_id
    uri = ["--frontchannel-logout-uri", "https://client.test/front"]
    assert run(capsys, "client", "update", client_id, *uri, *config)["frontchannel_logout_uri"] == uri[1]
    assert "frontchannel_logout_uri" not in run(capsys, "client", "update", client_id, uri[0], "", *config)
    assert main(["client", "update", client_id, uri[0], "https://other.test/front", *config]) == 1
    assert "must have scheme, host and port of a redirect URI" in capsys.readouterr().err
    keys = json.dumps({"keys": [jose.public_of(jose.generate("ES256"), "ES256", "k")]})
    assert run(capsys, "client", "create", "--jwks", keys, *config)["token_endpoint_auth_method"] == "private_key_jwt"
    assert main(["client", "create", "--redirect-uri", "https://a.test/*", *config]) == 1
    assert "it has a wildcard; redirect URIs match exactly" in capsys.readouterr().err


def test_an_own_key_is_not_revoked_by_command(clock: Clock, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "own.pem").write_bytes(jose.generate("RS256").as_pem(private=True))
    file = tmp_path / "g.toml"
    file.write_text(f'[oauth_gateway]\ndatabase = "sqlite:///g.db"\nsigning_keys = "file:{tmp_path}/own.pem"\n')
    make_world(f"sqlite:///{tmp_path}/g.db", clock, issuer=None).gateway.store.close()
    config = ["--config", str(file)]
    own = next(key["kid"] for key in run(capsys, "keys", "list", *config) if key["alg"] == "RS256" and key["state"] == "signs")
    assert main(["keys", "revoke", own, *config]) == 1
    assert "take it out of `signing_keys` and restart" in capsys.readouterr().err


def test_check_builds_the_pages(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "l.png").write_bytes(b"x" * 20_000)
    file = tmp_path / "g.toml"
    file.write_text(f'[oauth_gateway]\ndatabase = "sqlite://"\n[oauth_gateway.brand]\nlogo = "{tmp_path}/l.png"\n')
    assert any(f["level"] == "error" and "at most 12288 bytes" in f["message"] for f in check(capsys, "--config", str(file)))


def test_check_warns_of_a_colour_that_hardly_differs_from_a_page(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "g.toml"
    for colour, warned in (("#ffeb3b", True), ("#7c3aed", False)):
        file.write_text(f'[oauth_gateway]\ndatabase = "sqlite://"\n[oauth_gateway.brand]\ncolour = "{colour}"\n')
        found = [f["message"] for f in check(capsys, "--config", str(file)) if f["subject"] == "brand"]
        assert bool(found) == warned and all("contrast of 1.2 to the light page" in text for text in found)


def test_check_reads_templates_with_sentences_in_them(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "logged_out.html").write_text("{% trans %}You are signed out{% endtrans %} {{ _('Sign in') }} {{ 'a'|name }}")
    file = tmp_path / "g.toml"
    file.write_text(f'[oauth_gateway]\ndatabase = "sqlite://"\ntemplates = "{tmp_path}"\n')
    assert not [f for f in check(capsys, "--config", str(file)) if f["subject"] == "templates"]


def test_a_clients_names_in_other_languages(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    names = ("--client-name", "Photos", "--client-name-in", "ja=写真", "--client-name-in", "de=Fotos")
    database = ("--database", f"sqlite:///{tmp_path}/g.db", "--json")
    assert main(["client", "create", *names, *database]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["client_name"], made["client_name#ja"], made["client_name#de"]) == ("Photos", "写真", "Fotos")
    assert main(["client", "update", made["client_id"], "--client-name-in", "de=", *database]) == 0
    changed = json.loads(capsys.readouterr().out)
    assert "client_name#de" not in changed and changed["client_name#ja"] == "写真"
    with pytest.raises(SystemExit):
        main(["client", "create", "--client-name-in", "写真", *database])
    assert "ja=写真" in capsys.readouterr().err
