"""The API of what came of a cook: as JSON, and as a picture."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from casts.cooks.analytics import Figures, TraitFigures, figures_of
from casts.cooks.chart import rarity_chart
from casts.models import Cook, Decision, PieceStatus
from generations.serializers import MONEY
from generations.views import AnyType

_COUNT = {"type": "integer", "minimum": 0}
_SHARE = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
_SECONDS = {"type": ["number", "null"], "minimum": 0}
_OPTIONAL_MONEY = {**MONEY, "type": ["string", "null"]}


def _counts(*names: str) -> dict[str, Any]:
    return {"type": "object", "properties": dict.fromkeys(names, _COUNT), "required": list(names)}


_TRAIT = {
    "type": "object",
    "properties": {
        "category": {"type": "string"},
        "value": {"type": "string"},
        "asked": {**_SHARE, "description": "Its share of the weights."},
        "made": {**_COUNT, "description": "How many of the pieces that are made have it."},
        "made_share": {**_SHARE, "description": "Of those that have the category."},
        "accepted": {**_COUNT, "description": "How many of the pieces that are accepted have it."},
        "accepted_share": {**_SHARE, "description": "Of those that have the category."},
        "decided": {**_COUNT, "description": "On how many attempts with it was decided, also on those that were made anew since."},
        "acceptance": {**_SHARE, "description": "The share of these decisions that were in favour."},
    },
    "required": ["category", "value", "asked", "made", "made_share", "accepted", "accepted_share", "decided", "acceptance"],
}
FIGURES = {
    "type": "object",
    "properties": {
        "cook": _COUNT,
        "pieces": _counts(*PieceStatus.values),
        "reviews": {**_counts("open", *Decision.values), "description": "Of the pieces that are made."},
        "attempts": {**_COUNT, "description": "Casts, whatever became of them."},
        "cost": {
            "type": "object",
            "description": "In US dollars: of all casts, and what of it comes to each piece.",
            "properties": {"total_usd": MONEY, "per_made_usd": _OPTIONAL_MONEY, "per_accepted_usd": _OPTIONAL_MONEY},
            "required": ["total_usd", "per_made_usd", "per_accepted_usd"],
        },
        "seconds": {
            "type": "object",
            "description": "How long the casts took that made the pieces.",
            "properties": {"mean": _SECONDS, "median": _SECONDS, "longest": _SECONDS},
            "required": ["mean", "median", "longest"],
        },
        "traits": {"type": "array", "items": _TRAIT},
    },
    "required": ["cook", "pieces", "reviews", "attempts", "cost", "seconds", "traits"],
}
EXAMPLE = OpenApiExample(
    "Half of it reviewed",
    value={
        "cook": 7,
        "pieces": {"pending": 0, "cooking": 0, "made": 998, "failed": 2},
        "reviews": {"open": 499, "accepted": 400, "rejected": 99, "culled": 0},
        "attempts": 1013,
        "cost": {"total_usd": "12.66", "per_made_usd": "0.0126853707", "per_accepted_usd": "0.03165"},
        "seconds": {"mean": 4.2, "median": 3.9, "longest": 31.5},
        "traits": [
            {
                "category": "Sea",
                "value": "Storm",
                "asked": 0.3,
                "made": 296,
                "made_share": 0.296593,
                "accepted": 121,
                "accepted_share": 0.3025,
                "decided": 148,
                "acceptance": 0.817568,
            }
        ],
    },
    response_only=True,
)


def _cook(request: Request, pk: int) -> Cook:
    cook: Cook = get_object_or_404(Cook.objects.visible_to(request.user).select_related("collection"), pk=pk)
    return cook


class AnalyticsView(APIView):
    """What came of one cook."""

    @extend_schema(
        tags=["cooks"],
        summary="Read what came of a cook: rarities, reviews, costs, times",
        responses={200: OpenApiResponse(FIGURES, examples=[EXAMPLE])},
    )
    def get(self, request: Request, pk: int) -> Response:
        return Response(shown(pk, figures_of(_cook(request, pk))))


class AnalyticsPictureView(APIView):
    """Rarities of one cook as a picture."""

    content_negotiation_class = AnyType

    @extend_schema(
        tags=["cooks"],
        summary="See the rarities of a cook: as asked for, as made, as accepted",
        responses={(200, "image/svg+xml"): OpenApiResponse(OpenApiTypes.BINARY, description="A picture.")},
    )
    def get(self, request: Request, pk: int) -> HttpResponseBase:
        cook = _cook(request, pk)
        picture = rarity_chart(figures_of(cook).traits, title=cook.collection.name)
        safe = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox", "Cache-Control": "no-store"}
        return HttpResponse(picture, content_type="image/svg+xml", headers=safe)


def shown(cook_id: int, figures: Figures) -> dict[str, Any]:
    """Return figures as clients see them."""
    return {
        "cook": cook_id,
        "pieces": {status: figures.pieces.get(status, 0) for status in PieceStatus.values},
        "reviews": {"open": figures.reviews.get("", 0), **{decision: figures.reviews.get(decision, 0) for decision in Decision.values}},
        "attempts": figures.attempts,
        "cost": {
            "total_usd": _money(figures.cost_usd),
            "per_made_usd": _money(figures.cost_per(figures.made)),
            "per_accepted_usd": _money(figures.cost_per(figures.accepted)),
        },
        "seconds": {
            "mean": figures.mean_seconds,
            "median": figures.median_seconds,
            "longest": max(figures.seconds, default=None),
        },
        "traits": [_trait(row) for row in figures.traits],
    }


def _trait(row: TraitFigures) -> dict[str, Any]:
    return {
        "category": row.made.category,
        "value": row.made.value,
        "asked": _share(row.made.asked),
        "made": row.made.drawn,
        "made_share": _share(row.made.share),
        "accepted": row.accepted.drawn,
        "accepted_share": _share(row.accepted.share),
        "decided": row.decided,
        "acceptance": _share(row.acceptance),
    }


def _share(share: Fraction | None) -> float | None:
    return None if share is None else round(float(share), 6)


def _money(usd: Decimal | None) -> str | None:
    return None if usd is None else f"{usd.normalize():f}"
