"""The benchmarks' own arithmetic and documents, and that what they compare lets good tokens in and keeps bad ones out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import claims, report, run
from benchmarks.peers import PEERS, USED, Facts, is_used
from benchmarks.prepare import named
from benchmarks.work import WORKS, authorize_url

PLAIN = ("bare app", "dict check", "SHA-256 and dict", "gateway", "Flask in gateway")  # need nothing but what tests need
RESULTS: dict[str, Any] = {
    "works": {
        "protected-1000@100000": {
            **{"rows": 100_000, "rounds": 3, "seconds": 1, "load": 0.0, "when": "2026-01-01", "machine": "a machine"},
            "systems": {
                "bare app": [[1000.0, 100.0, 10_240], [2000.0, 110.0, 10_240], [4000.0, 120.0, 10_240]],
                "gateway": [[900.0, 104.0, 20_480], [1900.0, 116.0, 20_480], [3000.0, 129.0, 20_480]],
            },
        }
    },
    "costs": {"miss": {"title": "a miss", "unit": "µs", "when": "2026-01-01", "values": [24.0, 31.0, 26.0]}},
}


def test_ratios_are_taken_within_a_round() -> None:
    """0.9, 0.95 and 0.75 have 0.9 in the middle; the medians of both systems would give 0.95"""
    assert claims.ratio("protected-1000", "gateway", "bare app")(RESULTS, 100_000) == 0.9
    assert claims.added("protected-1000")(RESULTS, 100_000) == 6.0
    assert claims.cost("miss")(RESULTS, 100_000) == 26.0
    assert claims.ratio("protected-1000", "gateway", "Flask, Authlib")(RESULTS, 100_000) is None
    assert claims.ratio("protected-1000", "gateway", "bare app")(RESULTS, 1_000_000) is None


def test_every_claim_is_a_line_and_says_whether_it_holds_or_was_not_measured() -> None:
    lines = report.claims(RESULTS)[0].splitlines()
    assert sum(line.startswith("| ") for line in lines) == len(claims.CLAIMS) + 2
    assert "| server CPU added to a protected request | at most 7 µs | 6 µs |" in lines
    assert any("at least 0.93 | 0.90 ✗ |" in line for line in lines)
    assert any("at most 25 µs | 26 µs ✗ |" in line for line in lines)
    assert sum(line.endswith("| not measured |") for line in lines) == len(claims.CLAIMS) - 3


def test_the_document_has_a_section_for_each_work_and_number_of_rows_that_was_measured() -> None:
    many = {**RESULTS["works"], "protected-1000@1000000": {**RESULTS["works"]["protected-1000@100000"], "rows": 1_000_000}}
    text = report.document({**RESULTS, "works": many})
    assert text.count("| gateway | 1900 (900–3000) | 0.900 | 1.00 | 116.0 (104.0–129.0) | 20 |") == 2
    for heading in ("Claims", "Claims with 1,000,000 tokens stored", "In-process", "Systems"):
        assert f"## {heading}\n" in text
    assert f"| gateway | {PEERS['gateway'].how} |" in text
    assert "Flask, Authlib |" not in text


def test_the_picture_is_an_svg_for_light_and_dark_pages_with_a_bar_for_each_system() -> None:
    text = report.plot(RESULTS)
    bars = ElementTree.fromstring(text).findall("{http://www.w3.org/2000/svg}rect")
    assert [bar.get("width") for bar in bars] == ["430.0", "408.5"]
    assert "prefers-color-scheme: dark" in text


def test_every_system_has_work_that_exists_and_every_claim_names_systems_that_exist() -> None:
    assert all(set(peer.works) <= WORKS.keys() for peer in PEERS.values())
    assert {work for peer in PEERS.values() for work in peer.works} == WORKS.keys()
    one = [[1.0, 1.0, 1]]
    measured = {f"{name}@100000": {"systems": {p.name: one for p in PEERS.values() if name in p.works}} for name in WORKS}
    lines = [claim.line({"works": measured, "costs": {}}, 100_000) for claim in claims.CLAIMS if not claim.in_process]
    assert not [line for line in lines if claims.MISSING in line]


@pytest.mark.parametrize("rows", [1_000, 100_000, 1_000_000])
def test_as_many_tokens_are_used_whatever_the_number_of_rows(rows: int) -> None:
    assert sum(is_used(index, rows) for index in range(rows)) == USED


def test_a_system_that_cannot_be_measured_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda program: None)
    with pytest.raises(SystemExit, match="not measured: wrk is missing"):
        run.main(["--only", "protected-1", "--systems", "bare app"])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_FOLDER", str(tmp_path))
    return tmp_path


def ask(app: Callable[..., Any], path: str, **headers: str) -> tuple[str, dict[str, str]]:
    """Status and headers."""
    said: list[Any] = []
    path, _, query = path.partition("?")
    environ = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": query, "SERVER_NAME": "a.test"}
    environ |= {"SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1", **headers}
    environ |= {"wsgi.url_scheme": "http"}
    body = app(environ, lambda status, headers, error=None: said.extend((status, dict(headers))))
    if hasattr(body, "close"):
        body.close()
    return said[0][:3], said[1]


@pytest.mark.parametrize("name", PLAIN)
def test_a_good_token_gets_200_and_a_bad_one_401(name: str, folder: Path) -> None:
    peer = PEERS[name]
    facts: Facts = named(peer.prepare)(folder, 2_000)
    facts.write(folder)
    assert Facts.read(folder) == facts
    assert len(facts.tokens) == USED
    module, _, target = peer.target.partition(":")
    found = named(f"{module}:{target.removesuffix('()')}")
    app = found() if target.endswith("()") else found
    for token in (facts.tokens[0], facts.tokens[-1]):
        assert ask(app, "/thing", HTTP_AUTHORIZATION=f"Bearer {token}")[0] == "200"
    if facts.guarded:
        assert ask(app, "/thing", HTTP_AUTHORIZATION=f"Bearer {facts.tokens[0][:-4]}AAAA")[0] == "401"
        assert ask(app, "/thing", HTTP_AUTHORIZATION="Bearer nonsense")[0] == "401"


def test_the_person_who_was_prepared_gets_a_code_without_a_question(folder: Path) -> None:
    facts: Facts = named(PEERS["gateway"].prepare)(folder, USED)
    app = named("benchmarks.peers.gateway:bare")()
    status, headers = ask(app, authorize_url(facts), HTTP_COOKIE=facts.cookie)
    assert status == "303" and "code=" in headers["Location"]
    assert "code=" not in ask(app, authorize_url(facts))[1].get("Location", "")
