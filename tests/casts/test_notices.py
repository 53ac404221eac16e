"""What a change of casts has to tell, and to whom: written once, with the change itself."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from casts import engine
from casts.clock import database_now
from casts.engine import Via, notices
from casts.engine.turns import End
from casts.models import GENERATION_KINDS, TERMINAL_KINDS, Cast, CastStatus, Notification, NotificationKind, Wakeup
from casts.notifications import payloads
from generations.models import Generation
from generations.tools import registry
from generations.tools.contract import Result, Submitted, ToolError

from .factories import CastFactory, NotificationFactory, SubscriptionFactory
from .providers import Provider, do_errands, register, send
from .scenes import Hand, Unlimited, billed, cast, cost, refusal, tool, user
from .telling import told, webhook
from .test_api_parallel import at_once

pytestmark = pytest.mark.django_db
EVERYTHING = ["cast.succeeded", "cast.waiting", "cast.healed", "generation.succeeded", "generation.failed", "generation.unknown"]


@pytest.fixture(autouse=True)
def provider(monkeypatch):
    register(monkeypatch)
    yield
    registry.forget()


def ended(*news, **values) -> Cast:
    hand = Hand(cast({"key": "one", "max_attempts": 1}, **values))
    hand.look()
    hand.answer("one", *(news or ({"n": 1},)))
    return hand.cast


def test_the_end_of_a_cast_stands_in_the_inbox_of_its_initiator():
    started = ended()
    row = Notification.objects.get()
    assert (row.kind, row.channel, row.recipient, row.cast) == ("cast.succeeded", "inbox", user(), started)
    assert (row.status, row.read_at, row.told["status"]) == ("delivered", None, "succeeded")


def test_a_failure_is_told_with_its_reason_which_a_retry_does_not_take_away(clock):
    started = ended(refusal("It broke.", code="broken"))
    engine.retry(cast_id=started.pk, actor_id=None, now=clock.now())
    row = Notification.objects.get()
    assert (row.kind, row.data["error"]["code"], row.data["error"]["message"]) == ("cast.failed", "broken", "It broke.")


def test_a_row_keeps_what_its_kind_and_its_time_do_not_say_and_tells_all_of_it():
    webhook(kinds=[NotificationKind.GENERATION_SUCCEEDED, NotificationKind.GENERATION_FAILED])
    good, bad = ended(), ended(refusal("It broke.", code="broken"))
    for started in (good, bad):
        started.refresh_from_db()
    at = {started.pk: payloads.shown_time(started.finished_at) for started in (good, bad)}
    of_good, of_bad = good.notifications.get(channel="inbox"), bad.notifications.get(channel="inbox")
    assert (of_good.data, of_bad.data) == (None, {"error": bad.error})
    assert of_good.told == {"status": "succeeded", "finished_at": at[good.pk], "error": None, "reason": ""}
    assert of_bad.told == {"status": "failed", "finished_at": at[bad.pk], "error": bad.error, "reason": "", "outputs": None}
    place = {"step": "one", "item": 0, "attempt": 1}
    of_good, of_bad = good.notifications.get(channel="webhook"), bad.notifications.get(channel="webhook")
    assert (of_good.data, of_bad.data) == (place, {**place, "error": bad.generations.get().error})
    assert of_good.told == {"status": "succeeded", "finished_at": at[good.pk], "error": None, **place}
    assert of_bad.told == {"status": "failed", "finished_at": at[bad.pk], "output": None, **of_bad.data}


def test_a_row_that_kept_it_all_tells_the_same():
    row = NotificationFactory.create(data={"status": "succeeded", "finished_at": "2026-11-23T20:14:06Z", "error": None, "reason": ""})
    assert row.told == row.data


@pytest.mark.parametrize("kind", [*TERMINAL_KINDS, *GENERATION_KINDS])
def test_the_status_of_an_end_is_in_its_kind(kind: NotificationKind):
    assert Notification(kind=kind, created_at=database_now()).told["status"] == kind.rpartition(".")[2]


def test_a_cast_that_was_retried_is_told_of_again(clock):
    mine = webhook()
    hand = Hand(cast({"key": "one", "max_attempts": 1}))
    for _ in range(2):
        hand.look()
        hand.answer("one", refusal())
        engine.retry(cast_id=hand.cast.pk, actor_id=None, now=clock.now())
    assert told(hand.cast) == told(hand.cast, channel="webhook") == ["cast.failed", "cast.failed"]
    assert sorted(Notification.objects.filter(subscription=mine).values_list("round", flat=True)) == [0, 1]


def test_who_subscribed_is_told_of_the_kinds_that_they_asked_for():
    ends = webhook()
    steps = webhook(kinds=["generation.succeeded"])
    nothing = webhook(kinds=["cast.failed"])
    started = ended()
    rows = Notification.objects.filter(channel="webhook").order_by("subscription")
    assert [(row.kind, row.subscription, row.target) for row in rows] == [
        ("cast.succeeded", ends, str(ends.pk)),
        ("generation.succeeded", steps, str(steps.pk)),
    ]
    assert all(row.due_at is not None and row.message_id is not None for row in rows)
    assert not nothing.notifications.exists()
    assert told(started) == ["cast.succeeded"]


def test_others_are_not_told():
    webhook(name="mallory")
    webhook(enabled=False)
    SubscriptionFactory.create(owner=user(), cast=CastFactory.create(initiator=user()))
    started = ended()
    assert told(started, channel="webhook") == []


def test_a_callback_is_told_of_its_cast_alone():
    hand = Hand(cast({"key": "one"}))
    theirs = SubscriptionFactory.create(owner=user(), cast=hand.cast)
    hand.look()
    hand.answer("one", {})
    ended()
    assert [row.cast for row in theirs.notifications.all()] == [hand.cast]


def test_mails_go_to_the_address_of_the_account_and_not_to_one_without():
    user("ada").__class__.objects.filter(username="ada").update(email="ada@example.org")
    for name in ("ada", "bob"):
        SubscriptionFactory.create(owner=user(name), channel="email")
    started = ended()
    Cast.objects.filter(pk=started.pk).update(initiator=user("bob"))
    row = Notification.objects.get(channel="email")
    assert (row.target, row.recipient) == ("ada@example.org", user("ada"))
    notices.tell(notices=[notices.of_healed(cast=Cast.objects.get(), healed="wakeup")], now=row.created_at)
    assert Notification.objects.filter(channel="email").count() == 1


def test_a_call_that_may_have_been_billed_is_told_at_once_and_each_such_call():
    webhook(kinds=EVERYTHING)
    started = cast({"key": "one", "tool": billed()}, {"key": "two", "tool": billed()})
    hand = Hand(started)
    hand.look()
    for key in ("one", "two"):
        hand.answer(key, ToolError("The connection was lost.", ambiguous=True))
        hand.look()
    assert told(started) == ["cast.waiting", "cast.waiting"]
    assert told(started, channel="webhook") == ["generation.unknown", "cast.waiting"] * 2
    attention = Notification.objects.filter(channel="inbox").first().data["attention"]
    assert (attention["step"], attention["error"]["message"]) == ("one", "The connection was lost.")
    assert attention["generation"] == str(Generation.objects.get(step__key="one").pk)


def test_what_became_of_such_a_call_is_told_when_somebody_says(clock):
    webhook(kinds=EVERYTHING)
    hand = Hand(cast({"key": "one", "tool": billed()}))
    hand.look()
    hand.answer("one", ToolError("The connection was lost.", ambiguous=True))
    engine.resolve(generation_id=hand.generation("one").pk, now=clock.now(), output={"n": 1})
    assert told(hand.cast, channel="webhook")[2:] == ["generation.succeeded"]


def test_what_became_of_such_a_call_is_told_when_its_result_comes_late():
    webhook(kinds=EVERYTHING)
    hand = Hand(cast({"key": "one", "tool": billed()}))
    hand.look()
    report = hand.report("one", 0, {"n": 1})
    hand.answer("one", ToolError("The connection was lost.", ambiguous=True))
    engine.settle(reports=[report], slots=Unlimited())
    assert told(hand.cast, channel="webhook")[2:] == ["generation.succeeded"]


def test_a_result_that_comes_by_callback_is_told():
    webhook(kinds=EVERYTHING)
    hand = Hand(cast({"key": "one", "tool": billed(Provider.key, deadline_seconds=3600)}))
    hand.look()
    hand.answer("one", Submitted(job_id="job-1", poll_after=600))
    send(hand.generation("one"), {"status": "done", "output": {"n": 1}})
    do_errands()
    assert told(hand.cast, channel="webhook") == ["generation.succeeded"]


def test_a_cast_whose_worker_vanished_is_told_of_once_it_goes_on(clock):
    hand = Hand(cast({"key": "one", "tool": tool(max_attempts=5)}))
    for _ in range(3):
        hand.look()
        assert hand.calls
        clock.advance(seconds=31)
        hand.claim, hand.calls = None, {}
        hand.look()
        clock.advance(seconds=60)
    assert told(hand.cast) == ["cast.healed"]  # once a round


def test_a_cast_that_only_failed_once_was_not_healed():
    hand = Hand(cast({"key": "one", "tool": billed(recovery="resend")}))
    hand.look()
    hand.answer("one", ToolError("The connection was lost.", ambiguous=True))
    assert told(hand.cast) == []


def test_a_cast_that_lost_its_wakeup_is_told_of_by_the_reaper(clock):
    started = cast({"key": "one"})
    Wakeup.objects.all().delete()
    engine.reap(now=clock.now())
    assert told(started) == ["cast.healed"]


def test_a_cast_that_is_given_up_tells_of_its_calls_and_of_itself(clock):
    webhook(kinds=["cast.failed", "generation.failed", "generation.unknown"])
    hand = Hand(cast({"key": "one", "tool": billed()}, {"key": "two"}))
    hand.look()
    clock.advance(seconds=31)
    (claim,) = engine.claim(limit=1)
    engine.give_up(claim=claim, message="It cannot be advanced.")
    assert told(hand.cast, channel="webhook") == ["generation.unknown", "generation.failed", "cast.failed"]
    assert told(hand.cast) == ["cast.failed"]


def test_a_step_that_is_skipped_or_refused_before_its_call_is_told():
    webhook(kinds=["generation.skipped", "generation.failed"])
    steps = {"key": "one", "when": "{{ false }}"}, {"key": "two", "params": {"x": "{{ 1 / inputs.n }}"}}
    hand = Hand(cast(*steps, inputs={"n": {"type": "integer", "default": 1}}, given={"n": 0}))
    hand.look()
    assert sorted(told(hand.cast, channel="webhook")) == ["generation.failed", "generation.skipped"]


def test_telling_twice_leaves_one_row_for_each_target():
    webhook()
    started = CastFactory.create(status=CastStatus.FAILED, initiator=user())
    notice = notices.of_end(cast=started, end=End(status=CastStatus.FAILED, error=started.error))
    for _ in range(2):
        notices.tell(notices=[notice], now=started.created_at)
    assert told(started) == told(started, channel="webhook") == ["cast.failed"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_", range(5))
def test_a_cast_that_is_ended_by_many_at_once_is_told_of_once(round_, clock):
    webhook()
    hand = Hand(cast({"key": "one"}))
    hand.look()
    report = hand.report("one", 0, {"n": 1})
    ways = (
        lambda: engine.settle(reports=[report], slots=Unlimited()),
        lambda: engine.settle(reports=[report], slots=Unlimited()),
        lambda: engine.give_up(claim=hand.claim, message="It cannot be advanced."),
        lambda: engine.cancel(cast_id=hand.cast.pk, actor_id=None, now=clock.now()),
    )

    def way(number):
        try:
            ways[number]()
        except engine.TransitionRefusedError:
            assert number == 3  # it had ended

    at_once(way, crowd=4)
    hand.cast.refresh_from_db()
    if hand.cast.finished_at is None:
        clock.advance(seconds=31)
        Hand(hand.cast).look()
    assert len(told(hand.cast)) == len(told(hand.cast, channel="webhook")) == 1


def queries_of_an_end(count: int) -> list[str]:
    hands = [Hand(cast({"key": "one"})) for _ in range(count)]
    claims = engine.claim(limit=count)
    advanced = engine.advance(claimed=claims, slots=Unlimited())
    reports = [
        engine.Report(generation_id=call.pk, claim=turn.state.claim, via=Via.RUN, news=Result(output={}, cost=cost("0")))
        for turn in advanced.turns
        for call in turn.calls
    ]
    with CaptureQueriesContext(connection) as captured:
        engine.settle(reports=reports, slots=Unlimited())
    assert all(hand.status() == "succeeded" for hand in hands)
    return [
        query["sql"]
        for query in captured.captured_queries
        if "casts_notification" in query["sql"] or "casts_subscription AS subscription" in query["sql"]
    ]


def test_a_set_takes_one_statement_to_tell_of_however_large_it_is_and_two_where_somebody_subscribed():
    assert len(queries_of_an_end(1)) == len(queries_of_an_end(12)) == 1
    webhook(kinds=EVERYTHING)
    assert len(queries_of_an_end(12)) == 2
