"""RFC 8414 and RFC 9728: what clients read to find the server and the protected app.

Both documents are made of what the other features publish, so they cannot lag behind the code. They are readable by
scripts of any origin; the authorization endpoint never is (RFC 9700 section 2.6).
"""

from __future__ import annotations

from ..discovery import resource_document, server_document, well_known
from ..server import AuthorizationServer


def install(server: AuthorizationServer) -> None:
    well_known(server, "oauth-authorization-server", server_document, server.settings.issuer)
    well_known(server, "oauth-protected-resource", resource_document, server.settings.audience)
