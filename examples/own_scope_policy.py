"""An own scope policy: parametrised scopes such as `project:42`, which no list can name.

`gunicorn -c gunicorn.conf.py examples.own_scope_policy:app`. A client registered for `project:*` may ask for any project.
"""

import re

from oauth_gateway import OAuthError, OAuthGateway
from oauth_gateway.scopes import ScopePolicy, words_of


class ProjectScopes(ScopePolicy):
    def grant(self, client, asked):
        if asked is None or "project:*" not in client.scopes:
            return super().grant(client, asked)
        wanted = words_of(asked)
        if not all(re.fullmatch(r"project:[1-9][0-9]{0,9}", word) for word in wanted):
            raise OAuthError("invalid_scope", "Ask for projects as project:NUMBER.")
        return " ".join(sorted(wanted))

    def refresh(self, client, held, asked):
        if asked is not None and not words_of(asked) <= set(held.split()):
            raise OAuthError("invalid_scope", "The scope is more than was granted.")
        return asked or held


def project(environ, start_response):
    """`/project/42` needs the scope project:42: what a rule cannot say, the handler demands."""
    number = environ["PATH_INFO"].rpartition("/")[2]
    environ["oauth_gateway.require"](f"project:{number}")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"This is project {number}\n".encode()]


app = OAuthGateway(project, routes="GET /project/*  token")
app.server.scopes = ProjectScopes(app.settings)
