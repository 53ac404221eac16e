import json
import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from casts import engine
from casts.admin.acting import MOST_AT_ONCE
from casts.admin.axis import Axis
from casts.admin.page import outlook
from casts.admin.timeline import STEP_PAGE
from casts.clock import database_now
from casts.models import Cast, CastEvent, CastStatus, EventKind, Wakeup
from generations.models import Artifact, Generation, GenerationStatus
from generations.tools.contract import ToolError
from spells.models import Effects
from tests.factories import StepFactory, UserFactory, published
from tests.operators import AdminClient, counted, messages_of, operator, page, queries_of, superuser

from .factories import (
    NOON,
    ArtifactFactory,
    CastEventFactory,
    CastFactory,
    ConductorProcessFactory,
    FanOutFactory,
    GenerationFactory,
    NotificationFactory,
    WakeupFactory,
)
from .scenes import Hand, billed, cast, tool

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]  # pages are the same on each database; what they ask of it is marked

SCRIPT = "<script>alert(1)</script>"
VIEW = "casts.view_cast"
CHANGE = "casts.change_cast"


def change_url(row):
    return reverse("admin:casts_cast_change", args=[row.pk])


def do(client, row, verb, **data):
    return client.post(reverse("admin:casts_cast_verb", args=[row.pk, verb]), data, follow=True)


def act(client, action, rows, **data):
    values = {"action": f"{action}_selected", "_selected_action": [str(row.pk) for row in rows], **data}
    return client.post(reverse("admin:casts_cast_changelist"), values, follow=True)


def listed(client, **query):
    """Return the ids on the list of casts."""
    answer = client.get(reverse("admin:casts_cast_changelist"), query)
    assert answer.status_code == 200
    return {row.pk for row in answer.context["cl"].result_list}


# The list


def test_the_list_tells_of_each_cast_what_an_operator_asks_first():
    version = published(slug="two-steps", steps=[{"key": "a", "tool": "test.any"}, {"key": "b", "tool": "test.any"}])
    row = CastFactory.create(
        version=version, status=CastStatus.RUNNING, cost_usd=Decimal("0.0123"), initiator=UserFactory.create(username="ada")
    )
    GenerationFactory.create(cast=row, version=version, step=version.steps.get(key="a"), status=GenerationStatus.SUCCEEDED)
    text = page(superuser(), "casts_cast_changelist")
    for told in ("two-steps@1", "ada", "is-waiting", 'value="1" max="2"', "1/2", "$0.0123", str(row.pk)[:13]):
        assert told in text


def test_the_list_shows_a_running_cast_as_waiting_unless_a_worker_has_a_call_of_it_in_hand():
    waiting = CastFactory.create(status=CastStatus.RUNNING)
    GenerationFactory.create(cast=waiting, status=GenerationStatus.SUBMITTED)
    busy = GenerationFactory.create(status=GenerationStatus.RUNNING).cast
    client = superuser()
    assert listed(client, status="waiting") == {waiting.pk}
    assert listed(client, status="running") == {busy.pk}


@pytest.mark.both_databases
@pytest.mark.parametrize("status", [CastStatus.QUEUED, CastStatus.PAUSED, CastStatus.SUCCEEDED, CastStatus.FAILED, CastStatus.CANCELLED])
def test_the_list_is_filtered_by_status(status):
    rows = {each: CastFactory.create(status=each) for each in CastStatus}
    assert listed(superuser(), status=status.value) == {rows[status].pk}


@pytest.mark.both_databases
def test_the_list_is_filtered_by_what_is_stuck():
    now = database_now()
    late, long_ago = now + timedelta(hours=1), now - timedelta(minutes=2)
    stranded = CastFactory.create(status=CastStatus.RUNNING)
    overdue = WakeupFactory.create(due_at=long_ago).cast
    expired = WakeupFactory.create(due_at=now - timedelta(seconds=5), claimed_until=now - timedelta(seconds=5)).cast
    WakeupFactory.create(due_at=now - timedelta(seconds=5))
    WakeupFactory.create(due_at=late, claimed_until=late)
    CastFactory.create(status=CastStatus.FAILED)
    client = superuser()
    assert listed(client, stuck="stranded") == {stranded.pk}
    assert listed(client, stuck="overdue") == {overdue.pk}
    assert listed(client, stuck="expired") == {expired.pk}
    assert listed(client, stuck="any") == {stranded.pk, overdue.pk, expired.pk}


