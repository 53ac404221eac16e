"""Exports: which pieces in which order, prepared over any number of deaths, and the archive as independent readers see it."""

import asyncio
import hashlib
import io
import json
import subprocess
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from casts import errands
from casts.clock import database_now
from casts.conductor.exports import Exports
from casts.cooks import exporting, metadata, preparing, reviewing
from casts.cooks.exporting import ExportRefusedError, Wish
from casts.cooks.metadata import provenance_hash
from casts.cooks.pictures import picture_of
from casts.cooks.selecting import Selection
from casts.errands import LEASE_SECONDS
from casts.models import AttemptStatus, Cook, Decision, Export, ExportItem, ExportStatus, PieceAttempt
from generations import artifacts
from spells.problems import ProblemsError
from tests.conftest import Clock

from .pieces import finished_cook, made_piece
from .trees import category

pytestmark = pytest.mark.django_db

TREE = {"categories": [category("Sea", "Calm", "Storm"), category("Art", "Ship", "Whale")]}


def picture(cook: Cook, data: bytes, mime_type: str = "image/png"):
    stored = artifacts.store(data, mime_type=mime_type)
    for row in artifacts.record([stored], owner_id=cook.initiator_id, generation_id=None, now=database_now()):
        row.save(force_insert=True)
    return stored.reference()


def cook_of(count: int, **values) -> Cook:
    cook = finished_cook(tree=TREE, **values)
    for index in range(count):
        made_piece(
            cook, index=index, traits={"Sea": "Calm", "Art": f"Ship {index}"}, outputs={"image": picture(cook, f"picture {index}".encode())}
        )
    return cook


def begun(cook: Cook, **wish) -> Export:
    return exporting.begin(
        cook=cook, wish=Wish(**{"accepted": False, **wish}), requested_by_id=cook.initiator_id, now=database_now()
    ).export


def turn() -> int:
    """Do what a conductor does in one turn, and return how many exports it had in hand."""
    with ThreadPoolExecutor(1) as threads:
        kind = Exports(threads=threads)
        jobs = kind.load(errands.claim(Export, limit=9))
        kind.note([asyncio.run(kind.do(job)) for job in jobs])
    return len(jobs)


def ready(export: Export) -> Export:
    while turn():
        pass
    export.refresh_from_db()
    return export


def opened(export: Export) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join(exporting.archive_of(export).chunks())))


def test_an_export_is_an_archive_that_independent_readers_find_whole(tmp_path: Path):
    export = ready(begun(cook_of(3), name_template="Sailor {{ number }}: {{ traits.Art }}", description="At sea."))
    assert (export.status, export.prepared, export.total) == (ExportStatus.READY, 3, 3)
    path = tmp_path / "export.zip"
    path.write_bytes(b"".join(exporting.archive_of(export).chunks()))
    with zipfile.ZipFile(path) as read:
        assert read.testzip() is None
        assert sorted(read.namelist()) == [
            *(f"images/000{number}.png" for number in (1, 2, 3)),
            "manifest.json",
            *(f"metadata/000{number}.json" for number in (1, 2, 3)),
        ]
        assert read.read("images/0002.png") == b"picture 1"
        assert json.loads(read.read("metadata/0002.json")) == {
            "name": "Sailor 2: Ship 1",
            "description": "At sea.",
            "image": "images/0002.png",
            "edition": 2,
            "attributes": [{"trait_type": "Sea", "value": "Calm"}, {"trait_type": "Art", "value": "Ship 1"}],
        }
        told = json.loads(read.read("manifest.json"))
        for file in told["files"]:
            data = read.read(file["path"])
            assert (hashlib.sha256(data).hexdigest(), len(data)) == (file["sha256"], file["size"])
    hashes = [hashlib.sha256(f"picture {index}".encode()).hexdigest() for index in range(3)]
    assert told["provenance_hash"] == export.provenance_hash == hashlib.sha256("".join(hashes).encode()).hexdigest()
    subprocess.run(["unzip", "-tq", path], check=True, capture_output=True)


