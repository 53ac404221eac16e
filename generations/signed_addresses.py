"""Addresses that work with a key, or with the signature of a link: who may read what stands there, and how links are made."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone
from rest_framework.exceptions import NotAuthenticated
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from .links import Links

LINK_SCHEMA = {
    "type": "object",
    "properties": {"url": {"type": "string", "format": "uri"}, "expires_at": {"type": "string", "format": "date-time"}},
    "required": ["url", "expires_at"],
}


def row_of_the_address(request: Request, rows: Any, *, links: Links, pk: UUID | int) -> Any:
    """Return the row of an address, if this user may see it or the address has its signature. `rows` know `visible_to`.

    Raises Http404, NotAuthenticated, or LinkRefusedError for a signature that is not good.
    """
    signature = request.query_params.get("signature")
    if signature is not None:
        links.check(id=pk, signature=signature, now=timezone.now())
        return get_object_or_404(rows, pk=pk)
    if not request.user.is_authenticated:
        raise NotAuthenticated
    return get_object_or_404(rows.visible_to(request.user), pk=pk)


def link_to(url: str, *, links: Links, pk: UUID | int) -> Response:
    """Answer with a link to an address that works without a key for an hour."""
    signed, expires_at = signed_address(url, links=links, pk=pk)
    return Response({"url": signed, "expires_at": expires_at}, status=201)


def signed_address(url: str, *, links: Links, pk: UUID | int) -> tuple[str, datetime]:
    """Return an address that works without a key, and until when. It is for whoever may see what stands there to ask for it."""
    signature, expires_at = links.sign(id=pk, now=timezone.now())
    return f"{url}?signature={signature}", expires_at