@pytest.mark.both_databases
def test_the_list_is_filtered_by_spell_initiator_and_age():
    one = CastFactory.create(version=published(slug="one"), initiator=UserFactory.create(username="Ada"))
    two = CastFactory.create(version=published(slug="two"), initiator=UserFactory.create(username="bob"))
    second = CastFactory.create(version=published(slug="two"), initiator=UserFactory.create(username="adam"))
    old = CastFactory.create(id="01890a5d-ac96-774b-bcce-b302099a8057", version=one.version, initiator=two.initiator)
    client = superuser()
    assert listed(client, spell="one") == {one.pk, *listed(client, spell="one@1")}
    assert listed(client, spell="two@2") == {second.pk}
    assert listed(client, spell="tw") == set()
    assert listed(client, initiator="ada") == {one.pk, second.pk}
    assert listed(client, since="hour") == {one.pk, two.pk, second.pk}
    assert str(old.pk) in {str(pk) for pk in listed(client, initiator="bob")}


@pytest.mark.both_databases
def test_filters_by_word_suggest_words_and_keep_the_other_filters():
    CastFactory.create(version=published(slug="some-spell"), initiator=UserFactory.create(username=SCRIPT))
    text = page(superuser(), "casts_cast_changelist", status="queued")
    assert '<option value="some-spell">' in text
    assert '<input type="hidden" name="status" value="queued">' in text
    assert SCRIPT not in text
    assert "&lt;script&gt;" in text


@pytest.mark.both_databases
def test_search_finds_ids_beginnings_of_ids_spells_and_idempotency_keys():
    row = CastFactory.create(version=published(slug="lighthouse-story"), idempotency_key="order-7731")
    other = CastFactory.create(id="01890a5d-ac96-774b-bcce-b302099a8057", version=published(slug="other"))
    generation = GenerationFactory.create()
    client = superuser()
    assert listed(client, q=str(row.pk)) == {row.pk}
    assert listed(client, q=row.pk.hex.upper()) == {row.pk}
    assert {str(pk) for pk in listed(client, q="01890a5d-ac")} == {str(other.pk)}
    assert listed(client, q=str(generation.pk)) == {generation.cast_id}
    assert row.pk in listed(client, q="lighthouse")
    assert row.pk in listed(client, q="lighthouse-story@1 order-7731")
    assert listed(client, q="lighthouse-story@2") == set()
    assert listed(client, q="order-7731") == {row.pk}
    assert listed(client, q="order-773") == set()


@pytest.mark.both_databases
def test_the_list_takes_as_many_queries_for_fifty_casts_as_for_one():
    client = superuser()

    def add(count):
        for _ in range(count):
            row = WakeupFactory.create(cast__status=CastStatus.RUNNING).cast
            GenerationFactory.create(cast=row, status=GenerationStatus.SUCCEEDED)
            FanOutFactory.create(cast=row, step=StepFactory.create(version=row.version), items=[1, 2])

    add(1)
    few = queries_of(client, "casts_cast_changelist")
    add(49)
    assert queries_of(client, "casts_cast_changelist") == few
    assert few < 16


def test_the_list_reads_no_payloads():
    CastFactory.create(inputs={"secret": "x" * 1000})
    client = superuser()
    with counted() as queries:
        client.get(reverse("admin:casts_cast_changelist"))
    assert not any('"casts_cast"."inputs"' in query["sql"] for query in queries.captured_queries)


@pytest.mark.parametrize("error", [["a", "list"], "text", 3, {}, {"message": None, "code": {"x": 1}}])
def test_the_list_and_the_page_show_errors_that_are_not_as_ours(error):
    row = CastFactory.create(status=CastStatus.FAILED, error=error)
    assert page(superuser(), "casts_cast_changelist")
    assert page(superuser(), "casts_cast_change", row.pk)


# The verbs


def test_each_verb_calls_the_engine_and_is_recorded_with_who_did_it():
    row = cast({"key": "one"})
    client = superuser()
    for verb, status, kind in (
        ("pause", CastStatus.PAUSED, EventKind.PAUSED),
        ("resume", CastStatus.RUNNING, EventKind.RESUMED),
        ("cancel", CastStatus.RUNNING, EventKind.CANCEL_REQUESTED),
    ):
        answer = do(client, row, verb, reason="  it is\0 over  ")
        row.refresh_from_db()
        assert row.status == status
        assert CastEvent.objects.get(cast=row, kind=kind).actor == client.user
        assert LogEntry.objects.filter(object_id=str(row.pk), change_message__contains=verb).exists()
        assert len(messages_of(answer)) == 1
    assert row.cancel_requested_at is not None
    assert row.reason == "it is over"


def test_retry_goes_on_with_a_failed_cast():
    hand = Hand(cast({"key": "one"}))
    hand.look()
    hand.answer("one", ToolError("no", permanent=True))
    assert hand.status() == CastStatus.FAILED
    do(superuser(), hand.cast, "retry")
    assert hand.status() == CastStatus.RUNNING
    assert Wakeup.objects.filter(pk=hand.cast.pk).exists()


