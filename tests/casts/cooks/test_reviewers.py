"""Reviewers of a collection: what they may do with its pieces, and what not."""

from typing import Any

import pytest

from casts.cooks import reviewing
from casts.models import CollectionReviewer, Cook, CookStatus, Decision
from tests.api import assert_problem, client_of, get, people, post, put
from tests.casts.factories import ArtifactFactory
from tests.factories import UserFactory

from .pieces import finished_cook, made_piece, made_pieces
from .test_exports import picture

pytestmark = pytest.mark.django_db


def named(cook: Cook, *users: Any) -> None:
    for user in users:
        CollectionReviewer.objects.create(collection=cook.collection, user=user)


@pytest.mark.parametrize(("who", "status"), [("anonymous", 401), ("stranger", 404), ("reviewer", 404), ("owner", 200), ("staff", 200)])
def test_the_owner_of_a_collection_and_the_staff_name_its_reviewers(who: str, status: int):
    crowd = {**people(), "reviewer": UserFactory.create(username="rita")}
    cook = finished_cook(owner=crowd["owner"])
    named(cook, crowd["reviewer"])
    client, path = client_of(crowd[who]), f"/collections/{cook.collection_id}/reviewers/"
    bob = UserFactory.create(username="bob")
    assert get(client, path).status_code == status
    answer = put(client, path, {"reviewers": ["bob"]})
    assert answer.status_code == status
    users = set(CollectionReviewer.objects.values_list("user", flat=True))
    assert users == {bob.pk if status == 200 else crowd["reviewer"].pk}
    if status == 200:
        assert answer.json() == get(client, path).json() == put(client, path, {"reviewers": ["bob"]}).json() == {"reviewers": ["bob"]}
        assert put(client, path, {"reviewers": []}).json() == {"reviewers": []}


@pytest.mark.parametrize(
    ("names", "place"),
    [
        (["rita", "nobody"], "reviewers[1]"),
        (["gone"], "reviewers[0]"),
        ("rita", "reviewers"),
        (["rita", "rita"], "reviewers"),
        ([""], "reviewers[0]"),
    ],
)
def test_names_that_are_nobodys_are_refused_with_their_place_and_change_nothing(names: Any, place: str):
    rita, _ = UserFactory.create(username="rita"), UserFactory.create(username="gone", is_active=False)
    cook = finished_cook()
    named(cook, rita)
    assert_problem(put(client_of(cook.initiator), f"/collections/{cook.collection_id}/reviewers/", {"reviewers": names}), 422, place)
    assert CollectionReviewer.objects.get().user == rita


def test_a_reviewer_is_handed_out_pieces_and_decides_on_them():
    cook, rita = finished_cook(), UserFactory.create(username="rita")
    named(cook, rita)
    made_pieces(cook, 4)
    client = client_of(rita)
    handed = post(client, "/pieces/reviews/next/", {"cook": cook.pk, "limit": 3}).json()
    assert [(row["index"], row["reviewer"]) for row in handed] == [(0, "rita"), (1, "rita"), (2, "rita")]
    first, second, third = (f"/pieces/{row['piece']}" for row in handed)
    assert post(client, f"{first}/accept/").json()["decision"] == "accepted"
    assert post(client, f"{second}/reject/", {"reason": "No."}).json()["decision"] == "rejected"
    assert post(client, f"{second}/undo/").json()["decision"] is None
    assert post(client, f"{third}/give-back/").status_code == 204
    assert post(client, "/pieces/reviews/", {"cook": cook.pk, "decision": "accepted"}).json() == {"decided": 3, "left": 1}
    assert len(get(client, "/pieces/reviews/", {"cook": cook.pk}).json()["results"]) == 4
    assert [act["actor"] for act in get(client, f"{first}/review-events/").json()["results"]] == ["rita"]


def test_a_reviewer_sees_the_files_under_review_by_links_and_no_others():
    cook, rita = finished_cook(), UserFactory.create()
    named(cook, rita)
    stored, strangers = picture(cook, b"a ship"), ArtifactFactory.create()
    made_piece(cook, outputs={"image": stored, "other": {"artifact": str(strangers.pk)}})
    client = client_of(rita)
    (row,) = post(client, "/pieces/reviews/next/", {"cook": cook.pk}).json()
    (file,) = row["files"]
    assert (file["artifact"], file["mime_type"], file["size"]) == (stored["artifact"], "image/png", 6)
    assert get(client, f"/artifacts/{stored['artifact']}/").status_code == 404
    assert b"".join(get(client_of(None), file["url"].partition("/api/v1")[2]).streaming_content) == b"a ship"
    assert get(client, "/pieces/reviews/").json()["results"][0]["files"][0]["artifact"] == stored["artifact"]


def test_a_reviewer_changes_nothing_else_and_has_nothing_made_anew():
    cook, rita = finished_cook(), UserFactory.create()
    named(cook, rita)
    (attempt,) = made_pieces(cook, 1)
    client = client_of(rita)
    collection, piece = f"/collections/{cook.collection_id}", f"/pieces/{attempt.piece_id}"
    for path in (f"{collection}/", f"{collection}/trait-tree/", f"/cooks/{cook.pk}/", f"/cooks/{cook.pk}/analytics/", f"{piece}/"):
        assert get(client, path).status_code == 404
    refused: dict[str, Any] = {
        f"{collection}/preview/": {},
        f"/cooks/{cook.pk}/stop/": {},
        f"/cooks/{cook.pk}/extend/": {"pieces": 9},
        f"{piece}/regenerate/": {},
    }
    for path, body in refused.items():
        assert post(client, path, body).status_code == 404
    assert_problem(post(client, "/cooks/", {"collection": cook.collection_id}), 422, "collection")
    assert_problem(post(client, "/exports/", {"cook": cook.pk}), 422, "cook")
    forbidden: dict[str, Any] = {
        "/pieces/reviews/cull/": {"cook": cook.pk, "target": 0},
        "/pieces/reviews/": {"cook": cook.pk, "decision": "rejected", "reason": "No.", "again": "same"},
        f"{piece}/reject/": {"reason": "No.", "again": "same"},
    }
    for path, body in forbidden.items():
        assert_problem(post(client, path, body), 403)
    cook.refresh_from_db()
    assert (cook.status, cook.pieces.get().status) == (CookStatus.FINISHED, "made")


def test_a_reviewer_of_one_collection_is_a_stranger_to_another_and_none_once_the_name_is_taken_away():
    cook, other, rita = finished_cook(), finished_cook(), UserFactory.create()
    named(cook, rita)
    (attempt,), (strange,) = made_pieces(cook, 1), made_pieces(other, 1)
    client = client_of(rita)
    assert_problem(post(client, "/pieces/reviews/next/", {"cook": other.pk}), 422, "cook")
    assert post(client, f"/pieces/{strange.piece_id}/accept/").status_code == 404
    assert post(client, "/pieces/reviews/next/", {"cook": cook.pk}).status_code == 200
    put(client_of(cook.initiator), f"/collections/{cook.collection_id}/reviewers/", {"reviewers": []})
    assert post(client, f"/pieces/{attempt.piece_id}/accept/").status_code == 404
    assert get(client, "/pieces/reviews/").json()["results"] == []
    with pytest.raises(reviewing.ReviewRefusedError, match="in the hands of"):
        reviewing.decide(piece_id=attempt.piece_id, decision=Decision.ACCEPTED, actor_id=cook.initiator_id)