def test_an_archive_is_the_same_each_time():
    export = ready(begun(cook_of(2)))
    assert b"".join(exporting.archive_of(export).chunks()) == b"".join(exporting.archive_of(Export.objects.get()).chunks())


def test_what_is_exported_are_accepted_pieces_as_they_were():
    cook = cook_of(4)
    for last, decision in ((1, Decision.ACCEPTED), (2, Decision.REJECTED)):
        reviewing.decide_many(cook_id=cook.pk, chosen=Selection(last=last), decision=decision, actor_id=cook.initiator_id, reason="So.")
    export = begun(cook, accepted=True)
    first = PieceAttempt.objects.get(piece__index=0)
    reviewing.undo(piece_id=first.piece_id, actor_id=cook.initiator_id)
    first.status = AttemptStatus.SUPERSEDED
    first.save()
    with opened(ready(export)) as read:
        assert [read.read(f"images/000{number}.png") for number in (1, 2)] == [b"picture 0", b"picture 1"]
        assert len(read.namelist()) == 5


def test_a_shuffle_gives_each_piece_another_number_and_the_same_for_the_same_seed():
    cook = cook_of(12)
    orders = [
        list(begun(cook, shuffle_seed=seed).items.order_by("number").values_list("attempt__piece__index", flat=True)) for seed in (7, 7, 8)
    ]
    assert sorted(orders[0]) == list(range(12))
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != list(range(12))


def test_what_was_read_is_not_read_again_by_the_next_one(monkeypatch: pytest.MonkeyPatch, clock: Clock):
    monkeypatch.setattr(preparing, "FILES_AT_ONCE", 2)
    export = begun(cook_of(5))
    read = []

    def open_stored(sha256: str):
        read.append(sha256)
        return artifacts.open_stored(sha256)

    monkeypatch.setattr(preparing, "open_stored", open_stored)
    assert turn() == 1
    preparing.load(errands.claim(Export, limit=1))  # and its process is killed
    assert turn() == 0, "it is leased"
    clock.advance(seconds=LEASE_SECONDS + 1)
    export = ready(export)
    assert (export.status, len(read)) == (ExportStatus.READY, 5)
    assert sorted(read) == sorted(export.items.values_list("sha256", flat=True))
    assert export.provenance_hash == provenance_hash(export.items.order_by("number").values_list("sha256", flat=True))


def test_what_was_noted_twice_is_noted_once():
    export = begun(cook_of(2))
    jobs = preparing.load(errands.claim(Export, limit=1))
    for _ in range(2):
        preparing.note([preparing.prepare(job) for job in jobs])
    export.refresh_from_db()
    assert (export.status, export.prepared) == (ExportStatus.READY, 2)


def test_an_export_whose_readers_all_vanish_is_given_up(clock: Clock):
    export = begun(cook_of(1))
    for _ in range(preparing.MAX_TRIES + 1):
        preparing.load(errands.claim(Export, limit=1))
        clock.advance(seconds=LEASE_SECONDS + 1)
    export.refresh_from_db()
    assert (export.status, export.due_at, export.error) == (
        ExportStatus.FAILED,
        None,
        "Its files could not be read, or whoever read them vanished, 10 times.",
    )


def test_a_storage_that_cannot_be_reached_is_tried_again(monkeypatch: pytest.MonkeyPatch):
    begun(cook_of(1))
    (job,) = preparing.load(errands.claim(Export, limit=1))

    def unreachable(sha256: str):
        raise TimeoutError

    monkeypatch.setattr(preparing, "open_stored", unreachable)
    with pytest.raises(TimeoutError):
        preparing.prepare(job)


@pytest.mark.parametrize("how", ["gone", "changed"])
def test_a_file_that_is_not_what_it_was_fails_the_export(artifact_folder: Path, how: str):
    export = begun(cook_of(2))
    path = artifact_folder / artifacts.path_of(export.items.get(number=2).sha256)
    path.unlink()
    if how == "changed":
        path.write_bytes(b"picture X")
    export = ready(export)
    assert export.status == ExportStatus.FAILED
    assert ("gone from the storage" if how == "gone" else "not what it was") in export.error
    with pytest.raises(ExportRefusedError, match="failed"):
        exporting.archive_of(export)


