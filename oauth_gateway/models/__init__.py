"""What the server remembers and hands out, as frozen values with Authlib's mixins.

Times are seconds since 1970. `number` and `id` of rows are the store's time-ordered integers; people and programs see
them as hexadecimal text. No value here holds a usable secret, only digests.
"""

from __future__ import annotations

from .client import Client, Secret, scope_words
from .digests import digest, public_id
from .making import maker
from .people import SEEN_SECONDS, Consent, Session, User
from .tokens import LACKS_SCOPE, NOTHING, AuthorizationCode, Grant, SessionToken, StoredToken, Token
from .work import Job, Party, SigningKey

__all__ = [
    "LACKS_SCOPE",
    "NOTHING",
    "SEEN_SECONDS",
    "AuthorizationCode",
    "Client",
    "Consent",
    "Grant",
    "Job",
    "Party",
    "Secret",
    "Session",
    "SessionToken",
    "SigningKey",
    "StoredToken",
    "Token",
    "User",
    "digest",
    "maker",
    "public_id",
    "scope_words",
]
