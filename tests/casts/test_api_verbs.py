"""Verbs, what belongs to a cast, and who may see and do what."""

from uuid import uuid4

import pytest

from casts.models import Cast, CastEvent
from generations.models import Generation, GenerationStatus
from tests.api import assert_problem, client_of, get, people, post
from tests.casts.factories import ArtifactFactory, CastEventFactory, CastFactory, GenerationFactory, WakeupFactory
from tests.factories import StepFactory, ToolFactory, UserFactory, published

pytestmark = pytest.mark.django_db


ID = "019a5d0c-61c5-7c0f-9d5e-3f1f6f1c9a10"


def standing(owner, status="running"):
    """Return a cast as it stands in that status: with a wakeup while it is unfinished."""
    cast = CastFactory.create(initiator=owner, status=status)
    if status in ("queued", "running", "paused"):
        WakeupFactory.create(cast=cast)
    return cast


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [
        ("cancel", "queued", "queued"),
        ("cancel", "running", "waiting"),
        ("cancel", "paused", "paused"),
        ("pause", "queued", "paused"),
        ("pause", "running", "paused"),
        ("resume", "paused", "waiting"),
        ("retry", "failed", "waiting"),
        ("retry", "cancelled", "waiting"),
    ],
)
def test_a_verb_changes_the_cast_and_answers_with_it(verb, before, after):
    ada = UserFactory.create()
    cast = standing(ada, before)
    response = post(client_of(ada), f"/casts/{cast.pk}/{verb}/")
    assert response.status_code == 200, response.content
    told = response.json()
    assert (told["id"], told["status"]) == (str(cast.pk), after)
    assert (told["cancel_requested_at"] is not None) == (verb == "cancel")
    assert CastEvent.objects.get(cast=cast).actor == ada
    assert get(client_of(ada), f"/casts/{cast.pk}/").json() == told


REFUSED = [
    (verb, status)
    for verb, allowed in {
        "cancel": ("queued", "running", "paused"),
        "pause": ("queued", "running"),
        "resume": ("paused",),
        "retry": ("failed", "cancelled"),
    }.items()
    for status in ("queued", "running", "paused", "succeeded", "failed", "cancelled")
    if status not in allowed
]


@pytest.mark.parametrize(("verb", "status"), REFUSED)
def test_a_verb_that_the_status_forbids_is_refused_and_nothing_is_written(verb, status):
    ada = UserFactory.create()
    cast = standing(ada, status)
    before = Cast.objects.values().get(pk=cast.pk)
    told = assert_problem(post(client_of(ada), f"/casts/{cast.pk}/{verb}/"), 409, "status", name="transition-refused")
    assert status in told["detail"]
    assert Cast.objects.values().get(pk=cast.pk) == before
    assert not CastEvent.objects.exists()


def test_to_cancel_twice_changes_nothing_more():
    ada = UserFactory.create()
    cast = standing(ada)
    answers = [post(client_of(ada), f"/casts/{cast.pk}/cancel/") for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert CastEvent.objects.count() == 1


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "retry"])
def test_a_verb_takes_no_body(verb):
    ada = UserFactory.create()
    cast = standing(ada)
    assert_problem(post(client_of(ada), f"/casts/{cast.pk}/{verb}/", {"force": True}), 422, "force")
    assert not CastEvent.objects.exists()
    assert post(client_of(ada), f"/casts/{standing(ada).pk}/cancel/", {}).status_code == 200


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_casts_and_generations_are_written_by_no_request(method):
    ada = UserFactory.create(is_staff=True)
    generation = GenerationFactory.create(cast=standing(ada))
    before = (Cast.objects.values().get(), Generation.objects.values().get())
    body = b'{"status": "succeeded", "cost_usd": "0"}'
    for path in (f"casts/{generation.cast_id}", f"generations/{generation.pk}"):
        assert_problem(getattr(client_of(ada), method)(f"/api/v1/{path}/", body, content_type="application/json"), 405)
    assert (Cast.objects.values().get(), Generation.objects.values().get()) == before


@pytest.mark.parametrize("who", ["anonymous", "stranger", "owner", "staff"])
@pytest.mark.parametrize("path", ["", "generations/", "events/"])
def test_who_may_read_a_cast(who, path):
    asking = people()
    cast = standing(asking["owner"])
    response = get(client_of(asking[who]), f"/casts/{cast.pk}/{path}")
    if who in ("owner", "staff"):
        assert response.status_code == 200
    else:
        assert_problem(response, 401 if who == "anonymous" else 404)


