"""JSON that was fetched: read strictly, remembered for a while, and good for an hour where its server is away."""

from __future__ import annotations

import multiprocessing
from typing import Any

import pytest

from oauth_gateway.fetch import Documents, Fetched, FetchError, Refused, documents, strict_json
from oauth_gateway.testing import Clock

from .peers import Peer, answer, make, why


def fetched(body: bytes, content_type: str = "application/json") -> Fetched:
    return Fetched("https://keys.example/", content_type, body)


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/jwk-set+json", "application/vnd.a-b.c+json", "application/problem+json"]
)
def test_json_is_read(content_type: str) -> None:
    assert strict_json(fetched('{"keys": [{"kid": "é\\ud83d\\ude00"}], "n": 1.5}'.encode(), content_type)) == {
        "keys": [{"kid": "é😀"}],
        "n": 1.5,
    }
    assert strict_json(fetched(b"[]", content_type)) == []


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><title>hunter2</title>",
        b"",
        b"hunter2",
        b'{"a": 1',
        b'{"a": 1} {"b": 2}',
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        '{"a": "é"}'.encode("latin-1"),
        b'{"hunter2": 1, "hunter2": 2}',
        b'{"a": [{"hunter2": 1, "b": 1, "hunter2": 1}]}',
        b'{"a": 1, "\\u0061": 2}',
        b'{"a": NaN}',
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e999]",
        b"[" + b"9" * 60_000 + b"]",
        b'["\\ud800"]',
        b'{"\\udc00": 1}',
        b"[" * 33 + b"]" * 33,
        b"[" * 60_000,
        b"[" * 30_000 + b"]" * 30_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b"'a'",
        b"{a: 1}",
        b"[1,]",
        b"1",
        b'"a"',
        b"null",
        b"true",
        b"\x00",
    ],
)
def test_what_is_not_json_or_could_be_read_in_two_ways_is_refused(body: bytes) -> None:
    """A088, A089: and not quoted"""
    with pytest.raises(Refused) as caught:
        strict_json(fetched(body))
    assert "hunter2" not in str(caught.value) and len(str(caught.value)) < 100


def test_32_levels_are_read() -> None:
    assert strict_json(fetched(b"[" * 32 + b"]" * 32))


@pytest.mark.parametrize(
    "content_type", ["text/html", "text/json", "", "application/jsonp", "application/+json", "application/xml"]
)
def test_another_content_type_is_refused(content_type: str) -> None:
    """A088"""
    with pytest.raises(Refused, match="content type"):
        strict_json(fetched(b"{}", content_type))


def test_what_cannot_be_used_is_a_failure_to_fetch_and_is_not_asked_for_again(clock: Clock) -> None:
    """A087, A088: a reader may want more than JSON, such as the right client_id and no private key"""

    def reader(fetched: Fetched) -> Any:
        document = strict_json(fetched)
        if document["client_id"] != fetched.url:
            raise Refused("it is about another client")
        return document

    with Peer(b"") as peer:
        known = Documents(make(deadline=1), reader)
        for talk, reason in (
            (answer("<p>hunter2", Content_Type="text/html"), "content type"),
            (answer('{"a":1,"a":2}', Content_Type="application/json;charset=utf-8"), "names a member twice"),
            (answer('{"client_id": "hunter2"}'), "about another client"),
            (answer('{"hunter2": "a"}'), "KeyError"),
            (answer("{}", Content_type="text/plain"), "content type"),  # two of them
        ):
            peer.talk, before = talk, len(peer.requests)
            told = why(known.get, peer.url(), clock())
            assert reason in told and "hunter2" not in told
            assert "not asked again" in why(known.get, peer.url(), clock())
            assert len(peer.requests) == before + 1
            clock.advance(600)
        peer.talk = answer(f'{{"client_id": "{peer.url()}"}}', Content_Type="application/json; charset=utf-8")
        assert known.get(peer.url(), clock()) == {"client_id": peer.url()}


def test_a_document_is_remembered_and_asked_for_again_when_something_new_is_looked_for(clock: Clock) -> None:
    with Peer(answer('{"n": 1}')) as peer:
        known = Documents(make())
        assert known.get(peer.url(), clock()) == {"n": 1} == known.refreshed(peer.url(), clock())
        peer.talk = answer('{"n": 2}')
        clock.advance(9)
        assert known.refreshed(peer.url(), clock()) == {"n": 1}, "asked a moment ago"
        clock.advance(1)
        assert known.get(peer.url(), clock()) == {"n": 1}
        assert known.refreshed(peer.url(), clock()) == {"n": 2} == known.get(peer.url(), clock())
        for _ in range(50):
            known.refreshed(peer.url(), clock())
        clock.advance(299)
        known.get(peer.url(), clock())
        assert len(peer.requests) == 2
        clock.advance(1)
        known.get(peer.url(), clock())
        assert len(peer.requests) == 3


def test_an_old_document_is_good_for_an_hour_while_its_server_is_away(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with Peer(answer('{"n": 1}')) as peer:
        known = Documents(make(deadline=0.5))
        known.get(peer.url(), clock())
        peer.talk = answer("", "503 No")
        clock.advance(20)
        assert known.refreshed(peer.url(), clock()) == {"n": 1} == known.refreshed(peer.url(), clock())
        assert len(peer.requests) == 2 and caplog.text.count("going on with the document of 20 seconds ago") == 1
        clock.advance(3579)
        assert known.get(peer.url(), clock()) == {"n": 1} == known.get(peer.url(), clock())
        assert len(peer.requests) == 3
        clock.advance(1)
        assert "status is 503" in why(known.get, peer.url(), clock())
        assert "not asked again" in why(known.refreshed, peer.url(), clock())
        clock.advance(10)
        peer.talk = answer('{"n": 2}')
        assert known.get(peer.url(), clock()) == {"n": 2}


def test_the_number_of_documents_is_bounded(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr(documents, "MOST_DOCUMENTS", 2)
    with Peer(answer()) as peer:
        known = Documents(make())
        for path in ("/1", "/2", "/3", "/3", "/2", "/1"):
            known.get(peer.url(path), clock())
        assert [request.split()[1] for request in peer.requests] == [b"/1", b"/2", b"/3", b"/1"]


def test_a_forked_child_starts_empty(clock: Clock) -> None:
    with Peer(answer()) as peer:
        known = Documents(make())
        with known._lock:
            child = multiprocessing.get_context("fork").Process(target=known.get, args=(peer.url(), clock()))
            child.start()
        child.join(10)
        child.kill()
    assert child.exitcode == 0


def test_a_document_that_never_came_is_an_error(clock: Clock) -> None:
    with Peer(answer("", "404 No")) as peer, pytest.raises(FetchError, match="status is 404"):
        Documents(make(deadline=0.5)).refreshed(peer.url(), clock())
