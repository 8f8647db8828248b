"""The table of tokens in partitions of PostgreSQL, by the statements of docs/scaling.md."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from oauth_gateway.cli import main
from oauth_gateway.settings import Settings
from oauth_gateway.store import Purchase, Store, open_store
from oauth_gateway.store.kinds import RETENTION
from oauth_gateway.testing import NOW, StoreContract

from .engines import EMPTIED
from .services import PostgreSQL, program
from .test_command_line import ROOT
from .test_rotation_under_load import meanwhile

DAY = 86_400
SECTION = (ROOT / "docs" / "scaling.md").read_text().partition("## A table of tokens in partitions\n")[2].partition("\n## ")[0]
STEPS = re.findall("```sql\n(.*?)```", SECTION, re.DOTALL)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with PostgreSQL() as made:
        yield made


def partition(url: str) -> None:
    """What the page says, as an operator runs it."""
    command = [program("psql") or "", url, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-"]
    subprocess.run(command, input="\n".join(STEPS), text=True, check=True, capture_output=True)


def ask(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query).fetchall()


def do(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def opened(url: str) -> Store:
    store = open_store(url)
    store.prepare()
    return store


@pytest.fixture
def store(server: PostgreSQL) -> Iterator[Store]:
    made = opened(server.url())
    yield made
    made.close()


@pytest.fixture
def url(server: PostgreSQL, store: Store) -> str:
    return f"postgresql://postgres@127.0.0.1:{server.port}/fresh{server.made}"


def number_in(weeks: int) -> int:
    """The number of a row made in the middle of the week after so many."""
    now = datetime.now(UTC)
    monday = datetime(now.year, now.month, now.day, tzinfo=UTC) - timedelta(days=now.weekday())
    return int((monday.timestamp() + (7 * weeks + 3) * DAY) * 1000) << 21


@pytest.fixture(scope="module")
def partitioned(server: PostgreSQL) -> str:
    url = server.url()
    opened(url).close()
    partition(url)
    return url


class TestContract(StoreContract):
    @pytest.fixture(autouse=True)
    def _opened(self, partitioned: str) -> Iterator[None]:
        self._url, self._stores = partitioned, []
        yield
        for store in self._stores:
            store.close()

    def store(self) -> Store:
        do(self._url, f"TRUNCATE {', '.join(EMPTIED)}")
        self._stores.append(opened(self._url))
        return self._stores[-1]


def test_a_row_lies_in_the_week_of_its_making_and_is_looked_for_there_only(store: Store, url: str) -> None:
    partition(url)
    contract = StoreContract()
    client = contract.a_client(store)
    for number in (contract.a_token(client).number, *map(number_in, range(1, 5))):
        store.issue(contract.a_token(client, number=number))
        store.issue(contract.a_token(client, number=number + 1))
        plan = "\n".join(str(row[0]) for row in ask(url, f"EXPLAIN SELECT * FROM oauth_token WHERE id = {number}"))
        assert len(set(re.findall(r"on (oauth_token_\w+)", plan))) == 1, plan
    found = ask(url, "SELECT tableoid::regclass::text, count(*) FROM oauth_token GROUP BY 1 ORDER BY min(id)")
    assert [count for _, count in found] == [2] * 5 and found[0][0] == "oauth_token_before"
    assert ask(url, "SELECT count(*) FROM oauth_token_other") == [(0,)]


def test_weeks_that_are_over_go_and_the_others_stay(store: Store, url: str) -> None:
    """Eight days from now nothing of this week is kept, where nothing is kept"""
    contract = StoreContract()
    client, _, grant, _ = contract.a_grant(store)
    before = contract.a_token(client, grant_id=grant.id)
    store.issue(before)
    partition(url)
    later = contract.a_token(client, grant_id=grant.id, number=number_in(1))
    store.issue(later)
    assert contract.found(store, before) and contract.found(store, later)
    do(url, "CALL oauth_token_weeks(keep => interval '31 days', ahead => 4)")
    assert contract.found(store, before) and contract.found(store, later), "called again it changes nothing"
    do(url, "CALL oauth_token_weeks(keep => interval '-8 days', ahead => 6)")
    assert not contract.found(store, before) and contract.found(store, later)
    assert ask(url, "SELECT to_regclass('oauth_token_before'), count(*) FROM oauth_token") == [(None, 1)]
    assert ask(url, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'oauth_token'::regclass") == [(7,)], "6 and the other"


def test_what_is_kept_covers_every_lifetime_and_the_day_in_which_a_replay_is_recognised() -> None:
    kept = re.search(r"keep => interval '(\d+) days (\d+) hour'", STEPS[-1])
    assert kept
    defaults = Settings()
    longest = max(defaults.refresh_token_lifetime, defaults.access_token_lifetime, defaults.authorization_code_lifetime)
    assert int(kept[1]) * DAY + int(kept[2]) * 3600 >= longest + RETENTION


def test_the_table_is_changed_while_it_is_used(store: Store, url: str) -> None:
    contract, made = StoreContract(), []
    client, *_ = contract.a_grant(store)

    def work() -> None:
        _, _, grant, code = contract.a_grant(store)
        token = contract.a_token(client, grant_id=grant.id)
        assert store.redeem(code.number, Purchase((token,)), NOW).outcome.value == "won"
        assert contract.found(store, token)
        made.append(token)

    for _ in range(10):  # statements are prepared by then
        work()
    before = len(made)
    with meanwhile(work, work):
        time.sleep(0.2)
        partition(url)
        time.sleep(0.2)
    assert len(made) > before + 2 and all(contract.found(store, token) for token in made)
    assert ask(url, "SELECT count(*) FROM oauth_token") == [(2 * len(made) + 1,)]


def test_the_command_line_knows_the_database_as_its_own(
    store: Store, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    partition(url)
    monkeypatch.setenv("OAUTH_GATEWAY_SECRET", "a secret for tests only, 32 bytes+")
    contract = StoreContract()
    client, _, grant, _ = contract.a_grant(store)
    store.issue(contract.a_token(client, grant_id=grant.id, issued=0, expires=1))
    copy = ["copy", "--from", url, "--to", f"sqlite:///{tmp_path}/copy.db"]
    for command in (["migrate", "--database", url], ["purge", "--database", url], copy):
        assert main(command) == 0, capsys.readouterr()
    assert not [token for token in store.tokens() if token.expires_at == 1], "it was purged"