@pytest.mark.parametrize(
    ("verb", "status"),
    [
        ("pause", CastStatus.SUCCEEDED),
        ("pause", CastStatus.PAUSED),
        ("resume", CastStatus.RUNNING),
        ("resume", CastStatus.FAILED),
        ("retry", CastStatus.RUNNING),
        ("retry", CastStatus.SUCCEEDED),
        ("cancel", CastStatus.CANCELLED),
    ],
)
def test_a_verb_that_the_status_forbids_changes_nothing_and_says_why(verb, status):
    row = CastFactory.create(status=status)
    answer = do(superuser(), row, verb)
    assert f"{row.pk}: A cast that is {status.value} cannot be" in messages_of(answer)[0]
    row.refresh_from_db()
    assert row.status == status
    assert not CastEvent.objects.exists()
    assert not LogEntry.objects.exists()


def test_actions_act_on_each_selected_cast_and_tell_which_refused():
    rows = [
        WakeupFactory.create().cast,
        WakeupFactory.create(cast__status=CastStatus.RUNNING).cast,
        CastFactory.create(status=CastStatus.FAILED),
    ]
    told = messages_of(act(superuser(), "pause", rows))
    assert any(f"{rows[2].pk}: A cast that is failed cannot be paused." in message for message in told)
    assert "2 casts are paused." in told
    assert set(Cast.objects.filter(status=CastStatus.PAUSED)) == set(rows[:2])


def test_actions_refuse_more_than_one_request_can_do():
    rows = [CastFactory.create() for _ in range(3)]
    told = messages_of(act(superuser(), "cancel", rows[:1], select_across="1"))
    assert told == ["3 casts are asked to end."]
    for _ in range(MOST_AT_ONCE - 1):
        CastFactory.create()
    told = messages_of(act(superuser(), "pause", rows[:1], select_across="1"))
    assert told == [f"Nothing was changed: select at most {MOST_AT_ONCE} casts at once."]
    assert not Cast.objects.filter(status=CastStatus.PAUSED).exists()


@pytest.mark.parametrize("wrong", ["garbage", "a\0b", "", "9" * 50])
def test_actions_on_what_are_no_ids_change_nothing(wrong):
    row = CastFactory.create()
    data = {"action": "pause_selected", "_selected_action": [str(row.pk), wrong]}
    told = messages_of(superuser().post(reverse("admin:casts_cast_changelist"), data, follow=True))
    assert told == ["Nothing was changed: what was selected are no ids."]
    row.refresh_from_db()
    assert row.status == CastStatus.QUEUED


def test_many_refusals_are_told_in_few_words():
    rows = [CastFactory.create(status=CastStatus.FAILED) for _ in range(15)]
    told = messages_of(act(superuser(), "pause", rows))
    assert len(told) == 11
    assert "5 more refused." in told


def test_whoever_may_only_look_sees_no_buttons_and_can_do_nothing():
    row = cast({"key": "one"})
    client = operator(VIEW)
    text = page(client, "casts_cast_change", row.pk)
    assert "/do/" not in text
    assert 'name="action"' not in page(client, "casts_cast_changelist")
    assert do(client, row, "cancel").status_code == 403
    act(client, "cancel", [row])
    row.refresh_from_db()
    assert row.cancel_requested_at is None


def test_whoever_may_change_casts_sees_the_verbs_that_make_sense():
    client = operator(VIEW, CHANGE)
    text = page(client, "casts_cast_change", cast({"key": "one"}).pk)
    assert "/do/pause/" in text
    assert "/do/cancel/" in text
    assert "/do/resume/" not in text
    assert "/do/retry/" not in text
    ended = page(client, "casts_cast_change", CastFactory.create(status=CastStatus.FAILED).pk)
    assert "/do/retry/" in ended
    assert "/do/cancel/" not in ended


def test_verbs_are_asked_for_by_post_with_a_token_and_by_name():
    row = cast({"key": "one"})
    client = superuser()
    assert client.get(reverse("admin:casts_cast_verb", args=[row.pk, "pause"])).status_code == 405
    assert client.post(reverse("admin:casts_cast_verb", args=[row.pk, "explode"])).status_code == 404
    guarded = operator(CHANGE, enforce_csrf_checks=True)
    assert do(guarded, row, "pause").status_code == 403
    stranger = AdminClient().post(reverse("admin:casts_cast_verb", args=[row.pk, "pause"]))
    assert stranger.status_code == 302
    row.refresh_from_db()
    assert row.status == CastStatus.QUEUED


def test_a_verb_on_a_cast_that_does_not_exist_says_so():
    client = superuser()
    answer = client.post(reverse("admin:casts_cast_verb", args=["01890a5d-ac96-774b-bcce-b302099a8057", "pause"]), follow=True)
    told = " ".join(messages_of(answer))
    assert "there is no such cast" in told


# The page of one cast


