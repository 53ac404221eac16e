from datetime import timedelta
from decimal import Decimal

import pytest

from casts import engine
from casts.clock import database_now
from casts.engine.verdicts import wait_before_retry
from casts.models import Cast, CastEvent, FanOut, Notification, Wakeup
from casts.repeats import IdempotencyKeyReusedError
from generations.models import Generation
from generations.tools.contract import Result

from .scenes import Hand, Limited, billed, cast, cost, refusal, statuses, tool, user, version

pytestmark = pytest.mark.django_db


def test_start_inserts_a_queued_cast_with_a_wakeup_that_is_due():
    started = cast({"key": "one"})
    assert started.status == "queued"
    assert Wakeup.objects.get(pk=started.pk).due_at <= database_now()
    assert [event.kind for event in started.events.all()] == ["started"]


def test_start_fills_defaults_and_refuses_inputs_that_do_not_fit():
    pinned = version({"key": "one"}, inputs={"count": {"type": "integer", "default": 3}})
    started = engine.start(version=pinned, initiator_id=user().pk, inputs={}, now=database_now())
    assert started.cast.inputs == {"count": 3}
    with pytest.raises(engine.InvalidInputsError, match=r"inputs\.count"):
        engine.start(version=pinned, initiator_id=user().pk, inputs={"count": "three"}, now=database_now())
    assert Cast.objects.count() == 1


def test_start_refuses_a_disabled_tool():
    pinned = version({"key": "one", "tool": tool("gone.tool")})
    tool("gone.tool", enabled=False)
    with pytest.raises(engine.ToolDisabledError, match=r"gone\.tool"):
        engine.start(version=pinned, initiator_id=user().pk, inputs={}, now=database_now())


def test_start_returns_the_same_cast_for_a_repeated_key_and_refuses_another_request():
    pinned = version({"key": "one"})
    common = {"version": pinned, "initiator_id": user().pk, "inputs": {}, "now": database_now(), "idempotency_key": "k"}
    first = engine.start(**common, request_digest="a")
    again = engine.start(**common, request_digest="a")
    assert (first.created, again.created) == (True, False)
    assert first.cast.pk == again.cast.pk
    with pytest.raises(IdempotencyKeyReusedError):
        engine.start(**common, request_digest="b")


def test_a_sequence_runs_step_after_step_and_ends_with_its_outputs():
    hand = Hand(cast({"key": "one"}, {"key": "two", "params": {"text": "{{ steps.one.text }}!"}}, outputs={"last": "{{ steps.two.text }}"}))
    hand.look()
    assert hand.called() == [("one", 0)]
    assert hand.status() == "running"
    hand.answer("one", {"text": "hello"})
    assert hand.called() == [("two", 0)]
    assert hand.generation("two").inputs == {"text": "hello!"}
    hand.answer("two", {"text": "bye"})
    assert hand.status() == "succeeded"
    assert hand.cast.outputs == {"last": "bye"}
    assert not Wakeup.objects.filter(pk=hand.cast.pk).exists()
    assert Notification.objects.get().kind == "cast.succeeded"
    assert list(CastEvent.objects.order_by("id").values_list("kind", flat=True)) == ["started", "succeeded"]


def test_the_result_of_one_step_and_the_intent_of_the_next_are_one_commit():
    hand = Hand(cast({"key": "one"}, {"key": "two", "params": {"a": "{{ steps.one.a }}"}}))
    hand.look()
    turn = hand.answer("one", {"a": 1})
    assert [change.status for change in turn.changes.values()] == ["succeeded"]
    assert [generation.step.key for generation in turn.calls] == ["two"]


def test_independent_steps_run_side_by_side_and_a_join_waits_for_both():
    join = {"key": "join", "params": {"a": "{{ steps.left.n }}", "b": "{{ steps.right.n }}"}}
    hand = Hand(cast({"key": "left"}, {"key": "right"}, join))
    hand.look()
    assert hand.called() == [("left", 0), ("right", 0)]
    hand.answer("left", {"n": 1})
    assert hand.called() == [("right", 0)]
    hand.answer("right", {"n": 2})
    assert hand.called() == [("join", 0)]
    assert hand.generation("join").inputs == {"a": 1, "b": 2}


