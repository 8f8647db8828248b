"""Values that are made fast are the values that their classes make; sums and rows that are made fast are the usual ones."""

from __future__ import annotations

import hashlib
import hmac
import pickle
import threading
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_gateway.models import Grant, StoredToken, Token, maker, scope_words
from oauth_gateway.sealing import Mac
from oauth_gateway.store import NewToken

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


def test_a_new_token_tells_no_digest() -> None:
    new = NewToken(7, "access_token", b"secret", 1, "read", "https://a.test", 1.0, 2.0)
    assert "secret" not in repr(new) and "secret" not in str(new) and "secret" not in f"{new}"


def test_scopes_are_shared_and_not_mixed_up() -> None:
    assert scope_words("write read") is scope_words("write read") and scope_words("write read") == {"read", "write"}
    assert scope_words("") == frozenset() and scope_words("read  write ") == {"read", "write"}
