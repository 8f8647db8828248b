"""Work that must not be lost and must not keep anybody waiting: queued in the store, done by a thread of each process.

A job is leased while it is done, so one that dies with its process is taken by another later. The thread is started by
requests on the protocol road, never before a fork, and ends when there is nothing left to do.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from . import clock
from .errors import StoreUnavailable
from .forks import reset_in_children
from .models import Job
from .store import Store

log = logging.getLogger("oauth_gateway")
LOOK_SECONDS = 15.0  # between looks for what other processes left
LEASE_SECONDS = 60.0
AT_ONCE = 4  # so that one that is slow does not hold up the others
DELAYS = (10, 60, 300, 1800, 7200, 21600, 43200)  # seconds after each attempt that failed; then it is given up


class JobFailed(Exception):
    """It did not work this time; the text is for the operator's log."""


class Jobs:
    """The queue of one deployment; `handle(name, do)` says what is done, `gave_up` hears what was tried in vain."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._handlers: dict[str, tuple[Callable[[Job, float], None], Callable[[Job], None]]] = {}
        reset_in_children(self)
        self.reset()

    def reset(self) -> None:
        """No thread: at first and in a forked child."""
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._look_again = 0.0

    def handle(self, name: str, do: Callable[[Job, float], None], gave_up: Callable[[Job], None]) -> None:
        """Have `do(job, now)` called for jobs of `name`; it raises JobFailed to be called again later."""
        self._handlers[name] = (do, gave_up)

    def start(self) -> None:
        """Have this process do its share; called often, it looks seldom."""
        if self._thread is None and self._handlers and time.monotonic() >= self._look_again:
            with self._lock:
                if self._thread is None:
                    thread = threading.Thread(target=self._run, name="oauth_gateway jobs", daemon=True)
                    try:
                        thread.start()
                    except RuntimeError as error:  # no request fails for work that can wait
                        log.warning("jobs wait: %s", error)
                        return
                    self._thread = thread

    def hint(self) -> None:
        """There is something to do now."""
        self._wake.set()
        self._look_again = 0.0
        self.start()

    def work(self) -> int:
        """Do what is due and say how much that was."""
        done = 0
        while jobs := self._store.take_jobs(clock.now(), clock.now() + LEASE_SECONDS, AT_ONCE):
            if len(jobs) == 1:
                self._do(jobs[0])
            else:
                with ThreadPoolExecutor(AT_ONCE) as pool:
                    list(pool.map(self._do, jobs))
            done += len(jobs)
        return done

    def _do(self, job: Job) -> None:
        do, gave_up = self._handlers.get(job.name, (None, None))
        try:
            if do is None:
                raise JobFailed("nobody here knows it; another version may")
            do(job, clock.now())
        except Exception as error:
            if not isinstance(error, JobFailed):
                log.exception("the job %s failed", job.name)
            if job.attempts <= len(DELAYS):
                self._store.postpone_job(job, clock.now() + DELAYS[job.attempts - 1])
                return
            if gave_up is not None:
                gave_up(job)
        self._store.finish_job(job)

    def _run(self) -> None:
        """Work until there is nothing left to do, not even later."""
        while True:
            self._wake.clear()
            wait: float | None = LOOK_SECONDS
            try:
                self.work()
                soonest = self._store.next_job()
                wait = None if soonest is None else min(max(soonest - clock.now(), 0.1), LOOK_SECONDS)
            except StoreUnavailable as error:
                log.warning("jobs wait for the database: %s", error)
            except Exception:
                log.exception("jobs could not be looked at")
            if wait is None:
                with self._lock:
                    self._look_again = time.monotonic() + LOOK_SECONDS
                    if not self._wake.is_set():
                        self._thread = None
                        return
            else:
                self._wake.wait(wait)
