"""OAuthGateway: the WSGI callable around an app. A request takes the protocol road or the protected road."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from . import settings as doors
from .deployment import open_deployment
from .errors import OAuthError, StoreUnavailable
from .exchange import Answer, Environ, Exchange, StartResponse, error_answer, json_answer, loopback_base, unavailable_answer
from .features import INSTALL
from .guard import IDENTITY, Guard, challenge, prefers_page
from .pages import Pages
from .server import AuthorizationServer, Endpoint
from .settings import LOOPBACK, Settings
from .tokens import Tokens

log = logging.getLogger("oauth_gateway")
WSGIApplication = Callable[[Environ, StartResponse], Iterable[bytes]]
_LOOPBACK_HOST = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::([0-9]{1,5}))?\Z")
_LOOPBACK_PEERS = frozenset({"127.0.0.1", "::1", "::ffff:127.0.0.1", "", "unix:"})
_FORWARDED = ("HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_FORWARDED_")
_WELL_KNOWN = re.compile(
    r"/\.well-known/(?:oauth-authorization-server|openid-configuration|jwks\.json|oauth-protected-resource)(?:/|\Z)"
)


class OAuthGateway:
    """`OAuthGateway(app, **settings)` around any WSGI app; `app=None` is a stand-alone authorization server.

    Raises ConfigurationError for a setting that is unknown or wrong. `server` is the embedded server, `store` the store.
    """

    def __init__(self, app: WSGIApplication | None = None, **settings: Any) -> None:
        self._set_up(app, doors.load(settings))

    @classmethod
    def from_file(cls, app: WSGIApplication | None, file: str | os.PathLike[str], **settings: Any) -> OAuthGateway:
        """With the `[oauth_gateway]` table of a TOML file; the environment and keywords win over it."""
        return cls.from_settings(app, doors.load(settings, file=file))

    @classmethod
    def from_settings(cls, app: WSGIApplication | None, settings: Settings) -> OAuthGateway:
        """With settings that the gate has passed."""
        gateway = cls.__new__(cls)
        gateway._set_up(app, settings)
        return gateway

    def _set_up(self, app: WSGIApplication | None, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.store, sealer = open_deployment(settings)
        self.server = AuthorizationServer(settings, self.store, sealer)
        self.server.pages = Pages(settings, wrapped=app is not None)
        self.events = self.server.events
        for feature in settings.features:
            INSTALL[feature](self.server)
        tokens = Tokens(
            self.store,
            sealer,
            audience=settings.audience,
            issuer=settings.issuer or LOOPBACK,
            size=settings.cache_size,
            grace=settings.revocation,
        )
        self.guard = Guard(settings, tokens)
        self._endpoints = {
            (path if endpoint.anywhere else settings.prefix + path): endpoint
            for path, endpoint in self.server.endpoints.items()
        }
        self._taken = tuple(f"{settings.prefix}/{name}/" for name in ("authorize", "token"))
        self._exactly_taken = frozenset(name[:-1] for name in self._taken)
        self._mounts = frozenset({"", settings.issuer_path}) if settings.issuer else None

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            answer = self._answer(environ)
        except StoreUnavailable as error:
            log.error("%s %s: %s", environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""), error)
            answer = unavailable_answer(error)
        except Exception:
            log.exception("the gateway failed; the request was not let through")
            answer = json_answer(500, {"error": "server_error"})
        if answer is not None:
            return answer(environ, start_response)
        return self.app(environ, start_response)  # type: ignore[misc]

    def _answer(self, environ: Environ) -> Answer | None:
        """The answer to give, or None where the app may be called with the environ as it is now."""
        path = environ.get("PATH_INFO", "")
        if self._mounts is None:
            refusal = _refuse_outsiders(environ)
        else:
            refusal = None if environ.get("SCRIPT_NAME", "") in self._mounts else _WRONG_MOUNT
        if refusal is not None:
            return error_answer(refusal)
        endpoint = self._endpoints.get(path)
        if endpoint is not None:
            return self._protocol(environ, endpoint)
        if path.startswith(self._taken) or path in self._exactly_taken or _is_well_known(path):
            return self._no_such_page(environ, path)
        try:
            self.guard.admit(environ)
        except OAuthError as error:
            return self._refusal(environ, error)
        return None if self.app is not None else self._no_such_page(environ, path)

    # -- the protocol road

    def _protocol(self, environ: Environ, endpoint: Endpoint) -> Answer:
        for name in IDENTITY:
            environ.pop(name, None)
        exchange = Exchange(environ, self.settings)
        try:
            if exchange.method not in endpoint.methods:
                allowed = ", ".join(sorted(endpoint.methods))
                raise OAuthError("invalid_request", f"Use {allowed} here.", 405, headers=(("Allow", allowed),))
            return endpoint.handler(exchange)
        except OAuthError as error:
            if error.cause:
                log.info("%s: %s", error.error, error.cause)
            return self.server.pages.error(error) if endpoint.people else error_answer(error)

    def _no_such_page(self, environ: Environ, path: str) -> Answer:
        error = OAuthError("not_found", "There is nothing at this address.", 404)
        people = path.startswith(f"{self.settings.prefix}/authorize")
        return self.server.pages.error(error) if people else error_answer(error)

    # -- the protected road's refusals

    def _refusal(self, environ: Environ, error: OAuthError) -> Answer:
        headers = [("Vary", "Accept")]
        if error.error in ("", "invalid_token", "insufficient_scope", "invalid_request"):
            value = challenge(error, self.settings.audience, self._resource_metadata(environ))
            headers.append(("WWW-Authenticate", value))
        if prefers_page(environ):
            page = self.server.pages.error(OAuthError(error.error or "unauthorized", error.description, error.status))
            return Answer(page.status, [*page.headers, *headers], page.body)
        document = {"error": error.error or "unauthorized", "error_description": error.description}
        return json_answer(error.status, document, headers)

    def _resource_metadata(self, environ: Environ) -> str | None:
        """The address of the protected resource's metadata: from the settings, never from Host where issuer is set."""
        if "/.well-known/oauth-protected-resource" not in self.server.endpoints:
            return None
        resource = self.settings.resource or self.settings.issuer or loopback_base(environ)
        parts = urlsplit(resource)
        return f"{parts.scheme}://{parts.netloc}/.well-known/oauth-protected-resource{parts.path.rstrip('/')}"


_WRONG_MOUNT = OAuthError("invalid_request", "SCRIPT_NAME must be empty or the path of the issuer.")


def _refuse_outsiders(environ: Environ) -> OAuthError | None:
    """Without `issuer` the gateway serves this machine only."""
    host = _LOOPBACK_HOST.match(environ.get("HTTP_HOST", ""))
    if (
        host is not None
        and int(host[1] or 80) < 65536
        and environ.get("REMOTE_ADDR", "") in _LOOPBACK_PEERS
        and not any(name.startswith(_FORWARDED) for name in environ)
    ):
        return None
    return OAuthError(
        "misdirected_request",
        "Without the setting issuer this gateway serves requests of this machine to 127.0.0.1, localhost or [::1] only."
        " Set issuer to the public base URL.",
        421,
    )


def _is_well_known(path: str) -> bool:
    return path.startswith("/.well-known/") and _WELL_KNOWN.match(path) is not None
