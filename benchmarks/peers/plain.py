"""Yardsticks without any protocol: the bare app, a dict, SHA-256 and a set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.peers import Facts, folder, is_used, new_text

App = Callable[[dict[str, Any], Any], list[bytes]]


def prepare(into: Path, rows: int) -> Facts:
    texts = [new_text() for _ in range(rows)]
    (into / "all").write_text("\n".join(texts))
    return Facts([text for index, text in enumerate(texts) if is_used(index, rows)])


def prepare_bare(into: Path, rows: int) -> Facts:
    return Facts([new_text() for index in range(rows) if is_used(index, rows)], guarded=False)


def bare(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


def _refuse(start_response: Any) -> list[bytes]:
    start_response("401 Unauthorized", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"no"]


def _stored() -> list[str]:
    return (folder() / "all").read_text().split()


def dict_check() -> App:
    known = {"Bearer " + token: 1 for token in _stored()}

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ.get("HTTP_AUTHORIZATION") not in known:
            return _refuse(start_response)
        return bare(environ, start_response)

    return app


def sha256_check() -> App:
    known = {hashlib.sha256(token.encode()).digest() for token in _stored()}

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        header = environ.get("HTTP_AUTHORIZATION", "")
        if hashlib.sha256(header[7:].encode()).digest() not in known:
            return _refuse(start_response)
        return bare(environ, start_response)

    return app
