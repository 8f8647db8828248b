"""examples/orders_api.py before an issuer of somebody else's, and the beginnings in docs/foreign-tokens.md."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from oauth_gateway.settings import gate
from oauth_gateway.testing import Clock
from oauth_gateway.trusted_issuers import TrustedIssuer

from .conftest import send
from .issuers import AUDIENCE, issuer

PAGE = Path(__file__).parent.parent / "docs" / "foreign-tokens.md"


def test_the_orders_api_serves_the_people_of_its_issuer(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    with issuer("/realms/shop") as shop:
        for name, value in {"ISSUER": shop.name, "AUDIENCE": AUDIENCE, "NETWORK": "127.0.0.0/8"}.items():
            monkeypatch.setenv(name, value)
        app = importlib.reload(importlib.import_module("examples.orders_api")).app

        def get(path: str, **claims: Any) -> Any:
            token = shop.token(clock, preferred_username="ann", scope="orders openid", **claims)
            return send(app, "GET", path, headers={"Authorization": f"Bearer {token}"})

        assert send(app, "GET", "/health").json == {"up": True} and send(app, "GET", "/orders").status_code == 401
        assert get("/orders").json == {"1": {"of": "idp:ann", "what": "tea"}}
        assert get("/staff/orders").status_code == 403
        assert get("/staff/orders", department="sales").json.keys() == {"1", "2"}


def beginnings() -> list[str]:
    return re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("text", beginnings())
def test_every_beginning_on_the_page_is_accepted(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gate.secret").write_text("a secret of the other server's making")
    settings = gate({"secret": "x" * 32, **tomllib.loads(text)["oauth_gateway"]})
    assert all(isinstance(entry, TrustedIssuer) for entry in settings.trusted_issuers) and settings.trusted_issuers


def test_the_page_has_a_beginning_for_each_profile_and_names_every_key() -> None:
    profiles = {
        entry.get("profile", "rfc9068")
        for text in beginnings()
        for entry in tomllib.loads(text)["oauth_gateway"]["trusted_issuers"]
    }
    assert profiles == {"rfc9068", "keycloak", "entra", "auth0", "cognito", "google"}
    for name in TrustedIssuer.__dataclass_fields__:
        assert f"| `{name}`" in PAGE.read_text("utf-8"), name
