"""Collections, cooks and pieces over the API."""

import pytest

from casts.clock import database_now
from casts.cooks import scheduling
from casts.models import Cast, Collection, Cook, Piece
from tests.api import assert_problem, client_of, get, people, post
from tests.casts.factories import CollectionFactory, CookFactory, PieceAttemptFactory, PieceFactory
from tests.factories import UserFactory, published

from .test_cooks import TREE, finish

pytestmark = pytest.mark.django_db

INPUTS = {"prompt": "[[Background]] and {{ prompts.Hat }}"}
PLAN = {"name": "Portraits", "spell": "portrait", "inputs": INPUTS, "trait_tree": TREE, "seed": 7, "target_supply": 20}


@pytest.fixture
def ada(db):
    user = UserFactory.create(username="ada")
    published(slug="portrait", owner=user, inputs={"prompt": {"type": "string"}}, steps=[{"key": "one", "tool": "test.any"}])
    return user


@pytest.fixture
def api(ada):
    return client_of(ada)


def kept(api, **values):
    answer = post(api, "/collections/", {**PLAN, **values})
    assert answer.status_code == 201, answer.content
    return answer.json()


def begun(api, **values):
    answer = post(api, "/cooks/", {"collection": kept(api)["id"], **values})
    assert answer.status_code == 201, answer.content
    return answer.json()


def test_a_collection_is_kept_with_its_placeholders_as_expressions(api):
    answer = post(api, "/collections/", PLAN)
    told = answer.json()
    assert answer.status_code == 201
    assert told["inputs"] == {"prompt": "{{ traits.Background }} and {{ prompts.Hat }}"}
    assert (told["spell"], told["version"], told["target_supply"], told["item_count"]) == ("portrait", 1, 20, None)
    assert get(api, answer.headers["Location"].partition("/api/v1")[2]).json() == told
    assert [row["id"] for row in get(api, "/collections/").json()["results"]] == [told["id"]]


def test_the_same_request_under_one_key_is_answered_with_the_same_row(api):
    for path, body in (("/collections/", PLAN), ("/cooks/", {"collection": kept(api)["id"], "pieces": 3})):
        first, again = (post(api, path, body, Idempotency_Key="k") for _ in range(2))
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json()["id"] == again.json()["id"]
        changed = {**body, "name": "Others"} if "name" in body else {**body, "pieces": 4}
        assert_problem(post(api, path, changed, Idempotency_Key="k"), 409, name="idempotency-key-reused")
    assert (Collection.objects.count(), Cook.objects.count()) == (2, 1)


@pytest.mark.parametrize(
    ("wrong", "places"),
    [
        ({"name": ""}, ["name"]),
        ({"tool": "test.any"}, ["spell"]),
        ({"items": ["a"]}, ["trait_tree"]),
        ({"trait_tree": {"categories": [{"name": "Hat"}]}}, ["trait_tree.categories[0]"]),
        ({"inputs": {"prompt": "{{ steps.x }}"}}, ["inputs.prompt"]),
        ({"inputs": {"prompt": "[[Wings]]"}}, ["inputs.prompt"]),
        ({"spell": "nothing"}, ["spell"]),
        ({"spell": "", "tool": "nothing"}, ["tool"]),
        ({"seed": -1}, ["seed"]),
        ({"seed": 2**63}, ["seed"]),
    ],
)
def test_what_is_wrong_with_a_collection_is_told_with_its_place(api, wrong, places):
    assert_problem(post(api, "/collections/", {**PLAN, **wrong}), 422, *places)
    assert not Collection.objects.exists()


def test_the_largest_seed_is_kept(api):
    told = kept(api, seed=2**63 - 1)
    assert Collection.objects.get(pk=told["id"]).seed == 2**63 - 1