def test_for_each_runs_an_item_each_and_gives_the_outputs_as_a_list_in_order():
    steps = (
        {"key": "list"},
        {"key": "each", "for_each": "{{ steps.list.items }}", "params": {"n": "{{ item }}", "i": "{{ item_index }}"}},
        {"key": "sum", "params": {"all": "{{ steps.each | map(attribute='n') | list }}"}},
    )
    hand = Hand(cast(*steps))
    hand.look()
    hand.answer("list", {"items": ["a", "b", "c"]})
    assert hand.called() == [("each", 0), ("each", 1), ("each", 2)]
    assert FanOut.objects.get().items == ["a", "b", "c"]
    for item in (2, 0, 1):
        assert hand.status() == "running"
        hand.answer("each", {"n": item * 10}, item=item)
    assert hand.called() == [("sum", 0)]
    assert hand.generation("sum").inputs == {"all": [0, 10, 20]}


def test_for_each_over_nothing_is_done_at_once():
    hand = Hand(cast({"key": "each", "for_each": "{{ [] }}"}, {"key": "after", "params": {"n": "{{ steps.each | length }}"}}))
    hand.look()
    assert hand.called() == [("after", 0)]
    assert hand.generation("after").inputs == {"n": 0}


def test_a_false_condition_skips_the_step_and_its_output_is_null():
    steps = ({"key": "maybe", "when": "{{ 1 > 2 }}"}, {"key": "after", "params": {"was": "{{ steps.maybe is none }}"}})
    hand = Hand(cast(*steps))
    hand.look()
    assert statuses(hand.cast)["maybe"] == ["skipped"]
    assert hand.generation("after").inputs == {"was": True}


def test_a_failed_attempt_is_retried_after_its_backoff(clock):
    hand = Hand(cast({"key": "one", "max_attempts": 2}))
    hand.look()
    hand.answer("one", refusal("busy", retry_after=20))
    assert hand.claim is None
    assert not hand.take()
    clock.advance(seconds=30)
    hand.look()
    assert hand.generation("one").attempt == 2
    hand.answer("one", {"ok": 1})
    assert hand.status() == "succeeded"
    assert statuses(hand.cast) == {"one": ["failed", "succeeded"]}


def test_backoff_doubles_with_full_jitter_up_to_its_ceiling():
    patient = tool("slow.tool", backoff_seconds=2.0, max_backoff_seconds=10.0)
    for failures, ceiling in ((1, 2), (2, 4), (3, 8), (4, 10), (400, 10)):
        waits = [wait_before_retry(tool=patient, failures=failures, retry_after=None) for _ in range(200)]
        assert 0 <= min(waits) < ceiling / 3
        assert ceiling * 2 / 3 < max(waits) <= ceiling


def test_a_step_that_fails_for_good_fails_its_cast_with_the_providers_words():
    hand = Hand(cast({"key": "one", "max_attempts": 1}))
    hand.look()
    hand.answer("one", refusal("The model is on holiday.", code="holiday", details={"until": "monday"}))
    assert hand.status() == "failed"
    assert hand.cast.error == {
        "code": "holiday",
        "message": "The model is on holiday.",
        "step": "one",
        "item": 0,
        "attempt": 1,
        "provider": "pure.tool",
        "details": {"until": "monday"},
    }
    assert Notification.objects.get().kind == "cast.failed"


def test_a_permanent_error_is_not_retried():
    hand = Hand(cast({"key": "one", "max_attempts": 5}))
    hand.look()
    hand.answer("one", refusal(permanent=True))
    assert hand.status() == "failed"


def test_after_a_branch_failed_nothing_new_starts_and_the_cast_ends_when_the_rest_has_ended():
    steps = ({"key": "bad", "max_attempts": 1}, {"key": "good"}, {"key": "after", "params": {"n": "{{ steps.good.n }}"}})
    hand = Hand(cast(*steps))
    hand.look()
    hand.answer("bad", refusal())
    assert hand.status() == "running"
    hand.answer("good", {"n": 1})
    assert hand.status() == "failed"
    assert statuses(hand.cast) == {"bad": ["failed"], "good": ["succeeded"]}


