"""What Redis servers must be like, how they are reached, and stores that a fork inherits."""

from __future__ import annotations

import datetime
import ipaddress
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from oauth_gateway.errors import ConfigurationError, StoreUnavailable
from oauth_gateway.models import Session, digest
from oauth_gateway.store import Outcome, Purchase, Store, open_store
from oauth_gateway.store.redis import RedisStore
from oauth_gateway.store.redis.link import Link
from oauth_gateway.testing import NOW, StoreContract

from .redis_server import RedisServer
from .test_command_line import free_port

contract = StoreContract()


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.close()


def use(store: Store) -> None:
    """A code, what it buys, and its end."""
    client, _, grant, code = contract.a_grant(store)
    token = contract.a_token(client, grant_id=grant.id)
    assert store.redeem(code.number, Purchase((token,)), NOW).outcome is Outcome.WON
    assert contract.found(store, token)
    store.revoke_grant(grant.id, NOW)
    assert not contract.found(store, token)


# -- what is demanded


@pytest.mark.parametrize(
    ("name", "value", "strict", "refused"),
    [
        ("maxmemory-policy", "allkeys-lru", True, True),
        ("maxmemory-policy", "volatile-ttl", False, True),
        ("appendonly", "no", True, True),
        ("appendonly", "no", False, False),
        ("appendfsync", "everysec", True, True),
        ("appendfsync", "everysec", False, False),
    ],
)
def test_a_server_that_may_forget_is_refused(server: RedisServer, name: str, value: str, strict: bool, refused: bool) -> None:
    """A098"""
    before = server.connection.config_get(name)[name]
    server.connection.config_set(name, value)
    try:
        store = open_store(server.address, strict=strict)
        if refused:
            with pytest.raises(ConfigurationError, match=f"{name} is '{value}' and must be"):
                store.prepare()
        else:
            store.prepare()
            assert (name == "appendonly") == any(name in line for line in store.advice())
        store.close()
    finally:
        server.connection.config_set(name, before)
    assert open_store(server.address).advice() == []


def test_a_server_that_begins_to_forget_is_not_trusted_any_more(server: RedisServer) -> None:
    store = open_store(server.address)
    store.prepare()
    store.watch()
    server.connection.config_set("maxmemory-policy", "allkeys-lru")
    try:
        store.records._look_due = 0  # type: ignore[attr-defined] # ten seconds later
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="maxmemory-policy became 'allkeys-lru'"):
                store.watch()
    finally:
        server.connection.config_set("maxmemory-policy", "noeviction")
    store.watch()
    store.close()


def test_where_settings_cannot_be_read_strict_is_refused_and_a_duration_is_not(server: RedisServer) -> None:
    server.connection.acl_setuser("limited", enabled=True, passwords=["+pw"], keys=["*"], channels=["*"],
                                  commands=["+@all", "-config"])  # fmt: skip
    url = server.address.replace("redis://", "redis://limited:pw@")
    with pytest.raises(ConfigurationError, match="appendfsync cannot be read"):
        open_store(url).prepare()
    store = open_store(url, strict=False)
    store.prepare()
    assert store.advice() == [], "INFO says that there is an append-only file"
    store.close()
    server.connection.execute_command("ACL SETUSER", "limited", "-info")
    store = open_store(url, strict=False)
    store.prepare()
    assert [line.split()[1] for line in store.advice()] == ["maxmemory-policy", "appendonly"]
    use(store)
    store.watch()
    assert store.place == f"redis://127.0.0.1:{server.port}/0", "without the password"
    store.close()
    server.connection.acl_deluser("limited")


def test_an_account_needs_no_more_than_the_documents_say(server: RedisServer) -> None:
    text = (Path(__file__).parent.parent / "docs" / "redis.md").read_text()
    named = text.partition("and the commands ")[2].partition(".\n")[0].replace(" and", ",").split(",")
    commands = [f"+{name.strip().lower().replace('config get', 'config|get')}" for name in named if name.strip()]
    assert len(commands) == 23
    server.connection.acl_setuser("few", enabled=True, passwords=["+pw"], commands=commands)
    server.connection.execute_command("ACL SETUSER", "few", "~{own}:*", "&{own}:*")
    store = open_store(f"redis://few:pw@127.0.0.1:{server.port}/1?tag=own")
    store.prepare()
    use(store)
    session = Session(digest("cookie"), "sid", contract.a_user(store).user_id, NOW, NOW, NOW + 60)
    assert store.add_session(session) and store.sessions() and store.end_session(NOW, sid="sid") is not None
    store.watch()
    store.last_epoch()
    assert sum(store.sweep(NOW + 10**7)) > 0
    store.close()
    server.connection.acl_deluser("few")


