"""Addresses of the site."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, path

from config import api
from config.health import healthz, readyz

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("healthz", healthz),
    path("readyz", readyz),
    *api.urlpatterns,
]

handler400 = "config.problems.bad_request"
handler500 = "config.problems.server_error"
