"""One line around any WSGI application makes it a complete, secure OAuth deployment: `app = OAuthGateway(app)`.

A name is loaded when it is first used. Constructing a gateway loads everything: no request waits for an import.
"""

from typing import TYPE_CHECKING

from .errors import ConfigurationError, OAuthError, StepUpRequired, StoreUnavailable
from .later import later

if TYPE_CHECKING:
    from .gateway import OAuthGateway
    from .server import AuthorizationServer
else:  # a type checker would take any name for one that is here
    __getattr__, __dir__ = later(__name__, {"AuthorizationServer": ".server", "OAuthGateway": ".gateway"})

__all__ = ["AuthorizationServer", "ConfigurationError", "OAuthError", "OAuthGateway", "StepUpRequired", "StoreUnavailable"]
