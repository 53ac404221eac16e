"""A folder of images as a list: each is uploaded, and stands in the list by reference."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from casts.cooks.beginning import MAX_PIECES
from casts.management.cooking import printable_all
from generations.artifacts import HEAD_BYTES, StoredArtifact, record, store
from generations.models import Artifact
from generations.outputs import clean_text
from generations.tools.file_fetch import mime_type_of

SHOWN_PROBLEMS = 20


def images_of(folder: str) -> list[Path]:
    """Return the images in a folder, in the order of their names; hidden files and folders in it are passed over.

    Raises CommandError, with all that is wrong, when it cannot be read, has none, too many, or what cannot be uploaded.
    """
    try:
        found = sorted((each for each in Path(folder).iterdir() if each.is_file() and not each.name.startswith(".")), key=_by_name)
    except OSError as error:
        raise CommandError(f"{folder} cannot be read: {error.strerror}.") from error
    if not found:
        raise CommandError(f"There are no images in {folder}.")
    if len(found) > MAX_PIECES:
        raise CommandError(f"There are {len(found):,} files in {folder}: a list has at most {MAX_PIECES:,} items.")
    problems = [f"{printable_all(each.name)} {problem}" for each in found if (problem := _problem_of(each))]
    if problems:
        more = [f"… and {len(problems) - SHOWN_PROBLEMS} more"] if len(problems) > SHOWN_PROBLEMS else []
        raise CommandError("\n".join([f"{folder} cannot be uploaded:", *(f"  {each}" for each in (*problems[:SHOWN_PROBLEMS], *more))]))
    return found


def _by_name(file: Path) -> tuple[str, str]:
    return file.name.casefold(), file.name


def _problem_of(file: Path) -> str:
    """Return why a file cannot be an item; empty when nothing is wrong with it. Reads its first bytes."""
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            head = opened.read(HEAD_BYTES)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not size:
        return "is empty"
    if size > settings.GRIMOIRE_MAX_UPLOAD_BYTES:
        return f"is larger than the {settings.GRIMOIRE_MAX_UPLOAD_BYTES:,} bytes that are allowed"
    return "" if mime_type_of(head, claimed="").startswith("image/") else "is no image"


def upload_all(files: Sequence[Path], *, owner_id: int, now: datetime) -> list[dict[str, Any]]:
    """Upload files for a user, one after the other, and return for each an item: its reference as `image`, and its `name`.

    What the user has brought before is not brought again: files of the same content stand by the same artefact.
    Raises CommandError when one cannot be read.
    """
    known: dict[str, StoredArtifact] = {}
    items = []
    for file in files:
        stored = _stored(file)
        if stored.sha256 not in known:
            known[stored.sha256] = _brought(stored, owner_id=owner_id, now=now)
        items.append({"image": known[stored.sha256].reference(), "name": clean_text(file.name)})
    return items


def _stored(file: Path) -> StoredArtifact:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
    return store(data, mime_type=mime_type_of(data, claimed=""), name=clean_text(file.name)[:255])


def _brought(stored: StoredArtifact, *, owner_id: int, now: datetime) -> StoredArtifact:
    """Return an artefact of a user with these bytes: one that they brought before, or a new one."""
    before = Artifact.objects.filter(owner=owner_id, sha256=stored.sha256, generation__isnull=True).order_by("pk").first()
    if before is None:
        Artifact.objects.bulk_create(record([stored], owner_id=owner_id, generation_id=None, now=now))
        return stored
    return StoredArtifact(id=before.pk, sha256=before.sha256, mime_type=before.mime_type, size=before.size, name=before.name)
