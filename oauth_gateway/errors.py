"""The errors that cross a module's border; everything else is a bug and answers 500 without letting a request through."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from .sentences import Sentence

_OUTSIDE = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")


def legal_description(text: str) -> str:
    """`text` with every character that an `error_description` must not carry replaced by `?` (RFC 6749 section 4.1.2.1)."""
    if isinstance(text, Sentence):
        return text.cleaned(legal_description)
    return _OUTSIDE.sub("?", text)


class OAuthError(Exception):
    """What the other side of the protocol is told.

    `error` is a registered code, `description` one sentence for a developer, a Sentence where people may meet it on a page,
    `status` the HTTP status, `headers` extra response headers, `scope` what the challenge of RFC 6750 names, `parameters` what
    else it names (RFC 9470 section 3).
    `redirect_uri` is set only once it was checked against the client, and `mode` is the response mode that takes it there;
    without it the error is a page or a JSON document and is never sent anywhere. `cause` is for the operator's log and never
    leaves the server. `again` is an address of ours at which a person can start again.
    """

    def __init__(
        self,
        error: str,
        description: str = "",
        status: int = 400,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        scope: str = "",
        parameters: tuple[tuple[str, str], ...] = (),
        redirect_uri: str | None = None,
        state: str | None = None,
        mode: str = "query",
        cause: str = "",
        again: str = "",
    ) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = legal_description(description)
        self.status = status
        self.headers = headers
        self.scope = scope
        self.parameters = parameters
        self.redirect_uri = redirect_uri
        self.state = state
        self.mode = mode
        self.token: Any = None  # a good one that was not good enough, for the event
        self.cause = cause
        self.again = again


class SignInRequired(Exception):
    """A person at a browser has to sign in, or to sign in again, at `address`, which leads back; programs get `refusal`.

    What they sent stays with their browser where it is a form (`keeps_form`).
    """

    def __init__(self, refusal: OAuthError, address: str, *, keeps_form: bool) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.address = address
        self.keeps_form = keeps_form


class StepUpRequired(OAuthError):
    """Raised by `environ["oauth_gateway.require"]` where the token is not good enough for what the app is about to do.

    Where it leaves the app, the gateway answers with it. A framework that catches exceptions itself answers with it too: it is
    a WSGI application, and `answer(environ)` has `status`, `headers` and `body` (see `docs/step-up.md`).
    """

    def __init__(self, error: str, description: str, status: int, scopes: Iterable[str]) -> None:
        words = sorted({word for text in scopes for word in text.split()})
        for word in words:
            if _OUTSIDE.search(word):
                raise ValueError(f"oauth_gateway.require: {word!r} is not a scope")
        super().__init__(error, description, status, scope=" ".join(words))

    def answer(self, environ: dict[str, Any]) -> Any:
        """The refusal as an answer to the request with this WSGI environ."""
        return environ["oauth_gateway.refuse"](environ, self)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body: Iterable[bytes] = self.answer(environ)(environ, start_response)
        return body


class ConfigurationError(Exception):
    """A setting, a file or an argument is wrong: one line that names it, its value and what is allowed."""


class StoreUnavailable(Exception):
    """The store did not answer or refused to; the caller answers 503 and never lets a request through."""

    retry_after = 1


class IssuerUnavailable(OAuthError):
    """Another issuer, without which a token cannot be judged, does not answer: 503, and the request does not get through."""

    def __init__(self, cause: str, retry_after: int = 1) -> None:
        retry = (("Retry-After", str(retry_after)),)
        super().__init__("temporarily_unavailable", Sentence("Please try again in a moment."), 503, headers=retry, cause=cause)