@pytest.mark.parametrize("who", ["anonymous", "stranger", "owner", "staff"])
@pytest.mark.parametrize(("verb", "status"), [("cancel", "running"), ("pause", "running"), ("resume", "paused"), ("retry", "failed")])
def test_who_may_change_a_cast(who, verb, status):
    asking = people()
    cast = standing(asking["owner"], status)
    response = post(client_of(asking[who]), f"/casts/{cast.pk}/{verb}/")
    if who in ("owner", "staff"):
        assert response.status_code == 200
        assert CastEvent.objects.get().actor == asking[who]
    else:
        assert_problem(response, 401 if who == "anonymous" else 404)
        assert not CastEvent.objects.exists()
        assert not Cast.objects.exclude(status=status).exists()


@pytest.mark.parametrize(("who", "seen"), [("stranger", 0), ("owner", 1), ("staff", 1)])
@pytest.mark.parametrize("path", ["/casts/", "/generations/"])
def test_a_list_shows_what_is_theirs(path, who, seen):
    asking = people()
    cast = standing(asking["owner"])
    GenerationFactory.create(cast=cast)
    assert len(get(client_of(asking[who]), path).json()["results"]) == seen


@pytest.mark.parametrize(
    ("method", "path"), [("get", "/casts/"), ("post", "/casts/"), ("post", "/tools/test.any/run/"), ("get", "/generations/")]
)
def test_nobody_is_asked_for_a_key(method, path):
    ToolFactory.create(slug="test.any")
    response = (get if method == "get" else post)(client_of(), path)
    assert_problem(response, 401)
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert not Cast.objects.exists()


def test_a_cast_of_somebody_else_cannot_be_told_from_one_that_is_not():
    client = client_of(UserFactory.create())
    theirs = assert_problem(get(client, f"/casts/{standing(UserFactory.create()).pk}/"), 404)
    missing = assert_problem(get(client, f"/casts/{uuid4()}/"), 404)
    assert theirs == missing


@pytest.mark.parametrize("bad", ["1", "nonsense", "00000000-0000-0000-0000-00000000000g", "%00", "..", ID[:-1], f"{ID}%0A"])
@pytest.mark.parametrize("path", ["", "generations/", "events/"])
def test_an_id_that_is_none_is_not_found(bad, path):
    assert_problem(get(client_of(UserFactory.create()), f"/casts/{bad}/{path}"), 404)


BASIS = {"unit": "image", "quantity": "1", "price": "0.02", "table": 3}


def test_the_generations_of_a_cast_are_told_in_full():
    ada = UserFactory.create()
    cast = standing(ada)
    step = StepFactory.create(version=cast.version, key="art", tool__slug="image.paint")
    first = GenerationFactory.create(
        cast=cast, step=step, status="failed", inputs={"prompt": "a"}, cost_usd="0.0200000000", cost_basis=BASIS
    )
    second = GenerationFactory.create(cast=cast, step=step, attempt=2, status="succeeded", output={"n": 1}, job_id="job-7")
    artifact = ArtifactFactory.create(owner=ada, generation=second, mime_type="image/png", size=12)
    response = get(client_of(ada), f"/casts/{cast.pk}/generations/")
    one, two = response.json()["results"]
    assert one.keys() >= {
        *("id", "cast", "step", "item", "attempt", "status", "tool", "inputs", "output", "error", "cost_usd", "progress", "job_id"),
        *("started_at", "finished_at", "artifacts"),
    }
    assert (one["id"], one["cast"], one["step"], one["item"], one["attempt"]) == (str(first.pk), str(cast.pk), "art", 0, 1)
    assert (one["tool"], one["inputs"], one["cost_usd"], one["artifacts"]) == ("image.paint", {"prompt": "a"}, "0.02", [])
    assert one["error"]["code"] == "tool_failed"
    assert (one["cost_basis"], two["cost_basis"]) == (BASIS, None)
    assert (two["attempt"], two["output"], two["job_id"], two["cost_usd"]) == (2, {"n": 1}, "job-7", None)
    url = f"https://testserver/api/v1/artifacts/{artifact.pk}/"
    (shown,) = two["artifacts"]
    assert shown.items() >= {"id": str(artifact.pk), "sha256": artifact.sha256, "mime_type": "image/png", "size": 12, "url": url}.items()


