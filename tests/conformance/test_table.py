"""`docs/conformance.md` has every module of the profiles that are covered, and what it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
TABLE = TESTS.parent / "docs" / "conformance.md"
PROFILES = {
    "Basic OP and form_post Basic OP": """server response-type-missing idtoken-signature idtoken-unsigned userinfo-get
        userinfo-post-header userinfo-post-body ensure-request-without-nonce-succeeds-for-code-flow scope-profile scope-email
        scope-address scope-phone scope-all alternate-happy-flow display-page display-popup prompt-login
        prompt-none-not-logged-in prompt-none-logged-in max-age-1 max-age-10000
        ensure-request-with-unknown-parameter-succeeds id-token-hint login-hint ui-locales claims-locales
        ensure-request-with-acr-values-succeeds codereuse codereuse-30seconds ensure-registered-redirect-uri
        ensure-post-request-succeeds server-client-secret-post
        request-uri-unsigned-supported-correctly-or-rejected-as-unsupported
        unsigned-request-object-supported-correctly-or-rejected-as-unsupported claims-essential
        ensure-request-object-with-redirect-uri refresh-token ensure-request-with-valid-pkce-succeeds""",
    "Config OP": "discovery-endpoint-verification",
    "RP-initiated logout OP": """rp-initiated-logout-discovery-endpoint-verification rp-initiated-logout
        rp-initiated-logout-bad-post-logout-redirect-uri rp-initiated-logout-modified-id-token-hint
        rp-initiated-logout-no-id-token-hint rp-initiated-logout-no-params rp-initiated-logout-no-post-logout-redirect-uri
        rp-initiated-logout-no-state rp-initiated-logout-only-state
        rp-initiated-logout-query-added-to-post-logout-redirect-uri rp-initiated-logout-bad-id-token-hint""",
    "Back-channel logout OP": "backchannel-logout-discovery-endpoint-verification backchannel-rp-initiated-logout",
    "Front-channel logout OP": "frontchannel-logout-discovery-endpoint-verification frontchannel-rp-initiated-logout",
}


def rows(profile: str) -> dict[str, list[str]]:
    """The tests of each module in the profile's table."""
    section = TABLE.read_text("utf-8").partition(f"\n## {profile}\n")[2].partition("\n## ")[0]
    found = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| oidcc-")]
    assert len({module for module, *_ in found}) == len(found) and all(len(row) == 3 for row in found)
    return {module: re.findall("`([^`]+)`", tests) for module, _, tests in found}


def functions_in(file: Path) -> set[str]:
    tree = ast.parse(file.read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_test_that_the_table_names_exists() -> None:
    named = re.findall(r"`((?:[a-z_]+/)?test_\w+\.py)::(\w+)`", TABLE.read_text("utf-8"))
    assert [f"{file}::{name}" for file, name in named if name not in functions_in(TESTS / file)] == []
    ours = {name for file in Path(__file__).parent.glob("test_*.py") for name in functions_in(file) if "oidcc" in name}
    assert ours <= {name for _, name in named}, "and none is left out"


@pytest.mark.parametrize("profile", PROFILES)
def test_every_module_is_in_the_table_with_the_test_of_its_name(profile: str) -> None:
    modules = [f"oidcc-{module}" for module in PROFILES[profile].split()]
    found = rows(profile)
    assert list(found) == modules
    for module, tests in found.items():
        assert [test.partition("::test_")[2] for test in tests] == [module.replace("-", "_")]
