"""A Pyramid app for `examples/pyramid.ini`: an ordinary `main(global_config, **settings)`."""

from pyramid.config import Configurator


def me(request):
    return {"user": request.remote_user, "client": request.environ["oauth_gateway.token"].client_id}


def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.add_route("me", "/me")
        config.add_view(me, route_name="me", renderer="json")
        return config.make_wsgi_app()
