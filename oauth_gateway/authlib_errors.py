"""The one place where an error of Authlib's becomes ours."""

from __future__ import annotations

import json

from authlib.oauth2 import OAuth2Error

from .errors import OAuthError


def from_authlib(error: OAuth2Error) -> OAuthError:
    """The same error in our own words: Authlib's text may echo input, so it goes to the log only."""
    status = error.status_code if error.status_code in (400, 401, 403) else 400
    description = _SENTENCES.get(error.error, "The request was refused.")
    return OAuthError(error.error, description, status, cause=json.dumps(str(error.description)))


_SENTENCES = {
    "invalid_request": "The request is malformed or lacks a parameter.",
    "invalid_client": "Client authentication failed.",
    "invalid_grant": "The code or token is not valid.",
    "unauthorized_client": "The client may not use this grant type or response type.",
    "unsupported_response_type": "This response_type is not supported.",
    "invalid_scope": "The client may not have this scope.",
}