def test_the_page_is_for_whoever_may_view_casts():
    row = CastFactory.create()
    assert page(operator(VIEW), "casts_cast_change", row.pk)
    assert operator("spells.view_spell").get(change_url(row)).status_code == 403
    assert AdminClient().get(change_url(row)).status_code == 302


@pytest.mark.parametrize("wrong", ["01890a5d-ac96-774b-bcce-b302099a8057", "garbage", "%00", "<b>", "x" * 3000])
def test_a_cast_that_does_not_exist_leads_back_to_the_list(wrong):
    answer = superuser().get(f"/admin/casts/cast/{wrong}/change/", follow=True)
    assert answer.status_code == 200
    assert "There is no cast" in messages_of(answer)[0]
    assert "<b>" not in answer.content.decode()


def test_the_page_of_a_cast_cannot_be_posted_to():
    row = CastFactory.create()
    assert superuser().post(change_url(row), {"status": "succeeded"}).status_code == 405


def test_the_page_shows_steps_in_order_with_items_and_attempts():
    row = cast(
        {"key": "first"},
        {"key": "second", "for_each": "{{ inputs.items }}"},
        {"key": "third", "tool": billed()},
        inputs={"items": {"type": "array", "default": []}},
        given={"items": ["a", "b"]},
    )
    hand = Hand(row)
    hand.look()
    hand.answer("first", {"text": "hello"})
    hand.answer("second", ToolError("Not today.", code="busy"), item=0)
    hand.answer("second", {"n": 2}, item=1)
    text = page(superuser(), "casts_cast_change", row.pk)
    assert [text.index(f'id="step-{key}"') for key in ("first", "second", "third")] == sorted(
        text.index(f'id="step-{key}"') for key in ("first", "second", "third")
    )
    for generation in row.generations.all():
        assert f'id="g-{generation.pk}"' in text
    assert "2 items" in text
    assert "Not today." in text
    assert "hello" in text
    assert "billed.tool" in text


def test_the_page_shows_the_providers_words_and_where_it_failed():
    row = CastFactory.create(
        status=CastStatus.FAILED,
        error={"code": "quota", "message": f"402 {SCRIPT}", "step": "art", "item": 2, "attempt": 3, "provider": "studio"},
    )
    text = page(superuser(), "casts_cast_change", row.pk)
    for told in ("402 &lt;script&gt;", "<code>art</code>", "item 2", "attempt 3", "<code>quota</code>", "studio"):
        assert told in text


def test_the_timeline_shows_how_far_a_call_is_with_its_stage_and_preview():
    row = CastFactory.create(status=CastStatus.RUNNING)
    WakeupFactory.create(cast=row)
    step = StepFactory.create(version=row.version, key="art")
    picture = ArtifactFactory.create(mime_type="image/png", size=9)
    reference = {"artifact": str(picture.pk), "sha256": picture.sha256, "mime_type": "image/png", "size": 9}
    progress = {"percent": 41.5, "stage": f"painting {SCRIPT}", "preview": reference, "trouble": f"No key {SCRIPT}"}
    call = GenerationFactory.create(cast=row, step=step, status=GenerationStatus.SUBMITTED, progress=progress)
    text = page(superuser(), "casts_cast_change", row.pk)
    assert '<progress class="is-submitted" value="41.5" max="100"></progress> 42 %' in text
    assert '<progress class="is-waiting" value="41" max="100"></progress> 41 %, 0 of 1' in text
    assert "painting &lt;script&gt;" in text
    assert "No key &lt;script&gt;" in text
    assert f'href="/api/v1/artifacts/{picture.pk}/"' in text
    assert SCRIPT not in text
    Generation.objects.filter(pk=call.pk).update(status="succeeded", output={}, finished_at=NOON)
    text = page(superuser(), "casts_cast_change", row.pk)
    assert "painting &lt;script&gt;" not in text
    assert "No key" not in text


def hostile_cast():
    step = {"key": "one", "tool": "test.any"}
    version = published(steps=[step], inputs={"x": {}}, name=SCRIPT, description=SCRIPT)
    row = CastFactory.create(
        version=version,
        status=CastStatus.RUNNING,
        initiator=UserFactory.create(username=f"{SCRIPT}\u202e"),
        idempotency_key=f'"><{SCRIPT}\u2066',
        inputs={SCRIPT: SCRIPT, "rtl": "abc\u202edef", "long": f"{SCRIPT}\n" * 5000, "deep": json.loads("[" * 60 + "]" * 60)},
    )
    WakeupFactory.create(cast=row)
    generation = GenerationFactory.create(
        cast=row,
        version=version,
        step=version.steps.get(),
        status=GenerationStatus.UNKNOWN,
        inputs={SCRIPT: ['"><img src=x onerror=alert(1)>'], "picture": {"artifact": "javascript:alert(1)", "mime_type": "image/png"}},
        late_output={"late": SCRIPT},
        unfetched={"output": {}, "files": [{"at": [SCRIPT], "url": f"javascript:{SCRIPT}", "name": SCRIPT, "mime_type": ""}], "bytes": 0},
        unfetched_at=database_now(),
        error={"message": SCRIPT, "code": SCRIPT, SCRIPT: [SCRIPT]},
        job_id=f"{SCRIPT}\u202e",
        progress={"percent": SCRIPT, "stage": SCRIPT},
    )
    CastEventFactory.create(cast=row, actor=row.initiator, data={SCRIPT: SCRIPT})
    ArtifactFactory.create(generation=generation, mime_type="image/png", name=f'"{SCRIPT}')
    ArtifactFactory.create(generation=generation, mime_type=f"text/html;{SCRIPT}", name=SCRIPT, source_url="javascript:alert(1)")
    return row


