"""The first page of the site, and the index of the API."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

COLLECTIONS = ("spells", "tools", "casts", "collections", "cooks", "pieces", "exports", "generations", "notifications", "webhooks")


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Say what this is, and lead on."""
    return render(request, "home.html")


class ApiIndex(APIView):
    """The beginning of the API."""

    permission_classes: list[type[BasePermission]] = [AllowAny]

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        """Return the addresses of the collections and of the documentation."""
        names = (*COLLECTIONS, "schema", "docs")
        return Response({name: reverse(f"api:{name}", request=request) for name in names})
