"""Values that are made fast are the values that their classes make; sums and rows that are made fast are the usual ones."""

from __future__ import annotations

import hashlib
import hmac
import pickle
import threading
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, select

from oauth_gateway.models import Grant, StoredToken, Token, maker, scope_words
from oauth_gateway.sealing import Mac
from oauth_gateway.store import NewToken, rows, schema
from oauth_gateway.store.prepared import drive

KINDS = (Grant, Token, StoredToken)


def values_for(kind: type[Any]) -> list[object]:
    """As many different values as there are fields."""
    return [f"value of {each.name}" for each in fields(kind)]


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_maker_makes_is_what_the_class_makes(kind: type[Any]) -> None:
    made = maker(kind)(*values_for(kind))
    assert type(made) is kind and made == kind(*values_for(kind)) and repr(made) == repr(kind(*values_for(kind)))
    assert replace(made, id="another") == replace(kind(*values_for(kind)), id="another")
    assert pickle.loads(pickle.dumps(made)) == made


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_maker_makes_cannot_be_changed(kind: type[Any]) -> None:
    """The app gets tokens that other requests get, too."""
    made = maker(kind)(*values_for(kind))
    with pytest.raises(FrozenInstanceError):
        made.id = "another"
    with pytest.raises(FrozenInstanceError):
        del made.id
    assert made == kind(*values_for(kind))


def test_a_maker_knows_the_defaults_of_the_class() -> None:
    needed = values_for(Grant)[:7]
    assert maker(Grant)(*needed) == Grant(*needed)  # type: ignore[arg-type]
    assert maker(Grant)(*needed).asked is Grant(*needed).asked  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        maker(Grant)(*needed[:-1])
    with pytest.raises(TypeError):
        maker(Grant)(*values_for(Grant), "one more")


def test_a_maker_leaves_out_nothing_that_a_class_does() -> None:
    @dataclass(frozen=True, slots=True)
    class Checked:
        id: str

        def __post_init__(self) -> None:
            raise ValueError(self.id)

    @dataclass(frozen=True, slots=True)
    class Named:
        id: str = field(kw_only=True)

    for kind in (Checked, Named):
        with pytest.raises(TypeError, match=kind.__name__):
            maker(kind)


def test_threads_that_make_the_same_kind_at_once() -> None:
    make, kinds = maker(Token), set[object]()

    def work() -> None:
        for number in range(2000):
            made = make(*values_for(Token)[:-1], {"number": number})
            kinds.add(type(made) if made.claims == {"number": number} else made)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kinds == {Token}


@given(st.binary(min_size=1, max_size=64), st.lists(st.binary(max_size=300), min_size=1, max_size=3))
def test_a_mac_is_the_standard_one(key: bytes, texts: list[bytes]) -> None:
    mac = Mac(key)
    for text in [*texts, *texts]:  # one use leaves nothing to the next
        assert mac.of(text) == hmac.digest(key, text, hashlib.sha256)


@pytest.mark.parametrize("by_driver", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_value_of_a_new_token_gets_into_its_column(by_driver: bool, count: int) -> None:
    """As SQLite's driver is given them in order, and as Core is by name for every other engine."""
    engine = create_engine("sqlite://", isolation_level="AUTOCOMMIT")
    tokens = []
    for place in range(count):
        texts = {name: f"{name} {place}" for name in NewToken._fields}
        numbers = {"number": 100 + place, "client": 200 + place, "issued": 300.5 + place, "expires": 400.5 + place}
        numbers |= {"grant_id": 500 + place, "parent": 600 + place, "generation": 700 + place}
        tokens.append(NewToken(**{**texts, "digest": f"digest {place}".encode(), **numbers}))  # type: ignore[arg-type]
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        schema.metadata.create_all(connection)
        rows.insert(drive(connection) if by_driver else connection, tokens)
        found = connection.execute(select(schema.token).order_by(schema.token.c.id)).mappings().all()
    assert len(found) == count
    for new, row in zip(tokens, found, strict=True):
        columns = {"id" if name == "number" else name: value for name, value in new._asdict().items()}
        assert {**dict.fromkeys(row.keys()), **columns, "realm": schema.REALM, "failures": 0} == dict(row)


def test_a_mac_takes_no_key_that_it_would_have_to_hash() -> None:
    with pytest.raises(ValueError, match="longer"):
        Mac(bytes(65))


def test_a_new_token_tells_no_digest() -> None:
    new = NewToken(7, "access_token", b"secret", 1, "read", "https://a.test", 1.0, 2.0)
    assert "secret" not in repr(new) and "secret" not in str(new) and "secret" not in f"{new}"


def test_scopes_are_shared_and_not_mixed_up() -> None:
    assert scope_words("write read") is scope_words("write read") and scope_words("write read") == {"read", "write"}
    assert scope_words("") == frozenset() and scope_words("read  write ") == {"read", "write"}
