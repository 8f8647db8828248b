"""Stores over tables that an application has had before: examples/own_store_sqlalchemy, by the contract and end to end."""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, delete, select
from sqlalchemy.orm import Session

from examples.own_store_sqlalchemy import shop
from examples.own_store_sqlalchemy.store import ShopRecords
from oauth_gateway.models import Client, digest
from oauth_gateway.sealing import new_number
from oauth_gateway.store import NewToken, Purchase
from oauth_gateway.store.records import RecordStore, mark_of
from oauth_gateway.testing import NOW, Clock, StoreContract

from .conftest import CALLBACK, ENGINES, SECRET, World, make_world, send

contract = StoreContract()
fork = multiprocessing.get_context("fork")


def opened(url: str) -> RecordStore:
    engine = create_engine(url)
    shop.Model.metadata.drop_all(engine)
    tables = [table for table in shop.Model.metadata.sorted_tables if table.name != "gateway_record"]
    shop.Model.metadata.create_all(engine, tables)
    engine.dispose()
    store = RecordStore(ShopRecords(url))
    store.prepare()
    return store


class TestShopInAFile(StoreContract):
    @pytest.fixture(autouse=True)
    def left_clean(self, tmp_path: Path) -> Iterator[None]:
        self.made: list[RecordStore] = []
        self.folder = tmp_path
        yield
        for store in self.made:
            store.close()
        engine = create_engine(self.url())
        shop.Model.metadata.drop_all(engine)
        engine.dispose()

    def url(self) -> str:
        return f"sqlite:///{self.folder / f'shop{len(self.made)}.db'}"

    def store(self) -> RecordStore:
        self.made.append(opened(self.url()))
        return self.made[-1]


@pytest.mark.skipif("postgresql" not in ENGINES, reason="left out")
class TestShopOnPostgreSQL(TestShopInAFile):
    def url(self) -> str:
        from .engines import FRESH

        return FRESH["postgresql"](keep_tables=False).replace("postgresql:", "postgresql+psycopg:")


# -- several processes


def _redeem(url: str, number: int, token: NewToken, start: Any, results: Any) -> None:
    store = RecordStore(ShopRecords(url))
    start.wait()
    results.put(store.redeem(number, Purchase((token,)), NOW).outcome.value)


