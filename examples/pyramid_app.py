"""A Pyramid app for `examples/pyramid.ini`: an ordinary `main(global_config, **settings)`."""

from pyramid.config import Configurator
from pyramid.response import Response

from oauth_gateway import StepUpRequired


def me(request):
    return {"user": request.remote_user, "client": request.environ["oauth_gateway.token"].client_id}


def files(request):
    request.environ["oauth_gateway.require"]("write")
    return {"stored": True}


def step_up(error, request):
    """Only for views that demand more, like `files`."""
    answer = error.answer(request.environ)
    return Response(answer.body, answer.status, answer.headers)


def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.add_route("me", "/me")
        config.add_view(me, route_name="me", renderer="json")
        config.add_route("files", "/files")
        config.add_view(files, route_name="files", renderer="json")
        config.add_exception_view(step_up, context=StepUpRequired)
        return config.make_wsgi_app()
