"""Bytes of artefacts outlive a power cut: on the disk before any row tells of them."""

import os
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import InMemoryStorage

from generations import artifacts
from generations.artifacts import open_stored, path_of, store


class Disk:
    """Sees what is written through to the disk, and in which order files come to their places."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[tuple[str, str]] = []
        fsync, rename = os.fsync, os.rename

        def synced(handle: int) -> None:
            self.seen.append(("synced", str(Path(f"/proc/self/fd/{handle}").readlink())))
            fsync(handle)

        def renamed(source: Any, target: Any, **options: Any) -> None:
            self.seen.append(("synced bytes" if ("synced", str(source)) in self.seen else "bytes", str(target)))
            rename(source, target, **options)

        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(os, "rename", renamed)

    def after(self, event: tuple[str, str]) -> set[str]:
        """Return what was written through after an event."""
        return {path for kind, path in self.seen[self.seen.index(event) :] if kind == "synced"}


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def folders_above(path: Path, *, top: Path) -> set[str]:
    return {str(folder) for folder in path.parents if folder.is_relative_to(top)}


def test_bytes_are_on_the_disk_before_they_have_their_name_and_the_name_before_anybody_is_told(disk: Disk, artifact_folder: Path):
    stored = store(b"paid for", mime_type="text/plain")
    place = artifact_folder / path_of(stored.sha256)
    assert ("synced bytes", str(place)) in disk.seen
    assert folders_above(place, top=artifact_folder) <= disk.after(("synced bytes", str(place)))


def test_bytes_that_another_brought_this_moment_are_on_the_disk_too(disk: Disk, artifact_folder: Path):
    stored = store(b"paid for", mime_type="text/plain")
    disk.seen.clear()
    store(b"paid for", mime_type="text/plain")
    assert folders_above(artifact_folder / path_of(stored.sha256), top=artifact_folder) <= {path for _, path in disk.seen}


def test_a_storage_that_is_no_folder_sees_to_that_itself(disk: Disk, monkeypatch: pytest.MonkeyPatch):
    elsewhere = InMemoryStorage()
    monkeypatch.setattr(artifacts, "storage", lambda: elsewhere)
    stored = store(b"paid for", mime_type="text/plain")
    with open_stored(stored.sha256) as file:
        assert file.read() == b"paid for"
    assert disk.seen == []
