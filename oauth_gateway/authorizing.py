"""The authorization endpoint as Authlib's integrations document it: validate a request, then answer with a decision."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import webob
from authlib.oauth2 import OAuth2Error

from . import redirects
from .authlib_errors import from_authlib
from .errors import OAuthError
from .events import Events
from .exchange import Answer, Exchange, redirect_answer
from .models import Client
from .pages import Pages
from .request import AuthorizationRequest
from .scopes import ScopePolicy
from .sentences import Sentence

log = logging.getLogger("oauth_gateway")
Check = Callable[[AuthorizationRequest, Client], None]
_RESPONSE_TYPE = re.compile(r"\w+(?: \w+)*\Z", re.ASCII)  # RFC 6749 appendix A.3


class Authorizing:
    """The part of the server that turns a request and a person's decision into a redirect."""

    scopes: ScopePolicy
    events: Events
    pages: Pages
    published: dict[str, Any]
    _checks: list[Check]
    query_client: Callable[[str], Client | None]
    create_oauth2_request: Callable[[Any], AuthorizationRequest]
    get_authorization_grant: Callable[[Any], Any]
    handle_response: Callable[..., Answer]
    exchange_of: Callable[[Any], Exchange]

    def get_consent_grant(self, request: Any = None, end_user: Any = None) -> Any:
        """A validated authorization request as Authlib's grant (`.client`, `.redirect_uri`, `.request.scope`).

        Raises OAuthError; its `redirect_uri` is set only where client and redirect URI can be trusted.
        """
        request = self._authorization_request(request)
        request.client, request.trusted_uri = self._trusted_redirect(request)
        try:
            self._choose_mode(request)
            request.params.refuse_repeated()
            if not _RESPONSE_TYPE.match(request.params.get("response_type", "")):
                raise OAuthError("invalid_request", "response_type is missing or malformed.")
            request.user = end_user
            for check in self._checks:
                check(request, request.client)
            grant = self.get_authorization_grant(request)
            grant.validate_consent_request()
            request.scope = self.scopes.grant(request.client, request.params.get("scope"))
            grant.redirect_uri = request.trusted_uri
            return grant
        except OAuth2Error as error:
            failure = from_authlib(error)
        except OAuthError as error:
            failure = error
        told = request.redirected(failure.error, failure.description)
        told.cause = failure.cause
        log.info("client %s: authorization request refused: %s", request.client.client_id, failure.cause or failure.description)
        self.events.emit(
            "authorization.refused",
            client_id=request.client.client_id,
            address=request.exchange.address,
            error=failure.error,
        )
        raise told

    validate_consent_request = get_consent_grant

    def _choose_mode(self, request: AuthorizationRequest) -> None:
        """How the answer gets to the client, errors too (OAuth 2.0 Multiple Response Type Encoding section 2.1)."""
        kind, asked = response_type_of(request), request.params.get("response_mode")
        served = kind in self.published.get("response_types_supported", ())
        tokens = served and not {"token", "id_token"}.isdisjoint(kind.split())  # handed out right here
        request.mode = "fragment" if tokens else "query"
        if asked is None or asked == request.mode:
            return
        if asked not in self.published.get("response_modes_supported", ()) or asked == "query":
            allowed = [m for m in self.published.get("response_modes_supported", ()) if m != "query" or not tokens]
            raise OAuthError("invalid_request", f"response_mode must be one of {', '.join(allowed)}.")
        if asked == "form_post" and not str(request.trusted_uri).startswith(("https://", "http://")):
            raise OAuthError("invalid_request", "A form can be posted to a web address only.")
        request.mode = asked

    def _authorization_request(self, request: Any) -> AuthorizationRequest:
        """What is asked for stands in the query also where a consent view's form is posted to the same address."""
        if not isinstance(request, AuthorizationRequest):
            exchange = self.exchange_of(request)
            if exchange.method == "POST" and "client_id=" in exchange.environ.get("QUERY_STRING", ""):
                return AuthorizationRequest(exchange, exchange.query(), exchange.environ.get("PATH_INFO", ""))
        return self.create_oauth2_request(request)

    def _trusted_redirect(self, request: AuthorizationRequest) -> tuple[Client, str]:
        """Client and redirect URI, or an error that is never sent anywhere (RFC 6749 section 4.1.2.1)."""
        for name in ("client_id", "redirect_uri"):
            if name in request.params.repeated:
                raise OAuthError("invalid_request", Sentence("The parameter %(name)s must not be repeated.", name=name))
        client_id = request.params.get("client_id")
        if client_id is None:
            raise OAuthError("invalid_request", Sentence("The parameter %(name)s is missing.", name="client_id"))
        client = self.query_client(client_id)
        if client is None:
            cause = f"client_id {client_id[:200]!r}"
            raise OAuthError("invalid_client", Sentence("This client is not known here."), cause=cause)
        asked = request.params.get("redirect_uri")
        if asked is None:
            only = client.get_default_redirect_uri()
            if only is None:
                raise OAuthError("invalid_request", Sentence("The parameter %(name)s is missing.", name="redirect_uri"))
            return client, only
        if not client.check_redirect_uri(asked):
            why = redirects.difference(client.redirect_uris, asked)
            raise OAuthError(
                "invalid_request",
                Sentence("The redirect_uri is not registered for this client."),
                cause=f"client {client_id}: redirect_uri {asked[:200]!r} is not registered: {why}",
            )
        return client, asked

    def create_authorization_response(self, request: Any = None, grant_user: Any = None, grant: Any = None) -> Any:
        """The redirect with a code for `grant_user`, or with access_denied where it is None."""
        webob_wanted = isinstance(request, webob.BaseRequest)
        if grant is None:
            grant = self.get_consent_grant(request, grant_user)
        try:
            if not grant_user:
                raise OAuthError("access_denied", "The person denied the request.")
            answer = self.handle_response(*grant.create_authorization_response(grant.redirect_uri, grant_user))
        except OAuthError as error:
            if error.status != 400:  # answered before: a page, for the client has its answer
                raise
            answer = self.redirect_error(grant.request.exchange, grant.request.redirected(error.error, error.description))
        return answer.as_response() if webob_wanted else answer

    def redirect(self, request: AuthorizationRequest, uri: str, members: dict[str, Any]) -> Answer:
        """Send the browser to the client with `members`, `state` as it came and `iss` (RFC 9207)."""
        state = {"state": request.params["state"]} if "state" in request.params else {}
        return self._send(request.exchange, uri, {**members, **state, "iss": request.exchange.base}, request.mode)

    def _send(self, exchange: Exchange, uri: str, members: dict[str, Any], mode: str) -> Answer:
        return self.pages.post_to(exchange, uri, members) if mode == "form_post" else redirect_answer(uri, members, mode)

    def redirect_error(self, exchange: Exchange, error: OAuthError) -> Answer:
        """The error as a redirect to the client, or raised for a page where the redirect URI cannot be trusted."""
        if error.redirect_uri is None:
            raise error
        members = {"error": error.error, "error_description": error.description, "state": error.state}
        told = {name: value for name, value in members.items() if value is not None and (value or name == "state")}
        return self._send(exchange, error.redirect_uri, {**told, "iss": exchange.base}, error.mode)


def response_type_of(request: AuthorizationRequest) -> str:
    """The response type with its values in the usual order: theirs has no meaning (section 3.1.1)."""
    return " ".join(sorted(request.params.get("response_type", "").split()))
