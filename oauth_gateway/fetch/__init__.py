"""Every URL that the server itself follows (jwks_uri, sector_identifier_uri, back-channel logout, client metadata documents).

Such a URL was written by somebody else, so one guarded fetcher follows them all: its address is checked and the connection
pinned to it (`destination`), one transfer ends by a deadline whatever the peer does (`transfer`), transfers are coalesced, few
at a time and backed off (`fetcher`), and JSON is read strictly and remembered (`documents`).
"""

from __future__ import annotations

from .destination import Refused, refuse_reason
from .documents import Documents, strict_json
from .fetcher import Fetched, Fetcher, FetchError

__all__ = ["Documents", "FetchError", "Fetched", "Fetcher", "Refused", "refuse_reason", "strict_json"]
