"""The fetcher against peers that misbehave: how long it stays, how much it takes, how often it asks, and what it tells.

Where it goes is in `test_destinations.py`.
"""

from __future__ import annotations

import multiprocessing
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from oauth_gateway.fetch import fetcher
from oauth_gateway.testing import Clock

from .peers import Names, Peer, answer, drip, make, why


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """What a hanging resolver waits for: set when the test is over."""
    event = threading.Event()
    yield event
    event.set()


def hanging(event: threading.Event) -> Callable[..., Any]:
    """A resolver that answers for keys.example only."""
    names = Names(keys_example=[["127.0.0.1"]])

    def resolve(host: str, port: int, *, type: int) -> Any:
        if host != "keys.example":
            event.wait(30)
        return names(host, port, type=type)

    return resolve


# how long it stays

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
SLOW: dict[str, Any] = {
    "a byte of the headers at a time": drip(HEAD + b"X-A: ", b"a"),
    "a byte of the body at a time": drip(HEAD + b"Content-Length: 60000\r\n\r\n", b" "),
    "an endless chunked body": drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "an endless chunk extension": drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;a=", b"a"),
    "interim answers without end": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "silence": drip(b"", b"", 0.1),
    "a handshake that never ends": None,
    "a record that never ends": "raw",
    "a resolver that hangs": "dns",
}


@pytest.mark.parametrize("slow", SLOW)
def test_whatever_the_peer_does_the_deadline_holds_and_others_are_served(slow: str, released: threading.Event) -> None:
    """A087"""
    talk = SLOW[slow] if callable(SLOW[slow]) else answer()
    if SLOW[slow] == "raw":
        talk = drip_in_a_record
    with Peer(talk, handshake=SLOW[slow] is not None) as peer, Peer(answer()) as good:
        got = make(hanging(released), deadline=0.5)
        url = peer.url("/", "hangs.example" if SLOW[slow] == "dns" else "keys.example")
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            waiting = [pool.submit(why, got.get, text) for text in (url, url, f"{url}?2")]
            if SLOW[slow] in (None, "dns") or slow == "silence":
                waiting += [pool.submit(why, got.post, url, {})]
            assert got.get(good.url()).body == b"{}" and time.monotonic() - began < 0.5, "nobody else waits"
            for one in waiting:
                assert "deadline" in one.result() or "timed out" in one.result()
        assert 0.4 < time.monotonic() - began < 1.5
        assert peer.connections == (0 if SLOW[slow] == "dns" else len(waiting) - 1), "two who ask for the same ask once"
        if SLOW[slow] != "dns":
            soon(lambda: got._turns._value == fetcher.MOST_AT_ONCE)


def drip_in_a_record(peer: Peer, connection: socket.socket) -> None:
    """Bytes of one TLS record, below TLS, so that no read of it ever ends."""
    with socket.socket(fileno=connection.detach()) as below:
        below.sendall(b"\x17\x03\x03\x40\x00")
        while not peer.gone.wait(0.02):
            below.sendall(b"a")


def soon(true: Callable[[], bool]) -> None:
    for _ in range(200):
        if true():
            return
        time.sleep(0.005)
    raise AssertionError("it did not come true")


def test_transfers_that_hang_keep_their_turn_and_no_more_are_begun(released: threading.Event, clock: Clock) -> None:
    """A087: a resolver cannot be interrupted, so what it holds is bounded"""
    with Peer(answer()) as peer:
        got = make(hanging(released), deadline=0.3)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: why(got.get, f"https://hangs{n}.example/"), range(8)))
        before = threading.active_count()
        assert "8 other transfers took longer" in why(got.get, peer.url())
        assert "8 other transfers took longer" in why(got.post, peer.url(), {})
        assert threading.active_count() <= before and not peer.connections
        released.set()
        soon(lambda: got._turns._value == fetcher.MOST_AT_ONCE)
        assert got.get(peer.url()).body == b"{}", "to have found no turn is not this URL's failure: nothing is backed off"


def test_a_forked_child_starts_anew(released: threading.Event) -> None:
    """Its parent's transfers, locks and turns are not there"""
    with Peer(answer()) as peer:
        got = make(hanging(released))
        threads = [threading.Thread(target=why, args=(got.get, f"https://hangs{n}.example/")) for n in range(8)]
        for thread in threads:
            thread.start()
        soon(lambda: got._turns._value == 0)
        assert got._lock.acquire()
        fork = multiprocessing.get_context("fork")
        child = fork.Process(target=lambda: sys.exit(got.get(peer.url()).body != b"{}"))
        child.start()
        got._lock.release()
        child.join(10)
        child.kill()
        released.set()
        for thread in threads:
            thread.join()
    assert child.exitcode == 0


