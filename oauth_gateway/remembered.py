"""What a process remembers of access tokens and sessions: first in, first out, found by header and by whatever ends them.

A process remembers a hundred thousand, so each is kept small. What ends a token is found by chains through arrays: a link is
8 bytes, where an entry in a dict of sets is 300. A chain belongs to a hash: the few subjects that share one end together, which
costs a look-up more and never less.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Sequence
from typing import Any, Generic, TypeVar

LINKS = 6  # a token, at most: itself, its client, grant, person, session and key
MOST_CHAINS = 1 << 20
MOST_ALIKE = 4096  # different values of which tokens share one; beyond that the sharing starts anew
_FREE = -(1 << 31)  # a link in no chain
_MORE_AFTER = [-1] * 256 * LINKS  # the links of as many places as are made at once
_MORE_BEFORE = [_FREE] * 256 * LINKS

Value = TypeVar("Value")


class Remembered(Generic[Value]):
    """At most `size` tokens. `hits` may be read without a lock; everything else needs one."""

    def __init__(self, size: int) -> None:
        self.hits: dict[Hashable, Value] = {}  # by header; always the same dict
        self._size = size
        self._mask = min(1 << (2 * size).bit_length(), MOST_CHAINS) - 1
        self._wide = "i" if size * LINKS < 1 << 31 else "q"
        self._start_empty()

    def _start_empty(self) -> None:
        self._headers: list[Hashable] = []  # a place each; links `place * LINKS` and the next few are that token's
        self._oldest = 0
        self._first = array(self._wide, [-1]) * (self._mask + 1)  # the first link of each chain, -1 for none
        self._after = array(self._wide)
        self._before = array(self._wide)  # of the first link in a chain: the chain's number, inverted

    def clear(self) -> None:
        self.hits.clear()
        self._start_empty()

    def add(self, header: Hashable, token: Value, subjects: Sequence[Hashable]) -> None:
        """Remember `token` until one of `subjects`, at most LINKS, ends or until `size` others came."""
        if header not in self.hits:  # another thread may have been faster; what ends a token never changes
            place = self._free_place()
            self._headers[place] = header
            first, after, before = self._first, self._after, self._before
            for link, subject in enumerate(subjects, place * LINKS):
                chain = hash(subject) & self._mask
                next_link = first[chain]
                first[chain], before[link], after[link] = link, ~chain, next_link
                if next_link >= 0:
                    before[next_link] = link
        self.hits[header] = token

    def forget(self, header: Hashable, subject: Hashable) -> None:
        """Forget one token, which `subject` would end."""
        link = self._first[hash(subject) & self._mask] if header in self.hits else -1
        while link >= 0 and self._headers[link // LINKS] != header:
            link = self._after[link]
        if link >= 0:
            self._empty(link // LINKS)

    def end(self, subject: Hashable) -> None:
        """Forget every token that `subject` ends."""
        chain = hash(subject) & self._mask
        while (link := self._first[chain]) >= 0:
            self._empty(link // LINKS)

    def _free_place(self) -> int:
        if len(self._headers) < self._size:
            place = len(self._headers)
            self._headers.append(None)
            if place * LINKS == len(self._after):
                self._after.extend(_MORE_AFTER)
                self._before.extend(_MORE_BEFORE)
            return place
        place = self._oldest
        self._oldest = (place + 1) % self._size
        self._empty(place)
        return place

    def _empty(self, place: int) -> None:
        header = self._headers[place]
        if header is not None:
            self._headers[place] = None
            del self.hits[header]
            for link in range(place * LINKS, place * LINKS + LINKS):
                if self._before[link] != _FREE:
                    self._unchain(link)

    def _unchain(self, link: int) -> None:
        before, after = self._before[link], self._after[link]
        if before >= 0:
            self._after[before] = after
        else:
            self._first[~before] = after
        if after >= 0:
            self._before[after] = before
        self._before[link] = _FREE


class Alike:
    """What is alike in many tokens, such as their scopes, as one value that they share."""

    def __init__(self) -> None:
        self._firsts: dict[Any, Any] = {}

    def one(self, value: Value) -> Value:
        """The first that came of all that are equal to `value`."""
        found: Value = self.room().setdefault(value, value)
        return found

    def room(self) -> dict[Any, Any]:
        """The values, each under itself, begun anew where they have become too many."""
        if len(self._firsts) >= MOST_ALIKE:
            self._firsts.clear()
        return self._firsts

    def clear(self) -> None:
        self._firsts.clear()
