"""A Django project in one file, its `application` wrapped: `gunicorn examples.django_app:app`."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.urls import path

from oauth_gateway import OAuthGateway, StepUpRequired

if not settings.configured:
    step_up = [f"{__name__}.StepUp"]  # only for views that demand more, like `files`
    settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="for the example only", ALLOWED_HOSTS=["*"], MIDDLEWARE=step_up)


class StepUp:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_exception(self, request, exception):
        if isinstance(exception, StepUpRequired):
            answer = exception.answer(request.META)
            return HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))


def me(request):
    return JsonResponse({"user": request.META.get("REMOTE_USER"), "client": request.META["oauth_gateway.token"].client_id})


def files(request):
    request.META["oauth_gateway.require"]("write")
    return JsonResponse({"stored": True})


urlpatterns = [path("me", me), path("files", files)]
application = get_wsgi_application()
app = OAuthGateway(application, scopes="read: Read your things\nwrite: Change your things")
