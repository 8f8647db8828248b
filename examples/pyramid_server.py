"""The server without the middleware, in Pyramid views of one's own: `gunicorn examples.pyramid_server:app`.

The views are those that Authlib documents for Flask and Django: the same four calls, with Pyramid's own request.
"""

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPBadRequest
from pyramid.response import Response

from oauth_gateway import OAuthError, OAuthGateway

server = OAuthGateway(scopes={"read": "Read your things"}).server
USERS = {"a-random-value-that-only-ann-s-browser-has": "ann"}


def authorize(request):
    user = USERS.get(request.cookies.get("session", ""))
    if user is None:
        return Response("Sign in first.", status=403)
    try:
        grant = server.get_consent_grant(request, end_user=user)
    except OAuthError as error:
        return HTTPBadRequest(error.description)
    if request.method == "GET":
        return Response(f'<form method="post"><button name="confirm" value="1">Allow {grant.request.scope}</button></form>')
    if request.headers.get("Origin") != request.host_url:
        return Response("This form was not sent from this site.", status=403)
    return server.create_authorization_response(request, grant_user=user if request.POST.get("confirm") else None, grant=grant)


def token(request):
    return server.create_token_response(request)


def revoke(request):
    return server.create_endpoint_response("revocation", request)


with Configurator() as config:
    for view in (authorize, token, revoke):
        config.add_route(view.__name__, f"/oauth/{view.__name__}")
        config.add_view(view, route_name=view.__name__)
    app = config.make_wsgi_app()
