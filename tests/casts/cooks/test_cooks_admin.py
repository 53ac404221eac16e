"""Cooks in the admin: progress, verbs, and pieces as a gallery."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from casts.models import AttemptStatus, Cook, CookStatus, PieceStatus, ReviewEvent
from tests.casts.factories import CastFactory, CollectionFactory, CookFactory, PieceAttemptFactory, PieceFactory
from tests.operators import operator, page, queries_of, superuser

pytestmark = pytest.mark.django_db

PICTURE: dict[str, Any] = {"artifact": "019a5d0c-61c5-7c0f-9d5e-3f1f6f1c9a10", "sha256": "0" * 64, "mime_type": "image/png", "size": 9}


def made(cook: Cook, **values):
    piece = PieceFactory.create(cook=cook, status=PieceStatus.MADE, traits={"Hat": "<b>Crown</b>"}, **values)
    cast = CastFactory.create(version=cook.version, initiator=cook.initiator, status="succeeded", outputs={"image": PICTURE})
    PieceAttemptFactory.create(piece=piece, cast=cast, status=AttemptStatus.MADE)
    return piece


def cook(**values) -> Cook:
    row = CookFactory.create(collection=CollectionFactory.create(name="<i>Lanterns</i>"), **values)
    made(row)
    PieceFactory.create(cook=row)
    PieceFactory.create(cook=row, status=PieceStatus.FAILED)
    return row


def test_the_list_tells_how_far_each_cook_is():
    cook(status=CookStatus.PAUSED, reason="Lunch.")
    told = page(superuser(), "casts_cook_changelist")
    assert '<progress class="is-waiting" value="2" max="3">66 %</progress>' in told
    assert "Lunch." in told
    assert "&lt;i&gt;Lanterns" in told
    assert "<i>Lanterns" not in told


def test_the_page_of_a_cook_shows_what_it_has_made():
    row = cook()
    told = page(superuser(), "casts_cook_change", row.pk)
    assert "2/3 pieces (66 %), 1 failed" in told
    assert str(PICTURE["artifact"]) in told
    assert "&lt;b&gt;Crown" in told
    assert f"?cook={row.pk}" in told


def test_pieces_are_a_gallery_of_one_cook_or_all():
    row = cook()
    cook()
    assert page(superuser(), "casts_piece_changelist").count('class="card"') == 6
    assert page(superuser(), "casts_piece_changelist", cook=row.pk).count('class="card"') == 3
    assert "Pieces of cook" not in page(superuser(), "casts_piece_changelist")
    assert f"Pieces of cook {row.pk}" in page(superuser(), "casts_piece_changelist", cook=row.pk)
    piece = row.pieces.first()
    shown = page(superuser(), "casts_piece_change", piece.pk)
    assert str(PICTURE["artifact"]) in shown
    assert f'<li>1: made <a href="{reverse("admin:casts_cast_change", args=[piece.attempts.get().cast_id])}">' in shown


def remade(client, row: Cook, **said):
    answer = client.post(f"{reverse('admin:casts_piece_changelist')}?cook={row.pk}", {"action": "remake_selected", **said}, follow=True)
    return answer, [str(message) for message in answer.context.get("messages", ())]


def test_an_operator_has_the_pieces_of_a_filter_rejected_and_made_anew():
    row = cook(status=CookStatus.FINISHED)
    client = superuser()
    assert "select_across" in page(client, "casts_piece_changelist", cook=row.pk)
    asked, _ = remade(client, row, _selected_action="0", select_across="1", index="0")
    assert "3 pieces of cook" in asked.content.decode()
    selected = [str(piece.pk) for piece in row.pieces.all()]
    assert remade(client, row, _selected_action=selected, remake="yes", again="same")[0].status_code == 422
    _, told = remade(client, row, _selected_action=selected, remake="yes", again="same", reason="Blurred.")
    assert told == [
        "1 piece is made anew.",
        "2 were left as they are: not made, decided on before, or in somebody's hands.",
    ]
    row.refresh_from_db()
    assert row.status == CookStatus.RUNNING
    assert LogEntry.objects.get().change_message == f"1 pieces of cook {row.pk} were rejected and made anew: Blurred."
    assert set(ReviewEvent.objects.values_list("act", "reason")) == {("rejected", "Blurred."), ("regenerated", "same")}


def test_what_cannot_be_made_anew_is_told_and_nothing_is_changed():
    row, other = cook(status=CookStatus.STOPPED, reason="Enough."), cook()
    client = superuser()
    both = [str(piece.pk) for piece in (*row.pieces.all(), *other.pieces.all())]
    url = reverse("admin:casts_piece_changelist")
    for selected, told in (
        (["0"], "Nothing was changed: no piece was selected."),
        (both, "Nothing was changed: select at most 500 pieces, of one cook."),
        (both[:3], "Nothing was changed: A cook that is stopped cannot be cooked on."),
    ):
        said = {"action": "remake_selected", "_selected_action": selected, "remake": "yes", "again": "same", "reason": "No."}
        assert [str(each) for each in client.post(url, said, follow=True).context["messages"]] == [told]
    assert not ReviewEvent.objects.exists()


def test_only_who_may_change_cooks_has_pieces_made_anew():
    row = cook()
    client = operator("casts.view_piece")
    shown = page(client, "casts_piece_changelist", cook=row.pk)
    assert shown.count('class="card"') == 3
    assert "_selected_action" not in shown
    remade(client, row, _selected_action=[str(piece.pk) for piece in row.pieces.all()], remake="yes", again="same", reason="No.")
    assert not ReviewEvent.objects.exists()


def test_lists_take_as_many_queries_for_many_rows_as_for_one():
    client, lists = superuser(), ("casts_cook_changelist", "casts_piece_changelist", "casts_collection_changelist")
    cook()
    few = [queries_of(client, name) for name in lists]
    for _ in range(3):
        cook()
    assert [queries_of(client, name) for name in lists] == few


@pytest.mark.parametrize(("verb", "status"), [("pause", CookStatus.PAUSED), ("stop", CookStatus.STOPPING)])
def test_an_operator_changes_a_cook_and_that_is_kept(verb, status):
    row = cook()
    address = reverse("admin:casts_cook_verb", args=[row.pk, verb])
    assert operator("casts.view_cook").post(address).status_code == 403
    client = operator("casts.view_cook", "casts.change_cook")
    assert client.get(address).status_code == 405
    client.post(address, {"reason": "The prompts\0are wrong."})
    row.refresh_from_db()
    assert (row.status, row.reason) == (status, "The prompts are wrong.")
    assert LogEntry.objects.get().change_message == f"The cook was made {status}: The prompts are wrong."


def test_what_cannot_be_done_to_a_cook_is_told():
    row = cook(status=CookStatus.FINISHED)
    client = superuser()
    answer = client.post(reverse("admin:casts_cook_verb", args=[row.pk, "resume"]), follow=True)
    assert "A cook that is finished cannot be resumed." in answer.content.decode()
    assert client.post(reverse("admin:casts_cook_verb", args=[row.pk, "nothing"])).status_code == 404
