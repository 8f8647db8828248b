"""One line around any WSGI application makes it a complete, secure OAuth deployment: `app = OAuthGateway(app)`."""

from .errors import ConfigurationError, OAuthError, StepUpRequired, StoreUnavailable
from .gateway import OAuthGateway
from .server import AuthorizationServer

__all__ = ["AuthorizationServer", "ConfigurationError", "OAuthError", "OAuthGateway", "StepUpRequired", "StoreUnavailable"]
