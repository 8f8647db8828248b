"""A Django project in one file, its `application` wrapped: `gunicorn examples.django_app:app`."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

from oauth_gateway import OAuthGateway

if not settings.configured:
    settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="for the example only", ALLOWED_HOSTS=["*"], MIDDLEWARE=[])


def me(request):
    return JsonResponse({"user": request.META.get("REMOTE_USER"), "client": request.META["oauth_gateway.token"].client_id})


urlpatterns = [path("me", me)]
application = get_wsgi_application()
app = OAuthGateway(application, scopes="read: Read your things\nwrite: Change your things")
