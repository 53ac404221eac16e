"""Storage of artefacts: bytes under the name of their SHA-256.

Writing needs no database: a tool stores its bytes first, the engine inserts the rows in the transaction that records
the result. A file whose rows never came takes up space and no more; a row without its file cannot come about, not even
by a power cut: in a storage of files, the bytes and their name are on the disk before `keep` returns.
"""

import hashlib
import os
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, Self
from uuid import UUID

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, Storage, storages
from django.db.models import Q
from uuid_utils.compat import uuid7

from .artifact_folder import INCOMING, locked, sync_folders, touch
from .models import Artifact

REFERENCE_KEY = "artifact"
HEAD_BYTES = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredArtifact:
    """Stored bytes and what is known of them. `size` is in bytes."""

    id: UUID
    sha256: str
    mime_type: str
    size: int
    name: str = ""
    source_url: str = ""

    def reference(self) -> dict[str, Any]:
        """Return what stands for the bytes in inputs and outputs: `{"artifact", "sha256", "mime_type", "size"}`.

        Bytes that a provider had put somewhere have their `source_url` beside these.
        """
        known = {REFERENCE_KEY: str(self.id), "sha256": self.sha256, "mime_type": self.mime_type, "size": self.size}
        return {**known, "source_url": self.source_url} if self.source_url else known


def storage() -> Storage:
    return storages["artifacts"]


def folder() -> Path | None:
    """Return the folder in which the artefacts are; None for a storage that is no folder."""
    where = storage()
    return Path(where.location) if isinstance(where, FileSystemStorage) else None


def path_of(sha256: str) -> str:
    """Return the file's name in the storage, fanned out over folders of 256."""
    return f"{sha256[:2]}/{sha256[2:4]}/{sha256}"


class Incoming:
    """Bytes on their way into the storage: hashed as they come, and under their own name only once they are whole.

    A context manager. What is not kept when the block is left is gone. `head` are the first bytes, which tell the type.
    """

    def __init__(self) -> None:
        """Open a file beside the stored ones; for a storage that is no folder, in the system's own for such files."""
        self._top = folder()
        incoming = None
        if self._top is not None:
            incoming = self._top / INCOMING
            incoming.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=incoming)
        self._path = Path(name)
        self._file = os.fdopen(handle, "w+b")
        self._hash = hashlib.sha256()
        self.size = 0
        self.head = b""

    def __enter__(self) -> Self:
        """Return the open file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the file, unless it was kept."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def write(self, data: bytes | bytearray) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)
        if len(self.head) < HEAD_BYTES:
            self.head += data[: HEAD_BYTES - len(self.head)]

    def keep(self, *, mime_type: str, name: str = "", source_url: str = "") -> StoredArtifact:
        """Move the bytes to their place, once however often they are made. In a folder, they are on the disk then."""
        sha256 = self._hash.hexdigest()
        path = path_of(sha256)
        if self._top is None:
            if not storage().exists(path):
                self._save(path)
        else:
            with locked(self._top):
                if not touch(self._top / path):
                    self._save(path)
            sync_folders(self._top / path, top=self._top)  # also those of another who brought the same bytes this moment
        return StoredArtifact(id=uuid7(), sha256=sha256, mime_type=mime_type, size=self.size, name=name, source_url=source_url)

    def _save(self, path: str) -> None:
        self._file.flush()
        if self._top is not None:
            os.fsync(self._file.fileno())  # before the bytes have their name: nobody may find it with nothing behind it
        self._file.seek(0)
        saved = storage().save(path, _Whole(self._file, name=str(self._path)))
        if saved != path:
            storage().delete(saved)  # somebody else brought the same bytes first


class _Whole(File[bytes]):
    """A file that a storage of folders may take as it is, instead of copying it."""

    def temporary_file_path(self) -> str:
        assert self.name is not None
        return self.name


def store(data: bytes, *, mime_type: str, name: str = "", source_url: str = "") -> StoredArtifact:
    """Write bytes under their own hash, once however often they are made."""
    with Incoming() as incoming:
        incoming.write(data)
        return incoming.keep(mime_type=mime_type, name=name, source_url=source_url)


def open_stored(sha256: str) -> IO[bytes]:
    """Open the bytes for reading. Raises FileNotFoundError when the storage lost them."""
    return storage().open(path_of(sha256), "rb").file  # type: ignore[return-value]


def referenced_ids(value: Any) -> set[UUID]:
    """Return the ids of all artefacts that stand by reference anywhere inside a JSON value."""
    found: set[UUID] = set()
    stack = [value]
    while stack:
        current = stack.pop()
        if isinstance(current, Mapping):
            if isinstance(current.get(REFERENCE_KEY), str):
                try:
                    found.add(UUID(current[REFERENCE_KEY]))
                except ValueError:
                    continue
            stack.extend(current.values())
        elif isinstance(current, list | tuple):
            stack.extend(current)
    return found


@dataclass(slots=True)
class Workbench:
    """What one call reads and makes. `readable` was looked up by owner before the call, so that tools need no database."""

    readable: Mapping[UUID, StoredArtifact] = field(default_factory=dict)
    made: list[StoredArtifact] = field(default_factory=list)

    def find(self, reference: Mapping[str, Any]) -> StoredArtifact:
        """Return what is known of the bytes behind a reference. Raises KeyError when it names nothing readable."""
        named = str(reference.get(REFERENCE_KEY, reference))
        try:
            return self.readable[UUID(named)]
        except (ValueError, KeyError):
            raise KeyError(named) from None

    def read(self, reference: Mapping[str, Any]) -> bytes:
        """Return the bytes behind a reference. Raises KeyError as `find`."""
        with open_stored(self.find(reference).sha256) as file:
            return file.read()

    def keep(self, data: bytes, *, mime_type: str, name: str = "", source_url: str = "") -> StoredArtifact:
        stored = store(data, mime_type=mime_type, name=name, source_url=source_url)
        self.made.append(stored)
        return stored


def readable_by(owner_id: int, ids: Iterable[UUID]) -> dict[UUID, StoredArtifact]:
    """Look up those of `ids` that belong to `owner_id`. One query; a stranger's id is left out like a missing one."""
    return readable_by_each({owner_id: set(ids)})[owner_id]


