"""A consent view of one's own, in the pattern that Authlib documents: render on GET, `is_user_confirmed` on POST.

`gunicorn -c gunicorn.conf.py examples.own_consent_view:app`. Here the app knows who is signed in by a cookie of its own
(`session=…`); the view takes the place of ours at /authorize, and everything else stays as it is.
"""

from html import escape

import webob

from oauth_gateway import OAuthError, OAuthGateway
from oauth_gateway.navigation import refuse_unless_navigation, refuse_unless_same_origin

SESSIONS = {"a-random-value-that-only-ann-s-browser-has": "ann"}
PAGE = """<!doctype html><title>May {client} act for you?</title><h1>May {client} act for you, {user}?</h1><p>{scope}</p>
<form method="post"><button name="is_user_confirmed" value="yes">Yes</button><button>No</button></form>"""


def consent(exchange):
    """Called for GET and POST; what it raises becomes a page."""
    refuse_unless_navigation(exchange)
    request = exchange.request  # a WebOb request
    user = SESSIONS.get(request.cookies.get("session", ""))
    if user is None:
        raise OAuthError("access_denied", "Sign in to the app first.", 403)
    try:
        grant = server.get_consent_grant(request, end_user=user)
    except OAuthError as error:
        return server.redirect_error(exchange, error)
    if request.method == "GET":
        scope = escape(grant.request.scope or "")
        page = webob.Response(PAGE.format(client=escape(grant.client.name), user=escape(user), scope=scope))
        page.headers.update({"X-Frame-Options": "DENY", "Cache-Control": "no-store"})
        return page
    refuse_unless_same_origin(exchange)  # or a CSRF token of the app's own
    confirmed = request.POST.get("is_user_confirmed") == "yes"
    return server.create_authorization_response(request, grant_user=user if confirmed else None, grant=grant)


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"Hello {environ['REMOTE_USER']}\n".encode()]


app = OAuthGateway(hello, scopes={"read": "Read your things"})
server = app.server
server.endpoint("/authorize", consent, "authorization_endpoint", methods="GET POST", people=True)