GEVENT = """
from gevent import monkey
monkey.patch_all()
import gevent, ipaddress, sys, time
from oauth_gateway.fetch import Fetcher, FetchError
from tests.peers import Names, Peer, answer, authority, drip
from tests.test_fetch import drip_in_a_record

def hanging(host, port, *, type):
    if host != "keys.example":
        time.sleep(30)
    return Names(keys_example=[["127.0.0.1"]])(host, port, type=type)

def failed(act, *given):
    try:
        act(*given)
    except FetchError as error:
        return str(error)

fetcher = Fetcher([ipaddress.ip_network("127.0.0.0/8")], deadline=0.5, tls=authority().client(), resolve=hanging)
slow = drip(b"HTTP/1.1 200 OK\\r\\nContent-Length: 60000\\r\\n\\r\\n", b" ")
with Peer(answer()) as good, Peer(slow) as body, Peer(drip_in_a_record) as record, Peer(b"", handshake=False) as silent:
    assert fetcher.get(good.url()).body == b"{}"
    began = time.monotonic()
    urls = [body.url(), body.url(), record.url(), silent.url(), "https://hangs.example/"]
    waiting = [gevent.spawn(failed, fetcher.get, url) for url in urls] + [gevent.spawn(failed, fetcher.post, silent.url(), {})]
    gevent.sleep(0.1)
    assert fetcher.post(good.url(), {"a": "b"}) == 200 and time.monotonic() - began < 0.5
    gevent.joinall(waiting, raise_error=True)
    assert all(one.value for one in waiting) and 0.4 < time.monotonic() - began < 1.5, [one.value for one in waiting]
    assert body.connections == 1
    with gevent.Timeout(0.1, False):
        fetcher.get(silent.url("/2"))
    gevent.sleep(0.1)
    assert fetcher._turns._value == 7, fetcher._turns._value  # only the resolver's is still out
print("fine")
"""


def test_greenlets_instead_of_threads() -> None:
    """gunicorn -k gevent: nothing blocks the others, and the deadline holds"""
    done = subprocess.run([sys.executable, "-c", GEVENT], capture_output=True, text=True, timeout=30)
    assert done.stdout == "fine\n", done.stderr


# how much it takes

TOO_MUCH = {
    "announced": (answer("", Content_Length="70000"), "longer than 65536 bytes"),
    "10 MB": (answer(b" " * 10_000_000), "longer than 65536 bytes"),
    "10 MB without a length": (answer(b" " * 10_000_000, Content_Length=""), "longer than 65536 bytes"),
    "a chunk": (answer(b"98967f\r\n" + b" " * 10_000_000, Content_Length="", Transfer_Encoding="chunked"), "longer than 65536"),
    "a negative chunk": (answer(b"-1\r\n" + b" " * 200_000, Content_Length="", Transfer_Encoding="chunked"), "too long"),
    "many small chunks": (answer(b"1\r\n \r\n" * 60_000, Content_Length="", Transfer_Encoding="chunked"), "too long"),
    "a chunk's extension": (answer(b"1;" + b"a" * 70_000, Content_Length="", Transfer_Encoding="chunked"), "LineTooLong"),
    "trailers": (answer(b"0\r\n" + b"A: b\r\n" * 60_000, Content_Length="", Transfer_Encoding="chunked"), "too long"),
    "a header": (answer(X_A="a" * 60_000), "too long"),
    "headers": (answer(**{f"X_{n}": "a" * 1000 for n in range(60)}), "too long"),
    "many headers": (answer(**{f"X_{n}": "a" for n in range(200)}), "HTTPException"),
    "interim answers": (b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, "too long"),
    "gzip": (answer(b"\x1f\x8b", Content_Encoding="gzip"), "compressed"),
    "two codings": (answer(b"\x1f\x8b", Content_Encoding="identity, br"), "compressed"),
    "a coding of the transfer": (answer(b"\x1f\x8b", Content_Length="", Transfer_Encoding="gzip, chunked"), "transfer coding"),
    "a length that is none": (answer("{}", Content_Length="+2"), "not a number"),
    "two lengths": (answer("{}", Content_length="2"), "not a number"),
    "too little": (answer("{}", Content_Length="20"), "ended early|IncompleteRead|SSLEOFError"),
    "half a chunk": (answer(b"5\r\n{}", Content_Length="", Transfer_Encoding="chunked"), "IncompleteRead|SSLEOFError"),
    "cut off": (answer("{}", Content_Length=""), "SSLEOFError"),
    "nothing": (b"", "RemoteDisconnected|SSLEOFError"),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.6 hunter2\r\n", "BadStatusLine"),
}  # fmt: skip


@pytest.mark.parametrize("much", TOO_MUCH)
def test_what_is_too_long_compressed_or_broken_is_refused(much: str) -> None:
    """A087, A089: and the reason never quotes it"""
    talk, reason = TOO_MUCH[much]
    with Peer(talk) as peer:
        told = why(make(deadline=1.5).get, peer.url())
        assert re.search(reason, told) and "hunter2" not in told, told
        assert told.startswith(f"https://keys.example:{peer.port}: ")


@pytest.mark.parametrize("framing", [{"Content_Length": "20"}, {"Content_Length": "", "Transfer_Encoding": "chunked"}])
def test_a_body_that_ends_early_is_no_answer(framing: dict[str, str]) -> None:
    """Nor where the connection is closed in good order"""
    with Peer(answer(b"2\r\n{}\r\n", **framing), tls=False) as peer:
        assert re.search("ended early|IncompleteRead", why(make(deadline=0.5).get, peer.url("/", "127.0.0.1")))


