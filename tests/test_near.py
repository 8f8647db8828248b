"""What a process keeps near: never believed after a change was announced, and bounded"""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_gateway import near, params
from oauth_gateway.near import Challenges, Lately, Near
from oauth_gateway.store import UNTOLD


class Epochs:
    """As much of a store as Near asks of one."""

    def __init__(self, near: bool = True) -> None:
        self.now = b"1" * 16
        self.epoch_is_near = near
        self.epoch: Callable[[], bytes] = lambda: self.now


class Source:
    """A value, and how often it was read."""

    def __init__(self, value: str | None = "first") -> None:
        self.value, self.reads = value, 0

    def __call__(self) -> str | None:
        self.reads += 1
        return self.value


def made(store: Epochs, **more: object) -> Near[str]:
    return Near(store, **more)  # type: ignore[arg-type]


def test_a_value_is_read_once_while_the_epoch_stands_still() -> None:
    kept, source = made(Epochs()), Source()
    assert [kept.get("a", source) for _ in range(3)] == ["first"] * 3
    assert source.reads == 1


def test_another_epoch_ends_it() -> None:
    store, source = Epochs(), Source()
    kept = made(store)
    kept.get("a", source)
    store.now, source.value = b"2" * 16, "second"
    assert kept.get("a", source) == "second"


def test_while_a_change_is_announced_every_question_is_asked_and_nothing_is_kept() -> None:
    store, source = Epochs(), Source()
    kept = made(store)
    kept.get("a", source)
    store.now, source.value = UNTOLD, "second"
    assert [kept.get("a", source) for _ in range(2)] == ["second", "second"] and source.reads == 3
    store.now = b"2" * 16
    kept.get("a", source)
    assert source.reads == 4


def test_what_changes_between_question_and_answer_is_not_believed_afterwards() -> None:
    """The epoch is read before the store is: an answer from before the change is of no epoch that comes after it"""
    store, source = Epochs(), Source()
    kept = made(store)

    def slow() -> str | None:
        answer = source()
        store.now, source.value = b"2" * 16, "second"  # committed and told while the answer was on its way
        return answer

    assert kept.get("a", slow) == "first"
    assert kept.get("a", source) == "second"


def test_another_database_ends_it_though_its_epoch_were_the_same() -> None:
    store, source = Epochs(), Source()
    kept = made(store)
    kept.get("a", source)
    store.epoch, source.value = lambda: store.now, "second"
    assert kept.get("a", source) == "second"


def test_it_is_read_again_after_a_while_though_nothing_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    moment, source = [100.0], Source()
    monkeypatch.setattr(near, "monotonic", lambda: moment[0])
    kept = made(Epochs())
    kept.get("a", source)
    moment[0] += near.SECONDS - 0.1
    kept.get("a", source)
    assert source.reads == 1
    moment[0] += 0.2
    kept.get("a", source)
    assert source.reads == 2


def test_none_is_not_kept_nor_what_may_not_be_nor_anything_of_a_store_that_is_far() -> None:
    nothing, source = Source(None), Source()
    kept = made(Epochs(), keeps=lambda value: value != "first")
    for _ in range(2):
        kept.get("a", nothing)
        kept.get("b", source)
    assert (nothing.reads, source.reads) == (2, 2)
    far, other = made(Epochs(near=False)), Source()
    for _ in range(2):
        far.get("a", other)
    assert other.reads == 2


def test_where_the_epoch_cannot_be_read_the_store_is_asked() -> None:
    store, source = Epochs(), Source()

    def broken() -> bytes:
        raise PermissionError("x.db-epoch")

    kept = made(store)
    kept.get("a", source)
    store.epoch = broken
    assert [kept.get("a", source) for _ in range(2)] == ["first"] * 2 and source.reads == 3


def test_it_is_bounded_and_the_latest_stay() -> None:
    lately: Lately[int] = Lately(10)
    for number in range(95):
        lately.put(number, number)
    assert len(lately) <= 20
    assert [lately.get(number) for number in range(85, 95)] == list(range(85, 95)) and lately.get(1) is None


def test_threads_at_once_get_their_own_values() -> None:
    lately: Lately[int] = Lately(50)
    wrong: list[object] = []

    def work(begin: int) -> None:
        for number in range(begin, begin + 20_000):
            lately.put(number % 173, number % 173)
            found = lately.get((number * 7) % 173)
            if found not in (None, (number * 7) % 173):
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(start * 31,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and len(lately) <= 100


def test_a_challenge_is_new_once_for_each_client() -> None:
    challenges = Challenges()
    assert challenges.is_new("a", "x") and challenges.is_new("b", "x") and challenges.is_new("a", "y")
    assert not challenges.is_new("a", "x")


@given(st.text(alphabet="ab=&;%+2\u00e9 ", max_size=30))
def test_parameters_are_split_as_the_standard_library_splits_them(text: str) -> None:
    """Where nothing is encoded, our own few lines do it"""
    expected = params.parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=params.MAX_FIELDS)
    try:
        found = params._pairs(text)
    except UnicodeDecodeError:
        return
    assert found == expected
