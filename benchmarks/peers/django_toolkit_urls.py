"""The addresses of `django_toolkit.py`; Django reads them once it is configured."""

from django.urls import include, path
from oauth2_provider import urls
from oauth2_provider.decorators import protected_resource

from benchmarks.peers import ISSUER
from benchmarks.peers.django_project import thing

# a bad token gets 401 as RFC 6750 has it, and not the historical 403; good ones take the same way
protect = protected_resource(scopes=["read"], advertise_metadata=True, resource_metadata_url=f"{ISSUER}/metadata")

urlpatterns = [
    path("thing", protect(thing)),
    path("o/", include((urls.base_urlpatterns, urls.app_name))),
]
