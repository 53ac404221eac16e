"""`manage.py cook begin FILE --images FOLDER`: a piece for each image."""

import io
import os
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from PIL import Image

from casts.models import Collection, Cook
from generations.models import Artifact
from generations.tools.definition import artifact_schema
from tests.casts.factories import ConductorProcessFactory
from tests.casts.scenes import version

from .test_cooks import live, look

pytestmark = pytest.mark.django_db

PLAN = """
name: Retouched
spell: retouched
inputs: {photo: "{{ item.image }}", title: "{{ item.name }}"}
"""


@pytest.fixture(autouse=True)
def olga(db: None) -> User:
    ConductorProcessFactory.create()
    owner = User.objects.create_superuser("olga")
    spell = version(
        {"key": "one"}, inputs={"photo": artifact_schema("A photo.", kind="image"), "title": {"type": "string"}}, slug="retouched"
    ).spell
    spell.owner = owner
    spell.save(update_fields=["owner"])
    return owner


def png(colour: str) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (4, 3), colour).save(made, "PNG")
    return made.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "plan.yaml").write_text(PLAN)
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, colour in (("b.png", "red"), ("A.png", "blue"), ("c.png", "red")):
        (folder / name).write_bytes(png(colour))
    (folder / ".hidden").write_bytes(b"no image")
    (folder / "more").mkdir()
    return folder


def run(photos: Path, *arguments: str) -> str:
    out = io.StringIO()
    call_command("cook", "begin", str(photos.parent / "plan.yaml"), "--images", str(photos), *arguments, stdout=out)
    return out.getvalue()


def test_each_image_is_a_piece_in_the_order_of_their_names_and_what_is_the_same_is_stored_once(photos: Path):
    row = Cook.objects.get(pk=int(run(photos, "--max-parallel", "3")))
    inputs = [cast.inputs for cast in sorted(live(look(row)), key=lambda cast: cast.inputs["title"].casefold())]
    assert list(row.pieces.order_by("index").values_list("item__name", flat=True)) == ["A.png", "b.png", "c.png"]
    assert [given["title"] for given in inputs] == ["A.png", "b.png", "c.png"]
    blue, red, same = (given["photo"] for given in inputs)
    assert red == same != blue
    assert (blue["mime_type"], blue["size"]) == ("image/png", len(png("blue")))
    assert (Artifact.objects.count(), set(Artifact.objects.values_list("owner", flat=True))) == (2, {row.initiator_id})
    assert row.collection.artifacts.count() == 2
    run(photos)
    assert Artifact.objects.count() == 2, "what was brought before is not brought again"


def test_a_preview_begins_nothing(photos: Path):
    assert "3 pieces of at most 3" in run(photos, "--preview")
    assert not Collection.objects.exists()


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("notes.txt", b"Remember the milk.", "notes.txt is no image"),
        ("empty.png", b"", "empty.png is empty"),
        ("large.png", png("red") + b" " * 2000, "large.png is larger than the 1,024 bytes that are allowed"),
        ("x\x1b[31m.png", b"x", r"x \[31m.png is no image"),
    ],
)
def test_what_cannot_be_uploaded_is_told_by_name_and_nothing_is(photos: Path, settings, name: str, data: bytes, told: str):
    settings.GRIMOIRE_MAX_UPLOAD_BYTES = 1024
    (photos / name).write_bytes(data)
    with pytest.raises(CommandError, match=told):
        run(photos)
    assert not Artifact.objects.exists()
    assert not Collection.objects.exists()


def test_a_folder_that_has_no_images_too_many_or_is_none_is_told(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    empty = tmp_path / "empty"
    empty.mkdir()
    plan = str(tmp_path / "plan.yaml")
    for folder, told in (
        (empty, "There are no images in"),
        (tmp_path / "nowhere", "cannot be read: No such file"),
        (tmp_path / "plan.yaml", "cannot be read: Not a directory"),
    ):
        with pytest.raises(CommandError, match=told):
            call_command("cook", "begin", plan, "--images", str(folder))
    monkeypatch.setattr("casts.management.images.MAX_PIECES", 2)
    with pytest.raises(CommandError, match=r"There are 3 files in .*: a list has at most 2 items"):
        run(photos)


def test_an_image_that_cannot_be_read_is_told(photos: Path):
    os.mkfifo(photos / "pipe.png")  # no file: passed over, as a folder is
    (photos / "gone.png").symlink_to(photos / "gone.png")  # a link to itself
    (photos / "b.png").unlink()
    (photos / "b.png").symlink_to("/proc/self/mem")
    with pytest.raises(CommandError, match=r"b\.png cannot be read: Input/output error"):
        run(photos)


def test_nothing_is_uploaded_for_a_plan_that_cannot_be_cooked(photos: Path):
    (photos.parent / "plan.yaml").write_text(PLAN.replace("retouched", "nothing"))
    with pytest.raises(CommandError, match="there is no spell"):
        run(photos)
    (photos.parent / "plan.yaml").write_text(PLAN + "trait_tree: {categories: [{name: Hat, traits: [{value: Cap}]}]}")
    with pytest.raises(CommandError, match="either `trait_tree` or `items`"):
        run(photos)
    assert not Artifact.objects.exists()


def test_a_folder_and_a_list_are_not_taken_together(photos: Path):
    with pytest.raises(CommandError, match="not allowed with argument"):
        run(photos, "--items", "list.csv")