# Fewer variables than any database takes in one statement.
MAX_IDS_PER_QUERY = 10_000


def readable_by_each(wanted: Mapping[int, Collection[UUID]]) -> dict[int, dict[UUID, StoredArtifact]]:
    """Look up, for each owner, those of the ids wanted for them that are theirs.

    One query however many owners, none when nothing is wanted; one for each 10,000 ids beyond that.
    """
    readable: dict[int, dict[UUID, StoredArtifact]] = {owner_id: {} for owner_id in wanted}
    ids = sorted(set().union(*wanted.values()))
    columns = ("owner_id", "id", "sha256", "mime_type", "size", "name", "source_url")
    for start in range(0, len(ids), MAX_IDS_PER_QUERY):
        some = ids[start : start + MAX_IDS_PER_QUERY]
        rows = Artifact.objects.filter(owner_id__in=list(wanted), pk__in=some).values_list(*columns)
        for owner_id, id_, sha256, mime_type, size, name, source_url in rows:
            if id_ in wanted[owner_id]:
                readable[owner_id][id_] = StoredArtifact(
                    id=id_, sha256=sha256, mime_type=mime_type, size=size, name=name, source_url=source_url
                )
    return readable


def note_use(ids: Collection[UUID], *, owner_id: int, now: datetime) -> None:
    """Note that a cast of their owner is given these artefacts: they outlive the casts that made them.

    To the day, so that most uses write nothing. Those of others are left alone.
    """
    listed = sorted(ids)
    for start in range(0, len(listed), MAX_IDS_PER_QUERY):
        some = Artifact.objects.filter(owner=owner_id, pk__in=listed[start : start + MAX_IDS_PER_QUERY])
        some.filter(Q(used_at__isnull=True) | Q(used_at__lt=now - timedelta(days=1))).update(used_at=now)


def record(made: Iterable[StoredArtifact], *, owner_id: int, generation_id: UUID | None, now: datetime) -> list[Artifact]:
    """Return the unsaved rows of stored bytes. The caller inserts them in its own transaction."""
    return [
        Artifact(
            id=stored.id,
            owner_id=owner_id,
            generation_id=generation_id,
            sha256=stored.sha256,
            mime_type=stored.mime_type,
            size=stored.size,
            name=stored.name,
            source_url=stored.source_url,
            created_at=now,
        )
        for stored in made
    ]
