"""Cooks whose whole Grimoire is killed (fault 29)."""

import hashlib
import json
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from casts.clock import database_now
from casts.cooks import collecting, exporting
from casts.cooks.beginning import Wish, begin
from casts.cooks.documents import plan_of, read_plan
from casts.models import Cook, Export
from generations.catalogue import sync_tools
from tests.casts.scenes import user
from tests.functional.site import ROOT
from tests.processes import wait_for

from .stage import Stage

EXAMPLE = ROOT / "casts" / "cooks" / "examples" / "lanterns.yaml"
MAX_PARALLEL = 8
KILLS = 3
SECONDS = 3600.0


def lanterns(pieces: int) -> Cook:
    """Begin a cook of the example that is shipped, with pictures as small as they may be."""
    sync_tools()
    data = read_plan(EXAMPLE.read_bytes(), format="yaml")
    plan = plan_of({**data, "inputs": {**data["inputs"], "width": 64, "height": 64}})
    kept = collecting.keep(plan=plan, owner=user(), now=database_now())
    return begin(collection=kept.collection, wish=Wish(pieces=pieces, max_parallel=MAX_PARALLEL), now=database_now()).cook


def number(stage: Stage, question: str) -> int:
    return int(stage.books.ask(f"SELECT {question}")[0]["number"])


def made(stage: Stage) -> int:
    """Return how many pieces are made, after a look at how many are at work."""
    assert number(stage, "count(*) AS number FROM casts_pieceattempt WHERE status = 'live'") <= MAX_PARALLEL
    return number(stage, "count(*) AS number FROM casts_piece WHERE status = 'made'")


def has_made(stage: Stage, pieces: int) -> bool:
    return made(stage) >= pieces


def peak_memory(stage: Stage) -> int:
    """Return the most that a process of this Grimoire that lives has held, in MiB."""
    found = [re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text()) for pid in stage.processes()]
    return max((int(each[1]) // 1024 for each in found if each), default=0)


def conduct(stage: Stage) -> None:
    for _ in range(2):
        stage.conduct()


def serve(stage: Stage) -> None:
    stage.serve("--conductors", "2", "--workers", "2")


def exported(stage: Stage, cook: Cook, folder: Path) -> int:
    """Have a cook exported by the conductors that run, read the archive as others do, and return how many pictures are in it."""
    export = exporting.begin(cook=cook, wish=exporting.Wish(accepted=False), requested_by_id=cook.initiator_id, now=database_now()).export
    ready = f"count(*) AS number FROM casts_export WHERE id = {export.pk} AND status = 'ready'"
    wait_for("the export is ready", lambda: number(stage, ready), seconds=SECONDS)
    path = folder / "export.zip"
    with path.open("wb") as file:
        file.writelines(exporting.archive_of(Export.objects.get(pk=export.pk)).chunks())
    subprocess.run(["unzip", "-tq", path], check=True, capture_output=True)
    with zipfile.ZipFile(path) as read:
        files = json.loads(read.read("manifest.json"))["files"]
        assert all(hashlib.sha256(read.read(file["path"])).hexdigest() == file["sha256"] for file in files)
        return len([name for name in read.namelist() if name.startswith("images/")])


@pytest.mark.parametrize(
    ("pieces", "start"),
    [pytest.param(60, conduct, id="60"), pytest.param(1000, serve, id="1000", marks=[pytest.mark.long, pytest.mark.timeout(4 * 3600)])],
)
def test_a_cook_whose_processes_are_killed_three_times_makes_each_piece_once(
    *, stage: Stage, settings: Settings, tmp_path: Path, pieces: int, start: Callable[[Stage], Any], capsys: pytest.CaptureFixture[str]
):
    settings.STORAGES["artifacts"]["OPTIONS"]["location"] = stage.folder / "artifacts"
    stage.shorten_leases()
    cook, began, peak = lanterns(pieces), time.monotonic(), 0
    start(stage)
    for kill in range(1, KILLS + 1):
        wait_for(f"{kill} of {KILLS + 1} parts are made", partial(has_made, stage, pieces * kill // (KILLS + 1)), seconds=SECONDS)
        peak = max(peak, peak_memory(stage))
        stage.kill_all()
        start(stage)
    ended = f"count(*) AS number FROM casts_cook WHERE id = {cook.pk} AND status = 'finished'"
    wait_for("the cook has finished", lambda: made(stage) and number(stage, ended), seconds=SECONDS)
    seconds = time.monotonic() - began

    assert made(stage) == number(stage, "count(DISTINCT trait_hash) AS number FROM casts_piece") == pieces
    assert number(stage, "count(*) AS number FROM casts_cast") == number(stage, "count(*) AS number FROM casts_pieceattempt") == pieces
    assert number(stage, "count(DISTINCT cast_id) AS number FROM casts_pieceattempt WHERE status = 'made'") == pieces
    succeeded = "FROM generations_generation WHERE status = 'succeeded'"
    assert number(stage, f"count(*) AS number {succeeded}") == number(stage, f"count(DISTINCT cast_id) AS number {succeeded}") == pieces
    assert [row["index"] for row in stage.books.ask('SELECT "index" FROM casts_piece ORDER BY "index"')] == list(range(pieces))
    stage.check()
    assert exported(stage, cook, tmp_path) == pieces
    peak = max(peak, peak_memory(stage))
    with capsys.disabled():
        sys.stdout.write(f"\n{pieces} pieces in {seconds:.0f} s under {KILLS} kills; no process took more than {peak} MiB\n")
