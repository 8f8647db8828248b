"""The fetcher: few transfers at a time, one for all who ask for the same, and none for what has just failed."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast
from urllib.parse import urlencode

import cachetools

from .. import clock
from ..forks import reset_in_children
from .destination import Destination, Network, Refused, Resolver, destination
from .transfer import Answer, Request, Transfer, describe

T = TypeVar("T")
DEADLINE_SECONDS = 5.0  # for everything: waiting for a turn, the name's resolution, connecting, TLS, sending and reading
MOST_AT_ONCE = 8
MOST_BYTES = 64 * 1024
MOST_FAILURES = 1000  # are remembered
LONGEST_PAUSE = 300.0  # seconds after a failure in which a URL is left alone; the first is 1, then twice as long each time


class FetchError(Exception):
    """A URL could not be fetched: one sentence for the operator's log. `public` is all that anybody else is told.

    `asked` says whether the other side had its chance, `status` is that of its answer where there was one.
    """

    public = "The URL could not be fetched."
    asked = True
    status: int | None = None


class _Unasked(FetchError):
    """It was not even tried, or given up on our side: no reason to leave the URL alone."""

    asked = False


class Fetched(NamedTuple):
    """What `url` answered with status 200; `content_type` is in lower case, without parameters, and empty where it has none."""

    url: str
    content_type: str
    body: bytes


class _Flight:
    """One reading that several callers wait for."""

    def __init__(self) -> None:
        self.landed = threading.Event()
        self.result: Any = None
        self.error: FetchError | None = _Unasked("whoever asked for it went away")

    def outcome(self) -> Any:
        if self.error is not None:
            raise type(self.error)(*self.error.args)  # an exception of its own for each: a traceback is one thread's
        return self.result


class _Failure(NamedTuple):
    text: str
    pause: float
    until: float


class Fetcher:
    """Follows URLs; a gateway has one.

    `allowed` are networks that are reached although they are not public; a URL that failed is left alone for at most
    `longest_pause`. `discreet` keeps a failure's time from telling a stranger what is there; an operator's own addresses need
    no such delay. `tls` and `resolve` are for tests: the system's
    certificate authorities and resolver where they are None. Proxies of the environment are not used.
    """

    def __init__(
        self,
        allowed: Sequence[Network] = (),
        *,
        deadline: float = DEADLINE_SECONDS,
        longest_pause: float = LONGEST_PAUSE,
        discreet: bool = True,
        tls: ssl.SSLContext | None = None,
        resolve: Resolver | None = None,
    ) -> None:
        self._allowed = tuple(allowed)
        self._deadline = deadline
        self._longest_pause = longest_pause
        self._discreet = discreet
        self._tls = tls
        self._resolve = resolve
        self.reset()
        reset_in_children(self)

    def reset(self) -> None:
        """Nothing is under way: at first and in a forked child, which has none of the parent's threads."""
        self._lock = threading.Lock()
        self._turns = threading.Semaphore(MOST_AT_ONCE)
        self._flights: dict[Any, _Flight] = {}
        self._failures: MutableMapping[Any, _Failure] = cachetools.FIFOCache(MOST_FAILURES)

    def get(self, url: str, *, most_bytes: int = MOST_BYTES) -> Fetched:
        """What `url` answers; raises FetchError."""
        return self.read(url, _as_it_is, most_bytes=most_bytes)

    def read(self, url: str, reader: Callable[[Fetched], T], *, most_bytes: int = MOST_BYTES) -> T:
        """What `reader` makes of the answer of `url`; raises FetchError.

        A reader that raises is a failure like any other: the URL is left alone for a while. It raises Refused to have its
        sentence logged. Callers who ask for the same while it is under way get the same object.
        """
        goal = self._destination(url)
        key = (url, most_bytes, reader)
        with self._lock:
            flight = self._flights.get(key)
            leads = flight is None
            if flight is None:
                self._respect_pause(key)
                flight = self._flights[key] = _Flight()
        if leads:
            self._lead(key, flight, goal)
        elif not flight.landed.wait(self._deadline):
            raise FetchError(f"{goal.origin}: the deadline passed")
        return cast(T, flight.outcome())

    def post(self, url: str, form: Mapping[str, str]) -> int:
        """The status, whichever it is, with which `url` answers the form; raises FetchError where it does not."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        goal = self._destination(url)
        return self._transfer(goal, Request("POST", headers, urlencode(form).encode(), None)).status

    def ask(self, url: str, form: Mapping[str, str], reader: Callable[[Fetched], T], headers: Mapping[str, str]) -> T:
        """What `reader` makes of the answer to the form, which is asked for whenever this is called; raises FetchError."""
        goal = self._destination(url)
        sent = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json", **headers}
        answer = self._transfer(goal, Request("POST", sent, urlencode(form).encode(), MOST_BYTES))
        try:
            return reader(Fetched(url, answer.content_type, answer.body))
        except Exception as error:
            raise FetchError(f"{goal.origin}: {describe(error)}") from None

    def _destination(self, url: str) -> Destination:
        try:
            return destination(url, self._allowed)
        except Refused as refused:
            raise FetchError(f"{url[:200]!r} is not followed: {refused}") from None

    def _respect_pause(self, key: Any) -> None:
        failure = self._failures.get(key)
        if failure is not None and clock.now() < failure.until:
            raise FetchError(f"{failure.text} (not asked again for {failure.pause:.0f} seconds after this)")

    def _lead(self, key: Any, flight: _Flight, goal: Destination) -> None:
        """Do the work of a flight and land it, whatever happens."""
        url, most_bytes, reader = key
        began = time.monotonic()
        try:
            headers = {"Accept": "application/json, */*;q=0.1"}
            answer = self._transfer(goal, Request("GET", headers, None, most_bytes))
            try:
                flight.result = reader(Fetched(url, answer.content_type, answer.body))
            except Exception as error:
                raise FetchError(f"{goal.origin}: {describe(error)}") from None
            flight.error = None
        except FetchError as error:
            flight.error = error
            if self._discreet:
                self._blur(began)
        finally:
            with self._lock:
                self._flights.pop(key, None)
                if flight.error is None:
                    self._failures.pop(key, None)
                elif not isinstance(flight.error, _Unasked):
                    self._note_failure(key, str(flight.error))
            flight.landed.set()

    def _note_failure(self, key: Any, text: str) -> None:
        now, before = clock.now(), self._failures.get(key)
        pause = 1.0
        if before is not None and now < before.until + self._longest_pause:
            pause = min(2 * before.pause, self._longest_pause)
        self._failures[key] = _Failure(text, pause, now + pause)

    def _blur(self, began: float) -> None:
        """Tell a failure at a whole tenth of the deadline: time must not tell a closed port from an open one."""
        spent = time.monotonic() - began
        time.sleep(max(0.0, min(-spent % (self._deadline / 10), self._deadline - spent)))

    def _transfer(self, goal: Destination, request: Request) -> Answer:
        """The answer, within the deadline. The turn is the worker's to give back: one that hangs in a resolver keeps it."""
        began = time.monotonic()
        ends = began + self._deadline
        tls = self._context() if goal.scheme == "https" else None
        resolve = self._resolve or socket.getaddrinfo
        transfer = Transfer(goal, request, ends, allowed=self._allowed, resolve=resolve, tls=tls)
        turns = self._turns
        if not turns.acquire(timeout=self._deadline):
            raise _Unasked(f"{goal.origin}: {MOST_AT_ONCE} other transfers took longer than the deadline")
        late = time.monotonic() > began + self._deadline / 10
        try:
            threading.Thread(target=_work, args=(transfer, turns), name="oauth_gateway fetch", daemon=True).start()
        except RuntimeError:
            turns.release()
            raise _Unasked(f"{goal.origin}: no thread could be started") from None
        try:
            in_time = transfer.finished.wait(max(0.0, ends - time.monotonic()))
        finally:
            transfer.abandon()
        if in_time and transfer.answer is not None:
            return transfer.answer
        if late and transfer.status is None:  # some of the time had passed in the queue
            raise _Unasked(f"{goal.origin}: other transfers left it too little time")
        error = FetchError(f"{goal.origin}: {transfer.cause if in_time else 'the deadline passed'}")
        error.status = transfer.status
        raise error

    def _context(self) -> ssl.SSLContext:
        """The system's authorities are loaded at the first need; two threads may both do it."""
        if self._tls is None:
            try:
                self._tls = ssl.create_default_context()
            except OSError as error:
                raise _Unasked(f"the certificate authorities could not be loaded: {describe(error)}") from None
        return self._tls


def _as_it_is(fetched: Fetched) -> Fetched:
    return fetched


def _work(transfer: Transfer, turns: threading.Semaphore) -> None:
    try:
        transfer.run()
    finally:
        turns.release()