def test_what_people_and_providers_wrote_is_shown_as_text():
    row = hostile_cast()
    client = superuser()
    texts = [
        page(client, "casts_cast_change", row.pk),
        page(client, "casts_cast_changelist"),
        page(client, "generations_generation_changelist"),
        page(client, "generations_generation_change", row.generations.get().pk),
        page(client, "generations_artifact_changelist"),
        *(page(client, "generations_artifact_change", artifact.pk) for artifact in Artifact.objects.all()),
        page(client, "casts_castevent_changelist"),
        page(client, "casts_castevent_change", CastEvent.objects.get().pk),
        page(client, "spells_spell_changelist"),
        page(client, "spells_spellversion_change", row.version_id),
    ]
    for text in texts:
        assert SCRIPT not in text
        assert "<img src=x" not in text
        assert 'href="javascript:' not in text
        assert 'src="javascript:' not in text
    assert "\u202e" not in texts[0]
    assert "\\u202e" in texts[0]
    assert "\u2066" not in texts[0]
    assert len(texts[0]) < 400_000


@pytest.mark.parametrize("value", [None, [], "text", 3, 1e308, True, [None, {"a": []}], 2**400, ["x"] * 10_000, {"": {"": ""}}], ids=str)
def test_the_page_shows_json_of_any_kind(value):
    version = published(steps=[{"key": "one", "tool": "test.any"}])
    row = CastFactory.create(version=version, status=CastStatus.SUCCEEDED, inputs=value or [], outputs=[value])
    GenerationFactory.create(
        cast=row, version=version, step=version.steps.get(), status=GenerationStatus.SUCCEEDED, inputs=value or [], output=[value]
    )
    assert "Timeline" in page(superuser(), "casts_cast_change", row.pk)
    assert page(superuser(), "generations_generation_change", row.generations.get().pk)


def test_pictures_are_shown_by_the_address_that_checks_who_asks():
    version = published(steps=[{"key": "one", "tool": "test.any"}])
    row = CastFactory.create(version=version, status=CastStatus.RUNNING)
    generation = GenerationFactory.create(cast=row, version=version, step=version.steps.get(), status=GenerationStatus.SUCCEEDED)
    picture = ArtifactFactory.create(generation=generation, mime_type="image/png", size=12_345)
    drawing = ArtifactFactory.create(generation=generation, mime_type="image/svg+xml")
    text = page(superuser(), "casts_cast_change", row.pk)
    assert f'<img src="/api/v1/artifacts/{picture.pk}/"' in text
    assert "12.3 kB" in text
    assert f'src="/api/v1/artifacts/{drawing.pk}/"' not in text
    assert f'href="/api/v1/artifacts/{drawing.pk}/"' in text


def fan_out(count, *, status=GenerationStatus.SUCCEEDED, output=None, **more):
    version = published(
        steps=[{"key": "list", "tool": "test.any"}, {"key": "art", "tool": "test.any", "for_each": "{{ inputs.items }}"}],
        inputs={"items": {"type": "array"}},
    )
    row = CastFactory.create(version=version, status=CastStatus.RUNNING, created_at=NOON)
    WakeupFactory.create(cast=row, due_at=database_now() + timedelta(hours=1))
    step = version.steps.get(key="art")
    FanOutFactory.create(cast=row, version=version, step=step, items=list(range(count)))
    made = [
        GenerationFactory.build(
            cast=row,
            version=version,
            step=step,
            item=item,
            status=status,
            created_at=NOON + timedelta(seconds=item),
            started_at=NOON + timedelta(seconds=item),
            finished_at=NOON + timedelta(seconds=item + 5),
            output=output or {"n": item},
            **more,
        )
        for item in range(count)
    ]
    Generation.objects.bulk_create(made)
    return row, made


