"""What authors do to their spells, beside publishing: begin one, revise its draft, describe it anew."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from spells.documents import Document, DocumentError, save_draft
from spells.models import Spell, SpellVersion
from spells.problems import Problem
from spells.publishing import publish


class SpellExistsError(Exception):
    """There is a spell of that slug already."""


class NoDraftError(Exception):
    """The spell has no draft, or not under that number."""


def begin(*, document: Document, owner: User, now: datetime) -> SpellVersion:
    """Create a spell with its first draft.

    Raises:
        SpellExistsError: the slug is taken, by whomever.
        DocumentError: the document cannot be kept as a draft.
    """
    with transaction.atomic():
        if Spell.objects.filter(slug=document.slug).exists():
            raise SpellExistsError(f"There is a spell {document.slug} already. If it is yours, add a version to it.")
        return save_draft(document=document, owner=owner, now=now)


def revise(*, spell: Spell, document: Document, author: User, now: datetime, number: int | None = None) -> SpellVersion:
    """Write the draft of a spell anew, or begin its next version. With a `number`, only that of the draft that stands.

    Raises:
        NoDraftError: the version of that number is no draft.
        DocumentError: the document cannot be kept as a draft, or is of another spell.
    """
    if document.slug != spell.slug:
        raise DocumentError([Problem("slug", f"is {document.slug!r}; these are the versions of {spell.slug!r}")])
    with transaction.atomic():
        Spell.objects.select_for_update(no_key=True).get(pk=spell.pk)
        if number is not None and not spell.versions.drafts().filter(number=number).exists():
            raise NoDraftError(f"Version {number} of {spell.slug} is no draft. Published versions never change: begin a new one.")
        return save_draft(document=document, owner=author, now=now)


def publish_draft(*, spell: Spell, now: datetime) -> SpellVersion:
    """Publish the draft of a spell. Raises NoDraftError, and PublishError when it is not fit to be published."""
    draft = spell.draft()
    if draft is None:
        raise NoDraftError(f"{spell.slug} has no draft: write one first.")
    return publish(version_id=draft.pk, now=now)


def describe(*, spell: Spell, said: Mapping[str, Any], now: datetime) -> None:
    """Change what a spell says of itself: `said` may hold name, description, tags and visibility, checked before."""
    Spell.objects.filter(pk=spell.pk).update(**said, updated_at=now)


def description_of(spell: Spell) -> dict[str, Any]:
    """Return what a document of the spell's next version says of the spell, unless it says otherwise."""
    return {
        "slug": spell.slug,
        "name": spell.name,
        "description": spell.description,
        "tags": spell.tags,
        "visibility": spell.visibility,
    }
