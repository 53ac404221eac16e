"""Addresses of generations and artefacts, below /api/v1/."""

from django.urls import URLPattern, path

from generations.views import ArtifactLinkView, ArtifactUploadView, ArtifactView, GenerationViewSet

urlpatterns: list[URLPattern] = [
    path("generations/", GenerationViewSet.as_view({"get": "list"}), name="generations"),
    path("generations/<uuid:pk>/", GenerationViewSet.as_view({"get": "retrieve"}, detail=True), name="generation"),
    path("artifacts/", ArtifactUploadView.as_view(), name="artifacts"),
    path("artifacts/<uuid:artifact_id>/", ArtifactView.as_view(), name="artifact"),
    path("artifacts/<uuid:artifact_id>/link/", ArtifactLinkView.as_view(), name="artifact-link"),
]
