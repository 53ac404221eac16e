"""The folder of a storage of files: what must be on the disk, and what may be removed, which no storage of Django's sees to."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