@pytest.mark.parametrize(
    ("form", "text"),
    [("csv", "who,hour\na fox,dawn\nan owl,night\n"), ("jsonl", '{"who": "a fox", "hour": "dawn"}\n{"who": "an owl", "hour": "night"}')],
)
def test_a_list_may_come_as_text(api, form, text):
    plan = {
        "name": "G",
        "spell": "portrait",
        "inputs": {"prompt": "{{ item.who }} at {{ item.hour }}"},
        "list": {"format": form, "text": text},
    }
    told = post(api, "/collections/preview/", {"collection": plan}).json()
    assert [piece["inputs"]["prompt"] for piece in told["pieces"]] == ["a fox at dawn", "an owl at night"]
    assert (told["total"], told["supply"]) == (2, 2)


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"list": {"format": "csv", "text": "a,a\n1,2"}}, "list.text"),
        ({"list": {"format": "jsonl", "text": "{"}}, "list.text"),
        ({"list": {"format": "jsonl", "text": "1"}, "items": [1]}, "list"),
        ({"list": {"format": "jsonl", "text": "1"}, "trait_tree": TREE}, "trait_tree"),
    ],
)
def test_what_is_wrong_with_a_list_as_text_is_told(api, wrong, place):
    assert_problem(post(api, "/collections/", {"name": "G", "spell": "portrait", **wrong}), 422, place)


def test_a_preview_tells_pieces_rarity_and_cost_and_writes_nothing(api):
    draft = post(api, "/collections/preview/", {"collection": PLAN, "pieces": 10, "shown": 2}).json()
    assert not Collection.objects.exists()
    saved = post(api, f"/collections/{kept(api)['id']}/preview/", {"pieces": 10, "shown": 2}).json()
    assert draft == saved
    assert (draft["total"], draft["supply"], len(draft["pieces"])) == (10, 500, 2)
    assert draft["pieces"][0]["inputs"]["prompt"].startswith(draft["pieces"][0]["traits"]["Background"])
    assert sum(row["drawn"] for row in draft["rarity"] if row["category"] == "Background") == 10
    assert draft["quote"] == {"each_usd": "0", "total_usd": "0", "basis": "tools", "unknown": []}
    assert (Cook.objects.count(), Cast.objects.count()) == (0, 0)


def test_what_a_preview_shows_is_what_a_cook_makes(api):
    row = begun(api, pieces=10)
    shown = post(api, f"/collections/{row['collection']}/preview/", {"pieces": 10}).json()
    pieces = get(api, "/pieces/", {"cook": row["id"]}).json()["results"]
    assert [piece["traits"] for piece in pieces] == [piece["traits"] for piece in shown["pieces"]]


def test_a_cook_is_begun_followed_and_steered(api):
    row = begun(api, pieces=3, max_parallel=2)
    assert (row["status"], row["progress"]["pending"], row["cost_usd"], row["quote_usd"]) == ("running", 3, "0", "0")
    scheduling.tend(cook_id=row["id"])
    assert get(api, f"/cooks/{row['id']}/").json()["progress"]["cooking"] == 2
    paused = post(api, f"/cooks/{row['id']}/pause/", {"reason": "Lunch."}).json()
    assert (paused["status"], paused["reason"]) == ("paused", "Lunch.")
    assert post(api, f"/cooks/{row['id']}/resume/", {"budget_usd": "2.50"}).json()["budget_usd"] == "2.5"
    assert post(api, f"/cooks/{row['id']}/extend/", {"pieces": 5}).json()["progress"]["total"] == 5
    assert post(api, f"/cooks/{row['id']}/stop/").json()["status"] == "stopping"
    assert_problem(post(api, f"/cooks/{row['id']}/resume/"), 409, "status", name="cook-refused")


def test_a_piece_tells_its_cast_what_that_made_and_can_be_made_anew(api):
    row = begun(api, pieces=1)
    scheduling.tend(cook_id=row["id"])
    cast = Cast.objects.get()
    finish(cast)
    scheduling.tend(cook_id=row["id"])
    (piece,) = get(api, "/pieces/", {"cook": row["id"], "status": "made"}).json()["results"]
    assert (piece["cast"], piece["outputs"], piece["attempts"][0]["status"]) == (str(cast.pk), {}, "made")
    again = post(api, f"/pieces/{piece['id']}/regenerate/", {"redraw": True}).json()
    assert (again["status"], again["cast"], again["attempts"][0]["status"]) == ("pending", None, "superseded")
    assert again["trait_hash"] != piece["trait_hash"]
    assert get(api, f"/cooks/{row['id']}/").json()["status"] == "running"
    assert_problem(post(api, f"/pieces/{piece['id']}/regenerate/"), 409, "status", name="cook-refused")


