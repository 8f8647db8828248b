"""What several processes, and an application that writes by itself, do to clients and tokens in its tables."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, delete, select
from sqlalchemy.orm import Session

from examples.own_store_sqlalchemy import shop
from examples.own_store_sqlalchemy.store import RECORD, ShopRecords
from oauth_gateway.store.records import RecordStore
from oauth_gateway.testing import NOW, StoreContract, race

from .conftest import ENGINES
from .engines import FRESH
from .test_own_stores import opened

contract = StoreContract()
fork = multiprocessing.get_context("fork")


@pytest.fixture(params=[name for name in ("sqlite", "postgresql") if name in ENGINES])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    if request.param == "postgresql":
        url = FRESH["postgresql"](keep_tables=False).replace("postgresql:", "postgresql+psycopg:")
    engine = create_engine(url)
    yield engine
    shop.Model.metadata.drop_all(engine)
    engine.dispose()


@pytest.fixture
def store(engine: Engine) -> Iterator[RecordStore]:
    store = opened(url_of(engine))
    yield store
    store.close()


def url_of(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def register(engine: Engine, client_id: str) -> None:
    """As the shop does it, for a script of `client_id`.test."""
    with Session(engine) as session:
        client = shop.OAuth2Client(client_id=client_id, client_secret="")
        client.set_client_metadata({"token_endpoint_auth_method": "none", "redirect_uris": [f"https://{client_id}.test/cb"]})
        session.add(client)
        session.commit()


def test_a_client_that_several_look_for_first_is_found_by_all_of_them(store: RecordStore, engine: Engine) -> None:
    for name in ("one", "two", "three", "four"):
        register(engine, name)
        found = race(*[lambda name=name: store.client(name) for _ in range(8)])
        assert None not in found and len({getattr(client, "number", client) for client in found}) == 1, found
        assert store.has_origin(f"https://{name}.test")
    assert store.size("origin") == 4, "who was slower left nothing behind"


def test_clients_whose_rows_are_gone_do_not_end_a_list(store: RecordStore, engine: Engine) -> None:
    for name in ("one", "two", "three", "four"):
        register(engine, name)
        store.client(name)
    with engine.begin() as connection:
        connection.execute(delete(shop.OAuth2Client).where(shop.OAuth2Client.client_id.in_(["one", "three"])))
    (first,) = store.clients(limit=1)
    assert [first.client_id, *(client.client_id for client in store.clients(first.number, limit=1))] == ["two", "four"]
    assert [client.client_id for client in store.clients(limit=2)] == ["two", "four"]
    assert list(store.clients(store.clients(limit=2)[-1].number)) == []


def test_a_token_that_comes_revoked_from_another_store_is_revoked_for_the_shop(store: RecordStore, engine: Engine) -> None:
    client, _, grant, _ = contract.a_grant(store)
    token = contract.a_token(client, grant_id=grant.id)
    store.issue(token)
    store.revoke_token(token.number, NOW)
    dumped = [record for record in store.dump("token") if record["id"] == token.number]
    store.unload("token", [(token.number,)])
    with engine.begin() as connection:
        connection.execute(delete(shop.OAuth2Token))
    store.load("token", dumped)
    with Session(engine) as session:
        assert session.scalars(select(shop.OAuth2Token)).one().access_token_revoked_at


def _prepare(url: str, start: Any, results: Any) -> None:
    store = RecordStore(ShopRecords(url))
    start.wait()
    try:
        store.prepare()
        results.put("prepared")
    except Exception as error:
        results.put(f"{type(error).__name__}: {error}")


def test_several_processes_prepare_at_once(engine: Engine) -> None:
    for _ in range(4):
        shop.Model.metadata.drop_all(engine)
        tables = [table for table in shop.Model.metadata.sorted_tables if table is not RECORD]
        shop.Model.metadata.create_all(engine, tables)
        engine.dispose()
        start, results = fork.Event(), fork.Queue()
        workers = [fork.Process(target=_prepare, args=(url_of(engine), start, results)) for _ in range(4)]
        for worker in workers:
            worker.start()
        start.set()
        answers = {results.get(timeout=30) for _ in workers}
        for worker in workers:
            worker.join()
        assert answers == {"prepared"}
