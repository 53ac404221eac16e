"""The removal of stored files that no artefact names: a crash left them, or their rows were pruned."""

import time
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

from .artifact_folder import Unclaimed, abandoned, locked, old_files, remove
from .artifacts import folder
from .models import Artifact

# From when bytes are stored until the rows that name them are committed: longer than any call, by the clocks of machines.
GRACE = timedelta(days=2)


def sweep(*, give_up_at: float = float("inf"), dry_run: bool = False) -> Unclaimed:
    """Remove the files that no artefact names. Safe beside all other work, and in any number of copies.

    Stops early when `time.monotonic()` reaches `give_up_at`. A storage that is no folder is left alone: others than we
    know when its objects were last wanted.
    """
    top = folder()
    if top is None or not top.is_dir():
        return Unclaimed()
    before = time.time() - GRACE.total_seconds()
    with locked(top, alone=True):
        swept = remove(abandoned(top, before=before), before=before, dry_run=dry_run)
    for paths in old_files(top, before=before):
        if time.monotonic() >= give_up_at:
            break
        if _unnamed(paths):
            with locked(top, alone=True):  # nobody keeps the same bytes between our question and their end
                swept += remove(_unnamed(paths), before=before, dry_run=dry_run)
    return swept


def _unnamed(paths: Collection[Path]) -> list[Path]:
    named = set(Artifact.objects.filter(sha256__in=[path.name for path in paths]).values_list("sha256", flat=True))
    return [path for path in paths if path.name not in named]
