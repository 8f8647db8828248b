"""The token endpoint and its kin: a request is read, decided and answered, and what was decided is remembered where the same
words again can only be decided alike.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import Any

import webob

from .errors import OAuthError, StoreUnavailable
from .events import Events
from .exchange import Answer, Exchange, error_answer, unavailable
from .near import Near
from .request import AuthorizationRequest
from .store import Store

log = logging.getLogger("oauth_gateway")
LONGEST = 1024  # characters of a form whose decision is remembered


class Answering:
    """The part of the server that answers what clients post."""

    store: Store
    events: Events
    exchange_of: Callable[[Any], Exchange]
    create_oauth2_request: Callable[[Any], AuthorizationRequest]
    _decided: Near[Callable[[Exchange], Answer]]

    def create_token_response(self, request: Any = None) -> Any:
        """The answer of the token endpoint; a WebOb response for a WebOb request."""
        return self._answer(request, self._token_response)

    def create_endpoint_response(self, name: str, request: Any = None) -> Any:
        """The answer of a registered endpoint, such as `revocation`."""
        create = super().create_endpoint_response  # type: ignore[misc]
        return self._answer(request, lambda exchange: create(name, self._read(exchange)))

    def forget_decisions(self) -> None:
        """Decide every request anew from here on: grants or client authentication are others now."""
        self._decided = Near(self.store)

    def _answer(self, request: Any, create: Callable[[Exchange], Answer]) -> Any:
        exchange = self.exchange_of(request)
        try:
            if exchange.method != "POST":
                raise OAuthError("invalid_request", "Use POST here.", 405, headers=(("Allow", "POST"),))
            answer = create(exchange)
        except OAuthError as error:
            if error.cause:
                log.info("%s: %s", error.error, error.cause)
            self._tell_refusal(exchange, error)
            answer = error_answer(error)
        except StoreUnavailable as error:
            if not isinstance(request, webob.BaseRequest):
                raise
            log.error("%s", error)
            answer = error_answer(unavailable(error))
        return answer.as_response() if isinstance(request, webob.BaseRequest) else answer

    def _read(self, exchange: Exchange) -> AuthorizationRequest:
        made = self.create_oauth2_request(exchange)
        made.params.refuse_repeated()
        return made

    def _token_response(self, exchange: Exchange) -> Answer:
        """A client that acts for itself sends the same words each time. Who that is was found out once, and holds until the
        store tells of a change; they are found by their digest.
        """
        text = exchange.text()
        if "grant_type=client_credentials" not in text or len(text) > LONGEST:
            return self._decide(exchange)
        header = exchange.environ.get("HTTP_AUTHORIZATION", "")
        key = hashlib.sha256(f"{len(header)} {header}{text}".encode("utf-8", "surrogatepass")).digest()
        answers: list[Answer] = []

        def decide() -> Callable[[Exchange], Answer] | None:
            answers.append(self._decide(exchange))
            return exchange.decided

        again = self._decided.get(key, decide)
        return answers[0] if answers or again is None else again(exchange)

    def _decide(self, exchange: Exchange) -> Answer:
        answer: Answer = super().create_token_response(self._read(exchange))  # type: ignore[misc]
        return answer

    def _tell_refusal(self, exchange: Exchange, error: OAuthError) -> None:
        if error.error != "invalid_client":  # which is told where it is found
            client, address = exchange.client, exchange.address
            self.events.emit(
                "token.refused", client_id=client.client_id if client else None, address=address, error=error.error
            )
