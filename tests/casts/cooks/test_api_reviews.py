"""Reviews over the API: who may review what, what is refused, and many reviewers at once."""

from collections import Counter

import pytest

from casts.models import Decision, PieceReview, ReviewEvent
from tests.api import assert_problem, client_of, get, people, post
from tests.casts.test_api_parallel import at_once
from tests.factories import UserFactory

from .pieces import finished_cook, made_piece, made_pieces
from .trees import category

REVIEWERS = 20
PIECES = 120


@pytest.mark.django_db
def test_a_piece_is_handed_out_decided_and_told_of():
    cook = finished_cook()
    attempt = made_piece(cook, index=3, traits={"Sea": "Calm"}, outputs={"text": "a ship"})
    client = client_of(cook.initiator)
    (handed,) = post(client, "/pieces/reviews/next/", {"cook": cook.pk, "limit": 5, "lease_seconds": 60}).json()
    assert {**handed, "leased_until": None} == {
        "piece": attempt.piece_id,
        "cook": cook.pk,
        "index": 3,
        "attempt": 1,
        "traits": {"Sea": "Calm"},
        "cast": str(attempt.cast_id),
        "outputs": {"text": "a ship"},
        "files": [],
        "decision": None,
        "reason": "",
        "reviewer": cook.initiator.username,
        "leased_until": None,
        "decided_at": None,
    }
    assert handed["leased_until"]
    accepted = post(client, f"/pieces/{attempt.piece_id}/accept/")
    assert (accepted.status_code, accepted.json()["decision"]) == (200, "accepted")
    assert_problem(post(client, f"/pieces/{attempt.piece_id}/reject/", {"reason": "No."}), 409, name="review-refused")
    assert post(client, f"/pieces/{attempt.piece_id}/undo/").json()["decision"] is None
    assert post(client, f"/pieces/{attempt.piece_id}/reject/", {"reason": " No. "}).json()["reason"] == "No."
    acts = get(client, f"/pieces/{attempt.piece_id}/review-events/").json()["results"]
    assert [(act["act"], act["reason"]) for act in acts] == [("accepted", ""), ("undone", ""), ("rejected", "No.")]


@pytest.mark.django_db
def test_a_piece_can_be_given_back():
    (attempt,) = made_pieces(finished_cook(), 1)
    client = client_of(attempt.cook.initiator)
    assert_problem(post(client, f"/pieces/{attempt.piece_id}/give-back/"), 409, name="review-refused")
    post(client, "/pieces/reviews/next/", {"cook": attempt.cook_id})
    assert post(client, f"/pieces/{attempt.piece_id}/give-back/").status_code == 204


@pytest.mark.django_db
def test_many_are_decided_listed_and_culled():
    cook = finished_cook()
    for index in range(6):
        made_piece(cook, index=index, traits={"Hat": "Cap" if index < 2 else "Crown"})
    client = client_of(cook.initiator)
    body = {"cook": cook.pk, "decision": "rejected", "where": {"traits": {"Hat": ["Cap"]}}}
    assert_problem(post(client, "/pieces/reviews/", body), 422, "reason")
    assert post(client, "/pieces/reviews/", {**body, "reason": "Dull."}).json() == {"decided": 2, "left": 0}
    assert post(client, "/pieces/reviews/", {"cook": cook.pk, "decision": "accepted"}).json() == {"decided": 4, "left": 2}
    assert post(client, "/pieces/reviews/cull/", {"cook": cook.pk, "target": 3}).json() == {"culled": 1}

    def listed(**query):
        return [row["index"] for row in get(client, "/pieces/reviews/", {"cook": cook.pk, **query}).json()["results"]]

    assert sorted(listed(decision="rejected")) == [0, 1]
    assert (listed(decision="culled"), listed(open="true"), len(listed(mine="true")), listed(mine="false")) == ([5], [], 6, [])


@pytest.mark.django_db
@pytest.mark.parametrize("again", ["same", "redraw"])
def test_many_are_rejected_and_made_anew_in_one_request(again: str):
    cook = finished_cook(tree={"categories": [category("Sea", "Calm", "Storm", "Ice", "Mist"), category("Hat", "Cap", "Crown")]})
    for index in range(3):
        made_piece(cook, index=index, traits={"Sea": "Calm", "Hat": "Cap"} if index < 2 else {"Sea": "Calm", "Hat": "Crown"})
    client = client_of(cook.initiator)
    body = {"cook": cook.pk, "decision": "rejected", "reason": "Dull.", "again": again, "where": {"traits": {"Hat": ["Cap"]}}}
    assert_problem(post(client, "/pieces/reviews/", {**body, "decision": "accepted"}), 422, "again")
    assert post(client, "/pieces/reviews/", body).json() == {"decided": 2, "left": 0}
    assert get(client, f"/cooks/{cook.pk}/").json()["status"] == "running"
    assert [row["index"] for row in get(client, "/pieces/", {"cook": cook.pk, "status": "pending"}).json()["results"]] == [0, 1]
    assert post(client, "/pieces/reviews/", body).json() == {"decided": 0, "left": 0}, "they are at work: asking again changes nothing"


