"""What the hosts serve: an app that says which worker answers, behind the gateway; on demand a gateway with a fault."""

from __future__ import annotations

import json
import os
from typing import Any

from oauth_gateway import OAuthGateway

from . import broken


def thing(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


if os.environ.get("HISTORY_BROKEN"):
    broken.FAULTS[os.environ["HISTORY_BROKEN"]]()
app = OAuthGateway(thing, **json.loads(os.environ["HISTORY_SETTINGS"]))
