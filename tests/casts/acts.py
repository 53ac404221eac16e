"""All that can be done to a cast, each as an act of a few transactions: `yield` stands where one of them is committed."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from casts import engine
from casts.engine import Aborted, Claim, Hint, News, Release, Report, Reported, Unasked, Via
from casts.models import Wakeup
from generations.models import Generation
from generations.tools.contract import Lost, Progress, Result, Submitted, ToolError
from generations.unfetched import Unfetched
from tests.conftest import Clock

from .scenes import Hand, Limited, Unlimited, cost

# The step whose last attempt the acts are about.
KEY = "one"
URL = "https://files.example.com/a.png"
LEFT = {"output": {"image": None}, "files": [{"at": ["image"], "url": URL, "name": "", "mime_type": ""}], "bytes": 0}
PAID = cost("0.25")
# Longer than a lease, a retry and a poll; shorter than the deadline of a call.
A_WHILE = {"minutes": 12}


def without_files(*, permanent: bool) -> Unfetched:
    return Unfetched(left=LEFT, error=ToolError(f"{URL} could not be fetched.", code="output_not_kept", permanent=permanent), cost=PAID)


RESULT = Result(output={"n": 1}, cost=PAID)
JOB = Submitted(job_id="job-1", poll_after=60)
ERRORS: Mapping[str, News] = {
    "a failure": ToolError("It broke.", cost=PAID),
    "a failure for good": ToolError("No.", permanent=True),
    "an unclear failure": ToolError("The answer was lost.", ambiguous=True),
}
OUTAGES: Mapping[str, News] = {
    "an outage": ToolError("503", outage=True),
    "an unclear outage": ToolError("504", outage=True, ambiguous=True),
    "a wish for rest": ToolError("429", code="rate_limited", retry_after=5.0),
}
ANSWERS: Mapping[str, News] = {
    "a result": RESULT,
    "a job": JOB,
    "a result without its files": without_files(permanent=False),
    "a result whose files are gone": without_files(permanent=True),
    **ERRORS,
}
NEWS: Mapping[Via, Mapping[str, News]] = {
    Via.RUN: {**ANSWERS, **OUTAGES, "an abort": Aborted(reason="Its cast is to end.")},
    Via.POLL: {
        **ANSWERS,
        "progress": Progress(percent=10),
        "a loss": Lost(message="No such job."),
        "silence": Unasked(error=ToolError("503", outage=True), poll_after=5.0),
    },
    Via.CALLBACK: {**ANSWERS, "progress": Progress(percent=10), "a loss": Lost(message="No such job."), "a hint": Hint()},
}


# Done with a hand on a cast, and on a clock. It may be refused.
Act = Callable[[Hand, Clock], Iterator[None]]


def row_of(hand: Hand) -> Generation | None:
    return hand.cast.generations.filter(step__key=KEY).order_by("attempt").last()


def claim_of(hand: Hand, row: Generation) -> Claim:
    """Return the claim that whoever made a call has, or had."""
    return hand.claim or Claim(cast_id=hand.cast.pk, epoch=row.epoch or 0, bell=0)


def settle(hand: Hand, report: Report) -> None:
    """Settle as a conductor does, under the hand's claim if it has one."""
    if hand.claim is None:
        engine.settle(reports=[report], slots=Unlimited())
    else:
        hand.answer(KEY, report.news, via=report.via)


# News, in time and late


def answered(news: News) -> Act:
    """The call says so to whoever made it; nobody waits for it if the claim was let go of."""

    def act(hand: Hand, clock: Clock) -> Iterator[None]:
        row = row_of(hand)
        if row is not None:
            settle(hand, Report(generation_id=row.pk, claim=claim_of(hand, row), via=Via.RUN, news=news))
        yield

    return act