def test_one_of_several_processes_redeems_a_code(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    store = opened(url)
    client, _, grant, code = contract.a_grant(store)
    tokens = [contract.a_token(client, grant_id=grant.id) for _ in range(4)]
    start, results = fork.Event(), fork.Queue()
    workers = [fork.Process(target=_redeem, args=(url, code.number, token, start, results)) for token in tokens]
    for worker in workers:
        worker.start()
    start.set()
    outcomes = sorted(results.get(timeout=30) for _ in workers)
    for worker in workers:
        worker.join()
    assert outcomes == ["replayed", "replayed", "replayed", "won"]
    assert sum(contract.found(store, token) for token in tokens) == 1
    store.close()


# -- end to end


@dataclass
class Shop:
    """The shop with a client of its own from before, and the gateway in front of it."""

    world: World
    engine: Engine
    client: Client

    @property
    def rows(self) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            found = connection.execute(select(shop.OAuth2Token.__table__).order_by(shop.OAuth2Token.id))
            return [dict(row) for row in found.mappings()]

    def tokens(self) -> dict[str, Any]:
        answer = self.world.redeem(self.world.code())
        assert answer.status_code == 200, answer.text
        return dict(answer.json)

    def gets(self, access_token: str) -> int:
        """The status of the first call with a token, which nothing is remembered about."""
        return int(self.world.call(access_token).status_code)


@pytest.fixture
def old_shop(tmp_path: Path, clock: Clock) -> Iterator[Shop]:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    store, engine = opened(url), create_engine(url)
    metadata = {
        "client_name": "Old",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "scope": "read write",
        "token_endpoint_auth_method": "client_secret_basic",
    }
    with Session(engine) as session:
        old = shop.OAuth2Client(client_id="old", client_secret="as it was typed then", client_id_issued_at=1)
        old.set_client_metadata(metadata)
        session.add_all([old, shop.User(username="ann")])
        session.commit()
    world = make_world(store, clock, secret=SECRET)
    client = store.client("old")
    assert client is not None and client.metadata == metadata
    world.confidential, world.secret = client, "as it was typed then"
    yield Shop(world, engine, client)
    store.close()
    engine.dispose()


def test_a_client_of_the_shop_gets_tokens_that_the_shop_sees(old_shop: Shop) -> None:
    tokens = old_shop.tokens()
    assert old_shop.gets(tokens["access_token"]) == 200
    (row,) = old_shop.rows
    with Session(old_shop.engine) as session:
        (shown,) = shop.tokens_of(session, "ann")
        assert shown.client_id == "old" and shown.scope == "read" and not shown.is_revoked()
    texts = (tokens["access_token"], tokens["refresh_token"])
    assert row["access_token"] == mark_of(digest(texts[0])) and row["refresh_token"] == mark_of(digest(texts[1]))
    assert not [text for text in texts if text in str(row)]
    assert old_shop.world.call(row["access_token"]).status_code in (400, 401)
    assert old_shop.world.refresh(row["refresh_token"]).status_code == 400


def test_what_the_gateway_revokes_is_revoked_in_the_shop(old_shop: Shop) -> None:
    tokens = old_shop.tokens()
    assert old_shop.world.revoke(tokens["refresh_token"]).status_code == 200
    (row,) = old_shop.rows
    assert row["access_token_revoked_at"] > 0 and row["refresh_token_revoked_at"] > 0
    assert old_shop.gets(tokens["access_token"]) == 401


def test_what_the_shop_revokes_is_refused_by_the_gateway(old_shop: Shop) -> None:
    tokens = old_shop.tokens()
    with Session(old_shop.engine) as session:
        (shown,) = shop.tokens_of(session, "ann")
        shop.revoke(session, shown)
    assert old_shop.gets(tokens["access_token"]) == 401
    assert old_shop.world.refresh(tokens["refresh_token"]).status_code == 400


def test_a_token_that_is_remembered_ends_when_the_shop_tells(old_shop: Shop) -> None:
    world, tokens = old_shop.world, old_shop.tokens()
    assert world.call(tokens["access_token"]).status_code == 200
    with Session(old_shop.engine) as session:
        (shown,) = shop.tokens_of(session, "ann")
        shop.revoke(session, shown)
    assert world.call(tokens["access_token"]).status_code == 200, "it is not told, and the token is remembered"
    world.gateway.store.records.tell("old")  # type: ignore[attr-defined]
    assert world.call(tokens["access_token"]).status_code == 401
    assert world.refresh(tokens["refresh_token"]).status_code == 400


def test_a_refreshed_pair_has_a_row_of_its_own(old_shop: Shop) -> None:
    first = old_shop.tokens()
    second = old_shop.world.refresh(first["refresh_token"]).json
    one, two = old_shop.rows
    assert one["refresh_token_revoked_at"] and not one["access_token_revoked_at"], "it is spent"
    assert not two["refresh_token_revoked_at"] and not two["access_token_revoked_at"]
    assert one["refresh_token"] == mark_of(digest(first["refresh_token"]))
    assert two["access_token"] == mark_of(digest(second["access_token"]))
    assert two["refresh_token"] == mark_of(digest(second["refresh_token"]))
    old_shop.world.clock.advance(120)  # after that a repetition gets no answer any more
    assert old_shop.world.refresh(first["refresh_token"]).status_code == 400, "a replay, still recognised"
    assert all(row["access_token_revoked_at"] and row["refresh_token_revoked_at"] for row in old_shop.rows)


def test_a_client_whose_row_the_shop_deletes_is_none_any_more(old_shop: Shop) -> None:
    tokens, code = old_shop.tokens(), old_shop.world.code()
    with Session(old_shop.engine) as session:
        session.delete(session.scalars(select(shop.OAuth2Client).where(shop.OAuth2Client.client_id == "old")).one())
        session.commit()
    assert old_shop.gets(tokens["access_token"]) == 401
    assert old_shop.world.refresh(tokens["refresh_token"]).status_code == 401
    assert old_shop.world.redeem(code).status_code == 401


def test_a_secret_that_the_shop_changes_is_the_only_one(old_shop: Shop) -> None:
    with Session(old_shop.engine) as session:
        client = session.scalars(select(shop.OAuth2Client).where(shop.OAuth2Client.client_id == "old")).one()
        client.client_secret = "another"
        session.commit()
    world = old_shop.world
    assert world.redeem(world.code()).status_code == 401
    world.secret = "another"
    assert world.redeem(world.code()).status_code == 200


def test_a_secret_of_the_gateway_is_not_in_the_shop(old_shop: Shop) -> None:
    with old_shop.engine.connect() as connection:
        rows = connection.execute(select(shop.OAuth2Client.__table__)).mappings().all()
    secrets = {row["client_id"]: row["client_secret"] for row in rows}
    assert len(rows) == 4 and secrets.pop("old") == "as it was typed then"
    assert set(secrets.values()) == {""}
    assert old_shop.world.machine_token()


def test_a_client_id_whose_row_the_shop_deleted_may_be_registered_again(old_shop: Shop) -> None:
    """And what it had before stays ended."""
    tokens = old_shop.tokens()
    with old_shop.engine.begin() as connection:
        connection.execute(delete(shop.OAuth2Client.__table__).where(shop.OAuth2Client.client_id == "old"))
    store = old_shop.world.gateway.store
    assert store.client("old") is None
    assert store.add_client(replace(old_shop.client, number=new_number()))
    assert store.client("old") is not None
    assert old_shop.gets(tokens["access_token"]) == 401
    assert old_shop.world.refresh(tokens["refresh_token"]).status_code == 400


def test_an_app_around_the_shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    opened(url).close()
    monkeypatch.setenv("SHOP_DATABASE", url)
    monkeypatch.setenv("SHOP_SECRET", SECRET)
    app = importlib.import_module("examples.own_store_sqlalchemy.app").app
    assert send(app, "GET", "/", base="http://127.0.0.1:8000").status_code == 401
    app.store.close()
