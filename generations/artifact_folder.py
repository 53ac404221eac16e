"""The folder of a storage of files: what must be on the disk, and what may be removed, which no storage of Django's sees to."""

import fcntl
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

# Where files on their way in stand: beside the others, so that a rename takes them to their place.
INCOMING = "incoming"
_HALF = re.compile(r"[0-9a-f]{2}")
_WHOLE = re.compile(r"[0-9a-f]{64}")
FILES_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """Files that were removed, or would be, and their size in bytes."""

    files: int = 0
    size: int = 0

    def __add__(self, other: "Unclaimed") -> "Unclaimed":
        return Unclaimed(self.files + other.files, self.size + other.size)


def sync_folders(path: Path, *, top: Path) -> None:
    """Write the names of a file and of the folders above it through to the disk, up to `top`: a power cut takes none away."""
    folders = [folder for folder in path.parents if folder.is_relative_to(top)]
    for folder in folders:
        with _opened(folder) as handle:
            os.fsync(handle)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def locked(top: Path, *, alone: bool = False) -> Iterator[None]:
    """Keep files from being removed while somebody looks at them; `alone`, remove some while nobody does.

    A lock on the folder, between processes of one machine, and of several where their file system passes such locks on.
    """
    with _opened(top) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


def touch(path: Path) -> bool:
    """Make a file young again, so that it is not taken for one that nobody wants. Returns whether it is there."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def old_files(top: Path, *, before: float) -> Iterator[list[Path]]:
    """Yield the stored files that were last kept before a time (seconds since the epoch), some at a time, by name."""
    some: list[Path] = []
    for first in _folders(top):
        for path in chain.from_iterable(_files(second) for second in _folders(first)):
            if _WHOLE.fullmatch(path.name) and _is_old(path, before=before):
                some.append(path)
            if len(some) == FILES_AT_ONCE:
                yield some
                some = []
    if some:
        yield some


def abandoned(top: Path, *, before: float) -> list[Path]:
    """Return the files on their way in that were last written before a time: whoever brought them has died."""
    return [path for path in _files(top / INCOMING) if _is_old(path, before=before)]


def remove(paths: Collection[Path], *, before: float, dry_run: bool) -> Unclaimed:
    """Remove files, but none that was kept again since. The caller has the folder locked."""
    removed = Unclaimed()
    for path in paths:
        with suppress(FileNotFoundError):
            found = path.stat()
            if found.st_mtime < before:
                if not dry_run:
                    path.unlink()
                removed += Unclaimed(1, found.st_size)
    return removed


def _is_old(path: Path, *, before: float) -> bool:
    try:
        return path.stat().st_mtime < before
    except FileNotFoundError:
        return False


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if _HALF.fullmatch(path.name) and path.is_dir())


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_file())
    except FileNotFoundError:
        return []
