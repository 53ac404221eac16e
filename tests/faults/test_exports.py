"""Exports whose conductors are killed (fault 30)."""

import subprocess
import zipfile
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from knox.models import AuthToken
from pytest_django import Settings

from casts.clock import database_now
from casts.cooks import exporting
from casts.cooks.exporting import Wish
from casts.errands import LEASE_SECONDS
from generations import artifacts
from tests.casts.cooks.pieces import finished_cook, made_piece
from tests.casts.scenes import user
from tests.functional.site import client
from tests.processes import wait_for

from .stage import LONG, Stage, kill

PIECES = 12
NOTED = "UPDATE .?casts_exportitem"


def test_an_export_whose_conductors_are_killed_is_prepared_by_the_next_one_and_whole(stage: Stage, settings: Settings, tmp_path: Path):
    settings.STORAGES["artifacts"]["OPTIONS"]["location"] = stage.folder / "artifacts"
    cook = finished_cook(owner=user())
    data = {index: f"picture {index} ".encode() * 50_000 for index in range(PIECES)}
    for index, bytes_ in data.items():
        stored = artifacts.store(bytes_, mime_type="image/png")
        for row in artifacts.record([stored], owner_id=cook.initiator_id, generation_id=None, now=database_now()):
            row.save(force_insert=True)
        made_piece(cook, index=index, outputs={"image": stored.reference()})
    wish = Wish(accepted=False, name_template="{{ number }}", shuffle_seed=3)
    export = exporting.begin(cook=cook, wish=wish, requested_by_id=cook.initiator_id, now=database_now()).export

    for number, when in enumerate(["before", "before", "after"]):
        stage.wait_for_kill(stage.conduct(kill(f"note-{number}", wrote=NOTED, when=when)))
        stage.move_clock(seconds=LEASE_SECONDS + 1)
    stage.conduct()
    question = f"SELECT status, prepared FROM casts_export WHERE id = {export.pk}"
    wait_for("the export is ready", lambda: stage.books.ask(question)[0]["status"] == "ready", seconds=LONG)

    stage.web()
    _, key = AuthToken.objects.create(user())
    address, known = f"{stage.url}/api/v1/exports/{export.pk}/archive/", {"Authorization": f"Bearer {key}"}
    answer = client().get(address, headers=known)
    assert (answer.status_code, int(answer.headers["content-length"])) == (200, len(answer.content))
    path = tmp_path / "export.zip"
    path.write_bytes(answer.content)
    subprocess.run(["unzip", "-tq", path], check=True, capture_output=True)
    with zipfile.ZipFile(BytesIO(answer.content)) as read:
        images = [name for name in read.namelist() if name.startswith("images/")]
        assert sorted(sha256(read.read(name)).hexdigest() for name in images) == sorted(sha256(each).hexdigest() for each in data.values())
    rest = client().get(address, headers={**known, "Range": "bytes=1000000-"})
    assert (rest.status_code, rest.content) == (206, answer.content[1_000_000:])