def test_a_step_that_may_fail_lets_the_cast_go_on_with_null():
    steps = ({"key": "bad", "max_attempts": 1, "on_failure": "continue"}, {"key": "after", "params": {"x": "{{ steps.bad is none }}"}})
    hand = Hand(cast(*steps))
    hand.look()
    hand.answer("bad", refusal())
    assert hand.generation("after").inputs == {"x": True}


def test_an_expression_that_fails_fails_its_cast_and_names_the_place():
    hand = Hand(cast({"key": "one"}, {"key": "two", "params": {"x": "{{ steps.one.missing }}"}}))
    hand.look()
    hand.answer("one", {"there": 1})
    assert hand.status() == "failed"
    assert hand.cast.error["code"] == "expression_failed"
    assert hand.cast.error["step"] == "two"
    assert "missing" in hand.cast.error["message"]


def test_an_empty_output_stands_in_for_no_part_that_a_later_step_reads():
    hand = Hand(cast({"key": "one"}, {"key": "two", "params": {"x": "{{ steps.one.image }}"}}))
    hand.look()
    hand.answer("one", {})
    assert (hand.status(), hand.cast.error["code"], hand.cast.error["step"]) == ("failed", "expression_failed", "two")
    assert statuses(hand.cast) == {"one": ["succeeded"], "two": ["failed"]}
    assert hand.calls == {}


@pytest.mark.parametrize("given", ["", "ink"])
def test_what_the_caster_gave_goes_before_the_default_and_moves_no_other_param(given):
    params = {"style": "{{ inputs.style }}", "frame": "gold"}
    hand = Hand(
        cast({"key": "one", "params": params}, inputs={"style": {"default": "oil"}, "frame": {"default": ""}}, given={"style": given})
    )
    hand.look()
    assert hand.generation("one").inputs == {"style": given, "frame": "gold"}


