"""OAuthGateway: the WSGI callable around an app. A request takes the protocol road or the protected road."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable
from typing import Any

from . import jwk_set
from . import settings as doors
from .browser_sessions import BrowserSessions
from .cors import Cors, is_preflight
from .deployment import Opening, open_deployment
from .discovery import resource_document, well_known
from .errors import ConfigurationError, OAuthError, SignInRequired, StepUpRequired, StoreUnavailable
from .events import Events, subscribers
from .exchange import Answer, Environ, Exchange, StartResponse, error_answer, unavailable
from .features import INSTALL
from .foreign import ForeignTokens
from .forks import settle
from .guard import IDENTITY, Guard
from .naming import named
from .pages import Pages
from .refusals import Refusals, prefers_page
from .resource_server import ResourceServer
from .sentences import Sentence
from .server import AuthorizationServer, Endpoint
from .settings import LOOPBACK, Settings
from .tokens import Tokens

log = logging.getLogger("oauth_gateway")
WSGIApplication = Callable[[Environ, StartResponse], Iterable[bytes]]
_LOOPBACK_HOST = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::([0-9]{1,5}))?\Z")
_LOOPBACK_PEERS = frozenset({"127.0.0.1", "::1", "::ffff:127.0.0.1", "", "unix:"})
_WELL_KNOWN = re.compile(
    r"/\.well-known/(?:oauth-authorization-server|openid-configuration|jwks\.json|oauth-protected-resource)(?:/|\Z)"
)


class OAuthGateway:
    """`OAuthGateway(app, **settings)` around any WSGI app; `app=None` is a stand-alone authorization server.

    Raises ConfigurationError for a setting that is unknown or wrong. `server` is the embedded server, `store` the store.
    """

    def __init__(self, app: WSGIApplication | None = None, **settings: Any) -> None:
        self._set_up(app, doors.load(settings))
        if os.path.exists(doors.DEFAULT_FILE):
            log.warning("%s in this folder is not read by OAuthGateway(app); use OAuthGateway.from_file", doors.DEFAULT_FILE)

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
        tokens = self._open(app, settings) if settings.server else self._open_gate(app, settings)
        self._check_routes()
        self._cors = Cors(self.store, everywhere=not settings.server)
        served = "metadata" in settings.features or not settings.server
        self._refusals = Refusals(settings, self.server.pages, self.events, self._cors, metadata=served)
        self.guard = Guard(settings, tokens, self._refusals, BrowserSessions(settings, tokens, self.server.judges))
        self._known = self.guard.known if settings.issuer else {}  # without an issuer all requests are looked at
        self._endpoints = self.server.endpoints
        self._taken = tuple(f"{settings.prefix}/{name}/" for name in ("authorize", "token") if settings.server)
        self._exactly_taken = frozenset(name[:-1] for name in self._taken)
        self._mounts = frozenset({"", settings.issuer_path}) if settings.issuer else None

    def _open(self, app: WSGIApplication | None, settings: Settings) -> Tokens:
        """The embedded server with its features, and the tokens that it and the trusted issuers issue."""
        deployment = open_deployment(settings, patient=True)
        self.opening = deployment.opening
        self.store = deployment.store
        self.server = AuthorizationServer(deployment, Events(subscribers(settings.events)))
        self.server.pages = Pages(settings, wrapped=app is not None)
        self.events = self.server.events
        if settings.signs:
            jwk_set.install(self.server)
        for feature in settings.features:
            INSTALL[feature](self.server)
        return Tokens(
            self.store,
            deployment.sealer,
            audience=settings.audience,
            issuer=settings.issuer or LOOPBACK,
            size=settings.cache_size,
            grace=settings.revocation,
            foreign=ForeignTokens(settings.trusted_issuers, settings.audience),
            effective=lambda scopes: self.server.scopes.effective(scopes),
            forget_keys=deployment.keys.forget,
            opening=deployment.opening,
        )

    def _open_gate(self, app: WSGIApplication | None, settings: Settings) -> Tokens:
        """The gate and the protected resource's metadata alone, for tokens of the trusted issuers."""
        if app is None:
            raise ConfigurationError(
                "server = false: needs an app to stand in front of; without either there is nothing to serve"
            )
        server = ResourceServer(settings, Events(subscribers(settings.events)), wrapped=True)
        well_known(server, "oauth-protected-resource", resource_document, settings.audience)
        self.opening = Opening(lambda: None)
        self.opening.done = True
        self.server = server  # type: ignore[assignment]  # as much of one as a gate needs
        self.store = server.store  # type: ignore[assignment]
        self.events = server.events
        return Tokens(
            self.store,
            server.sealer,
            audience=settings.audience,
            issuer=settings.issuer or LOOPBACK,
            size=settings.cache_size,
            grace=None,
            foreign=ForeignTokens(settings.trusted_issuers, settings.audience, own=False),
            effective=server.scopes.effective,
        )

    def _check_routes(self) -> None:
        """What the rules say must be there: judges of one's own, and pages on which a browser's session begins."""
        for rule in self.settings.routes:
            for word, _ in rule.access.words:
                if word not in self.server.judges:
                    self.server.access(word, named("routes", word))
            if rule.access.kind == "session" and f"{self.settings.prefix}/authorize/login" not in self.server.endpoints:
                raise ConfigurationError(
                    f"route {rule.text!r}: session needs the feature authorization_code, which signs people in"
                )

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            try:
                decision = self._known[environ["REQUEST_METHOD"], environ["SCRIPT_NAME"], environ["PATH_INFO"]]
            except KeyError:  # what follows is not done here, where all that it raises would have this one for its context
                decision = None
            answer = None
            if decision is None:
                place = (environ["REQUEST_METHOD"], environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", ""))
                answer = self._look(environ, place)
            if answer is None:
                self.guard.admit(environ, decision or self.guard.known.get(place) or self.guard.decide(place))
        except Exception as error:
            answer = self._instead(environ, error)
        if answer is not None:
            return answer(environ, start_response)  # type: ignore[no-any-return]
        try:
            body: Iterable[bytes] = self.app(environ, start_response)  # type: ignore[misc]
            return body
        except StepUpRequired as refusal:
            refused: Answer = refusal.answer(environ)
            try:
                return refused(environ, start_response)
            except Exception:
                # not every server replaces what the app has begun, as PEP 3333 has it: two answers in one would be worse
                log.error("oauth_gateway.require was called after start_response: too late for an answer of the gateway's")
                raise refusal from None

    def _instead(self, environ: Environ, error: Exception) -> Answer:
        """What is answered instead of calling the app; not even a page that breaks lets the request through."""
        try:
            if isinstance(error, OAuthError):
                return self._refusals.answer(environ, error)
            if isinstance(error, SignInRequired):
                return self._refusals.sign_in(environ, error)
            if isinstance(error, StoreUnavailable):
                log.error("%s %s: %s", environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""), error)
                return self._failure(environ, unavailable(error))
            log.error("the gateway failed; the request was not let through", exc_info=error)
            return self._failure(environ, _FAILED)
        except Exception:
            log.exception("the gateway's own error page failed; see `templates`")
            return error_answer(_FAILED)

    def _look(self, environ: Environ, place: tuple[str, str, str]) -> Any:
        """The answer where the request is not for the app, else None: it is then the guard's to decide."""
        _, mount, path = place
        settle()
        if self.opening.done and self.settings.server:
            self.server.jobs.start()  # here and not earlier: by now whoever forks has forked
        refusal = _refuse_outsiders(environ) if self._mounts is None else _WRONG_MOUNT
        if self._mounts and mount in self._mounts:
            refusal = None
        if refusal is not None:
            return self._failure(environ, refusal)
        endpoint = self._endpoints.get(path)
        if endpoint is not None:
            return self._protocol(environ, endpoint)
        ours = path.startswith(self._taken) or path in self._exactly_taken or (self.settings.server and is_well_known(path))
        if self.app is None or ours:
            return self._failure(environ, OAuthError("not_found", Sentence("There is nothing at this address."), 404))
        return None

    def _failure(self, environ: Environ, error: OAuthError) -> Answer:
        """JSON, or a page below /authorize and for a browser elsewhere."""
        path = environ.get("PATH_INFO", "")
        below = f"{self.settings.prefix}/authorize"
        people = path == below or path.startswith(below + "/")
        machines = path in self._endpoints or path.startswith(f"{self.settings.prefix}/token/") or is_well_known(path)
        if people or (not machines and prefers_page(environ)):
            return self.server.pages.error(Exchange(environ, self.settings), error)
        return error_answer(error)

    # -- the protocol road

    def _protocol(self, environ: Environ, endpoint: Endpoint) -> Any:
        vouched_for = environ.get("REMOTE_USER")  # believed for logging in only, and only where `authenticate` says so
        for name in IDENTITY.intersection(environ):
            del environ[name]
        exchange = Exchange(environ, self.settings, vouched_for)
        if endpoint.scripts and is_preflight(environ):
            return self._cors.preflight(environ, endpoint.methods)
        try:
            if exchange.method not in endpoint.methods:
                allowed = ", ".join(sorted(endpoint.methods))
                raise OAuthError(
                    "invalid_request", Sentence("Use %(methods)s here.", methods=allowed), 405, headers=(("Allow", allowed),)
                )
            if not endpoint.always:
                self.opening()
            answer = endpoint.handler(exchange)
        except OAuthError as error:
            if error.cause:
                log.info("%s: %s", error.error, error.cause)
            answer = self.server.pages.error(exchange, error) if endpoint.people else error_answer(error)
        except StoreUnavailable as error:
            log.error("%s %s: %s", exchange.method, endpoint.path, error)
            answer = self._failure(environ, unavailable(error))
        headers = answer.headers if isinstance(answer, Answer) else getattr(answer, "headerlist", [])  # WebOb's
        headers += exchange.cookies
        if endpoint.scripts:
            headers += [("Vary", "Origin"), *self._cors.headers(environ, exchange.client)]
        return answer


_FAILED = OAuthError("server_error", Sentence("Something went wrong here."), 500)
_WRONG_MOUNT = OAuthError("invalid_request", Sentence("SCRIPT_NAME must be empty or the path of the issuer."))


def _refuse_outsiders(environ: Environ) -> OAuthError | None:
    """Without `issuer` the gateway serves this machine only."""
    host = _LOOPBACK_HOST.match(environ.get("HTTP_HOST", ""))
    if (
        host is not None
        and int(host[1] or 80) < 65536
        and environ.get("REMOTE_ADDR", "") in _LOOPBACK_PEERS
        and "HTTP_FORWARDED" not in environ
        and "HTTP_VIA" not in environ
        and "HTTP_X_FORWARDED_" not in "\n".join(environ)  # any such header, in one search
    ):
        return None
    return OAuthError(
        "misdirected_request",
        Sentence(
            "Without the setting issuer this gateway serves requests of this machine to 127.0.0.1, localhost or [::1] only."
            " Set issuer to the public base URL."
        ),
        421,
    )


def is_well_known(path: str) -> bool:
    """Whether `path` is one of the well-known documents that the gateway takes, built or not."""
    return path.startswith("/.well-known/") and _WELL_KNOWN.match(path) is not None
