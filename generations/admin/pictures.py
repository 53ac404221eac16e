"""Artefacts on a page: their address, and the pictures among them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from generations.artifacts import REFERENCE_KEY
from generations.models import Artifact
from spells.admin.formats import size

MOST_BYTES = 2**63  # what a file can have, whatever a reference says
# What every browser draws and none runs.
PICTURES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})


def artifact_url(artifact_id: UUID) -> str:
    """Return the address under which the API serves the bytes, to whoever may see them."""
    return reverse("api:artifact", args=[artifact_id])


def picture_of(reference: Mapping[str, Any]) -> tuple[SafeString, str] | None:
    """Return a thumbnail of a JSON object that refers to a picture, and what it says of it; None when it refers to none."""
    mime_type, count = reference.get("mime_type"), reference.get("size")
    if not isinstance(mime_type, str) or mime_type not in PICTURES:
        return None
    try:
        artifact_id = UUID(str(reference.get(REFERENCE_KEY)))
    except ValueError:
        return None
    words = size(count) if isinstance(count, int) and 0 <= count < MOST_BYTES else mime_type
    return thumbnail(artifact_id, f"Picture {artifact_id}"), words


def thumbnail(artifact_id: UUID, alt: str) -> SafeString:
    return format_html(
        '<a class="thumb" href="{0}"><img src="{0}" alt="{1}" loading="lazy" decoding="async"></a>', artifact_url(artifact_id), alt
    )


def artifact_figure(artifact: Artifact, caption: str = "") -> SafeString:
    """Return an artefact as a thumbnail, or as a link when it is no picture, with what is known of it below."""
    name = artifact.name or artifact.mime_type
    shown = (
        thumbnail(artifact.pk, name)
        if artifact.mime_type in PICTURES
        else format_html('<a class="thumb is-file" href="{}"><bdi>{}</bdi></a>', artifact_url(artifact.pk), artifact.mime_type)
    )
    return format_html("<figure>{}<figcaption><bdi>{}</bdi> · {}</figcaption></figure>", shown, caption or name, size(artifact.size))
