"""Addresses of the site."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, path

from config import api
from config.health import healthz, readyz
from config.home import home
from config.metrics import metrics

admin.autodiscover()  # before its URLs are asked for: config.apps leaves it to whoever serves pages

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home, name="home"),
    path("admin/", admin.site.urls),
    path("healthz", healthz),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics),
    *api.urlpatterns,
]

handler400 = "config.problems.bad_request"
handler500 = "config.problems.server_error"
