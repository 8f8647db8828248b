"""The queue: its thread, what fails, and a delivery over a real connection."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from oauth_gateway import OAuthGateway, jobs
from oauth_gateway.jobs import DELAYS, JobFailed, Jobs
from oauth_gateway.models import Job
from oauth_gateway.sealing import new_number
from oauth_gateway.testing import NOW, Clock, frozen_time

from .conftest import make_world, start_jobs
from .test_logout import log_out, signed_in


@pytest.fixture(autouse=True)
def background_work(no_background_work: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread, as it is."""
    monkeypatch.setattr(Jobs, "start", start_jobs)


@pytest.fixture
def queue(clock: Clock) -> Jobs:
    return Jobs(OAuthGateway(None, database="sqlite://").store)


def add(queue: Jobs, name: str = "work", due: float = NOW) -> int:
    number = new_number()
    queue._store.add_job(Job(number, name, {}, due, 0))
    return number


def eventually(condition: Callable[[], object]) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")


def test_what_fails_is_tried_again_later_and_given_up_in_the_end(
    queue: Jobs, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A103: an error that nobody foresaw is no different, and is logged"""
    tried: list[int] = []
    lost: list[Job] = []

    def fail(job: Job, now: float) -> None:
        tried.append(job.attempts)
        raise JobFailed("no") if job.attempts % 2 else RuntimeError("a bug")

    queue.handle("work", fail, lost.append)
    add(queue)
    for delay in (0, *DELAYS):
        clock.advance(delay)
        assert queue.work() == 1
    assert tried == list(range(1, len(DELAYS) + 2)) and len(lost) == 1
    clock.advance(10**8)
    assert queue.work() == 0 and "the job work failed" in caplog.text


def test_a_job_that_nobody_knows_waits_for_a_version_that_does(queue: Jobs, clock: Clock) -> None:
    queue.handle("work", lambda job, now: None, lambda job: None)
    add(queue, "of a later version")
    assert queue.work() == 1 and queue._store.next_job() == NOW + DELAYS[0]
    clock.advance(DELAYS[0])
    done: list[int] = []
    queue.handle("of a later version", lambda job, now: done.append(job.id), lambda job: None)
    assert queue.work() == 1 and len(done) == 1


def test_the_thread_works_until_nothing_is_left_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "LOOK_SECONDS", 0.05)
    with frozen_time() as clock:
        queue = Jobs(OAuthGateway(None, database="sqlite://").store)
        done: list[int] = []
        queue.handle("work", lambda job, now: done.append(job.id), lambda job: None)
        first, later = add(queue), add(queue, due=NOW + 5)
        queue.hint()
        eventually(lambda: done == [first])
        assert queue._thread is not None, "one is still to come"
        clock.advance(5)
        eventually(lambda: done == [first, later])
        eventually(lambda: queue._thread is None)
        third = add(queue)
        queue.hint()
        eventually(lambda: done[-1] == third)


def test_requests_look_for_what_another_process_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "LOOK_SECONDS", 0.05)
    with frozen_time() as clock:
        world = make_world("sqlite://", clock)
        done: list[int] = []
        world.gateway.server.jobs.handle("work", lambda job, now: done.append(job.id), lambda job: None)
        world.call(None)
        eventually(lambda: world.gateway.server.jobs._thread is None)
        left = add(world.gateway.server.jobs)
        time.sleep(0.06)
        world.call(None, "/another")
        eventually(lambda: done == [left])


GOT: list[dict[str, list[str]]] = []


class Party(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        assert self.headers["Content-Type"] == "application/x-www-form-urlencoded"
        GOT.append(parse_qs(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def party() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Party)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/back"
    server.shutdown()
    server.server_close()


def test_a_logout_is_told_over_a_real_connection_behind_the_answer(party: str) -> None:
    """R220"""
    with frozen_time() as clock:
        world = make_world("sqlite://", clock, fetch_private_networks=["127.0.0.0/8"])
        world.confidential = world.clients.update(world.confidential, {"backchannel_logout_uri": party}, 0)
        browser, tokens = signed_in(world)
        log_out(world, browser, id_token_hint=tokens["id_token"])
        eventually(lambda: GOT)
        ((text,),) = [form["logout_token"] for form in GOT]
        assert text.count(".") == 2
        eventually(lambda: world.gateway.store.next_job() is None)
