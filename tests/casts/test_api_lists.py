"""Lists of casts, and what they tell of each."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from casts.models import Cast
from casts.progress import Progress, progress_of, with_shown_status
from generations.models import Generation, GenerationStatus
from spells.models import OnFailure, Step
from tests.api import assert_problem, client_of, get
from tests.casts.factories import NOON, ArtifactFactory, CastEventFactory, CastFactory, FanOutFactory, GenerationFactory
from tests.factories import SpellVersionFactory, StepFactory, UserFactory

pytestmark = pytest.mark.django_db


def ids(response):
    assert response.status_code == 200, response.content
    return [cast["id"] for cast in response.json()["results"]]


def status_of(cast):
    return with_shown_status(Cast.objects.all()).get(pk=cast.pk).shown_status


def cast_with(*statuses, status="running", **values):
    cast = CastFactory.create(status=status)
    step = StepFactory.create(version=cast.version)
    for item, each in enumerate(statuses):
        GenerationFactory.create(cast=cast, step=step, item=item, status=each, **values)
    return cast


@pytest.mark.parametrize("status", ["queued", "paused", "succeeded", "failed", "cancelled"])
def test_a_status_other_than_running_is_shown_as_it_is(status):
    assert status_of(cast_with("submitted", status=status)) == status


@pytest.mark.parametrize("status", ["pending", "running"])
def test_a_cast_runs_while_a_worker_has_a_call_in_hand(status):
    assert status_of(cast_with("submitted", status)) == "running"


@pytest.mark.parametrize("statuses", [[], ["submitted"], ["unknown"], ["succeeded", "submitted"], ["failed"]])
def test_a_running_cast_waits_while_no_worker_has_a_call_in_hand(statuses):
    assert status_of(cast_with(*statuses)) == "waiting"


def test_progress_counts_steps_and_the_items_of_their_lists():
    cast = CastFactory.create(status="running")
    story, art, sheet = (StepFactory.create(version=cast.version, key=key) for key in ("story", "art", "sheet"))
    FanOutFactory.create(cast=cast, step=art, items=["a", "b", "c"])
    GenerationFactory.create(cast=cast, step=story, status="succeeded")
    GenerationFactory.create(cast=cast, step=art, item=0, status="succeeded")
    GenerationFactory.create(cast=cast, step=art, item=1, status="running")
    assert progress_of([cast]) == {cast.pk: Progress(done=2, total=5, percent=44)}
    GenerationFactory.create(cast=cast, step=art, item=2, status="skipped")
    GenerationFactory.create(cast=cast, step=sheet, status="cancelled")
    assert progress_of([cast]) == {cast.pk: Progress(done=4, total=5, percent=88)}


def test_an_item_that_will_be_tried_again_is_not_done():
    cast = CastFactory.create(status="running")
    step = StepFactory.create(version=cast.version)
    first = GenerationFactory.create(cast=cast, step=step, status="failed", retry_at=NOON)
    assert progress_of([cast])[cast.pk].done == 0
    GenerationFactory.create(cast=cast, step=step, status="failed", attempt=2)
    assert progress_of([cast])[cast.pk] == Progress(done=1, total=1, percent=100)
    Cast.objects.filter(pk=cast.pk).update(round=1)  # retried since
    cast.refresh_from_db()
    assert progress_of([cast])[cast.pk].done == 0
    assert first.status == GenerationStatus.FAILED


def percent_of(cast):
    cast.refresh_from_db()
    return progress_of([cast])[cast.pk].percent


def test_the_percent_weighs_steps_alike_and_does_not_fall_when_a_list_turns_out_to_be_long():
    cast = CastFactory.create(status="running")
    first, each = (StepFactory.create(version=cast.version, key=key) for key in ("first", "each"))
    GenerationFactory.create(cast=cast, step=first, status="succeeded")
    assert percent_of(cast) == 50
    FanOutFactory.create(cast=cast, step=each, items=list("abcd"))
    assert percent_of(cast) == 50
    GenerationFactory.create(cast=cast, step=each, item=0, status="succeeded")
    assert percent_of(cast) == 62


def test_the_percent_counts_a_call_at_work_as_far_as_its_provider_says():
    cast = cast_with("submitted", progress={"percent": 40, "stage": "painting"})
    assert percent_of(cast) == 40
    Generation.objects.update(progress={"percent": None, "stage": "waiting"})
    assert percent_of(cast) == 0
    Generation.objects.update(progress={"percent": 10**9})
    assert percent_of(cast) == 100


def test_the_percent_does_not_fall_when_a_call_is_made_again_but_in_another_round():
    cast = cast_with("failed", progress={"percent": 80}, retry_at=NOON)
    step = cast.version.steps.get()
    assert percent_of(cast) == 80
    Generation.objects.update(retry_at=None)
    second = GenerationFactory.create(cast=cast, step=step, attempt=2, status="running", progress={"percent": 5})
    Generation.objects.filter(attempt=1).update(retry_at=NOON)
    assert percent_of(cast) == 80
    Generation.objects.filter(pk=second.pk).update(status="succeeded", output={}, finished_at=NOON)
    assert percent_of(cast) == 100
    Generation.objects.filter(pk=second.pk).update(status="failed", output=None, error={"message": "no"})
    Cast.objects.filter(pk=cast.pk).update(round=1)
    assert percent_of(cast) == 0


def test_a_list_that_could_not_be_evaluated_does_not_make_more_done_than_there_is():
    cast = CastFactory.create(status="running")
    step = StepFactory.create(version=cast.version, for_each="{{ inputs.no }}", on_failure=OnFailure.CONTINUE)
    FanOutFactory.create(cast=cast, step=step, items=[])
    GenerationFactory.create(cast=cast, step=step, status="failed")
    assert progress_of([cast])[cast.pk] == Progress(done=0, total=0, percent=100)


def test_the_list_shows_the_newest_first_page_by_page():
    ada = UserFactory.create()
    casts = [str(CastFactory.create(initiator=ada).pk) for _ in range(5)]
    CastFactory.create()
    client = client_of(ada)
    page = get(client, "/casts/", {"page_size": 2}).json()
    assert [cast["id"] for cast in page["results"]] == casts[:2:-1]
    assert page.keys() == {"next", "previous", "results"}
    assert page["previous"] is None
    seen, back = [], None
    following = "/casts/?page_size=2"
    while following:
        page = client.get(following if following.startswith("https") else f"/api/v1{following}").json()
        seen += [cast["id"] for cast in page["results"]]
        back, following = page["previous"], page["next"]
    assert seen == casts[::-1]
    assert [cast["id"] for cast in client.get(back).json()["results"]] == casts[2:0:-1]


@pytest.mark.parametrize(
    "query",
    [
        {"cursor": "nonsense"},
        {"cursor": "é"},
        {"cursor": "cD0xMjM="},  # p=123, which is no id
        {"cursor": "cD0lMDA="},  # p=%00
        {"cursor": "bz0tMQ=="},  # o=-1
        {"cursor": "cj05OTk5OTk5OTk5OTk5OTk5OTk5OTk5"},  # r=999…
        {"cursor": "x=1"},
        {"cursor": "\x00"},
    ],
)
def test_a_cursor_that_the_list_did_not_give_is_refused(query):
    assert_problem(get(client_of(UserFactory.create()), "/casts/", query), 400, "cursor")


@pytest.mark.parametrize("size", ["0", "-1", "101", "ten", "1.5", "", "٣", "9" * 5000, "\x00"])
def test_a_page_size_that_is_none_is_refused(size):
    assert_problem(get(client_of(UserFactory.create()), "/casts/", {"page_size": size}), 400, "page_size")


def test_casts_are_found_by_status_also_by_the_one_that_is_worked_out():
    ada = UserFactory.create()
    queued = CastFactory.create(initiator=ada)
    waiting = cast_with("submitted")
    running = cast_with("running")
    Cast.objects.update(initiator=ada)
    client = client_of(ada)
    assert ids(get(client, "/casts/", {"status": "queued"})) == [str(queued.pk)]
    assert ids(get(client, "/casts/", {"status": "waiting"})) == [str(waiting.pk)]
    assert ids(get(client, "/casts/", {"status": ["running", "queued"]})) == [str(running.pk), str(queued.pk)]
    assert ids(get(client, "/casts/", {"status": "failed"})) == []


def test_casts_are_found_by_spell_time_and_words():
    ada = UserFactory.create()
    old = CastFactory.create(initiator=ada, version__spell__slug="night-tale", created_at=NOON)
    new = CastFactory.create(initiator=ada, version__spell__name="A Day", idempotency_key="k-1", created_at=NOON + timedelta(days=2))
    client = client_of(ada)
    assert ids(get(client, "/casts/", {"spell": "night-tale"})) == [str(old.pk)]
    assert ids(get(client, "/casts/", {"created_after": "2026-01-02T00:00:00Z"})) == [str(new.pk)]
    assert ids(get(client, "/casts/", {"created_before": "2026-01-02T00:00:00+02:00"})) == [str(old.pk)]
    assert ids(get(client, "/casts/", {"created_after": "2026-01-01T12:00:00Z", "created_before": "2026-01-03T12:00:00Z"})) == [str(old.pk)]
    assert ids(get(client, "/casts/", {"search": "TALE"})) == [str(old.pk)]
    assert ids(get(client, "/casts/", {"search": "a day"})) == [str(new.pk)]
    assert ids(get(client, "/casts/", {"search": "k-1"})) == [str(new.pk)]
    assert ids(get(client, "/casts/", {"search": str(old.pk)})) == [str(old.pk)]
    assert ids(get(client, "/casts/", {"search": str(uuid4())})) == []


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ({"status": "done"}, "status"),
        ({"status": ["queued", "\x00"]}, "status"),
        ({"created_after": "yesterday"}, "created_after"),
        ({"created_after": "9999-12-31T23:59:59-12:00"}, "created_after"),
        ({"created_before": "0001-01-01T00:00:00+12:00"}, "created_before"),
        ({"created_before": "2026-02-30T00:00:00Z"}, "created_before"),
        ({"search": "\x00"}, "search"),
        ({"search": "x" * 201}, "search"),
        ({"spell": "\x00"}, "spell"),
        ({"stauts": "failed"}, "stauts"),
        ({"status": ""}, "status"),
        ({"created_after": ""}, "created_after"),
        ({"format": "json"}, "format"),
    ],
)
def test_a_filter_that_is_none_is_refused_by_name(query, path):
    assert_problem(get(client_of(UserFactory.create()), "/casts/", query), 400, path)


def test_a_misspelt_filter_is_told_what_was_meant():
    told = assert_problem(get(client_of(UserFactory.create()), "/casts/", {"stauts": "failed"}), 400)
    assert "did you mean 'status'?" in told["detail"]


@pytest.mark.parametrize("path", ["/casts/", "/generations/", "/casts/{cast}/generations/", "/casts/{cast}/events/"])
def test_lists_cost_the_same_number_of_queries_however_long(path):
    ada = UserFactory.create()
    client = client_of(ada)

    def queries():
        with CaptureQueriesContext(connection) as captured:
            assert get(client, path.format(cast=cast.pk)).status_code == 200
        return len(captured)

    cast = fill(ada)
    first = queries()
    for _ in range(19):
        fill(ada, into=cast)
    assert Cast.objects.count() == 20
    assert queries() == first
    assert first <= 7


def fill(user, into=None):
    """Add a cast with a step, a list, generations with artefacts and events; to `into` as well, if it is given."""
    version = SpellVersionFactory.create()
    cast = CastFactory.create(version=version, initiator=user, status="running")
    for target in filter(None, [cast, into]):
        step = Step.objects.filter(version=target.version).first() or StepFactory.create(version=target.version, for_each="{{ inputs.a }}")
        count = target.generations.count()
        if not target.fan_outs.exists():
            FanOutFactory.create(cast=target, step=step, items=[1] * 30)
        generation = GenerationFactory.create(cast=target, step=step, item=count, status="succeeded")
        ArtifactFactory.create(owner=user, generation=generation)
        CastEventFactory.create(cast=target, actor=user)
    return cast


@pytest.mark.parametrize(
    "error",
    [
        {"code": "tool_failed", "message": "It broke.", "step": "art", "item": 2, "attempt": 3, "provider": "image.paint"},
        {"code": "deadline_exceeded", "message": "Too late.", "step": None, "attempt": None, "provider": None},
        {"code": "tool_failed", "message": "It broke."},
    ],
)
def test_an_error_has_all_its_names_whatever_is_known(error):
    ada = UserFactory.create()
    cast = CastFactory.create(initiator=ada, status="failed", error=error)
    told = get(client_of(ada), f"/casts/{cast.pk}/").json()["error"]
    assert told.keys() == {"code", "message", "step", "item", "attempt", "provider", "details"}
    assert {name: value for name, value in told.items() if value is not None} == {
        name: value for name, value in error.items() if value is not None
    }


def test_a_cast_that_ended_tells_how(django_assert_max_num_queries):
    ada = UserFactory.create()
    cast = CastFactory.create(initiator=ada, status="succeeded", outputs={"n": 1}, cost_usd="0.0123000000", created_at=timezone.now())
    with django_assert_max_num_queries(6):
        told = get(client_of(ada), f"/casts/{cast.pk}/").json()
    assert (told["status"], told["outputs"], told["cost_usd"], told["max_cost_usd"]) == ("succeeded", {"n": 1}, "0.0123", None)
    assert told["finished_at"].endswith("Z")
