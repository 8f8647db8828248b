"""node-oidc-provider, which is certified, as an oracle: the same bad requests to both, and a clause for each difference."""

from __future__ import annotations

from .oracle import run
from .test_foreign_clients import needs_node


def test_every_difference_to_the_oracle_is_explained_and_the_table_is_up_to_date() -> None:
    """R005-R014, R028-R046, R064-R093; docs/oracle.md"""
    needs_node(run.HERE)
    text, wrong = run.table()
    assert not wrong, "\n".join(wrong)
    assert text.count("\n| /") >= 200
    assert run.TABLE.read_text() == text, "write it again with python -m tests.oracle.run"
