"""Access tokens that others issued: JWTs of trusted issuers, and opaque ones that the issuer is asked about (RFC 7662).

`issuers` finds whose a token is, `jwks` has the keys of one issuer and `introspection` asks one; `judging` says whether a token
is good here and `mapping` what the app sees of it; `believed` remembers it. Nothing here waits longer than PATIENCE for another
server.
"""

from __future__ import annotations

from .believed import Believed, BelievedTokens
from .issuers import ForeignTokens
from .mapping import claim_of

__all__ = ["Believed", "BelievedTokens", "ForeignTokens", "claim_of"]
