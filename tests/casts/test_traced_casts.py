"""What a cast leaves in its trace, whichever way its steps take: in a child, by jobs, through retries and losses."""

import pytest

from casts import engine
from casts.clock import database_now
from casts.models import Cast
from generations import tracing
from generations.models import Generation
from generations.tools import registry
from generations.tools.contract import Submitted
from tests.collector import Collector, Span
from tests.generations.alone import Alone
from tests.generations.test_tracing import collector
from tests.offering import offer

from . import adapters
from .providers import Provider, do_errands, job_of, register, send
from .scenes import Hand, billed, cast, refusal
from .test_conductor import conduct, gate, using

__all__ = ["collector", "gate"]

pytestmark = pytest.mark.django_db(transaction=True)


def spans_of(collector: Collector, started: Cast) -> list[Span]:
    tracing.flush()
    return [span for span in collector.spans if span.trace_id == started.traceparent[3:35]]


def one(spans: list[Span], name: str) -> Span:
    [found] = [span for span in spans if span.name == name]
    return found


def test_a_cast_that_nobody_asked_for_over_http_is_a_trace_of_its_own(collector: Collector):
    started = cast(using(adapters.Echo, key="one"), using(adapters.Raises, key="two", params={"how": "once"}))
    conduct()
    spans = spans_of(collector, started)
    root = one(spans, "start cast")
    assert root.parent_id == ""
    whole = one(collector.children(root), "cast scene")
    assert {span.name for span in collector.children(whole)} == {"step one", "step two"}
    attempts = sorted((span for span in spans if span.name == "step two"), key=lambda span: span.attributes["grimoire.attempt"])
    assert [(span.failed, span.message) for span in attempts] == [(True, "busy"), (False, "")]
    for attempt in attempts:
        call = one(collector.children(attempt), f"run {adapters.Raises.key}")
        assert call.failed == attempt.failed
    generation = Generation.objects.get(step__key="one")
    assert one(spans, "step one").start // 1000 == int(generation.started_at.timestamp() * 1_000_000)


def test_a_call_in_a_process_of_its_own_stays_in_the_trace(collector: Collector, monkeypatch, tmp_path):
    offer(Alone, folder=tmp_path, monkeypatch=monkeypatch)
    started = cast(using(Alone, key="one", params={"do": "nothing"}))
    conduct()
    started.refresh_from_db()
    spans = spans_of(collector, started)
    assert one(collector.children(one(spans, "step one")), f"run {Alone.key}")


def test_a_job_that_its_provider_ends_by_a_callback_is_one_step_from_its_call_to_its_end(collector: Collector, monkeypatch):
    register(monkeypatch)
    hand = Hand(cast({"key": "one", "tool": billed(Provider.key)}))
    hand.look()
    hand.answer("one", Submitted(job_id=job_of(hand.generation("one").pk), poll_after=600))
    send(hand.generation("one"), {"status": "done", "output": {}})
    do_errands()
    hand.look()
    spans = spans_of(collector, hand.cast)
    step = one(collector.children(one(spans, "cast scene")), "step one")
    assert one(collector.children(step), f"read callback {Provider.key}")
    registry.forget()


def test_a_retry_of_a_cast_is_another_span_of_the_same_trace(collector: Collector):
    hand = Hand(cast({"key": "one"}))
    hand.look()
    hand.answer("one", refusal(permanent=True))
    engine.retry(cast_id=hand.cast.pk, actor_id=None, now=database_now())
    hand.look()
    hand.answer("one", {})
    assert hand.status() == "succeeded"
    rounds = sorted((span for span in spans_of(collector, hand.cast) if span.name == "cast scene"), key=lambda span: span.start)
    assert [(span.attributes["grimoire.round"], span.failed) for span in rounds] == [(0, True), (1, False)]
    assert rounds[0].span_id != rounds[1].span_id
    assert rounds[1].start >= rounds[0].end
    assert [len(collector.children(span)) for span in rounds] == [1, 1]


def test_a_call_of_unknown_fate_has_one_span_whatever_is_learnt_later(collector: Collector, clock):
    hand = Hand(cast({"key": "one", "tool": billed()}))
    hand.look()
    clock.advance(seconds=31)
    hand.claim = None
    hand.calls.clear()
    hand.look()
    engine.resolve(generation_id=hand.generation("one").pk, now=database_now(), output={})
    clock.advance(seconds=1)
    hand.look()
    step = one(spans_of(collector, hand.cast), "step one")
    assert (step.failed, step.attributes["grimoire.status"]) == (True, "unknown")


def test_nothing_is_kept_of_traces_that_nobody_collects(settings):
    settings.TRACES_ENDPOINT = ""
    assert cast({"key": "one"}).traceparent == ""
