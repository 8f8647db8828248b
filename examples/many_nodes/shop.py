"""An app that says which node answered: `oauth-gateway serve shop:app --bind 127.0.0.1:8001`, and again at 8002."""

import json


def app(environ, start_response):
    body = json.dumps({"node": environ["SERVER_PORT"], "user": environ.get("REMOTE_USER")}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