def polled(news: News) -> Act:
    """The provider says so when it is time to ask it."""

    def act(hand: Hand, clock: Clock) -> Iterator[None]:
        row = row_of(hand)
        if row is None:
            return
        clock.advance(**A_WHILE)
        if row.status == "submitted":
            hand.look()
            yield
        settle(hand, Report(generation_id=row.pk, claim=claim_of(hand, row), via=Via.POLL, news=news))
        yield

    return act


def called_back(news: News) -> Act:
    def act(hand: Hand, clock: Clock) -> Iterator[None]:
        row = row_of(hand)
        if row is not None:
            engine.receive(
                report=Report(generation_id=row.pk, claim=Claim(cast_id=hand.cast.pk, epoch=0, bell=0), via=Via.CALLBACK, news=news)
            )
        yield

    return act


def answered_late(news: News, *, judged: bool) -> Act:
    """The claim is lost, and another has taken the cast, when the call says so: before or after that one looked."""

    def act(hand: Hand, clock: Clock) -> Iterator[None]:
        row = row_of(hand)
        if row is None or row.status != "running" or hand.claim is None:
            return
        zombie, hand.claim = hand.claim, None
        hand.calls.clear()
        clock.advance(seconds=hand.lease_seconds + 1)
        hand.take()
        yield
        if judged:
            hand.look()
            yield
        engine.settle(reports=[Report(generation_id=row.pk, claim=zombie, via=Via.RUN, news=news)], slots=Unlimited())
        yield

    return act


# Time


def time_passes(hand: Hand, clock: Clock, **units: float) -> Iterator[None]:
    """So much time goes by; whoever has the cast holds on to it as long as it has a call at work."""
    clock.advance(**units)
    if hand.claim is not None:
        engine.renew(claims=[hand.claim])
    yield


def worker_vanishes(hand: Hand, clock: Clock) -> Iterator[None]:
    hand.claim = None
    hand.calls.clear()
    clock.advance(seconds=hand.lease_seconds + 1)
    yield


def worker_vanishes_and_time_passes(hand: Hand, clock: Clock, **units: float) -> Iterator[None]:
    yield from worker_vanishes(hand, clock)
    clock.advance(**units)


def no_place_to_poll(hand: Hand, clock: Clock) -> Iterator[None]:
    clock.advance(**A_WHILE)
    hand.slots = Limited(left=0, polls=0)
    yield


# People, the reaper and the conductor


def verb(name: str, **how: Any) -> Act:
    def act(hand: Hand, clock: Clock) -> Iterator[None]:
        getattr(engine, name)(cast_id=hand.cast.pk, now=clock.now(), actor_id=None, **how)
        yield

    return act


def resolved(**finding: Any) -> Act:
    def act(hand: Hand, clock: Clock) -> Iterator[None]:
        row = row_of(hand)
        if row is not None:
            engine.resolve(generation_id=row.pk, now=clock.now(), **finding)
        yield

    return act


def started_again(hand: Hand, clock: Clock) -> Iterator[None]:
    engine.start(version=hand.cast.version, initiator_id=hand.cast.initiator_id, inputs={}, now=clock.now())
    yield


def nothing(hand: Hand, clock: Clock) -> Iterator[None]:
    yield


def given_up(hand: Hand, clock: Clock) -> Iterator[None]:
    if hand.claim is not None or hand.take():
        assert engine.give_up(claim=hand.claim, message="It cannot be advanced.")
    yield


def given_up_by_a_zombie(hand: Hand, clock: Clock) -> Iterator[None]:
    if hand.claim is not None or hand.take():
        zombie = hand.claim
        yield from worker_vanishes(hand, clock)
        hand.take()
        assert not engine.give_up(claim=zombie, message="It cannot be advanced.")
    yield


def reaped(hand: Hand, clock: Clock, **units: float) -> Iterator[None]:
    """The wakeup is gone, or the deadline past while nobody looks."""
    clock.advance(**units)
    if not units:
        Wakeup.objects.all().delete()
        hand.claim = None
        hand.calls.clear()
    engine.reap(now=clock.now())
    yield


