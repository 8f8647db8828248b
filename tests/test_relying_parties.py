"""Relying parties that we did not write sign people in: OpenID Connect over HTTP against two workers."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest
import requests

from .conftest import CALLBACK, PASSWORD, VERIFIER
from .test_browser import chromium, decide, log_in, until  # noqa: F401
from .test_command_line import ROOT, fetch, free_port, running
from .test_foreign_clients import needs_node

FOREIGN = ROOT / "tests" / "foreign"
BYE = "https://client.test/bye"  # consent to clients at https URLs is remembered, so that prompt=none can work
LOOPBACK = "http://127.0.0.1/cb"
EMAIL = "ann@example.test"


class Provider:
    """A deployment with a person, ann, and the clients that a test registers."""

    def __init__(self, base: str, folder: Path) -> None:
        self.base = base
        self.database = ["--database", f"sqlite:///{folder}/oauth_gateway.db"]
        self.person()

    def cli(self, *arguments: str, stdin: str = "") -> Any:
        command = [sys.executable, "-m", "oauth_gateway.cli", *arguments, *self.database, "--json"]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def person(self) -> None:
        self.cli("user", "create", "ann", "--password-stdin", stdin=PASSWORD)
        self.cli("user", "set-claims", "ann", f"email={EMAIL}")

    def client(self, redirect_uri: str, **metadata: Any) -> dict[str, Any]:
        """Register one: every member of `metadata` is an option of `client create` of that name."""
        options = ["--redirect-uri", redirect_uri, "--scope", "openid email read"]
        for name, value in metadata.items():
            options.append("--" + name.replace("_", "-"))
            if value is not True:
                options.append(value if isinstance(value, str) else json.dumps(value))
        made = self.cli("client", "create", *options)
        return {"client_id": made["client_id"], "client_secret": made.get("client_secret")}


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    folder = tmp_path_factory.mktemp("provider")
    (folder / "app.py").write_text(
        "def app(environ, start_response):\n"
        "    cors = [('Access-Control-Allow-Origin', '*'), ('Access-Control-Allow-Headers', 'Authorization')]\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain'), *cors])\n"
        "    return [b'ok']\n"
    )
    port = free_port()
    command = ["oauth_gateway.cli", "serve", "app:app", "--bind", f"127.0.0.1:{port}", "--workers", "2", "--threads", "4"]
    with running(command, port, folder, OAUTH_GATEWAY_FEATURES="default openid"):
        base = f"http://127.0.0.1:{port}"
        for _ in range(100):
            if fetch(f"{base}/x")[0] == 401:
                break
            time.sleep(0.1)
        yield Provider(base, folder)


@pytest.fixture(autouse=True)
def straight(monkeypatch: pytest.MonkeyPatch) -> None:
    """The libraries ask no proxy for what is on this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


class Person:
    """Ann's browser, as far as the server's pages go."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.session = requests.Session()
        self.session.trust_env = False

    def walk(self, url: str) -> str:
        """From an authorization or logout URL through the pages to the URL outside that it leads to."""
        page = self.session.get(url, allow_redirects=False)
        for _ in range(8):
            if "Location" in page.headers:
                url = urljoin(page.url, page.headers["Location"])
                if not url.startswith(self.base):
                    return url
                page = self.session.get(url, allow_redirects=False)
                continue
            assert page.status_code == 200 and "<form" in page.text, f"{page.status_code} {page.url}: {page.text}"
            form = page.text.split("<form")[1].split("</form>")[0]
            fields = {k: html.unescape(v) for k, v in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form)}
            if 'name="password"' in form:
                fields |= {"username": "ann", "password": PASSWORD}
            else:
                fields["decision"] = "allow"
            action = re.search(r'action="([^"]*)"', form)
            url = urljoin(page.url, html.unescape(action[1]) if action else "")
            page = self.session.post(url, fields, headers={"Origin": self.base}, allow_redirects=False)
        raise AssertionError(f"the way ended at {page.url}: {page.text}")


@pytest.fixture
def ann(provider: Provider) -> Person:
    return Person(provider.base)


def opens(provider: Provider, token: str) -> None:
    """The access token opens the app, which is closed without."""
    assert fetch(f"{provider.base}/x", Authorization=f"Bearer {token}") == (200, "ok")
    assert fetch(f"{provider.base}/x")[0] == 401


def query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def key(kid: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A private JWK and the JWK Set with its public half."""
    from joserfc.jwk import ECKey

    made = ECKey.generate_key("P-256", {"kid": kid, "use": "sig", "alg": "ES256"})
    return made.as_dict(private=True), {"keys": [made.as_dict(private=False)]}