def test_params_that_do_not_fit_the_tool_fail_before_any_call():
    narrow = tool("narrow.tool", input_schema={"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False})
    hand = Hand(cast({"key": "one"}, {"key": "two", "tool": narrow, "params": {"n": "{{ steps.one.n }}"}}))
    hand.look()
    hand.answer("one", {"n": "three"})
    assert hand.status() == "failed"
    assert hand.cast.error["code"] == "invalid_params"
    assert "steps.two.params.n" in hand.cast.error["message"]


@pytest.mark.parametrize(("before", "after"), [({"type": "string"}, {"type": "integer"}), ({"const": 1}, {"const": True})])
def test_params_are_checked_by_the_schema_that_the_tool_has_now(before, after):
    """What is kept ready of a schema is known by its content, by which 1 is not true."""
    given = "three" if "type" in before else 1

    def schema(of_n):
        return {"type": "object", "properties": {"n": of_n}}

    changing = tool("changing.tool", input_schema=schema(before))
    two = {"key": "two", "tool": changing, "params": {"n": "{{ steps.one.n }}"}}
    three = {"key": "three", "tool": changing, "params": {"n": "{{ steps.one.n }}", "after": "{{ steps.two }}"}}
    hand = Hand(cast({"key": "one"}, two, three))
    hand.look()
    hand.answer("one", {"n": given})
    assert hand.generation("two").inputs["n"] == given
    tool("changing.tool", input_schema=schema(after))
    hand.answer("two", {})
    assert hand.generation("three").error["code"] == "invalid_params"


def test_outputs_that_cannot_be_evaluated_fail_the_cast():
    hand = Hand(cast({"key": "one"}, outputs={"x": "{{ steps.one.nothing }}"}))
    hand.look()
    hand.answer("one", {"n": 1})
    assert hand.status() == "failed"
    assert hand.cast.error["code"] == "expression_failed"


def test_the_tool_that_was_disabled_meanwhile_fails_the_step_with_the_reason():
    hand = Hand(cast({"key": "one"}, {"key": "two", "tool": tool("other.tool"), "params": {"n": "{{ steps.one.n }}"}}))
    hand.look()
    tool("other.tool", enabled=False)
    hand.answer("one", {"n": 1})
    assert hand.cast.generations.get(step__key="two").error["code"] == "tool_disabled"
    assert hand.status() == "failed"


def test_a_cast_past_its_deadline_fails_and_starts_nothing(clock):
    hand = Hand(cast({"key": "one", "max_attempts": 3}, deadline=timedelta(seconds=60)))
    hand.look()
    hand.answer("one", refusal(retry_after=40))
    clock.advance(seconds=61)
    hand.look()
    assert hand.status() == "failed"
    assert hand.cast.error["code"] == "deadline_exceeded"
    assert hand.cast.generations.count() == 1


def test_a_waiting_cast_is_due_at_its_deadline_at_the_latest():
    hand = Hand(cast({"key": "one", "max_attempts": 2}, deadline=timedelta(seconds=60)))
    hand.look()
    hand.answer("one", refusal(retry_after=4000))
    assert Wakeup.objects.get().due_at == hand.cast.deadline_at


def test_a_cast_without_slots_is_left_to_whoever_has_some_and_starts_nothing_meanwhile():
    hand = Hand(cast({"key": "one"}), slots=Limited(0))
    hand.look()
    assert not hand.cast.generations.exists()
    assert hand.claim is None
    hand.slots = Limited(1)
    hand.look()
    assert hand.called() == [("one", 0)]


def test_a_cast_without_slots_is_held_while_there_is_a_seat():
    hand = Hand(cast({"key": "one"}), slots=Limited(0, seats=1))
    turn = hand.look()
    assert turn.is_held
    assert timedelta() < turn.due_at() - turn.now <= timedelta(seconds=1)
    hand.slots = Limited(1)
    hand.look()
    assert hand.called() == [("one", 0)]


def test_a_fan_out_starts_as_many_items_as_there_are_slots():
    hand = Hand(cast({"key": "each", "for_each": "{{ [1, 2, 3, 4] }}", "params": {"n": "{{ item }}"}}), slots=Limited(3))
    hand.look()
    assert len(hand.calls) == 3
    hand.slots.left = 1
    hand.answer("each", {"n": 1})
    assert hand.called() == [("each", 1), ("each", 2), ("each", 3)]


def test_the_cost_of_each_call_is_booked_once_and_summed_on_the_cast():
    hand = Hand(cast({"key": "one", "tool": billed()}, {"key": "two", "tool": billed(), "max_attempts": 1}))
    hand.look()
    hand.answer("one", Result(output={}, cost=cost("0.25")))
    hand.answer("two", refusal("broke half way", cost=cost("0.05"), permanent=True))
    assert hand.status() == "failed"
    assert hand.cast.cost_usd == Decimal("0.30")
    assert sum(Generation.objects.values_list("cost_usd", flat=True)) == Decimal("0.30")


def test_a_spent_budget_starts_no_further_billed_call():
    steps = ({"key": "one", "tool": billed()}, {"key": "two", "tool": billed(), "params": {"n": "{{ steps.one.n }}"}})
    hand = Hand(cast(*steps, max_cost_usd=Decimal("0.10")))
    hand.look()
    hand.answer("one", Result(output={"n": 1}, cost=cost("0.10")))
    assert hand.status() == "failed"
    assert hand.cast.error["code"] == "budget_spent"


def test_cancel_of_a_cast_that_nobody_holds_ends_it_at_the_next_look():
    hand = Hand(cast({"key": "one"}))
    engine.cancel(cast_id=hand.cast.pk, actor_id=user().pk, now=database_now(), reason="Not wanted.")
    hand.look()
    assert hand.status() == "cancelled"
    assert hand.cast.reason == "Not wanted."
    assert not hand.cast.generations.exists()


def test_cancel_stops_pure_calls_and_waits_for_billed_ones():
    hand = Hand(cast({"key": "free"}, {"key": "paid", "tool": billed()}))
    hand.look()
    engine.cancel(cast_id=hand.cast.pk, actor_id=None, now=database_now())
    turn = hand.look()
    assert turn.aborts() == [hand.generation("free").pk]
    hand.answer("free", engine.Aborted(reason="Its cast was cancelled."))
    assert hand.status() == "running"
    hand.answer("paid", Result(output={}, cost=cost("1")))
    assert hand.status() == "cancelled"
    assert hand.cast.cost_usd == 1


def test_an_ended_cast_refuses_each_verb():
    hand = Hand(cast({"key": "one"}))
    hand.look()
    hand.answer("one", {})
    for verb in (engine.cancel, engine.pause, engine.resume, engine.retry):
        with pytest.raises(engine.TransitionRefusedError, match="succeeded"):
            verb(cast_id=hand.cast.pk, actor_id=None, now=database_now())


def test_a_paused_cast_lets_what_runs_end_and_starts_nothing_until_resumed():
    hand = Hand(cast({"key": "one"}, {"key": "two", "params": {"n": "{{ steps.one.n }}"}}))
    hand.look()
    engine.pause(cast_id=hand.cast.pk, actor_id=None, now=database_now())
    hand.answer("one", {"n": 1})
    assert hand.status() == "paused"
    assert statuses(hand.cast) == {"one": ["succeeded"]}
    engine.resume(cast_id=hand.cast.pk, actor_id=None, now=database_now())
    hand.look()
    assert hand.called() == [("two", 0)]


def test_a_paused_cast_whose_last_step_ended_succeeds_when_resumed():
    hand = Hand(cast({"key": "one"}))
    hand.look()
    engine.pause(cast_id=hand.cast.pk, actor_id=None, now=database_now())
    hand.answer("one", {})
    assert hand.status() == "paused"
    engine.resume(cast_id=hand.cast.pk, actor_id=None, now=database_now())
    hand.look()
    assert hand.status() == "succeeded"


def test_retry_goes_on_from_what_failed_and_keeps_what_succeeded():
    hand = Hand(cast({"key": "one"}, {"key": "two", "max_attempts": 1, "params": {"n": "{{ steps.one.n }}"}}))
    hand.look()
    hand.answer("one", {"n": 1})
    hand.answer("two", refusal())
    assert hand.status() == "failed"
    engine.retry(cast_id=hand.cast.pk, actor_id=user().pk, now=database_now())
    hand.look()
    assert hand.called() == [("two", 0)]
    hand.answer("two", {})
    assert hand.status() == "succeeded"
    assert statuses(hand.cast) == {"one": ["succeeded"], "two": ["failed", "succeeded"]}
    assert sorted(Notification.objects.values_list("round", "kind")) == [(0, "cast.failed"), (1, "cast.succeeded")]


def test_a_cancelled_cast_can_be_retried():
    hand = Hand(cast({"key": "one"}))
    hand.look()
    engine.cancel(cast_id=hand.cast.pk, actor_id=None, now=database_now())
    hand.look()
    hand.answer("one", engine.Aborted(reason="Its cast was cancelled."))
    assert hand.status() == "cancelled"
    engine.retry(cast_id=hand.cast.pk, actor_id=None, now=database_now())
    hand.look()
    hand.answer("one", {})
    assert hand.status() == "succeeded"


def test_the_reaper_gives_a_stranded_cast_a_wakeup_with_a_new_epoch():
    hand = Hand(cast({"key": "one"}))
    hand.look()
    epoch = hand.claim.epoch
    Wakeup.objects.all().delete()
    dry = engine.reap(now=database_now(), dry_run=True)
    assert dry.given_a_wakeup == [hand.cast.pk]
    assert not Wakeup.objects.exists()
    assert engine.reap(now=database_now()).given_a_wakeup == [hand.cast.pk]
    assert Wakeup.objects.get().epoch > epoch
    assert engine.reap(now=database_now()).is_empty
    assert "reaped" in hand.cast.events.values_list("kind", flat=True)


def test_give_up_ends_a_cast_that_cannot_be_advanced_and_keeps_billed_calls_unknown():
    hand = Hand(cast({"key": "one"}, {"key": "paid", "tool": billed()}))
    hand.look()
    assert engine.give_up(claim=hand.claim, message="KeyError: 'x'")
    assert hand.status() == "failed"
    assert hand.cast.error["code"] == "engine_error"
    assert statuses(hand.cast) == {"one": ["failed"], "paid": ["unknown"]}


def test_a_cast_that_was_given_up_before_its_first_step_can_be_retried():
    hand = Hand(cast({"key": "one"}))
    hand.take()
    assert engine.give_up(claim=hand.claim, message="KeyError: 'x'")
    engine.retry(cast_id=hand.cast.pk, actor_id=None, now=database_now())
    hand.claim = None
    hand.look()
    assert hand.called() == [("one", 0)]
