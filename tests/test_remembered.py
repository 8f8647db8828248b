"""The tokens that a process remembers: which of them end, which are pushed out, and what they weigh."""

from __future__ import annotations

import random
import tracemalloc
from collections import OrderedDict

import pytest

from oauth_gateway.models import Token, public_id
from oauth_gateway.remembered import LINKS, Remembered

SCOPES = frozenset({"read"})
Subjects = list[tuple[int, int]]


def new(number: int) -> tuple[str, Token, Subjects]:
    """A header, its token and all that ends it; every tenth is of the same person, all are of one client."""
    name, person = public_id(number), f"person {number % 10}"
    times = (1e9 + number, 2e9 + number)
    token = Token(name, "client", person, f"user {number}", person, SCOPES, "audience", "issuer", public_id(number + 1), *times)
    ends = [(0, number), (1, 0), (2, number), (3, number % 10), (4, number)]  # hashed alike in every process, unlike text
    return f"Bearer oga1_at_{number:067}", token, ends


def test_each_subject_ends_its_tokens_and_no_other() -> None:
    remembered = Remembered(100_000)
    for kind in range(5):
        for number in range(40):
            remembered.add(*new(number))
        header, _, ends = new(7)
        remembered.end(ends[kind])
        mine = [number for number in range(40) if ends[kind] in new(number)[2]]
        assert len(remembered.hits) == 40 - len(mine) and header not in remembered.hits
        remembered.clear()
        assert not remembered.hits


def test_the_first_that_came_is_the_first_to_go() -> None:
    remembered = Remembered(10)
    for number in range(25):
        remembered.add(*new(number))
        assert list(remembered.hits) == [new(kept)[0] for kept in range(max(0, number - 9), number + 1)]


def test_a_forgotten_token_can_be_remembered_again() -> None:
    remembered = Remembered(10)
    header, token, ends = new(1)
    for _ in range(30):
        remembered.add(header, token, ends)
        remembered.add(header, token, ends)  # as two threads do that missed at once
        assert remembered.hits == {header: token}
        remembered.forget(header, ends[0])
        remembered.forget(header, ends[0])
        assert not remembered.hits
    remembered.add(header, token, ends)
    remembered.end(ends[2])
    assert not remembered.hits


@pytest.mark.parametrize("size", [1, 3, 50])
def test_nothing_that_ended_is_remembered_whatever_happens(size: int) -> None:
    """A model beside it: a header may go early, where hashes are shared, and never stays."""
    chance, remembered, model = random.Random(size), Remembered(size), OrderedDict[str, Subjects]()
    for _ in range(20_000):
        header, token, ends = new(chance.randrange(size * 2))
        ending = ends[chance.choice((0, 0, 2, 3, 4))]
        match chance.randrange(10):
            case 0:
                remembered.forget(header, ends[0])
                model.pop(header, None)
            case 1:
                remembered.end(ending)
                model = OrderedDict((kept, subjects) for kept, subjects in model.items() if ending not in subjects)
            case _:
                remembered.add(header, token, ends)
                model[header] = ends
        assert len(remembered.hits) <= size and remembered.hits.keys() <= model.keys()
        for kept in set(model) - set(remembered.hits):
            del model[kept]


def test_a_remembered_token_weighs_less_than_900_bytes() -> None:
    """The token's own strings among them; what is alike is shared by who remembers."""
    tracemalloc.start()
    try:
        remembered = Remembered(20_000)
        before = tracemalloc.get_traced_memory()[0]
        for number in range(20_000):
            remembered.add(*new(number))
        assert (tracemalloc.get_traced_memory()[0] - before) / 20_000 < 900
    finally:
        tracemalloc.stop()
    assert LINKS == 6