@pytest.mark.django_db
@pytest.mark.parametrize(("who", "status"), [("anonymous", 401), ("stranger", 404), ("owner", 200), ("staff", 200)])
def test_only_the_owner_of_a_cook_and_the_staff_may_review_its_pieces(who: str, status: int):
    crowd = people()
    cook = finished_cook(owner=crowd["owner"])
    (attempt,) = made_pieces(cook, 1)
    client = client_of(crowd[who])
    of_cook = {404: 422}.get(status, status)
    assert post(client, "/pieces/reviews/next/", {"cook": cook.pk}).status_code == of_cook
    assert post(client, "/pieces/reviews/cull/", {"cook": cook.pk, "target": 9}).status_code == of_cook
    assert post(client, "/pieces/reviews/", {"cook": cook.pk, "decision": "accepted"}).status_code == of_cook
    assert post(client, f"/pieces/{attempt.piece_id}/accept/").status_code == status
    assert post(client, f"/pieces/{attempt.piece_id}/undo/").status_code == status
    assert post(client, f"/pieces/{attempt.piece_id}/reject/", {"reason": "No."}).status_code == status
    assert post(client, f"/pieces/{attempt.piece_id}/give-back/").status_code == {200: 409}.get(status, status)
    assert get(client, f"/pieces/{attempt.piece_id}/review-events/").status_code == status
    listed = get(client, "/pieces/reviews/")
    assert listed.status_code == (401 if who == "anonymous" else 200)
    assert status == 401 or len(listed.json()["results"]) == (status == 200)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("/pieces/reviews/next/", {}, "cook"),
        ("/pieces/reviews/next/", {"cook": 1, "limit": 51}, "limit"),
        ("/pieces/reviews/next/", {"cook": 1, "lease_seconds": 0}, "lease_seconds"),
        ("/pieces/reviews/next/", {"cook": "1"}, "cook"),
        ("/pieces/reviews/", {"cook": 1, "decision": "culled"}, "decision"),
        ("/pieces/reviews/", {"cook": 1, "decision": "accepted", "where": {"traits": {"Hat": []}}}, "where.traits.Hat"),
        ("/pieces/reviews/cull/", {"cook": 1, "target": -1}, "target"),
        ("/pieces/PIECE/reject/", {"reason": "  "}, "reason"),
        ("/pieces/PIECE/reject/", {"reason": "No.", "again": "twice"}, "again"),
        ("/pieces/PIECE/accept/", {"decision": "accepted"}, "decision"),
    ],
)
def test_what_says_nothing_sensible_is_refused_with_its_place(path, body, place):
    (attempt,) = made_pieces(finished_cook(), 1)
    client = client_of(attempt.cook.initiator)
    assert_problem(post(client, path.replace("PIECE", str(attempt.piece_id)), body), 422, place)
    assert not PieceReview.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_twenty_reviewers_at_once_each_piece_is_seen_by_one_and_decided_once():
    cook = finished_cook()
    made_pieces(cook, PIECES)
    clients = [client_of(UserFactory.create(is_staff=True)) for _ in range(REVIEWERS)]

    def review(number: int) -> list[int]:
        """Review until nothing is left, as a person with a queue does."""
        seen: list[int] = []
        while handed := post(clients[number], "/pieces/reviews/next/", {"cook": cook.pk, "limit": 3}).json():
            for row in handed:
                seen.append(row["piece"])
                verb, body = ("reject", {"reason": "No."}) if row["index"] % 3 == 0 else ("accept", None)
                answer = post(clients[number], f"/pieces/{row['piece']}/{verb}/", body)
                assert answer.status_code == 200, answer.content
        return seen

    seen = Counter(piece for pieces in at_once(review, crowd=REVIEWERS) for piece in pieces)
    assert set(seen) == set(cook.pieces.values_list("pk", flat=True))
    assert set(seen.values()) == {1}
    decisions = Counter(PieceReview.objects.values_list("decision", flat=True))
    assert decisions == {Decision.ACCEPTED: PIECES * 2 // 3, Decision.REJECTED: PIECES // 3}
    assert Counter(ReviewEvent.objects.values_list("piece", flat=True)) == seen


@pytest.mark.django_db(transaction=True)
def test_of_twenty_who_decide_on_one_piece_at_once_one_decides():
    cook = finished_cook()
    (attempt,) = made_pieces(cook, 1)
    clients = [client_of(UserFactory.create(is_staff=True)) for _ in range(REVIEWERS)]
    verbs = [("accept", None), ("reject", {"reason": "No."})]
    answers = at_once(lambda n: post(clients[n], f"/pieces/{attempt.piece_id}/{verbs[n % 2][0]}/", verbs[n % 2][1]), crowd=REVIEWERS)
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: REVIEWERS - 1}
    assert ReviewEvent.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_twenty_who_decide_on_all_at_once_each_piece_is_decided_by_one():
    cook = finished_cook()
    made_pieces(cook, 40)
    clients = [client_of(UserFactory.create(is_staff=True)) for _ in range(REVIEWERS)]
    answers = at_once(lambda n: post(clients[n], "/pieces/reviews/", {"cook": cook.pk, "decision": "accepted"}), crowd=REVIEWERS)
    assert [answer.status_code for answer in answers] == [200] * REVIEWERS
    assert sum(answer.json()["decided"] for answer in answers) == 40
    assert ReviewEvent.objects.values("piece").distinct().count() == ReviewEvent.objects.count() == 40
