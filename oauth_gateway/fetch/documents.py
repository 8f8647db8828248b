"""JSON documents that are remembered: key sets, sector identifiers, client metadata."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

import cachetools

from ..forks import reset_in_children
from .destination import Refused
from .fetcher import Fetched, Fetcher, FetchError

log = logging.getLogger("oauth_gateway")
FRESH_SECONDS = 300
AGAIN_SECONDS = 10  # between two requests for a document that we have
OLDEST_SECONDS = 3600  # for which a document is good while it cannot be fetched again
MOST_DOCUMENTS = 200
MOST_DEPTH = 32
_JSON_TYPE = re.compile(r"application/(?:[a-z0-9!#$&^_.-]+\+)?json\Z")


def strict_json(fetched: Fetched) -> Any:
    """The object or array that is the answer; raises Refused where two readers might read it differently."""
    if not _JSON_TYPE.match(fetched.content_type):
        raise Refused("the answer's content type is neither application/json nor application/…+json")
    try:
        document = json.loads(fetched.body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
        if not isinstance(document, dict | list):
            raise Refused("the answer is neither a JSON object nor an array")
        _check_depth(document)
        json.dumps(document, ensure_ascii=False, allow_nan=False).encode()  # neither 1e999 nor half of a surrogate pair
    except (ValueError, RecursionError):  # whose texts may quote the answer
        raise Refused("the answer is not JSON in UTF-8") from None
    return document


@dataclass(frozen=True, slots=True)
class _Kept:
    document: Any
    fetched: float
    asked: float


class Documents:
    """Documents by their URL, each the same object until it is fetched again: whoever gets one must not change it.

    `reader` may check more than `strict_json`, which it calls: what it refuses is a failure to fetch.
    """

    def __init__(self, fetcher: Fetcher, reader: Callable[[Fetched], Any] = strict_json) -> None:
        self._fetcher = fetcher
        self._reader = reader
        self.reset()
        reset_in_children(self)

    def reset(self) -> None:
        """Start empty: at first and in a forked child."""
        self._lock = threading.Lock()
        self._kept: MutableMapping[str, _Kept] = cachetools.FIFOCache(MOST_DOCUMENTS)

    def get(self, url: str, now: float) -> Any:
        """The document, at most FRESH_SECONDS old where its server answers; raises FetchError where there is none."""
        return self._document(url, now, FRESH_SECONDS)

    def refreshed(self, url: str, now: float) -> Any:
        """The document as it is now, for something that is not in the remembered one; asked for once in AGAIN_SECONDS."""
        return self._document(url, now, AGAIN_SECONDS)

    def _document(self, url: str, now: float, fresh: float) -> Any:
        with self._lock:
            kept = self._kept.get(url)
        good = kept is not None and now < kept.fetched + OLDEST_SECONDS
        if kept is not None and good and now < max(kept.fetched + fresh, kept.asked + AGAIN_SECONDS):
            return kept.document
        try:
            fresher = _Kept(self._fetcher.read(url, self._reader), now, now)
        except FetchError as error:
            if kept is None or not good:
                raise
            log.warning("%s; going on with the document of %d seconds ago", error, now - kept.fetched)
            fresher = replace(kept, asked=now)
        with self._lock:
            self._kept[url] = fresher
        return fresher.document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Refused("the answer names a member twice")
    return members


def _no_constant(name: str) -> None:
    raise Refused("the answer holds a number that JSON does not have")


def _check_depth(document: Any) -> None:
    level = [document]
    for _ in range(MOST_DEPTH):
        level = [item for value in level for item in (value.values() if isinstance(value, dict) else value)]
        level = [item for item in level if isinstance(item, dict | list)]
        if not level:
            return
    raise Refused(f"the answer is nested deeper than {MOST_DEPTH}")
