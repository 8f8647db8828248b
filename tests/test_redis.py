"""The shipped contract on Redis, and what only a server of one's own can show."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from oauth_gateway.store import Store, open_store
from oauth_gateway.testing import StoreContract

from .redis_server import DURABLE, RedisServer

tags = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that may be used with strict revocation."""
    server = RedisServer(tmp_path_factory.mktemp("redis"), *DURABLE)
    yield server
    server.stop()


def fresh(server: RedisServer) -> Store:
    store = open_store(f"{server.url}?tag=test-{next(tags)}")
    store.prepare()
    return store


class TestRedis(StoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, server: RedisServer) -> None:
        self.server = server

    def store(self) -> Store:
        return fresh(self.server)