def test_an_old_redis_is_refused(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = Link.ask

    def older(link: Link, *commands: bytes) -> list[Any]:
        return [a.replace(b"redis_version:7", b"redis_version:5") if isinstance(a, bytes) else a for a in ask(link, *commands)]

    monkeypatch.setattr(Link, "ask", older)
    with pytest.raises(ConfigurationError, match=r"Redis 5\.\d+\.\d+ is too old"):
        open_store(server.address).prepare()


@pytest.mark.parametrize("url", ["redis://127.0.0.1:notaport/0", "redis://127.0.0.1/0?tag=", "redis://127.0.0.1/0?db=x"])
def test_an_address_that_says_nothing_is_one_clear_line(url: str) -> None:
    with pytest.raises(ConfigurationError, match="database: "):
        open_store(url).prepare()


# -- how it is reached


def test_by_password_and_number(server: RedisServer) -> None:
    server.connection.acl_setuser("ann", enabled=True, passwords=["+p@ss/word"], keys=["*"], channels=["*"], commands=["+@all"])
    url = f"redis://ann:p%40ss%2Fword@127.0.0.1:{server.port}/3"
    store = open_store(url)
    store.prepare()
    use(store)
    assert server.connection.execute_command("INFO", "keyspace").keys() >= {"db3"}
    assert "word" not in store.place
    wrong = open_store(url.replace("word", "wood"))
    with pytest.raises(StoreUnavailable) as refused:
        wrong.epoch()
    assert "wood" not in str(refused.value)
    store.close()


def test_by_a_unix_socket(tmp_path: Path) -> None:
    server = RedisServer("--unixsocket", str(tmp_path / "redis.sock"))
    try:
        store = RedisStore(f"unix://{tmp_path / 'redis.sock'}?db=2&tag=own")
        store.prepare()
        use(store)
        assert store.place.endswith("redis.sock/2")
        store.close()
    finally:
        server.close()


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1).not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
    )
    builder = builder.add_extension(names, False).add_extension(x509.BasicConstraints(True, None), True)
    (folder / "cert.pem").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.TraditionalOpenSSL
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return folder / "cert.pem", folder / "key.pem"


def test_by_tls_whose_certificate_is_checked(tmp_path: Path) -> None:
    certificate, key = _certificate(tmp_path)
    port = free_port()
    server = RedisServer(
        "--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key),
        "--tls-auth-clients", "no",
    )  # fmt: skip
    try:
        with pytest.raises(StoreUnavailable, match=r"(?i)certificate"):
            open_store(f"rediss://localhost:{port}/0").epoch()
        store = open_store(f"rediss://localhost:{port}/0?ssl_ca_certs={certificate}")
        store.prepare()
        use(store)
        store.last_epoch()
        deadline = time.monotonic() + 5
        while not server.connection.pubsub_channels():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        store.close()
    finally:
        server.close()


def test_by_any_node_of_a_cluster() -> None:
    """The node in the address has none of our slots and says who has"""
    nodes = []
    for _ in range(2):
        nodes.append(RedisServer("--cluster-enabled", "yes", "--cluster-port", str(free_port())))
    one, other = nodes
    try:
        other.connection.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        one.connection.execute_command("CLUSTER MEET", "127.0.0.1", other.port, other.options[-1])
        deadline = time.monotonic() + 20
        while any(node.connection.execute_command("CLUSTER INFO")["cluster_state"] != "ok" for node in nodes):
            assert time.monotonic() < deadline, "the cluster does not come up"
            time.sleep(0.05)
        store = open_store(one.address)
        store.prepare()
        use(store)
        assert other.connection.dbsize() > 10 and one.connection.dbsize() == 0
        slots = {other.connection.execute_command("CLUSTER KEYSLOT", name) for name in other.connection.scan_iter()}
        assert len(slots) == 1
        store.close()
    finally:
        for node in nodes:
            node.close()


# -- forks


def test_a_child_opens_its_own_connections_and_leaves_the_parent_s(server: RedisServer) -> None:
    """A100: also where the parent was using them, and listening"""
    server.connection.flushall()
    store = open_store(server.address)
    store.prepare()
    client = contract.a_client(store)
    store.last_epoch()
    store.watch()
    mine = {item["id"] for item in server.connection.client_list() if item["cmd"] in ("get", "evalsha", "subscribe", "mget")}
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                for _ in range(20):
                    token = contract.a_token(client)
                    store.issue(token)
                    assert contract.found(store, token)
                before = store.last_epoch()
                store.revoke_token(token.number, NOW)
                assert store.last_epoch() != before
                store.close()
                code = 0
            finally:
                os._exit(code)
        children.append(child)
        for _ in range(10):
            token = contract.a_token(client)
            store.issue(token)
            assert contract.found(store, token)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    token = contract.a_token(client)
    store.issue(token)
    assert contract.found(store, token)
    assert mine <= {item["id"] for item in server.connection.client_list()}, "the children closed none of the parent's"
    store.close()


def test_importing_and_making_a_store_opens_nothing(server: RedisServer) -> None:
    before = len(server.connection.client_list())
    store = open_store(server.address)
    assert len(server.connection.client_list()) == before
    store.close()
