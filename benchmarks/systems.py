"""The systems that `run.py` compares, each a WSGI app for gunicorn: bare, a dict check, SHA-256 and a dict, the gateway."""

from __future__ import annotations

import hashlib
import json
import os


def bare(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


def _tokens() -> list[str]:
    with open(os.environ["BENCH_TOKENS"]) as file:
        return json.load(file)


def _refuse(start_response):
    start_response("401 Unauthorized", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"no"]


def dict_check():
    known = {"Bearer " + token: 1 for token in _tokens()}

    def app(environ, start_response):
        if environ.get("HTTP_AUTHORIZATION") not in known:
            return _refuse(start_response)
        return bare(environ, start_response)

    return app


def sha256_check():
    known = {hashlib.sha256(token.encode()).digest() for token in _tokens()}

    def app(environ, start_response):
        header = environ.get("HTTP_AUTHORIZATION", "")
        if hashlib.sha256(header[7:].encode()).digest() not in known:
            return _refuse(start_response)
        return bare(environ, start_response)

    return app


def gateway():
    from oauth_gateway import OAuthGateway

    return OAuthGateway(bare, database=os.environ["BENCH_DATABASE"], issuer="https://api.example.com")