@pytest.mark.both_databases
def test_a_large_fan_out_stays_small_and_takes_no_more_queries():
    client = superuser()
    small, _ = fan_out(1)
    few = queries_of(client, "casts_cast_change", small.pk)
    large, made = fan_out(500, output={"text": "x" * 20_000})
    assert queries_of(client, "casts_cast_change", large.pk) == few
    text = page(client, "casts_cast_change", large.pk)
    assert len(text) < 400_000
    assert text.count('class="try"') == 12
    assert text.count('role="listitem"') == 500
    assert "488 more items" in text
    assert few < 24
    assert len(made) == 500


def test_a_large_fan_out_shows_first_what_somebody_must_look_at():
    row, _ = fan_out(300)
    row.generations.filter(item=250).update(status=GenerationStatus.UNKNOWN, output=None, error={"message": "lost"})
    row.generations.filter(item=123).update(status=GenerationStatus.FAILED, output=None, error={"message": "no"})
    text = page(superuser(), "casts_cast_change", row.pk)
    shown = [int(item) for item in re.findall(r'id="i-art-(\d+)"', text)]
    assert shown == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 123, 250]


@pytest.mark.both_databases
def test_the_items_of_one_step_are_shown_by_page():
    row, _ = fan_out(120)
    client = superuser()
    text = page(client, "casts_cast_change", row.pk, step="art", page=2)
    shown = [int(item) for item in re.findall(r'id="i-art-(\d+)"', text)]
    assert shown == list(range(STEP_PAGE, 2 * STEP_PAGE))
    last = page(client, "casts_cast_change", row.pk, step="art", page=99)
    assert len(re.findall(r'id="i-art-(\d+)"', last)) == 20
    for query in ({"page": "-1"}, {"page": "x"}, {"page": "9" * 40}, {"step": SCRIPT}, {"page": "²"}):
        assert SCRIPT not in page(client, "casts_cast_change", row.pk, **{"step": "art", **query})


def test_a_fan_out_beyond_all_bounds_is_still_a_page(monkeypatch):
    monkeypatch.setattr("casts.admin.attempts.MAX_ATTEMPTS", 100)
    monkeypatch.setattr("casts.admin.timeline.MAX_ATTEMPTS", 100)
    monkeypatch.setattr("casts.admin.timeline.MAX_CELLS", 50)
    row, _ = fan_out(200)
    text = page(superuser(), "casts_cast_change", row.pk)
    assert "more attempts than one page reads" in text
    assert text.count('role="listitem"') == 50


def test_earlier_attempts_of_an_item_are_counted_and_linked():
    version = published(steps=[{"key": "one", "tool": "test.any"}])
    row = CastFactory.create(version=version, status=CastStatus.RUNNING)
    for attempt in range(1, 8):
        GenerationFactory.create(
            cast=row, version=version, step=version.steps.get(), attempt=attempt, status=GenerationStatus.FAILED, retry_at=NOON
        )
    client = superuser()
    text = page(client, "casts_cast_change", row.pk)
    assert "4 earlier attempts" in text
    assert "attempt 7" in text
    link = re.search(r'/admin/generations/generation/(\?cast=[^"]+)"', text)
    assert link is not None
    answer = client.get(reverse("admin:generations_generation_changelist") + link[1].replace("&amp;", "&"))
    assert answer.context["cl"].result_count == 7


def test_a_cast_that_has_not_begun_says_so_in_words():
    text = page(superuser(), "casts_cast_change", cast({"key": "one"}).pk)
    assert "No step has started yet" in text
    assert "not started" in text
    assert "None yet." in text


def test_the_page_of_an_unfinished_cast_keeps_itself_fresh_and_that_of_an_ended_one_does_not():
    assert "grimoire/refresh.js" in page(superuser(), "casts_cast_change", cast({"key": "one"}).pk)
    ended = page(superuser(), "casts_cast_change", CastFactory.create(status=CastStatus.FAILED).pk)
    assert "grimoire/refresh.js" not in ended
    assert "data-refresh" not in ended


def test_the_page_needs_no_inline_style_and_no_inline_script():
    row, _ = fan_out(20)
    text = page(superuser(), "casts_cast_change", row.pk)
    assert " style=" not in text
    assert "<style" not in text
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"\son[a-z]+=", text)


def test_wakeups_are_told_in_words():
    now = database_now()
    later = now + timedelta(seconds=30)
    row = CastFactory.create(status=CastStatus.RUNNING)

    def told(**values):
        return outlook(row, Wakeup(cast=row, **values), now=now)

    assert "no wakeup" in outlook(row, None, now=now).words
    assert outlook(row, None, now=now).is_bad
    assert "A conductor holds it" in told(due_at=later, claimed_until=later).words
    assert told(due_at=now - timedelta(seconds=2), claimed_until=now - timedelta(seconds=2)).is_bad
    assert "in 30.0 s" in told(due_at=later).words
    assert not told(due_at=now - timedelta(seconds=30)).is_bad
    assert told(due_at=now - timedelta(minutes=3)).is_bad
    assert "has ended" in outlook(CastFactory.create(status=CastStatus.FAILED), None, now=now).words


