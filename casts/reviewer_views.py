"""The API of reviewers: who may decide on the pieces of a collection beside its owner."""

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from casts.cooks.reviewers import name_reviewers, reviewers_of
from casts.models import Collection
from casts.review_serializers import REVIEWERS
from spells.requests import checked

EXAMPLE = OpenApiExample("Two of them", value={"reviewers": ["bob", "eve"]})
_ANSWER = {200: OpenApiResponse(dict(REVIEWERS), "The reviewers, in alphabetical order.", examples=[EXAMPLE])}


class CollectionReviewersView(APIView):
    """The reviewers of one collection: for its owner and the staff to name."""

    @extend_schema(tags=["collections"], summary="List the reviewers of a collection", responses=_ANSWER)
    def get(self, request: Request, pk: int) -> Response:
        return self._told(self._collection(request, pk))

    @extend_schema(
        tags=["collections"],
        summary="Name the reviewers of a collection",
        description="They are handed out its pieces, accept and reject them, and undo that. They see and change nothing else of it.",
        request={"application/json": dict(REVIEWERS)},
        responses=_ANSWER,
        examples=[EXAMPLE],
    )
    def put(self, request: Request, pk: int) -> Response:
        collection = self._collection(request, pk)
        name_reviewers(collection_id=collection.pk, usernames=checked(request.data, REVIEWERS)["reviewers"])
        return self._told(collection)

    def _collection(self, request: Request, pk: int) -> Collection:
        found: Collection = get_object_or_404(Collection.objects.visible_to(request.user).only("pk"), pk=pk)
        return found

    def _told(self, collection: Collection) -> Response:
        return Response({"reviewers": reviewers_of(collection.pk)})