def test_the_cap_is_the_caller_s_and_a_body_of_just_that_size_is_taken() -> None:
    def ended(peer: Peer, connection: Any) -> None:
        connection.sendall(answer("[" + " " * 98 + "]", Content_Length=""))
        connection.unwrap()

    with Peer(answer("[" + " " * 98 + "]")) as peer:
        assert len(make().get(peer.url(), most_bytes=100).body) == 100
        assert "longer than 99 bytes" in why(make().get, peer.url(), most_bytes=99)
        peer.talk = ended
        assert len(make().get(peer.url(), most_bytes=100).body) == 100
        assert "longer than 99 bytes" in why(make().get, peer.url(), most_bytes=99)


def test_the_body_of_an_answer_to_a_form_is_not_waited_for() -> None:
    with Peer(drip(b"HTTP/1.1 204 No\r\nContent-Length: 60000\r\n\r\n", b" ")) as peer:
        began = time.monotonic()
        assert make().post(peer.url(), {}) == 204 and time.monotonic() - began < 1


# how often it asks


def waited_for(monkeypatch: pytest.MonkeyPatch, count: int) -> threading.Event:
    """An event that is set once `count` callers wait for another's transfer."""
    enough, waiting = threading.Event(), []

    class Landed(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waiting.append(1)
            if len(waiting) >= count:
                enough.set()
            return super().wait(timeout)

    class Flight(fetcher._Flight):
        def __init__(self) -> None:
            super().__init__()
            self.landed = Landed()

    monkeypatch.setattr(fetcher, "_Flight", Flight)
    return enough


@pytest.mark.parametrize("status", ["200 OK", "500 No"])
def test_all_who_ask_for_one_url_at_once_share_a_transfer_and_its_outcome(monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    """A087"""
    enough = waited_for(monkeypatch, 11)

    def talk(peer: Peer, connection: socket.socket) -> None:
        enough.wait(5)
        connection.sendall(answer("{}", status))

    with Peer(talk) as peer, ThreadPoolExecutor(12) as pool:
        got = make(deadline=5)
        if status == "200 OK":
            answers = list(pool.map(lambda _: got.get(peer.url()), range(12)))
            assert all(one is answers[0] for one in answers)
        else:
            told = list(pool.map(lambda _: why(got.get, peer.url()), range(12)))
            assert len(set(told)) == 1 and "status is 500" in told[0]
        assert peer.connections == 1 and not got._flights


def test_after_a_failure_a_url_is_left_alone_twice_as_long_each_time(clock: Clock) -> None:
    """A087: also in the log's sentence"""
    with Peer(answer("", "500 No")) as peer, Peer(answer()) as other:
        got = make(deadline=0.5)
        for pause in (1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300):
            before = len(peer.requests)
            assert "status is 500" in why(got.get, peer.url())
            assert f"not asked again for {pause} seconds" in why(got.get, peer.url())
            clock.advance(pause - 0.5)
            assert f"redirects are not followed (not asked again for {pause} " in why(got.get, peer.url())
            assert len(peer.requests) == before + 1
            clock.advance(0.5)
        assert got.get(other.url()).body == b"{}", "other URLs are asked"
        assert got.post(peer.url(), {}) == 500, "a form is not held back"
        peer.talk = answer()
        assert got.get(peer.url()).body == b"{}"
        peer.talk = answer("", "500 No")
        why(got.get, peer.url())
        assert "for 1 seconds" in why(got.get, peer.url()), "an answer ends the series"
        clock.advance(1)
        why(got.get, peer.url())
        clock.advance(3600)
        why(got.get, peer.url())
        assert "for 1 seconds" in why(got.get, peer.url()), "and so does an hour"


def test_the_table_of_failures_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "MOST_FAILURES", 3)
    names = Names()
    got = make(names, deadline=0.05)
    for number in (1, 2, 3, 4, 4, 1):
        why(got.get, f"https://keys{number}.example/")
    assert names.asked == [f"keys{n}.example" for n in (1, 2, 3, 4, 1)] and len(got._failures) == 3


# what it tells


def test_a_closed_port_a_refusal_and_a_wrong_answer_take_equally_long_and_are_told_alike() -> None:
    """A089: `why` compares what may be told"""
    with Peer(answer("hunter2", "404 hunter2")) as peer, Peer(b"", tls=False) as closed:
        closed.__exit__()
        for url in (peer.url(), f"https://keys.example:{closed.port}/", "https://nowhere.example/"):
            began = time.monotonic()
            told = why(make(deadline=2).get, url)
            assert time.monotonic() - began > 0.19, url
            assert "hunter2" not in told


def test_a_thread_that_cannot_be_started_gives_its_turn_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    got = make(deadline=0.1)
    monkeypatch.setattr(threading.Thread, "start", start)
    for _ in range(20):
        assert "no thread" in why(got.get, "https://keys.example/")
    assert got._turns._value == fetcher.MOST_AT_ONCE
