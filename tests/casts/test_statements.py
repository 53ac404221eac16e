"""What is written by hand says the same as what the ORM would, on both databases; and a set takes as many statements as it takes."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db.models import Count, Exists, Max, Model, OuterRef, Q
from uuid_utils.compat import uuid7

from casts import callbacks, engine, inbox
from casts.clock import database_now
from casts.engine import ends, loading, rows, sql
from casts.engine.notices import END_KINDS, Notice, _subscribers
from casts.engine.owners import gate_of
from casts.engine.retrying import LostUpdateError
from casts.engine.start import disabled_tool
from casts.engine.state import ATTEMPT_COLUMNS, DONE, Attempt
from casts.engine.turns import End, Turn
from casts.errands import Errand
from casts.models import Cast, CastEvent, CastStatus, Gate, Notification, NotificationChannel, Subscription, Wakeup
from generations.models import Callback, Generation
from generations.tools.contract import Progress, Result, Submitted, ToolError
from spells.models import Provider, Tool

from .factories import CallbackFactory
from .scenes import Hand, billed, cast, cost, tool, user, version

pytestmark = pytest.mark.django_db

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.fixture
def hand() -> Hand:
    """A cast with items that are done, that failed and are due again, that a provider has, and that are not begun."""
    steps = (
        {"key": "one"},
        {"key": "each", "tool": billed(max_attempts=3), "for_each": "{{ [1, 2, 3] }}", "run_timeout_seconds": 7, "deadline_seconds": 700},
        {"key": "last", "params": {"a": "{{ steps.each }}", "b": "{{ steps.one.n }}"}},
    )
    hand = Hand(cast(*steps))
    hand.look()
    hand.answer("one", {"n": 1})
    hand.answer("each", Result(output={"n": "ä"}, cost=cost("0.1")), item=0)
    hand.answer("each", Submitted(job_id="job", poll_after=5.0), item=1)
    hand.answer("each", Progress(percent=50.0, stage="drawing"), item=1, via=engine.Via.CALLBACK)
    hand.answer("each", ToolError("busy"), item=2)
    return hand


def columns_of(row: Any) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


@pytest.mark.parametrize("disabled", ["nothing", "tool", "provider", "both"])
def test_a_disabled_tool_is_found_as_the_orm_finds_it(disabled):
    provider = Provider.objects.create(slug="theirs", name="Theirs", enabled=disabled not in {"provider", "both"})
    first, second = tool("first.tool"), tool("second.tool")
    pinned = version({"key": "a", "tool": second}, {"key": "b", "tool": first}, {"key": "c", "tool": first})
    other = version({"key": "a", "tool": tool("third.tool")})
    tool("first.tool", provider=provider)
    tool("second.tool", enabled=disabled not in {"tool", "both"})
    expected = Tool.objects.filter(Q(enabled=False) | Q(provider__enabled=False), steps__version=pinned)
    assert disabled_tool(pinned) == expected.values_list("slug", flat=True).first()
    assert (disabled_tool(pinned) is None) == (disabled == "nothing")
    assert disabled_tool(other) is None


def test_the_casts_that_are_loaded_are_those_of_the_orm(hand):
    (loaded,) = loading.load(held={hand.cast.pk: hand.claim}).states.values()
    assert columns_of(loaded.cast) == columns_of(Cast.objects.get())


def test_the_tools_that_are_loaded_are_those_of_the_orm(django_assert_num_queries):
    provider = Provider.objects.create(slug="theirs", name="Theirs", max_in_flight=3)
    free, gated = tool("free.tool", config={"ä": [1, None]}), tool("gated.tool", provider=provider, max_per_minute=5)
    for gate in (Gate(tool=gated, started={"1": 2}), Gate(provider=provider, failures=1)):
        gate.save()
    held = cast({"key": "one", "tool": free}, {"key": "two", "tool": gated})
    Tool.objects.filter(pk=free.pk).update(enabled=False)
    expected = {each.pk: each for each in Tool.objects.select_related("gate", "provider__gate").filter(pk__in=[free.pk, gated.pk])}
    (claim,) = engine.claim(limit=1)
    (state,) = loading.load(held={held.pk: claim}).states.values()
    loaded = state.tools
    with django_assert_num_queries(0):
        assert {pk: columns_of(each) for pk, each in loaded.items()} == {pk: columns_of(each) for pk, each in expected.items()}
        assert loaded[free.pk].provider is None
        assert gate_of(loaded[free.pk]) is None
        for read in (lambda each: each.provider, gate_of, lambda each: gate_of(each.provider)):
            assert columns_of(read(loaded[gated.pk])) == columns_of(read(expected[gated.pk]))


def test_the_attempts_that_are_loaded_are_those_of_the_orm(hand):
    (loaded,) = loading.load(held={hand.cast.pk: hand.claim}).states.values()
    same_item = {name: OuterRef(name) for name in ("cast_id", "step_id", "item")}
    is_done = Exists(Generation.objects.filter(**same_item, status__in=DONE))
    rows = Generation.objects.exclude(status__in=DONE).exclude(is_done).order_by("attempt").values_list(*ATTEMPT_COLUMNS)
    assert len(rows) == 2
    assert loaded.attempts == {row[0]: Attempt(*row) for row in rows}
    summary = Generation.objects.values_list("step_id").annotate(last=Max("item"), done=Count("id", filter=Q(status__in=DONE)))
    assert len(summary) == 2
    assert {step_id: (loaded.begun[step_id], loaded.done[step_id]) for step_id, *_ in summary} == {
        step_id: (last + 1, done) for step_id, last, done in summary
    }


def test_rows_that_are_inserted_as_a_set_are_those_that_the_orm_would_insert(hand):
    now = database_now()
    values = {"cast_id": hand.cast.pk, "version_id": hand.cast.version_id, "step_id": Generation.objects.first().step_id}
    values |= {"tool_id": Generation.objects.first().tool_id, "item": 9, "status": "running", "epoch": 2**40, "created_at": now}
    values |= {"owed_key": uuid7()}
    values |= {"inputs": {"text": "ä\"'\n{}%s", "list": [1.5, None, True]}, "started_at": now, "deadline_at": now + timedelta(days=1)}
    by_hand, by_orm = Generation(**values, id=uuid7()), Generation(**values | {"item": 10}, id=uuid7())
    by_hand.cost_usd = by_orm.cost_usd = Decimal("0.1234567890")
    sql.insert([by_hand])
    Generation.objects.bulk_create([by_orm])
    stored: list[dict[str, Any]] = [
        dict(row) for row in Generation.objects.filter(pk__in=[by_hand.pk, by_orm.pk]).order_by("item").values()
    ]
    alike = [{name: value for name, value in row.items() if name not in {"id", "item"}} for row in stored]
    assert alike[0] == alike[1]
    assert stored[0]["id"] == by_hand.pk
    assert stored[0]["inputs"] == values["inputs"]


def test_rows_that_are_inserted_together_are_those_that_the_orm_would_insert():
    given = cast({"key": "one"})
    values = {field.attname: getattr(given, field.attname) for field in given._meta.concrete_fields}
    made = Cast(**values | {"id": uuid7()})
    wakeup = Wakeup(cast=made, initiator_id=made.initiator_id, due_at=made.created_at, priority=made.priority)
    sql.insert_together(made, wakeup, CastEvent(cast=made, kind="started", actor_id=made.initiator_id, at=made.created_at))
    stored = Cast.objects.get(pk=made.pk)
    assert columns_of(stored) == columns_of(Cast.objects.get(pk=given.pk)) | {"id": made.pk}
    assert columns_of(Wakeup.objects.get(pk=made.pk)) == columns_of(Wakeup.objects.get(pk=given.pk)) | {"cast_id": made.pk}
    event, other = CastEvent.objects.get(cast=made), CastEvent.objects.get(cast=given)
    assert columns_of(event) == columns_of(other) | {"id": event.pk, "cast_id": made.pk}


def test_rows_that_are_there_already_are_left_out_where_that_is_asked(hand):
    now = database_now()
    row = Notification(
        recipient_id=hand.cast.initiator_id,
        cast_id=hand.cast.pk,
        kind=END_KINDS[CastStatus.SUCCEEDED],
        channel=NotificationChannel.INBOX,
        target="1",
        data={},
        created_at=now,
        delivered_at=now,
    )
    sql.insert([row], unless_there=True)
    sql.insert([row], unless_there=True)
    assert Notification.objects.filter(kind=END_KINDS[CastStatus.SUCCEEDED]).count() == 1


def test_a_value_that_stands_in_no_row_is_refused():
    with pytest.raises(TypeError, match="object stands in no row"):
        sql.rows_parameter([{"value": object()}])


def test_subscribers_are_those_of_the_casts_and_of_their_initiators():
    mine, other = cast({"key": "one"}), cast({"key": "one"})
    ada, eve = user(), user("eve")
    ada.email = "ada@example.org"
    ada.save()
    common = {"created_at": database_now(), "kinds": ["cast.succeeded"], "url": "https://example.org/"}
    wanted = [
        Subscription.objects.create(owner=ada, channel="webhook", secret="s", **common),
        Subscription.objects.create(owner=ada, cast=mine, channel="webhook", secret="s", **common),
        Subscription.objects.create(owner=ada, channel="email", **common | {"url": ""}),
    ]
    Subscription.objects.create(owner=ada, cast=other, channel="webhook", secret="s", **common)
    Subscription.objects.create(owner=eve, channel="webhook", secret="s", **common)
    Subscription.objects.create(
        owner=ada, channel="webhook", secret="s", enabled=False, disabled_at=database_now(), disabled_reason="gone", **common
    )
    found = _subscribers([Notice(cast=mine, kind=END_KINDS[CastStatus.SUCCEEDED])])
    assert [each.id for each in found[ada.pk]] == [wanted[0].pk, wanted[2].pk]
    assert [each.id for each in found[mine.pk]] == [wanted[1].pk]
    told = found[ada.pk][1]
    assert (told.cast_id, told.owner_id, told.channel, told.kinds, told.address) == (None, ada.pk, "email", ["cast.succeeded"], ada.email)
    assert set(found) == {ada.pk, mine.pk}


@pytest.mark.parametrize("of", ["a cast", "all casts of its initiator", "casts of another", "nobody any more"])
def test_whether_anybody_subscribed_is_read_with_a_cast(of: str):
    held = cast({"key": "one"})
    (claim,) = engine.claim(limit=1)
    owner = user("eve") if of == "casts of another" else user()
    gone = {"enabled": False, "disabled_at": database_now(), "disabled_reason": "gone"} if of == "nobody any more" else {}
    wish = {"cast": held if of == "a cast" else None, "channel": "webhook", "url": "https://example.org/", "secret": "s", "kinds": []}
    Subscription.objects.create(owner=owner, created_at=database_now(), **wish, **gone)
    assert loading.load(held={held.pk: claim}).has_subscribers is (of in {"a cast", "all casts of its initiator"})


def turn_of(held: Cast, *, epoch: int | None = None) -> Turn:
    (claim,) = engine.claim(limit=1) or [engine.Claim(cast_id=held.pk, epoch=Wakeup.objects.get(pk=held.pk).epoch, bell=0)]
    claim = claim if epoch is None else engine.Claim(cast_id=held.pk, epoch=epoch, bell=0)
    (loaded,) = loading.load(held={held.pk: claim}).states.values()
    return Turn(state=loaded, now=database_now(), end=End(status=CastStatus.SUCCEEDED, outputs={"text": "ä"}))


def test_an_end_is_written_as_a_whole_or_not_at_all():
    held = cast({"key": "one"})
    turn = turn_of(held)
    with pytest.raises(LostUpdateError):
        ends.end(turns=[turn_of(held, epoch=turn.state.claim.epoch + 1)], now=turn.now)
    Cast.objects.filter(pk=held.pk).update(status="queued", outputs=None, started_at=None, finished_at=None)
    ends.end(turns=[turn], now=turn.now)
    held.refresh_from_db()
    assert (held.status, held.outputs, held.error, held.reason) == ("succeeded", {"text": "ä"}, None, "")
    assert held.started_at == held.finished_at == turn.now
    assert not Wakeup.objects.exists()
    assert CastEvent.objects.last().kind == "succeeded"
    with pytest.raises(LostUpdateError):  # it has ended
        ends.end(turns=[turn], now=turn.now)


def test_no_end_of_casts_is_no_statement(django_assert_num_queries):
    now = database_now()
    with django_assert_num_queries(0):
        ends.end(turns=[], now=now)


def test_ids_that_nobody_has_load_nothing():
    unknown = uuid4()
    assert loading.load(held={unknown: engine.Claim(cast_id=unknown, epoch=1, bell=0)}).states == {}


def test_very_large_rows_are_inserted_by_several_statements(hand, monkeypatch, django_assert_num_queries):
    """PostgreSQL takes no JSON of more than 256 MiB: fifty calls may read more than that together."""
    monkeypatch.setattr(sql, "MOST_INSERTED", 10_000)
    now = database_now()
    sizes = [9_000, 400, 20_000, 100, 100]
    events = [CastEvent(cast_id=hand.cast.pk, kind="paused", data={"text": "x" * size}, at=now) for size in sizes]
    with django_assert_num_queries(3):
        sql.insert(events)
    kept = CastEvent.objects.filter(kind="paused").order_by("pk").values_list("data", flat=True)
    assert [len(data["text"]) for data in kept] == sizes


NEW: dict[type[Model], dict[str, Any]] = {
    Generation: {"cast_id": uuid4(), "version_id": 1, "step_id": 2, "tool_id": 3, "status": "running", "created_at": MOMENT},
    CastEvent: {"cast_id": uuid4(), "kind": "paused", "at": MOMENT},
    Wakeup: {"cast_id": uuid4(), "due_at": MOMENT, "epoch": 7},
    Tool: {"slug": "one", "adapter": "two"},
}


@pytest.mark.parametrize("model", NEW, ids=lambda model: model.__name__)
def test_a_new_object_is_what_the_constructor_makes(model):
    one, other = rows.new(model, **NEW[model]), rows.new(model, **NEW[model])
    made = model(**NEW[model])
    own = {field.attname for field in model._meta.concrete_fields if field.default is uuid7}  # ids, another for each
    assert {name: value for name, value in columns_of(one).items() if name not in own} == {
        name: value for name, value in columns_of(made).items() if name not in own
    }
    assert one._state.adding
    for name, value in columns_of(one).items():
        if isinstance(value, dict | list) or name in own:
            assert getattr(other, name) is not value
    with pytest.raises(KeyError):
        rows.new(model, **NEW[model], nobody=1)


def test_what_is_null_or_empty_is_inserted_as_it_is(hand):
    now = database_now()
    notification = Notification(
        recipient_id=user().pk, cast_id=hand.cast.pk, kind="cast.failed", channel=NotificationChannel.INBOX, target="t",
        data={"none": None, "id": None, "list": [None, 0, "", False, {}]}, created_at=now, delivered_at=now,
    )  # fmt: skip
    Notification.objects.all().delete()
    sql.insert([notification])
    kept, told = columns_of(Notification.objects.get()), columns_of(notification)
    assert {name: value for name, value in kept.items() if name != "id"} == {name: value for name, value in told.items() if name != "id"}


def test_callbacks_are_loaded_with_what_the_orm_finds_about_them(hand, django_assert_num_queries):
    """Those of another step, of a generation that is gone, and that were not kept as a whole."""
    made = hand.generation("each", 1)
    Generation.objects.filter(pk=made.pk).update(job_handle={"at": "ä"})
    other = hand.generation("one")
    rows = [
        CallbackFactory.create(generation=made, adapter="their", payload={"n": [1.5, None, "ä"]}),
        CallbackFactory.create(generation=other, is_complete=False),
    ]
    orphan = CallbackFactory.create(generation=None, outcome="orphaned")
    given = [Errand(id=row.pk, attempts=3) for row in (rows[1], orphan, rows[0])]
    with django_assert_num_queries(1):
        letters = inbox.load(given)
    for letter, row in zip(letters, rows, strict=True):
        found = Callback.objects.select_related("generation__step__tool", "generation__cast").get(pk=row.pk)
        generation = found.generation
        assert generation is not None
        step, tool, request = generation.step, generation.step.tool, letter.request
        assert letter.errand == Errand(id=row.pk, attempts=3)
        assert (letter.adapter_key, letter.job_id, letter.payload) == (
            found.adapter,
            generation.job_id,
            found.payload if found.is_complete else None,
        )
        assert letter.is_awaited == (generation.status == "submitted")
        assert letter.cost_is_known == (generation.cost_booked_at is not None)
        assert (request.tool, request.config, request.pricing) == (tool.slug, tool.config, tool.pricing)
        assert (request.generation_id, request.cast_id, request.attempt) == (generation.pk, generation.cast_id, generation.attempt)
        assert (request.idempotency_key, request.inputs, request.job_handle) == (
            generation.idempotency_key,
            generation.inputs,
            generation.job_handle,
        )
        assert request.timeout_seconds == min(inbox.READ_SECONDS, step.run_timeout_seconds or tool.run_timeout_seconds)
        assert request.deadline_seconds == (step.deadline_seconds or tool.deadline_seconds)


def test_a_callback_is_stored_as_the_orm_would_and_once(hand):
    made = hand.generation("each", 1)
    told = {"adapter": "their", "addressed_to": made.pk, "delivery_id": "7", "payload": {"ä": [1, 2.5, None, {}]}, "is_complete": True}
    at = database_now()
    assert callbacks._store(told)
    assert not callbacks._store(told | {"payload": {}})
    (stored,) = Callback.objects.all()
    received_at = stored.received_at
    assert at <= received_at <= database_now()
    expected = Callback(**told, pk=stored.pk, generation=made, outcome="received", received_at=received_at, due_at=received_at)
    assert columns_of(stored) == columns_of(expected)


def test_a_callback_of_a_generation_that_is_gone_is_stored_as_an_orphan():
    gone = uuid4()
    told = {"adapter": "their", "addressed_to": gone, "delivery_id": "7", "payload": {}, "is_complete": False}
    assert callbacks._store(told)
    (stored,) = Callback.objects.all()
    expected = Callback(**told, pk=stored.pk, outcome="orphaned", received_at=stored.received_at, applied_at=stored.received_at)
    assert columns_of(stored) == columns_of(expected)


def test_the_outputs_that_are_loaded_are_those_of_the_orm(hand, django_assert_num_queries):
    (state,) = loading.load(held={hand.cast.pk: hand.claim}).states.values()
    steps = {step.id for step in state.plan.steps}
    with django_assert_num_queries(1):
        loading.load_outputs([(state, steps)])
        loading.load_outputs([(state, steps)])
    made = Generation.objects.filter(status__in=DONE).values_list("step_id", "item", "output")
    assert len(made) == 2
    assert state.outputs == {(step_id, item): output for step_id, item, output in made}
