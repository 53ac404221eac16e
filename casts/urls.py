"""Addresses of casts, below /api/v1/."""

from django.urls import URLPattern, path

from casts.callback_views import AdapterCallbackView, CallbackView
from casts.provider_views import ProviderViewSet
from casts.streaming.views import CastEventLinkView, CastEventViewSet
from casts.views import CastGenerationViewSet, CastViewSet, ToolRunViewSet
from spells import urls as _converters  # noqa: F401 - registers the converter of tools' slugs

VERBS = ("cancel", "pause", "resume", "retry")

urlpatterns: list[URLPattern] = [
    path("casts/", CastViewSet.as_view({"get": "list", "post": "create"}), name="casts"),
    path("casts/<uuid:pk>/", CastViewSet.as_view({"get": "retrieve"}, detail=True), name="cast"),
    *(path(f"casts/<uuid:pk>/{verb}/", CastViewSet.as_view({"post": verb}, detail=True), name=f"cast-{verb}") for verb in VERBS),
    path("casts/<uuid:cast_id>/generations/", CastGenerationViewSet.as_view({"get": "list"}), name="cast-generations"),
    path("casts/<uuid:cast_id>/events/", CastEventViewSet.as_view({"get": "list"}), name="cast-events"),
    path("callbacks/<str:adapter>/", AdapterCallbackView.as_view(), name="adapter-callback"),
    path("callbacks/<str:adapter>/<str:signed_id>/", CallbackView.as_view(), name="callback"),
    path("casts/<uuid:cast_id>/events/link/", CastEventLinkView.as_view(), name="cast-events-link"),
    path("providers/", ProviderViewSet.as_view({"get": "list"}), name="providers"),
    path("providers/<tool:slug>/", ProviderViewSet.as_view({"get": "retrieve"}, detail=True), name="provider"),
    path("tools/<tool:slug>/run/", ToolRunViewSet.as_view({"post": "run"}), name="tool-run"),
]
