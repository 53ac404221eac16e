"""What the API answers to OPTIONS: which methods there are. All else is in its OpenAPI document."""

from typing import TYPE_CHECKING, Any

from rest_framework.metadata import BaseMetadata
from rest_framework.request import Request

if TYPE_CHECKING:
    from rest_framework.views import APIView  # which imports this module


class Methods(BaseMetadata):
    """Names the methods of an address, as its `Allow` header does."""

    def determine_metadata(self, request: Request, view: "APIView") -> dict[str, Any]:  # noqa: ARG002 - the framework's signature
        """Return the names."""
        return {"methods": view.allowed_methods}
