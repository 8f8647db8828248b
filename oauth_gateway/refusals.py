"""What a refused caller of the wrapped app gets: JSON or a page, with the challenge of RFC 6750, RFC 9470 and RFC 9728."""

from __future__ import annotations

import logging
import re
from urllib.parse import urlsplit

from .cors import Cors
from .errors import OAuthError, SignInRequired
from .events import Events
from .exchange import Answer, Environ, Exchange, client_address, json_answer, loopback_base
from .pages import Pages
from .settings import Settings

log = logging.getLogger("oauth_gateway")
_CHALLENGED = ("", "invalid_token", "insufficient_scope", "invalid_request", "insufficient_user_authentication")
BY_BROWSER = "Accept, Sec-Fetch-Dest, Sec-Fetch-Mode"  # what decides whether a person is led to the login page


class Refusals:
    """Answers for one gateway; `metadata` says whether the protected resource's metadata is served."""

    def __init__(self, settings: Settings, pages: Pages, events: Events, cors: Cors, *, metadata: bool) -> None:
        self._settings = settings
        self._cors = cors
        self._pages = pages
        self._events = events
        self._metadata = metadata

    def answer(self, environ: Environ, error: OAuthError) -> Answer:
        """The refusal as its caller can read it: a page for people, and for GET and HEAD that prefer one, else JSON."""
        if error.cause:
            log.warning("%s: %s", error.error, error.cause)
        self._tell(environ, error)
        vary = "Accept, Origin" if "HTTP_ORIGIN" in environ else "Accept"
        headers = [("Vary", vary), *error.headers, *self._cors.headers(environ)]
        if error.error in _CHALLENGED:
            headers.append(("WWW-Authenticate", challenge(error, self._settings.audience, self._resource_metadata(environ))))
        by_session = error.token is not None and error.token.kind == "session"
        if prefers_page(environ) or (by_session and accepts_page(environ)):  # a person's form, too
            shown = OAuthError(error.error or "unauthorized", error.description, error.status)
            shown.token = error.token
            page = self._pages.error(Exchange(environ, self._settings), shown)
            return Answer(page.status, [*page.headers, *headers], page.body)
        document = {"error": error.error or "unauthorized", "error_description": error.description}
        return json_answer(error.status, document, headers)

    def sign_in(self, environ: Environ, error: SignInRequired) -> Answer:
        """To the login page; or a page that keeps the form in this window while the person signs in in another one."""
        vary = ("Vary", BY_BROWSER)
        if not error.keeps_form:
            return Answer(303, [("Location", error.address), ("Cache-Control", "no-store"), vary])
        self._tell(environ, error.refusal)
        metadata = self._resource_metadata(environ)
        header = ("WWW-Authenticate", challenge(error.refusal, self._settings.audience, metadata))
        return self._pages.render(
            Exchange(environ, self._settings), "form_kept", 401, headers=(vary, header), login_url=error.address
        )

    def _tell(self, environ: Environ, error: OAuthError) -> None:
        names = ("client_id", "user_id", "grant_id")
        known = {name: getattr(error.token, name) for name in names} if error.token else {}
        known["address"] = client_address(environ, self._settings)
        self._events.emit("request.refused", **known, error=error.error or "no_token", status=error.status)

    def _resource_metadata(self, environ: Environ) -> str | None:
        """The address of the protected resource's metadata: from the settings, never from Host where issuer is set."""
        if not self._metadata:
            return None
        resource = self._settings.resource or self._settings.issuer or loopback_base(environ)
        parts = urlsplit(resource)
        return f"{parts.scheme}://{parts.netloc}/.well-known/oauth-protected-resource{parts.path.rstrip('/')}"


def challenge(error: OAuthError, realm: str, resource_metadata: str | None) -> str:
    """The WWW-Authenticate value of a refusal (RFC 6750 section 3, RFC 9728 section 5.1)."""
    parts = [f'Bearer realm="{realm}"']
    if error.error:
        parts += [f'error="{error.error}"', f'error_description="{error.description}"']
    parts += [f'{name}="{value}"' for name, value in error.parameters]
    if error.scope:
        parts.append(f'scope="{error.scope}"')
    if resource_metadata:
        parts.append(f'resource_metadata="{resource_metadata}"')
    return ", ".join(parts)


def prefers_page(environ: Environ) -> bool:
    """Whether a refusal should be a page: GET or HEAD of somebody who prefers text/html to JSON."""
    return environ["REQUEST_METHOD"] in ("GET", "HEAD") and accepts_page(environ)


def accepts_page(environ: Environ) -> bool:
    """Whether text/html is preferred to JSON."""
    quality = {"text/html": 0.0, "application/json": 0.0}
    for item in environ.get("HTTP_ACCEPT", "").split(","):
        kind, _, rest = item.strip().partition(";")
        match = re.search(r"(?:^|;)\s*q=([0-9.]+)", rest)
        try:
            q = float(match[1]) if match else 1.0
        except ValueError:
            q = 0.0
        for name in quality:
            if kind.strip() == name or (kind.strip() in ("*/*", name.split("/")[0] + "/*") and quality[name] == 0):
                quality[name] = q
    return quality["text/html"] > quality["application/json"]
