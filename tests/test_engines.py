"""PostgreSQL and MariaDB: the shipped contract, several processes, and what the databases do that a file does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from oauth_gateway.errors import ConfigurationError
from oauth_gateway.models import Client
from oauth_gateway.store import Store, open_store
from oauth_gateway.testing import NOW, StoreContract

from .conftest import ENGINES
from .engines import FRESH
from .processes import at_once, fork, prepare, race_for_one_code

SERVERS = [name for name in FRESH if name in ENGINES and name != "redis"]  # which has a file of its own


@pytest.fixture(params=SERVERS)
def url(request: pytest.FixtureRequest) -> str:
    return FRESH[request.param]()


class TestContract(StoreContract):
    @pytest.fixture(autouse=True, params=SERVERS)
    def _opened(self, request: pytest.FixtureRequest) -> Iterator[None]:
        self._stores: list[Store] = []
        self._engine = request.param
        yield
        for store in self._stores:
            store.close()

    def store(self) -> Store:
        store = open_store(FRESH[self._engine]())
        store.prepare()
        self._stores.append(store)
        return store


def test_processes_racing_for_one_code_have_one_winner(url: str) -> None:
    race_for_one_code(url)


@pytest.mark.parametrize("engine", SERVERS)
def test_several_processes_may_start_on_a_new_database_at_once(engine: str) -> None:
    """A101"""
    url = FRESH[engine](keep_tables=False)
    assert at_once(*[lambda: prepare(url)] * 6) == [0] * 6


def test_a_forked_child_uses_no_connection_of_its_parent(url: str) -> None:
    """A100"""
    contract, store = StoreContract(), open_store(url)
    store.prepare()
    client = contract.a_client(store)
    token = contract.a_token(client)
    store.issue(token)
    store.epoch()

    def work(results: Any) -> None:
        for _ in range(20):
            store.epoch()
            store.revoke_token(contract.a_token(client).number, NOW)
        results.put(contract.found(store, token))

    results = fork.Queue()
    children = [fork.Process(target=work, args=(results,)) for _ in range(2)]
    for child in children:
        child.start()
    for _ in range(20):
        assert contract.found(store, token) and store.epoch()
    assert [results.get(timeout=30) for _ in children] == [True, True]
    for child in children:
        child.join()
    assert contract.found(store, token) and store.epoch()
    store.close()


def test_names_and_ids_are_compared_as_they_are_written(url: str) -> None:
    """MySQL would forgive a blank at the end and, with its usual collation, capitals and accents"""
    contract, store = StoreContract(), open_store(url)
    store.prepare()
    user = contract.a_user(store)
    for name in (user.user_id.upper(), user.user_id + " ", user.user_id + "\0", "\ud800"[:0] + "x"):
        assert store.user_named("builtin", name) is None, repr(name)
    store.add_client(Client("abc", number=1))
    for client_id in ("ABC", "abc ", "äbc", "abc\0", ""):
        assert store.client(client_id) is None, repr(client_id)
    assert store.add_client(Client("Abc", number=2)), "another client"
    store.close()


@pytest.mark.parametrize("engine", SERVERS)
def test_a_database_of_another_program_is_left_alone(engine: str) -> None:
    from sqlalchemy import create_engine, text

    url = FRESH[engine](keep_tables=False)
    driver = url.replace("mysql://", "mysql+pymysql://").replace("postgresql://", "postgresql+psycopg://")
    other = create_engine(driver)
    with other.begin() as connection:
        connection.execute(text("CREATE TABLE oauth_client (id INTEGER)"))
    with pytest.raises(ConfigurationError, match="oauth_client that is not of this gateway"):
        open_store(url).prepare()
    other.dispose()
    FRESH[engine](keep_tables=False) if engine == "mysql" else _drop(url)


def _drop(url: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE oauth_client")