# What nobody knows


def unknown():
    """A cast whose billed call was lost: its holder vanished."""
    schema = {"type": "object", "required": ["video"], "properties": {"video": {"type": "string"}}}
    paid = tool("paid.tool", effects=Effects.BILLED, output_schema=schema)
    row = cast({"key": "render", "tool": paid}, {"key": "after", "params": {"x": "{{ steps.render.video }}"}})
    hand = Hand(row)
    hand.look()
    hand.answer("render", ToolError("The answer was lost.", ambiguous=True))
    generation = hand.generation("render")
    assert generation.status == GenerationStatus.UNKNOWN
    return hand, generation


def resolve(client, generation, **data):
    url = reverse("admin:casts_cast_resolve", args=[generation.cast_id, generation.pk])
    return client.post(url, data, follow=True)


def test_an_unknown_call_is_shown_with_what_can_be_done():
    hand, generation = unknown()
    text = page(superuser(), "casts_cast_change", hand.cast.pk)
    assert "1 call may have been billed" in text
    assert reverse("admin:casts_cast_resolve", args=[hand.cast.pk, generation.pk]) in text
    assert "The answer was lost." in text


def test_a_call_that_happened_goes_on_with_its_result_and_its_cost():
    hand, generation = unknown()
    client = superuser()
    answer = resolve(client, generation, finding="happened", output='{"video": "a.mp4"}', cost_usd="0.25")
    assert "is settled" in messages_of(answer)[0]
    generation.refresh_from_db()
    assert generation.status == GenerationStatus.SUCCEEDED
    assert generation.output == {"video": "a.mp4"}
    assert generation.cost_basis == {"resolved_by": client.user.pk}
    hand.cast.refresh_from_db()
    assert hand.cast.cost_usd == Decimal("0.25")
    assert "render" in LogEntry.objects.get(object_id=str(hand.cast.pk)).change_message
    hand.claim = None
    hand.look()
    assert hand.generation("after").inputs == {"x": "a.mp4"}


def test_a_call_that_did_not_happen_runs_again():
    hand, generation = unknown()
    resolve(superuser(), generation, finding="again")
    hand.claim = None
    hand.look()
    assert hand.generation("render").attempt == 2
    assert hand.generation("render").status == GenerationStatus.RUNNING


def test_a_call_that_is_written_off_fails_its_step():
    hand, generation = unknown()
    client = superuser()
    resolve(client, generation, finding="written_off")
    shown = page(client, "casts_cast_change", hand.cast.pk)
    assert "Resolved" in shown
    assert "written_off" in shown
    generation.refresh_from_db()
    assert generation.status == GenerationStatus.FAILED
    hand.claim = None
    hand.look()
    assert hand.status() == CastStatus.FAILED


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"finding": "nonsense"},
        {"finding": "happened"},
        {"finding": "happened", "output": "no json"},
        {"finding": "happened", "output": "[1]"},
        {"finding": "happened", "output": "{}"},
        {"finding": "happened", "output": '{"video": 3}'},
        {"finding": "happened", "output": '{"video": "a\\u0000"}'},
        {"finding": "happened", "output": '{"video": NaN}'},
        {"finding": "happened", "output": "[" * 100_000},
        {"finding": "happened", "output": "9" * 5000},
        {"finding": "happened", "output": '{"video": "a.mp4"}', "cost_usd": "-1"},
        {"finding": "happened", "output": '{"video": "a.mp4"}', "cost_usd": "NaN"},
        {"finding": "again", "output": '{"video": "a.mp4"}'},
        {"finding": "written_off", "cost_usd": "1e400"},
        {"finding": "happened", "output": f'{{"video": "{SCRIPT}'},
    ],
    ids=lambda data: str(data)[:60],
)
def test_a_finding_that_makes_no_sense_changes_nothing_and_is_shown_again(data):
    _, generation = unknown()
    answer = resolve(superuser(), generation, **data)
    assert answer.status_code == 422
    text = answer.content.decode()
    assert "errorlist" in text
    assert SCRIPT not in text
    assert "data-refresh" not in text
    generation.refresh_from_db()
    assert generation.status == GenerationStatus.UNKNOWN
    assert not LogEntry.objects.exists()


