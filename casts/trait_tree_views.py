"""The API of trait trees as text: read from CSV, and written for a spreadsheet."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from casts.cooks.drawing import capacity
from casts.cooks.interchange import from_csv, to_csv
from casts.cooks.traits import TraitTree, read_tree, tree_document
from casts.cooks.tree_schema import MAX_TEXT_BYTES
from casts.models import Collection
from generations.serializers import OBJECT
from spells.requests import checked

READ: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "csv": {"type": "string", "maxLength": MAX_TEXT_BYTES, "description": "A trait tree as CSV."},
        "trait_tree": {"type": "object", "description": "Or one as JSON."},
    },
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
}
WRITTEN = {
    "type": "object",
    "properties": {
        "trait_tree": {**OBJECT, "description": "As it stands in a collection."},
        "csv": {"type": "string", "description": "The same for a spreadsheet."},
        "supply": {
            "type": ["integer", "null"],
            "description": "How many pieces there can be at most; null for more than anybody asks for.",
        },
    },
    "required": ["trait_tree", "csv", "supply"],
}
_TREE = {"categories": [{"name": "Sea", "traits": [{"value": "Calm", "weight": 70}, {"value": "Storm", "weight": 30}]}]}
CSV = OpenApiExample("A sheet", value={"csv": "category,value,weight\nSea,Calm,70\nSea,Storm,30\n"}, request_only=True)
EXAMPLE = OpenApiExample(
    "Two values",
    value={
        "trait_tree": _TREE,
        "csv": "category,value,prompt,weight,silent,start,end,step,zero_pad,unique,shuffle_seed,when,rule\r\nSea,Calm,,70,,,,,,,,,\r\nSea,Storm,,30,,,,,,,,,\r\n",
        "supply": 2,
    },
    response_only=True,
)


class TraitTreeView(APIView):
    """Trait trees that are not kept."""

    @extend_schema(
        tags=["collections"],
        summary="Check a trait tree, and have it as JSON and CSV",
        description="Nothing is written. What is wrong is told with its place: the line and column of CSV.",
        request={"application/json": dict(READ)},
        responses={200: OpenApiResponse(WRITTEN, examples=[EXAMPLE])},
        examples=[CSV],
    )
    def post(self, request: Request) -> Response:
        said = checked(request.data, READ)
        return Response(written(from_csv(said["csv"]) if "csv" in said else read_tree(said["trait_tree"])))


class CollectionTraitTreeView(APIView):
    """The trait tree of a collection."""

    @extend_schema(
        tags=["collections"],
        summary="Read the trait tree of a collection, as JSON and CSV",
        description="404 for one that is of a list.",
        responses={200: OpenApiResponse(WRITTEN, examples=[EXAMPLE])},
    )
    def get(self, request: Request, pk: int) -> Response:
        collection: Collection = get_object_or_404(Collection.objects.visible_to(request.user), pk=pk)
        if collection.trait_tree is None:
            raise NotFound(f"Collection {pk} is of a list: it has no trait tree.")
        return Response(written(read_tree(collection.trait_tree)))


def written(tree: TraitTree) -> dict[str, Any]:
    """Return a tree as clients see it."""
    return {"trait_tree": tree_document(tree), "csv": to_csv(tree), "supply": capacity(tree)}