def let_go(hand: Hand, clock: Clock) -> Iterator[None]:
    """Whoever holds the cast gives it back, or lets go of it till later, or only renews and looks at the bells."""
    if hand.claim is not None:
        engine.renew(claims=[hand.claim])
        engine.release(releases=[Release(claim=hand.claim, due_at=clock.now())])
        engine.hand_back(claims=[hand.claim])
    hand.claim = None
    hand.calls.clear()
    engine.ring(cast_id=hand.cast.pk)
    yield


def told_how_far(hand: Hand, clock: Clock) -> Iterator[None]:
    row = row_of(hand)
    if row is not None:
        shown = {"percent": 5.0, "stage": "", "preview": None}
        engine.keep_reported([Reported(generation_id=row.pk, epoch=row.epoch or 0, owner_id=hand.cast.initiator_id, progress=shown)])
    yield


def cancelled_when(then: Act, hand: Hand, clock: Clock) -> Iterator[None]:
    """Something happens to a cast that is to end."""
    engine.cancel(cast_id=hand.cast.pk, actor_id=None, now=clock.now())
    yield
    hand.look()
    yield
    yield from then(hand, clock)


ACTS: Mapping[str, Act] = {
    "nothing": nothing,
    **{f"the call answers {name}": answered(news) for name, news in NEWS[Via.RUN].items()},
    **{f"a poll answers {name}": polled(news) for name, news in NEWS[Via.POLL].items()},
    **{f"a callback tells {name}": called_back(news) for name, news in NEWS[Via.CALLBACK].items()},
    **{f"the call answers {name} late": answered_late(news, judged=False) for name, news in ANSWERS.items()},
    **{f"the call answers {name}, judged and late": answered_late(news, judged=True) for name, news in ANSWERS.items()},
    "time passes": partial(time_passes, minutes=12),
    "the deadline of the call passes": partial(time_passes, hours=2),
    "the deadline of the cast passes": partial(time_passes, hours=25),
    "the worker vanishes": worker_vanishes,
    "the worker vanishes till the deadline of the cast": partial(worker_vanishes_and_time_passes, hours=25),
    "no place to poll": no_place_to_poll,
    "start": started_again,
    "cancel": verb("cancel"),
    "cancel, and the call is stopped": partial(cancelled_when, answered(Aborted(reason="Cancelled."))),
    "cancel, and the worker vanishes": partial(cancelled_when, worker_vanishes),
    "pause": verb("pause"),
    "resume": verb("resume"),
    "retry": verb("retry"),
    "skip": verb("skip", reason="By hand.", output={"n": 2}),
    "skip and stay": verb("skip", reason="By hand.", step_key=KEY, resume=False),
    "resolve: it happened": resolved(output={"n": 3}),
    "resolve: again": resolved(again=True),
    "resolve: written off": resolved(),
    "give up": given_up,
    "a zombie gives up": given_up_by_a_zombie,
    "reap without a wakeup": reaped,
    "reap past the deadline": partial(reaped, hours=25),
    "let go": let_go,
    "progress": told_how_far,
}
# For a call at work; for one whose answer cannot be late; for none at all; and what is enough where the rest was seen elsewhere.
ALL = tuple(ACTS)
MOST = tuple(name for name in ALL if not name.endswith(" late"))
ASIDE_FROM_NEWS = tuple(name for name in MOST if not name.startswith(("the call", "a poll", "a callback")))
FEW = (
    "nothing",
    "the call answers a result",
    "the call answers an unclear failure",
    "a poll answers a result",
    "a poll answers a loss",
    "a callback tells a failure for good",
    "the deadline of the call passes",
    "the deadline of the cast passes",
    "the worker vanishes",
    "cancel",
    "pause",
    "resume",
    "retry",
    "skip",
    "resolve: it happened",
    "resolve: again",
    "resolve: written off",
    "give up",
    "reap without a wakeup",
)
