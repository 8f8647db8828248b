"""The four doors and the gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oauth_gateway import ConfigurationError, OAuthGateway
from oauth_gateway.paste import app_factory, filter_factory
from oauth_gateway.settings import gate, load


def test_keywords_win_over_the_environment_and_that_over_a_file(tmp_path: Path) -> None:
    file = tmp_path / "oauth_gateway.toml"
    file.write_text('[oauth_gateway]\ncache_size = 1\nprefix = "/a"\nsession_lifetime = "2d"\ndatabase = "sqlite:///x.db"\n')
    environ = {"OAUTH_GATEWAY_CACHE_SIZE": "2", "OAUTH_GATEWAY_PREFIX": "/b", "OAUTH_GATEWAY_CONFIG": "x", "PATH": "/"}
    settings = load({"cache_size": 3}, file=file, environ=environ)
    assert (settings.cache_size, settings.prefix, settings.session_lifetime) == (3, "/b", 2 * 86400)
    assert settings.database == f"sqlite:///{tmp_path.resolve()}/x.db", "relative to the file that names it"


def test_text_and_python_values_mean_the_same() -> None:
    python = gate(
        {
            "scopes": {"a": "Alpha: one", "b": "B"},
            "routes": ["GET /x public", "* /** token"],
            "trusted_proxies": ["10.0.0.0/8", "::1"],
            "identity_headers": True,
            "access_token_lifetime": 600,
            "features": ["default"],
            "secret": ["x" * 32, "y" * 32],
        }
    )
    text = gate(
        {
            "scopes": "a: Alpha: one\nb: B",
            "routes": "\n  GET /x public\n  # a comment\n  * /** token\n",
            "trusted_proxies": "10.0.0.0/8 ::1",
            "identity_headers": "yes",
            "access_token_lifetime": "10m",
            "features": "default",
            "secret": ["x" * 32, "y" * 32],
        }
    )
    assert repr(python) == repr(text) and python.secret == text.secret


BAD: list[tuple[str, Any, str]] = [
    ("isuer", "x", "there is no such setting"),
    ("access_token_format", "jws", "must be opaque or jwt"),
    ("access_token_algorithm", "none", "must be one of RS256, PS256, ES256, EdDSA"),
    ("signing_key_lifetime", "10m", "must be at least 1h"),
    ("signing_keys", "", "must be a private JWK"),
    ("openid_claims", "shop", "written as MODULE:NAME"),
    ("issuer", "http://example.com", "https"),  # R099
    ("issuer", "https://a.test/", "without the slash"),
    ("issuer", "https://a.test?x", "query"),
    ("issuer", "https://u@a.test", "https URL"),
    ("issuer", "https://a.test/a/../b", "dot segments"),
    ("resource", "https://a.test#x", "fragment"),
    ("database", "oracle://x", "sqlite:///FILE"),
    ("prefix", "oauth", "/oauth"),
    ("prefix", "/oauth/", "without a slash"),
    ("routes", "GET /x", "METHODS PATH ACCESS"),
    ("scopes", ["a b"], "not a scope"),
    ("features", "default device", "no feature 'device'"),
    ("features", "device", "no feature 'device'"),
    ("access_token_lifetime", "1w", "90s"),
    ("access_token_lifetime", 0, "duration"),
    ("access_token_lifetime", True, "duration"),
    ("revocation", "soon", "duration"),
    ("cache_size", "many", "whole number"),
    ("identity_headers", "perhaps", "true or false"),
    ("trusted_proxies", "10.0.0.1/8", "host bits"),
    ("templates", "/does/not/exist", "existing folder"),
    ("brand", {"color": "red"}, "name, colour and logo"),
    ("brand", {"colour": "red"}, "#rrggbb"),
    ("secret", "short", "32 bytes"),
    ("default_scope", 'a"b', "scopes"),
]


@pytest.mark.parametrize(("name", "value", "says"), BAD)
def test_a_bad_value_is_one_line_that_names_setting_value_and_what_is_allowed(name: str, value: Any, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        gate({name: value})
    message = str(caught.value)
    assert message.startswith(name) and says in message and "\n" not in message
    if name == "secret":
        assert "short" not in message, "secrets are never echoed"


def test_default_scope_is_among_the_scopes() -> None:
    with pytest.raises(ConfigurationError, match="default_scope.*'?x'? is not one of"):
        gate({"scopes": ["a"], "default_scope": "a x"})


@pytest.mark.parametrize("text", ["not toml", "[other]\n", "[oauth_gateway]\nx = "])
def test_a_broken_file_is_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match="x.toml"):
        OAuthGateway.from_file(None, file)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        OAuthGateway.from_file(None, tmp_path / "nothing.toml")


def test_a_feature_that_is_off_does_not_exist() -> None:
    from .conftest import send

    gateway = OAuthGateway(None, issuer="https://a.test", database="sqlite://", features="client_credentials metadata")
    document = send(gateway, "GET", "/.well-known/oauth-authorization-server").json
    assert "revocation_endpoint" not in document and document["grant_types_supported"] == ["client_credentials"]
    for path in ("/token/revoke", "/authorize", "/authorize/login"):
        assert send(gateway, "POST", path, "").status_code == 404


def test_another_secret_is_refused_and_a_longer_list_accepted(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'x.db'}"
    old, new = "o" * 32, "n" * 32
    OAuthGateway(None, database=database, secret=old)
    with pytest.raises(ConfigurationError, match="not the one that this database was made with"):
        OAuthGateway(None, database=database, secret=new)
    OAuthGateway(None, database=database, secret=[old, new])
    with pytest.raises(ConfigurationError, match="secret"):
        OAuthGateway(None, database=database, secret=old)
    OAuthGateway(None, database=database, secret=new)


def test_another_issuer_is_refused_until_it_is_adopted(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'x.db'}"
    OAuthGateway(None, database=database, issuer="https://a.test")
    with pytest.raises(ConfigurationError, match="belongs to 'https://a.test'"):
        OAuthGateway(None, database=database, issuer="https://b.test")
    from oauth_gateway.cli import main

    (tmp_path / "b.toml").write_text(f'[oauth_gateway]\ndatabase = "{database}"\nissuer = "https://b.test"\n')
    assert main(["migrate", "--adopt-issuer", "--config", str(tmp_path / "b.toml")]) == 0
    OAuthGateway(None, database=database, issuer="https://b.test")


def test_paste_sections_are_settings_and_global_conf_is_not() -> None:
    """Contract 9.14"""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        return []

    gateway = filter_factory({"here": "/x", "debug": "1"}, database="sqlite://", routes="\nGET /x public\n")(app)
    assert gateway.app is app and len(gateway.settings.routes) == 1
    assert app_factory({}, database="sqlite://").app is None
    with pytest.raises(ConfigurationError, match="nonsense"):
        app_factory({}, nonsense="1")


def test_the_public_names() -> None:
    import oauth_gateway

    assert oauth_gateway.__all__ == [
        "AuthorizationServer",
        "ConfigurationError",
        "OAuthError",
        "OAuthGateway",
        "StepUpRequired",
        "StoreUnavailable",
    ]