def test_who_has_a_piece_made_anew_that_was_accepted_is_in_its_audit(api):
    row = begun(api, pieces=1)
    scheduling.tend(cook_id=row["id"])
    finish(Cast.objects.get())
    scheduling.tend(cook_id=row["id"])
    piece = Piece.objects.get()
    assert post(api, f"/pieces/{piece.pk}/accept/").status_code == 200
    bea = UserFactory.create(username="bea", is_staff=True)
    assert post(client_of(bea), f"/pieces/{piece.pk}/regenerate/", {"redraw": True}).status_code == 200
    events = get(api, f"/pieces/{piece.pk}/review-events/").json()["results"]
    assert {(event["act"], event["actor"], event["reason"]) for event in events} == {
        ("accepted", "ada", ""),
        ("regenerated", "bea", "redraw"),
    }


def test_a_cook_of_more_than_there_can_be_is_refused(api):
    assert_problem(post(api, "/cooks/", {"collection": kept(api)["id"], "pieces": 501}), 422, "pieces")
    assert not Cook.objects.exists()


ROUTES = [
    ("get", "/collections/{collection}/", None),
    ("post", "/collections/{collection}/preview/", {}),
    ("post", "/cooks/", {"collection": "{collection}"}),
    ("get", "/cooks/{cook}/", None),
    *(
        ("post", f"/cooks/{{cook}}/{verb}/", body)
        for verb, body in (("pause", {}), ("resume", {}), ("stop", {}), ("extend", {"pieces": 9}))
    ),
    ("get", "/pieces/{piece}/", None),
    ("post", "/pieces/{piece}/regenerate/", {}),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES, ids=[f"{method} {path}" for method, path, _ in ROUTES])
def test_nobody_reaches_what_is_somebody_elses(method, path, body):
    who = people()
    piece = PieceAttemptFactory.create(
        piece=PieceFactory.create(cook=CookFactory.create(collection=CollectionFactory.create(owner=who["owner"])))
    ).piece
    ids = {"collection": piece.cook.collection_id, "cook": piece.cook_id, "piece": piece.pk}
    path = path.format(**ids)
    body = {name: ids["collection"] if value == "{collection}" else value for name, value in body.items()} if body is not None else None
    before = list(Cook.objects.values()), list(Piece.objects.values())
    hidden = 422 if path == "/cooks/" else 404
    for name, status in (("anonymous", 401), ("stranger", hidden)):
        client = client_of(who[name])
        assert_problem(get(client, path) if method == "get" else post(client, path, body), status)
    assert (list(Cook.objects.values()), list(Piece.objects.values())) == before


@pytest.mark.parametrize("path", ["/collections/", "/cooks/", "/pieces/"])
def test_lists_show_what_is_ones_own(path):
    who = people()
    mine = PieceFactory.create(cook=CookFactory.create(collection=CollectionFactory.create(owner=who["owner"])))
    PieceFactory.create()
    counts = {name: len(get(client_of(user), path).json()["results"]) for name, user in who.items() if user}
    assert counts == {"stranger": 0, "owner": 1, "staff": 2}
    assert mine.cook.initiator == who["owner"]


def test_a_page_of_cooks_asks_as_much_of_the_database_as_one(django_assert_max_num_queries):
    owner = UserFactory.create()
    for _ in range(5):
        PieceFactory.create(cook=CookFactory.create(collection=CollectionFactory.create(owner=owner)))
    client = client_of(owner)
    for path in ("/cooks/", "/pieces/", "/collections/"):
        with django_assert_max_num_queries(7):
            assert len(get(client, path).json()["results"]) == 5
    assert database_now()
