"""The REST API: its addresses, its documentation, and an answer for addresses that do not exist."""

from django.urls import URLPattern, URLResolver, include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from casts import urls as casts
from config import openapi as _extensions  # noqa: F401 - its import registers the scheme of API keys
from config.home import ApiIndex
from config.problems import unknown_route
from generations import urls as generations
from spells import urls as spells

_v1: list[URLPattern | URLResolver] = [
    path("", ApiIndex.as_view(), name="index"),
    *spells.urlpatterns,
    *generations.urlpatterns,
    *casts.urlpatterns,
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerView.as_view(url_name="api:schema"), name="docs"),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include((_v1, "api"))),
    re_path(r"^api/", unknown_route),
]