@pytest.mark.parametrize(("wish", "place"), [({"description": "At sea."}, "description"), ({}, "cook")])
def test_what_is_said_of_pieces_is_refused_where_it_is_more_than_fits_and_written_out_no_further(
    monkeypatch: pytest.MonkeyPatch, wish: dict[str, str], place: str
):
    write, written = metadata.piece_document, []

    def piece_document(export: Export, item: ExportItem, *, names: Sequence[str]) -> bytes:
        written.append(item.number)
        return write(export, item, names=names)

    monkeypatch.setattr(metadata, "piece_document", piece_document)
    monkeypatch.setattr(exporting, "MAX_METADATA_BYTES", 300)
    with pytest.raises(ProblemsError, match="larger than 300 bytes") as refused:
        begun(cook_of(5), **wish)
    assert [problem.path for problem in refused.value.problems] == [place]
    assert written == [1, 2], "each is of 200 bytes"
    assert not Export.objects.exists()


def test_the_order_of_a_cook_is_locked_once():
    cook = cook_of(2)
    first, second = begun(cook), begun(cook, shuffle_seed=1)
    now = database_now()
    with pytest.raises(ExportRefusedError, match="preparing: only what is ready"):
        exporting.publish(export_id=first.pk, now=now)
    ready(first)
    published = exporting.publish(export_id=first.pk, now=now)
    assert exporting.publish(export_id=first.pk, now=database_now()).published_at == published.published_at == now
    with pytest.raises(ExportRefusedError, match="Another export of this cook is published"):
        exporting.publish(export_id=second.pk, now=now)


@pytest.mark.parametrize(
    ("wish", "place", "message"),
    [
        ({"accepted": True}, "cook", "no piece of it is accepted"),
        ({"name_template": "{{ nothing }}"}, "name_template", "there is no 'nothing' here"),
        ({"name_template": "{{ traits.Hat }}"}, "name_template", "gives no name to piece 0"),
        ({"name_template": " "}, "name_template", "gives no name to piece 0: a name has from 1 to 500 characters"),
        ({"name_template": "{{ 'ab' * 300 }}"}, "name_template", "a name has from 1 to 500 characters"),
        ({"name_template": "{{ range(20000) | length }}"}, "name_template", "needs more work"),
        ({"name_template": "x" * 501}, "name_template", "is longer than the 500 characters"),
    ],
)
def test_what_cannot_be_exported_is_refused_before_anything_is_written(wish, place, message):
    cook = cook_of(1)
    with pytest.raises(ProblemsError) as refused:
        begun(cook, **wish)
    (problem,) = refused.value.problems
    assert problem.path == place
    assert message in problem.message
    assert not Export.objects.exists()


def test_a_piece_without_a_file_and_a_file_of_somebody_else_are_refused():
    cook = cook_of(1)
    other = finished_cook()
    made_piece(cook, index=7, outputs={"text": "no file"})
    made_piece(cook, index=8, outputs={"image": picture(other, b"not yours")})
    made_piece(cook, index=9, outputs={"image": {"artifact": "nonsense"}})
    with pytest.raises(ProblemsError) as refused:
        begun(cook)
    assert [problem.path for problem in refused.value.problems] == ["pieces[7]", "pieces[8]", "pieces[9]"]


def test_the_picture_of_a_piece_is_the_first_picture_by_name():
    text = {"artifact": "1", "mime_type": "text/plain"}
    image, other = {"artifact": "2", "mime_type": "image/png"}, {"artifact": "3", "mime_type": "image/png"}
    assert picture_of({"b": [text, image], "a": text, "c": other}) == image
    assert picture_of({"z": {"deep": [other]}, "a": "x"}) == other
    assert picture_of({"a": text}) == text
    assert picture_of({"a": [1, None, {"artifact": 5}]}) is None