def test_settling_needs_the_permission_a_token_and_a_generation_of_that_cast():
    hand, generation = unknown()
    other = cast({"key": "one"}, slug="other")
    url = reverse("admin:casts_cast_resolve", args=[generation.cast_id, generation.pk])
    data = {"finding": "written_off"}
    viewer = operator(VIEW)
    assert viewer.post(url, data).status_code == 403
    assert "has to settle it" in page(viewer, "casts_cast_change", hand.cast.pk)
    assert operator(CHANGE, enforce_csrf_checks=True).post(url, data).status_code == 403
    assert AdminClient().post(url, data).status_code == 302
    assert superuser().get(url).status_code == 405
    wrong = reverse("admin:casts_cast_resolve", args=[other.pk, generation.pk])
    assert superuser().post(wrong, data).status_code == 404
    generation.refresh_from_db()
    assert generation.status == GenerationStatus.UNKNOWN


def test_settling_what_was_settled_meanwhile_changes_nothing():
    _, generation = unknown()
    engine.resolve(generation_id=generation.pk, now=database_now(), again=True)
    answer = resolve(superuser(), generation, finding="written_off")
    assert "not unknown any more" in messages_of(answer)[0]
    generation.refresh_from_db()
    assert generation.retry_at is not None


# What stands around casts


@pytest.mark.both_databases
def test_wakeups_events_and_notifications_link_to_their_cast_and_are_found_by_it():
    row = WakeupFactory.create().cast
    other = WakeupFactory.create(cast__id="01890a5d-ac96-774b-bcce-b302099a8057").cast
    for each in (row, other):
        CastEventFactory.create(cast=each)
        NotificationFactory.create(cast=each)
    client = superuser()
    for name in ("wakeup", "castevent", "notification"):
        text = page(client, f"casts_{name}_changelist", q=str(row.pk))
        assert change_url(row) in text
        assert str(other.pk) not in text
        assert str(other.pk)[:13] in page(client, f"casts_{name}_changelist", q="01890a5d")
        assert str(row.pk)[:13] in page(client, f"casts_{name}_changelist", cast=row.pk)


def test_conductors_are_told_alive_from_dead():
    now = database_now()
    ConductorProcessFactory.create(host="one", alive_until=now + timedelta(hours=1))
    assert ">alive<" in page(superuser(), "casts_conductorprocess_changelist")
    assert ">dead<" not in page(superuser(), "casts_conductorprocess_changelist")
    ConductorProcessFactory.create(host="two")
    assert ">dead<" in page(superuser(), "casts_conductorprocess_changelist")
    assert "1 conductor" in page(superuser(), "casts_conductorprocess_changelist", q="two")


@pytest.mark.parametrize("name", ["wakeup", "castevent", "notification", "conductorprocess"])
def test_lists_around_casts_take_as_many_queries_for_many_rows_as_for_one(name):
    client = superuser()

    def add(count):
        for _ in range(count):
            row = WakeupFactory.create().cast
            CastEventFactory.create(cast=row, actor=UserFactory.create())
            NotificationFactory.create(cast=row)

    add(1)
    few = queries_of(client, f"casts_{name}_changelist")
    add(20)
    assert queries_of(client, f"casts_{name}_changelist") == few


# The axis


def span(start, end):
    return NOON + timedelta(seconds=start), NOON + timedelta(seconds=end)


def at(axis, seconds):
    return round(axis.at(NOON + timedelta(seconds=seconds)), 2)


def test_the_axis_maps_time_to_width():
    axis = Axis(origin=NOON, spans=[span(0, 4), span(4, 10)])
    assert [at(axis, seconds) for seconds in (0, 2.5, 5, 10, 99)] == [0, 25, 50, 100, 100]
    assert [tick.label for tick in axis.ticks()] == ["0 s", "2 s", "4 s", "6 s", "8 s"]


def test_the_axis_cuts_a_long_silence_short_and_says_so():
    day = 86_400
    axis = Axis(origin=NOON, spans=[span(0, 10), span(day, day + 10)])
    assert at(axis, 10) == 48
    assert at(axis, day / 2) == at(axis, day) == 52
    assert at(axis, day + 10) == 100
    cut = [tick for tick in axis.ticks() if tick.is_cut]
    assert [tick.label for tick in cut] == ["1 d"]


def test_the_axis_keeps_short_silences_as_they_are():
    axis = Axis(origin=NOON, spans=[span(0, 10), span(15, 20)])
    assert at(axis, 10) == 50


@pytest.mark.parametrize("spans", [[], [span(0, 0)], [span(5, 5)], [span(-5, -3)], [span(0, 1e-6)], [span(0, 1e9)]])
def test_the_axis_stands_whatever_happened(spans):
    axis = Axis(origin=NOON, spans=spans)
    assert 0 <= at(axis, 3) <= 100
    assert axis.ticks()[0].percent == 0


def test_the_axis_of_very_many_silences_cuts_the_longest():
    axis = Axis(origin=NOON, spans=[span(hour * 3600, hour * 3600 + 1) for hour in range(40)])
    assert at(axis, 39 * 3600 + 1) == 100
    assert len([tick for tick in axis.ticks() if tick.is_cut]) <= 8
