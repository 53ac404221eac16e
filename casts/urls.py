"""Addresses of casts, below /api/v1/."""

from typing import Any

from django.urls import URLPattern, path

from casts.analytics_views import AnalyticsPictureView, AnalyticsView
from casts.callback_views import AdapterCallbackView, CallbackView
from casts.cook_views import CollectionViewSet, CookViewSet, PieceViewSet
from casts.export_views import ExportArchiveView, ExportViewSet
from casts.notification_views import DeliveryViewSet, MailSettingsView, NotificationViewSet
from casts.provider_views import ProviderViewSet
from casts.review_views import PieceReviewViewSet, ReviewEventViewSet
from casts.reviewer_views import CollectionReviewersView
from casts.streaming.cook_views import CookEventLinkView, CookEventsView
from casts.streaming.views import CastEventLinkView, CastEventViewSet
from casts.trait_tree_views import CollectionTraitTreeView, TraitTreeView
from casts.views import CastGenerationViewSet, CastViewSet, ToolRunViewSet
from casts.webhook_views import WebhookViewSet
from spells import urls as _converters  # noqa: F401 - registers the converter of tools' slugs

VERBS = ("cancel", "pause", "resume", "retry", "skip")
COOK_VERBS = ("pause", "resume", "stop", "extend")
REVIEW_VERBS = {"accept": "accept", "reject": "reject", "undo": "undo", "give-back": "give_back"}
WEBHOOK_VERBS = ("enable", "disable", "rotate", "test")
_WEBHOOK: dict[str, Any] = {"get": "retrieve", "patch": "partial_update", "delete": "destroy"}

urlpatterns: list[URLPattern] = [
    path("casts/", CastViewSet.as_view({"get": "list", "post": "create"}), name="casts"),
    path("casts/<uuid:pk>/", CastViewSet.as_view({"get": "retrieve"}, detail=True), name="cast"),
    *(path(f"casts/<uuid:pk>/{verb}/", CastViewSet.as_view({"post": verb}, detail=True), name=f"cast-{verb}") for verb in VERBS),
    path("casts/<uuid:cast_id>/generations/", CastGenerationViewSet.as_view({"get": "list"}), name="cast-generations"),
    path("casts/<uuid:cast_id>/events/", CastEventViewSet.as_view({"get": "list"}), name="cast-events"),
    path("callbacks/<str:adapter>/", AdapterCallbackView.as_view(), name="adapter-callback"),
    path("callbacks/<str:adapter>/<str:signed_id>/", CallbackView.as_view(), name="callback"),
    path("casts/<uuid:cast_id>/events/link/", CastEventLinkView.as_view(), name="cast-events-link"),
    path("exports/", ExportViewSet.as_view({"get": "list", "post": "create"}), name="exports"),
    path("exports/<int:pk>/", ExportViewSet.as_view({"get": "retrieve"}, detail=True), name="export"),
    path("exports/<int:pk>/publish/", ExportViewSet.as_view({"post": "publish"}, detail=True), name="export-publish"),
    path("exports/<int:pk>/archive/", ExportArchiveView.as_view(), name="export-archive"),
    path("pieces/reviews/", PieceReviewViewSet.as_view({"get": "list", "post": "decide"}), name="piece-reviews"),
    path("pieces/reviews/next/", PieceReviewViewSet.as_view({"post": "hand_out"}), name="piece-reviews-next"),
    path("pieces/reviews/cull/", PieceReviewViewSet.as_view({"post": "cull"}), name="piece-reviews-cull"),
    *(
        path(f"pieces/<int:pk>/{word}/", PieceReviewViewSet.as_view({"post": verb}, detail=True), name=f"piece-{word}")
        for word, verb in REVIEW_VERBS.items()
    ),
    path("pieces/<int:piece_id>/review-events/", ReviewEventViewSet.as_view({"get": "list"}), name="piece-review-events"),
    path("providers/", ProviderViewSet.as_view({"get": "list"}), name="providers"),
    path("providers/<tool:slug>/", ProviderViewSet.as_view({"get": "retrieve"}, detail=True), name="provider"),
    path("notifications/", NotificationViewSet.as_view({"get": "list"}), name="notifications"),
    path("notifications/read/", NotificationViewSet.as_view({"post": "read_all"}), name="notifications-read"),
    path("notifications/email/", MailSettingsView.as_view(), name="notifications-email"),
    path("notifications/<int:pk>/", NotificationViewSet.as_view({"get": "retrieve"}, detail=True), name="notification"),
    *(
        path(f"notifications/<int:pk>/{verb}/", NotificationViewSet.as_view({"post": verb}, detail=True), name=f"notification-{verb}")
        for verb in ("read", "resend")
    ),
    path("notifications/<int:notification_id>/deliveries/", DeliveryViewSet.as_view({"get": "list"}), name="notification-deliveries"),
    path("webhooks/", WebhookViewSet.as_view({"get": "list", "post": "create"}), name="webhooks"),
    path("webhooks/<int:pk>/", WebhookViewSet.as_view(_WEBHOOK, detail=True), name="webhook"),
    *(
        path(f"webhooks/<int:pk>/{verb}/", WebhookViewSet.as_view({"post": verb}, detail=True), name=f"webhook-{verb}")
        for verb in WEBHOOK_VERBS
    ),
    path("collections/", CollectionViewSet.as_view({"get": "list", "post": "create"}), name="collections"),
    path("collections/preview/", CollectionViewSet.as_view({"post": "preview_draft"}), name="collections-preview"),
    path("collections/<int:pk>/", CollectionViewSet.as_view({"get": "retrieve"}, detail=True), name="collection"),
    path("collections/<int:pk>/preview/", CollectionViewSet.as_view({"post": "preview"}, detail=True), name="collection-preview"),
    path("collections/<int:pk>/trait-tree/", CollectionTraitTreeView.as_view(), name="collection-trait-tree"),
    path("collections/<int:pk>/reviewers/", CollectionReviewersView.as_view(), name="collection-reviewers"),
    path("trait-trees/", TraitTreeView.as_view(), name="trait-trees"),
    path("cooks/", CookViewSet.as_view({"get": "list", "post": "create"}), name="cooks"),
    path("cooks/<int:pk>/", CookViewSet.as_view({"get": "retrieve"}, detail=True), name="cook"),
    *(path(f"cooks/<int:pk>/{verb}/", CookViewSet.as_view({"post": verb}, detail=True), name=f"cook-{verb}") for verb in COOK_VERBS),
    path("cooks/<int:pk>/events/", CookEventsView.as_view(), name="cook-events"),
    path("cooks/<int:pk>/events/link/", CookEventLinkView.as_view(), name="cook-events-link"),
    path("cooks/<int:pk>/analytics/", AnalyticsView.as_view(), name="cook-analytics"),
    path("cooks/<int:pk>/analytics/picture/", AnalyticsPictureView.as_view(), name="cook-analytics-picture"),
    path("pieces/", PieceViewSet.as_view({"get": "list"}), name="pieces"),
    path("pieces/<int:pk>/", PieceViewSet.as_view({"get": "retrieve"}, detail=True), name="piece"),
    path("pieces/<int:pk>/regenerate/", PieceViewSet.as_view({"post": "regenerate"}, detail=True), name="piece-regenerate"),
    path("tools/<tool:slug>/run/", ToolRunViewSet.as_view({"post": "run"}), name="tool-run"),
]
