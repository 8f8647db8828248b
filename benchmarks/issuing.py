"""What redeeming a code costs in-process, and what an ID token (RS256) adds: a part of `costs.py`."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import webob

from oauth_gateway import OAuthGateway
from tests.oracle.corpus import CALLBACK, CHALLENGE, FORM, VERIFIER, basic
from tests.oracle.run import register

CODES = 200  # of each kind


def code_flow(folder: Path) -> dict[str, list[float]]:
    """Microseconds of CPU that redeeming a code takes in-process, without and with an ID token, interleaved."""
    gateway = OAuthGateway(None, database=f"sqlite:///{folder}/flow.db", issuer="https://a.test", scopes={"read": "Read"})
    flow = {"grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"], "redirect_uris": [CALLBACK]}
    register(gateway, "confidential", {**flow, "scope": "read openid", "token_endpoint_auth_method": "client_secret_basic"})
    spent: dict[str, list[float]] = {"read": [], "openid read": []}
    for number in range(CODES + 20):
        for scope in spent:
            answer, seconds = redeem(gateway, new_code(gateway, scope))
            assert ("id_token" in answer) == scope.startswith("openid")
            if number >= 20:  # warm
                spent[scope].append(seconds * 1e6)
    gateway.store.close()
    return spent


def new_code(gateway: OAuthGateway, scope: str) -> str:
    query = {"response_type": "code", "client_id": "confidential", "redirect_uri": CALLBACK, "scope": scope}
    query |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    request = webob.Request.blank(f"/authorize?{urlencode(query)}", base_url="https://a.test")
    location = gateway.server.create_authorization_response(request, grant_user="ann").location
    return parse_qs(urlsplit(location).query)["code"][0]


def redeem(gateway: OAuthGateway, code: str) -> tuple[dict[str, str], float]:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    body, known = urlencode(form).encode(), basic("confidential")["Authorization"]
    environ = {"REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "PATH_INFO": "/token", "CONTENT_TYPE": FORM}
    environ |= {"CONTENT_LENGTH": str(len(body)), "HTTP_AUTHORIZATION": known, "REMOTE_ADDR": "192.0.2.1"}
    started = time.process_time()
    parts = gateway({**environ, "wsgi.input": io.BytesIO(body)}, lambda status, headers: None)
    seconds = time.process_time() - started
    answer: dict[str, str] = json.loads(b"".join(parts))
    return answer, seconds