def test_a_generation_tells_how_far_it_is_with_the_address_of_its_preview():
    ada = UserFactory.create()
    generation = GenerationFactory.create(cast=standing(ada), status="submitted")
    artifact = ArtifactFactory.create(owner=ada, generation=None)
    reference = {"artifact": str(artifact.pk), "sha256": artifact.sha256, "mime_type": "image/png", "size": 12}
    shown = {
        "percent": 41.5,
        "stage": "painting",
        "preview": {**reference, "url": f"https://testserver/api/v1/artifacts/{artifact.pk}/"},
        "trouble": "",
    }
    Generation.objects.filter(pk=generation.pk).update(progress={"percent": 41.5, "stage": "painting", "preview": reference})
    assert get(client_of(ada), f"/generations/{generation.pk}/").json()["progress"] == shown


@pytest.mark.parametrize(
    ("kept", "shown"),
    [
        (None, None),
        ({}, {"percent": None, "stage": "", "preview": None, "trouble": ""}),
        ({"percent": 3}, {"percent": 3, "stage": "", "preview": None, "trouble": ""}),
        (
            {"percent": True, "stage": 4, "preview": {"artifact": "no id"}, "trouble": 4},
            {"percent": None, "stage": "", "preview": None, "trouble": ""},
        ),
        ({"percent": 250, "stage": "x", "preview": "no"}, {"percent": 100, "stage": "x", "preview": None, "trouble": ""}),
        ([1], None),
    ],
)
def test_progress_of_any_form_is_shown_in_one(kept, shown):
    ada = UserFactory.create()
    generation = GenerationFactory.create(cast=standing(ada), status="submitted", progress=kept)
    assert get(client_of(ada), f"/generations/{generation.pk}/").json()["progress"] == shown


def test_the_events_of_a_cast_are_told_in_order_with_who_did_it():
    ada = UserFactory.create()
    cast = standing(ada)
    CastEventFactory.create(cast=cast, actor=ada)
    CastEventFactory.create(cast=cast, kind="failed", data={"error": {"code": "x"}})
    one, two = get(client_of(ada), f"/casts/{cast.pk}/events/").json()["results"]
    assert (one["kind"], one["actor"], one["data"]) == ("started", ada.username, {})
    assert (two["kind"], two["actor"], two["data"]) == ("failed", None, {"error": {"code": "x"}})


def test_generations_are_found_by_cast_step_tool_and_status():
    ada = UserFactory.create()
    cast, other = standing(ada), standing(ada)
    step = StepFactory.create(version=cast.version, key="art", tool__slug="image.paint")
    made = GenerationFactory.create(cast=cast, step=step, status=GenerationStatus.SUCCEEDED)
    GenerationFactory.create(cast=other)
    client = client_of(ada)
    for query in ({"cast": cast.pk}, {"step": "art"}, {"tool": "image.paint"}, {"status": ["succeeded", "failed"]}):
        assert [each["id"] for each in get(client, "/generations/", query).json()["results"]] == [str(made.pk)], query
    assert len(get(client, "/generations/").json()["results"]) == 2
    assert get(client, f"/generations/{made.pk}/").json()["id"] == str(made.pk)


@pytest.mark.parametrize(
    ("query", "path"), [({"cast": "no"}, "cast"), ({"status": "x"}, "status"), ({"step": "\x00"}, "step"), ({"id": "1"}, "id")]
)
def test_a_wrong_filter_of_generations_is_refused(query, path):
    assert_problem(get(client_of(UserFactory.create()), "/generations/", query), 400, path)


@pytest.mark.parametrize("who", ["anonymous", "stranger", "owner", "staff"])
def test_who_may_read_a_generation(who):
    asking = people()
    generation = GenerationFactory.create(cast=standing(asking["owner"]))
    response = get(client_of(asking[who]), f"/generations/{generation.pk}/")
    assert response.status_code == {"anonymous": 401, "stranger": 404, "owner": 200, "staff": 200}[who]


@pytest.mark.parametrize("who", ["stranger", "owner", "staff"])
def test_who_may_cast_a_private_spell(who):
    asking = people()
    published(slug="story", owner=asking["owner"])
    response = post(client_of(asking[who]), "/casts/", {"spell": "story"})
    assert response.status_code == {"stranger": 422, "owner": 201, "staff": 201}[who]