def node(provider: Provider, script: str, redirect_uri: str, *clients: dict[str, Any]) -> str:
    """What a script of tests/foreign said, one `ok` a line."""
    needs_node(FOREIGN)
    command = ["node", f"{script}.mjs", provider.base, redirect_uri, "ann", PASSWORD, *map(json.dumps, clients)]
    done = subprocess.run(command, cwd=FOREIGN, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def signer(provider: Provider, **metadata: str) -> dict[str, Any]:
    """A client that signs its way in with a key of its own."""
    private, public = key("k-1")
    made = provider.client(CALLBACK, token_endpoint_auth_method="private_key_jwt", jwks=public, **metadata)
    return {"client_id": made["client_id"], "jwk": private, **metadata}


def test_openid_client_signs_a_person_in_and_out(provider: Provider) -> None:
    web = provider.client(CALLBACK, post_logout_redirect_uri=BYE) | {"post_logout_redirect_uris": [BYE]}
    said = node(provider, "openid_client_login", CALLBACK, web, signer(provider, id_token_signed_response_alg="ES256"))
    assert said.count("ok ") == 9, said


def test_oauth4webapi_signs_a_person_in_with_every_way_to_authenticate(provider: Provider) -> None:
    web = provider.client(CALLBACK)
    hashed = {"id_token_signed_response_alg": "PS256"}
    mac = provider.client(CALLBACK, token_endpoint_auth_method="client_secret_jwt", **hashed) | hashed
    signing = signer(provider, id_token_signed_response_alg="EdDSA", userinfo_signed_response_alg="ES256")
    assert node(provider, "oauth4webapi_login", CALLBACK, web, mac, signing).count("ok ") == 8


class Pages(SimpleHTTPRequestHandler):
    """The single page at every path, and its library."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args, directory=str(FOREIGN))

    def translate_path(self, path: str) -> str:
        return super().translate_path(path if path.startswith("/node_modules/") else "/oidc_client_ts.html")

    def log_message(self, *args: Any) -> None:
        pass


def said(window: Any) -> Any:
    """What the single page found out."""
    until(window, "done {")
    return json.loads(window.find_element("id", "said").text.removeprefix("done "))


def test_oidc_client_ts_signs_a_person_in_and_out_in_a_browser(provider: Provider, chromium: Any) -> None:  # noqa: F811
    """From another origin: discovery, the keys, the tokens and userinfo by CORS"""
    needs_node(FOREIGN)
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        page = f"http://127.0.0.1:{site.server_port}"
        public = provider.client(f"{page}/cb", token_endpoint_auth_method="none", post_logout_redirect_uri=f"{page}/bye")
        chromium.get(f"{page}/?authority={provider.base}&client_id={public['client_id']}")
        until(chromium, "Sign in")
        log_in(chromium)
        until(chromium, "asks for access")
        decide(chromium, "allow")
        found = said(chromium)
        assert (found["email"], found["iss"], found["state"]) == (EMAIL, provider.base, {"back": "here"}), found
        assert found["opened"] == [401, 200] and found["renewed"] == 200, found
        assert found["again"] == found["sub"] and found["aud"] == public["client_id"], found
        chromium.find_element("id", "out").click()
        for _ in range(100):
            if chromium.current_url.startswith(f"{page}/bye"):
                break
            for button in chromium.find_elements("css selector", "button[value=allow]"):  # where the server asks first
                button.click()
            time.sleep(0.05)
        assert said(chromium) == {"error": None, "user": None}
        chromium.get(f"{page}/?authority={provider.base}&client_id={public['client_id']}")
        until(chromium, "Sign in")
        assert chromium.find_element("name", "password")
        site.shutdown()


def test_passport_openidconnect_signs_a_person_in_without_pkce_where_the_client_may(provider: Provider) -> None:
    redirect_uri = f"http://127.0.0.1:{free_port()}/cb"
    posting = {"token_endpoint_auth_method": "client_secret_post"}
    lenient = provider.client(redirect_uri, may_omit_pkce=True, **posting)
    strict = provider.client(redirect_uri, **posting)
    assert node(provider, "passport_openidconnect", redirect_uri, lenient, strict).count("ok ") == 3


def test_authlib_s_flask_client_signs_a_person_in(provider: Provider, ann: Person) -> None:
    from authlib.integrations.flask_client import OAuth
    from flask import Flask, redirect, url_for

    bye = LOOPBACK.replace("cb", "bye")
    web = provider.client(LOOPBACK, post_logout_redirect_uri=bye)
    app = Flask(__name__)
    app.config.update(SECRET_KEY="only for this test", SERVER_NAME="127.0.0.1")
    shop = OAuth(app).register(
        "shop",
        **web,
        server_metadata_url=f"{provider.base}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid email read", "code_challenge_method": "S256"},
    )
    found: dict[str, Any] = {}

    @app.get("/login")
    def login() -> Any:
        return shop.authorize_redirect(url_for("back", _external=True))

    @app.get("/cb")
    def back() -> Any:
        token = shop.authorize_access_token()
        found.update(token, info=shop.userinfo(token=token))
        return redirect("/me")

    @app.get("/leave")
    def leave() -> Any:
        return shop.logout_redirect(post_logout_redirect_uri=bye, id_token_hint=found["id_token"])

    @app.get("/bye")
    def left() -> Any:
        return shop.validate_logout_response()

    visitor = app.test_client()
    asked = visitor.get("/login").headers["Location"]
    assert {"nonce", "state", "code_challenge"} <= query(asked).keys()
    assert visitor.get(ann.walk(asked)).headers["Location"] == "/me"
    claims, info = found["userinfo"], found["info"]  # the claims of the ID token that Authlib has validated, nonce and all
    assert (claims["iss"], claims["aud"]) in [(provider.base, one) for one in (web["client_id"], [web["client_id"]])]
    assert claims["nonce"] == query(asked)["nonce"] and info["sub"] == claims["sub"] and info["email"] == EMAIL
    opens(provider, found["access_token"])
    fresh = shop.fetch_access_token(grant_type="refresh_token", refresh_token=found["refresh_token"])
    assert shop.parse_id_token(fresh, nonce=None)["sub"] == claims["sub"]
    opens(provider, fresh["access_token"])
    returned = ann.walk(visitor.get("/leave").headers["Location"])
    assert returned.startswith(f"{bye}?state=")
    assert visitor.get(returned).status_code == 200


def test_authlib_s_session_signs_its_way_in_and_checks_the_id_token_with_the_published_keys(
    provider: Provider, ann: Person
) -> None:
    from authlib.integrations.requests_client import OAuth2Session, OAuthError
    from authlib.oauth2.rfc7523 import PrivateKeyJWT
    from authlib.oidc.core import CodeIDToken
    from joserfc import jwt
    from joserfc.jwk import ECKey, KeySet

    client = signer(provider, id_token_signed_response_alg="ES256")
    metadata = json.loads(fetch(f"{provider.base}/.well-known/openid-configuration")[1])
    with OAuth2Session(
        client["client_id"],
        ECKey.import_key(client["jwk"]),
        token_endpoint_auth_method="private_key_jwt",
        redirect_uri=CALLBACK,
        scope="openid email read",
        code_challenge_method="S256",
    ) as session:
        session.trust_env = False
        url, state = session.create_authorization_url(
            metadata["authorization_endpoint"], code_verifier=VERIFIER, nonce="n-1", max_age="300"
        )
        returned = {"authorization_response": ann.walk(url), "code_verifier": VERIFIER, "state": state}
        session.register_client_auth_method(PrivateKeyJWT(alg="ES256"))
        with pytest.raises(OAuthError, match="invalid_client"):  # Authlib's audience is the token endpoint where nobody says
            session.fetch_token(metadata["token_endpoint"], **returned)
        session.register_client_auth_method(PrivateKeyJWT(provider.base, alg="ES256"))
        token = session.fetch_token(metadata["token_endpoint"], **returned)
        keys = KeySet.import_key_set(session.get(metadata["jwks_uri"], withhold_token=True).json())
        read = jwt.decode(token["id_token"], keys, algorithms=["ES256"])
        checks = {"client_id": client["client_id"], "nonce": "n-1", "max_age": 300, "access_token": token["access_token"]}
        issued = {"iss": {"essential": True, "value": provider.base}}
        claims = CodeIDToken(read.claims, read.header, issued, checks)
        claims.validate()
        info = session.get(metadata["userinfo_endpoint"]).json()
        assert (info["sub"], info["email"]) == (claims["sub"], EMAIL)
    opens(provider, token["access_token"])


def test_mozilla_django_oidc_makes_a_django_user_of_the_person(provider: Provider, ann: Person, tmp_path: Path) -> None:
    port = free_port()
    metadata = json.loads(fetch(f"{provider.base}/.well-known/openid-configuration")[1])
    post = {"token_endpoint_auth_method": "client_secret_post"}
    client = provider.client("https://client.test/oidc/callback/", post_logout_redirect_uri=BYE, **post)
    endpoints = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint")
    environ = {name.upper(): metadata[name] for name in endpoints} | {k.upper(): v for k, v in client.items()}
    visitor = requests.Session()
    visitor.trust_env = False
    visitor.headers.update({"Host": "client.test", "X-Forwarded-Proto": "https"})

    def visit(url: str) -> requests.Response:
        return visitor.get(f"http://127.0.0.1:{port}{url.removeprefix('https://client.test')}", allow_redirects=False)

    command = ["tests.foreign.django_party", str(port)]
    with running(command, port, tmp_path, **{f"PARTY_{k}": v for k, v in environ.items()}):
        assert visit("/me").status_code == 401
        asked = visit("/oidc/authenticate/?next=/me").headers["Location"]
        assert {"nonce", "state", "code_challenge"} <= query(asked).keys()
        back = visit(ann.walk(asked))
        assert (back.status_code, back.headers["Location"]) == (302, "/me"), back.text
        me = visit("/me").json()
        assert (me["email"], me["id"]) == (EMAIL, 1)
        opens(provider, me["access_token"])
        visitor.cookies.clear()
        visit(ann.walk(visit("/oidc/authenticate/").headers["Location"]))  # single sign-on, and the same Django user
        assert visit("/me").json()["id"] == 1
        asked = visit("/again").headers["Location"]
        assert query(asked)["prompt"] == "none"
        assert visit(ann.walk(asked)).headers["Location"] == "/again"
        refused = Person(provider.base).walk(visit("/again").headers["Location"])
        assert query(refused)["error"] == "login_required" and visit(refused).headers["Location"] == "/failed"
        assert visit("/me").status_code == 401
        visit(ann.walk(visit("/oidc/authenticate/").headers["Location"]))
        leaving = visit("/oidc/logout/").headers["Location"]
        assert visit("/me").status_code == 401
        assert ann.walk(leaving) == BYE


def test_idpyoidc_discovers_signs_in_refreshes_and_signs_out(provider: Provider, ann: Person) -> None:
    from cryptojwt import KeyJar
    from idpyoidc.client.rp_handler import RPHandler

    client = provider.client(CALLBACK, post_logout_redirect_uri=BYE)
    services = "provider_info_discovery.ProviderInfoDiscovery authorization.Authorization access_token.AccessToken "
    services += "refresh_access_token.RefreshAccessToken userinfo.UserInfo end_session.EndSession"
    pkce = {"code_challenge_length": 64, "code_challenge_method": "S256"}
    configuration = {
        **client,
        "client_type": "oidc",
        "client_authn_methods": ["client_secret_basic"],
        "issuer": provider.base,
        "redirect_uris": [CALLBACK],
        "post_logout_redirect_uris": [BYE],
        "response_types_supported": ["code"],
        "scopes_supported": ["openid", "email", "read"],
        "services": {name.split(".")[0]: {"class": f"idpyoidc.client.oidc.{name}"} for name in services.split()},
        "add_ons": {"pkce": {"function": "idpyoidc.client.oauth2.add_on.pkce.add_support", "kwargs": pkce}},
    }
    handler = RPHandler("http://127.0.0.1", {provider.base: configuration}, keyjar=KeyJar())
    asked = handler.begin(provider.base)
    assert {"nonce", "state", "code_challenge"} <= query(asked).keys(), asked
    answer = handler.finalize(provider.base, query(ann.walk(asked)))
    assert "error" not in answer, answer
    claims, info = answer["id_token"], answer["userinfo"]
    assert (claims["iss"], claims["sub"], info["email"]) == (provider.base, info["sub"], EMAIL)
    opens(provider, answer["token"])
    fresh = handler.refresh_access_token(answer["state"])
    assert fresh["access_token"] != answer["token"]
    opens(provider, fresh["access_token"])
    left = ann.walk(handler.logout(answer["state"], post_logout_redirect_uri=BYE)["url"])
    assert left.startswith(f"{BYE}?state=")
