"""The Flask app that the gateway protects: one view."""

from __future__ import annotations

from flask import Flask, Response


def app() -> Flask:
    found = Flask(__name__)

    @found.get("/thing")
    def thing() -> Response:
        return Response("ok", mimetype="text/plain")

    return found
