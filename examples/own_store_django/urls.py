"""The project's pages."""

from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("orders", lambda request: HttpResponse(f"The orders of {request.META['REMOTE_USER']}\n"))]
