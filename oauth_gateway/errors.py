"""The errors that cross a module's border; everything else is a bug and answers 500 without letting a request through."""

from __future__ import annotations

import re

_OUTSIDE = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")


def legal_description(text: str) -> str:
    """`text` with every character that an `error_description` must not carry replaced by `?` (RFC 6749 section 4.1.2.1)."""
    return _OUTSIDE.sub("?", text)


class OAuthError(Exception):
    """What the other side of the protocol is told.

    `error` is a registered code, `description` one sentence for a developer, `status` the HTTP status, `headers` extra
    response headers. `redirect_uri` is set only once it was checked against the client: without it the error is a page
    or a JSON document and is never sent anywhere. `cause` is for the operator's log and never leaves the server.
    """

    def __init__(
        self,
        error: str,
        description: str = "",
        status: int = 400,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        redirect_uri: str | None = None,
        state: str | None = None,
        cause: str = "",
    ) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = legal_description(description)
        self.status = status
        self.headers = headers
        self.redirect_uri = redirect_uri
        self.state = state
        self.cause = cause


class ConfigurationError(Exception):
    """A setting, a file or an argument is wrong: one line that names it, its value and what is allowed."""


class StoreUnavailable(Exception):
    """The store did not answer or refused to; the caller answers 503 and never lets a request through."""

    retry_after = 1
