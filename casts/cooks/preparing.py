"""The preparing of exports: each file is read once, some at a time, and held against what is known of it.

What was found is noted in rows: whoever dies, the next one goes on from there.
"""

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from casts.clock import database_now
from casts.doorbell import knock
from casts.engine.retrying import in_one_transaction
from casts.errands import Errand
from casts.models import Export, ExportItem, ExportStatus
from generations.artifacts import open_stored

from . import metadata
from .archive import CHUNK_BYTES

# Files, and bytes of them, that are read between two notes of it.
FILES_AT_ONCE = 200
BYTES_AT_ONCE = 256 * 1024 * 1024
# How often the same files of an export are tried.
MAX_TRIES = 10


class ChangedError(Exception):
    """A stored file does not have the SHA-256 under which it was stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Files that are to be read next: by the item's id, what their SHA-256 and size must be."""

    errand: Errand
    files: tuple[tuple[int, str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What was found: checksums by the item's id; or what is wrong."""

    errand: Errand
    checksums: dict[int, int]
    wrong: str = ""


@in_one_transaction
def load(errands: Sequence[Errand]) -> list[Slice]:
    """Return what there is to read next of these exports. One that does not get on is given up."""
    slices = []
    for errand in errands:
        export = Export.objects.get(pk=errand.id)
        if errand.attempts - export.tried_at > MAX_TRIES:
            _fail(errand.id, f"Its files could not be read, or whoever read them vanished, {MAX_TRIES} times.")
        elif export.status == ExportStatus.PREPARING:
            slices.append(Slice(errand=errand, files=tuple(_next_files(export))))
    return slices


def _next_files(export: Export) -> list[tuple[int, str, int]]:
    files: list[tuple[int, str, int]] = []
    size = 0
    unread = export.items.filter(crc32=None).order_by("number").values_list("pk", "sha256", "size")
    for file in unread[:FILES_AT_ONCE]:
        if files and size + file[2] > BYTES_AT_ONCE:
            break
        files.append(file)
        size += file[2]
    return files


def prepare(job: Slice) -> Prepared:
    """Read files, each piece by piece, and hold them against what is known of them. Needs no database.

    Raises what the storage raises when it cannot be reached: the same is tried again later.
    """
    checksums = {}
    for item_id, sha256, size in job.files:
        try:
            checksums[item_id] = _checksum(sha256, size)
        except FileNotFoundError:
            return Prepared(errand=job.errand, checksums=checksums, wrong=f"The file {sha256} is gone from the storage.")
        except ChangedError:
            return Prepared(errand=job.errand, checksums=checksums, wrong=f"The file {sha256} is not what it was when it was made.")
    return Prepared(errand=job.errand, checksums=checksums)


def _checksum(sha256: str, size: int) -> int:
    digest, crc, read = hashlib.sha256(), 0, 0
    with open_stored(sha256) as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            crc = zlib.crc32(chunk, crc)
            read += len(chunk)
    if digest.hexdigest() != sha256 or read != size:
        raise ChangedError(sha256)
    return crc


@in_one_transaction
def note(done: Sequence[Prepared]) -> None:
    """Write what was found. An export of which all is known is ready; another one is due again at once."""
    for found in done:
        export = Export.objects.select_for_update(no_key=True).get(pk=found.errand.id)
        if export.status != ExportStatus.PREPARING:
            continue  # somebody else was faster
        items = [ExportItem(pk=item_id, crc32=crc) for item_id, crc in found.checksums.items()]
        ExportItem.objects.bulk_update(items, ["crc32"], batch_size=FILES_AT_ONCE)
        export.prepared = export.items.exclude(crc32=None).count()
        export.tried_at = found.errand.attempts
        export.due_at = now = database_now()
        if found.wrong:
            export.status, export.error, export.due_at, export.finished_at = ExportStatus.FAILED, found.wrong, None, now
        elif export.prepared == export.total:
            _finish(export, now=now)
        export.save(update_fields=["prepared", "tried_at", "due_at", "status", "error", "finished_at", "provenance_hash"])
        if export.due_at is not None:
            knock()


def _finish(export: Export, *, now: datetime) -> None:
    export.status, export.due_at, export.finished_at = ExportStatus.READY, None, now
    export.provenance_hash = metadata.provenance_hash(export.items.order_by("number").values_list("sha256", flat=True))


def _fail(export_id: int, why: str) -> None:
    Export.objects.filter(pk=export_id, status=ExportStatus.PREPARING).update(
        status=ExportStatus.FAILED, error=why, due_at=None, finished_at=database_now()
    )
