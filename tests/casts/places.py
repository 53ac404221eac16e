"""Casts brought to each of their statuses, with a call of a step in each of its own: by the engine alone where it can."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from casts import engine
from casts.engine import Aborted, Via
from generations.models import Cancellation, Generation
from generations.tools.contract import Result, Submitted, ToolError
from spells.models import Recovery, Tool
from tests.conftest import Clock

from .acts import ALL, ASIDE_FROM_NEWS, FEW, KEY, MOST, without_files
from .factories import GenerationFactory
from .scenes import Hand, billed, cast, cost, tool

# Of a row that is not there yet.
NOTHING = "nothing"
TWO = {"key": "two", "params": {"n": "{{ steps.one }}"}}
UNCLEAR = ToolError("The answer was lost.", ambiguous=True)
NO = ToolError("No.", permanent=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a cast and the last attempt at its first step stand, how they came there, and which acts are tried there."""

    cast: str
    generation: str
    build: Callable[[Clock], Hand]
    acts: Collection[str]


TOOLS: Mapping[str, Callable[[], Tool]] = {
    "pure": tool,
    "billed": billed,
    "sent again": partial(billed, "resend.tool", recovery=Recovery.RESEND),
    "looked up": partial(billed, "lookup.tool", recovery=Recovery.LOOKUP),
}


def begun(_clock: Clock, *, by: str = "billed", looks: bool = True, then: bool = False, **step: Any) -> Hand:
    """A cast of one step, or two, whose first call is at work."""
    hand = Hand(cast({"key": KEY, "tool": TOOLS[by](), **step}, *([{**TWO, "tool": tool()}] if then else [])))
    if looks:
        hand.look()
    return hand


def told(clock: Clock, news: Any, *, via: Via = Via.RUN, **how: Any) -> Hand:
    hand = begun(clock, **how)
    hand.answer(KEY, news, via=via)
    return hand


def submitted(clock: Clock, **how: Any) -> Hand:
    return told(clock, Submitted(job_id="job-1", poll_after=60), **how)


def after(verb: Callable[..., Any], build: Callable[..., Hand], clock: Clock, *, looks: bool = True, **how: Any) -> Hand:
    hand = build(clock, **how)
    verb(cast_id=hand.cast.pk, actor_id=None, now=clock.now())
    if looks:
        hand.look()
    return hand


def confirmed(clock: Clock) -> Hand:
    """A cancelled cast whose provider says that it stops the job."""
    hand = after(engine.cancel, submitted, clock)
    Cancellation.objects.update(outcome="requested", done_at=clock.now(), due_at=None)
    return hand


def stopped(clock: Clock) -> Hand:
    """A cast that was cancelled, and so its call."""
    hand = after(engine.cancel, begun, clock)
    hand.answer(KEY, Aborted(reason="Its cast was cancelled."))
    return hand


def lost(clock: Clock, *, verb: Callable[..., Any] | None = None, **how: Any) -> Hand:
    hand = after(verb, begun, clock, **how) if verb else begun(clock, **how)
    clock.advance(seconds=hand.lease_seconds + 1)
    hand.claim = None
    hand.calls.clear()
    hand.look()
    return hand


def overdue(clock: Clock) -> Hand:
    hand = told(clock, UNCLEAR)
    clock.advance(hours=25)
    hand.look()
    return hand


def skipped_by_hand(clock: Clock) -> Hand:
    hand = told(clock, NO)
    engine.skip(cast_id=hand.cast.pk, reason="By hand.", now=clock.now(), output={"n": 1}, resume=False)
    return hand


def pending(clock: Clock) -> Hand:
    """No act makes a generation wait for its call: the status is one that rows may have all the same."""
    hand = begun(clock)
    row = hand.generation(KEY)
    hand.calls.clear()
    Generation.objects.all().delete()
    GenerationFactory.create(cast=hand.cast, step=row.step, status="pending", epoch=None)
    return hand


def _at(
    name: str, generation: str, build: Callable[[Clock], Hand], *, cast: str = "running", acts: Collection[str] = FEW
) -> tuple[str, Place]:
    return name, Place(cast=cast, generation=generation, build=build, acts=acts)


_DONE = Result(output={"n": 1}, cost=cost("0.25"))
PLACES: Mapping[str, Place] = dict(
    [
        _at("new", NOTHING, partial(begun, looks=False), cast="queued", acts=ASIDE_FROM_NEWS),
        _at("new, of a step that is not to run", NOTHING, partial(begun, looks=False, when="{{ false }}"), cast="queued"),
        _at("new, of a step that cannot run", NOTHING, partial(begun, looks=False, for_each="{{ 7 }}"), cast="queued"),
        _at("a call at work", "running", begun, acts=ALL),
        _at("a pure call at work", "running", partial(begun, by="pure")),
        _at("a call at work that may be sent again", "running", partial(begun, by="sent again")),
        _at("a call at work that may be looked up", "running", partial(begun, by="looked up")),
        _at("a job", "submitted", submitted, acts=MOST),
        _at("a job of a pure tool", "submitted", partial(submitted, by="pure")),
        _at("a call to look up", "submitted", partial(told, news=UNCLEAR, by="looked up")),
        _at("files are missing", "submitted", partial(told, news=without_files(permanent=False))),
        _at("nobody knows", "unknown", partial(told, news=UNCLEAR), acts=MOST),
        _at("a step is done", "succeeded", partial(told, news=_DONE, then=True)),
        _at("a step was not to run", "skipped", partial(begun, when="{{ false }}", then=True)),
        _at("to be tried again", "failed", partial(told, news=ToolError("It broke.", retry_after=5.0))),
        _at("lost, to be made again", "failed", partial(lost, by="sent again")),
        _at("a retry", "failed", partial(after, engine.retry, partial(told, news=NO), looks=False)),
        _at("pending", "pending", pending),
        _at("to be cancelled", "running", partial(after, engine.cancel, begun)),
        _at("to be cancelled, at its provider", "submitted", partial(after, engine.cancel, submitted)),
        _at("being cancelled at its provider", "submitted", confirmed),
        _at("paused before it began", NOTHING, partial(after, engine.pause, partial(begun, looks=False)), cast="paused"),
        _at("paused at work", "running", partial(after, engine.pause, begun), cast="paused"),
        _at("paused at its provider", "submitted", partial(after, engine.pause, submitted), cast="paused"),
        _at("paused in doubt", "unknown", partial(after, engine.pause, partial(told, news=UNCLEAR)), cast="paused"),
        _at("paused, a step is done", "succeeded", partial(after, engine.pause, partial(told, news=_DONE, then=True)), cast="paused"),
        _at("all is done", "succeeded", partial(told, news=_DONE), cast="succeeded", acts=MOST),
        _at("nothing was to run", "skipped", partial(begun, when="{{ false }}"), cast="succeeded", acts=MOST),
        _at("failed for good", "failed", partial(told, news=NO), cast="failed", acts=MOST),
        _at("failed in doubt", "unknown", overdue, cast="failed"),
        _at("failed, and skipped by hand", "skipped", skipped_by_hand, cast="failed"),
        _at("cancelled before it began", NOTHING, partial(after, engine.cancel, partial(begun, looks=False)), cast="cancelled"),
        _at("cancelled, and the call stopped", "cancelled", stopped, cast="cancelled", acts=MOST),
        _at("a retry of a cancelled one", "cancelled", partial(after, engine.retry, stopped, looks=False)),
        _at("cancelled in doubt", "unknown", partial(lost, verb=engine.cancel), cast="cancelled"),
    ]
)
