"""What news of a call, or its silence, means for its generation. Only here is a retry decided."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from generations.artifacts import StoredArtifact
from generations.models import GenerationStatus
from generations.tools.contract import Cost, Lost, Progress, Result, Submitted, ToolError
from generations.unfetched import Unfetched
from spells.models import Effects, Recovery, Tool
from spells.plan import PlanStep

from .fetches import next_try
from .owners import breaker_settings, is_away
from .reports import Aborted, Hint, News, Report, Unasked, Via
from .state import Attempt, CastState

# A call whose holder vanished twice may be what killed them: from then on it is made in a process of its own.
LOSSES_BEFORE_APART = 2
# A call that is still lost after that is given up.
MAX_LOSSES = 5

# How a job's polls become rarer, in seconds and shares.
POLL_SHARE_OF_AGE = 1 / 8
LONGEST_POLL_SECONDS = 60.0
# How often a job is asked for in the first minute after its cast was cancelled.
CANCELLED_POLL_SECONDS = 3.0
MAX_TROUBLE_CHARACTERS = 1_000
# How soon a poll that found no place is tried again, at the least.
CROWDED_POLL_SECONDS = 1.0

# From which status news may settle a generation. A `submitted` row belongs to its provider: only polls and callbacks
# speak for it. A callback may be faster than the answer to the call that it belongs to.
SETTLES_FROM = {
    Via.RUN: (GenerationStatus.RUNNING,),
    Via.POLL: (GenerationStatus.SUBMITTED,),
    Via.CALLBACK: (GenerationStatus.RUNNING, GenerationStatus.SUBMITTED),
}


@dataclass(slots=True, kw_only=True)
class Change:
    """The new state of a generation. It holds only while the row is as `attempt` was when this was made."""

    attempt: Attempt
    status: str
    was: str = field(init=False)
    output: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    reason: str = ""
    progress: dict[str, Any] | None = None
    cost: Cost | None = None
    lost: bool = False
    excused: bool = False
    retry_at: datetime | None = None
    poll_at: datetime | None = None
    job_id: str = ""
    job_handle: Mapping[str, str] = field(default_factory=dict)
    made: Sequence[StoredArtifact] = field(default_factory=tuple)
    unfetched: Mapping[str, Any] | None = None
    took_room: bool = field(init=False)

    def __post_init__(self) -> None:
        self.was, self.took_room = self.attempt.status, self.attempt.is_in_flight

    def take_effect(self, *, now: datetime) -> None:
        """Make the attempt look as its row will once this is written."""
        attempt = self.attempt
        attempt.status, attempt.lost, attempt.excused = self.status, self.lost, self.excused
        attempt.retry_at, attempt.poll_at = self.retry_at, self.poll_at
        attempt.job_id = self.job_id or attempt.job_id
        attempt.progress = self.progress or attempt.progress
        attempt.booked_at = attempt.booked_at or (now if self.cost else None)
        attempt.unfetched_at = attempt.unfetched_at or (now if self.unfetched else None)

    def follow(self, earlier: "Change") -> None:
        """Take over from a change of the same attempt that was not written yet: one statement writes both."""
        self.was, self.took_room = earlier.was, earlier.took_room
        self.unfetched = self.unfetched or earlier.unfetched
        self.cost = self.cost or earlier.cost
        if not self.job_id:
            self.job_id, self.job_handle = earlier.job_id, earlier.job_handle
        self.progress = self.progress or earlier.progress
        self.made = (*earlier.made, *self.made)


def verdict(*, state: CastState, attempt: Attempt, report: Report, now: datetime) -> Change:
    """Judge news of an attempt that it may settle."""
    news = _still_news(report, attempt)
    change = _judged(state=state, attempt=attempt, news=news, now=now)
    if news is not report.news and isinstance(report.news, ToolError):
        change.cost = report.news.cost  # whatever else is asked for again: that may be forgotten by then
    if report.asked is not None and attempt.poll_at != report.asked.poll_at:
        _heed_hint(change, attempt)
    change.cost = _owed(state=state, attempt=attempt, cost=change.cost)
    change.made = report.made
    return change


def _still_news(report: Report, attempt: Attempt) -> News:
    """Return what a poll found out; only that there is something to ask, if we learned meanwhile by which id to ask for it."""
    asked_else = report.asked is not None and report.asked.job_id != attempt.job_id
    return Hint() if asked_else and isinstance(report.news, Lost | ToolError) else report.news


def _heed_hint(change: Change, attempt: Attempt) -> None:
    """Let the next poll be no later than somebody asked for while the last one was at work."""
    if change.poll_at is not None and attempt.poll_at is not None:
        change.poll_at = min(change.poll_at, attempt.poll_at)


def _owed(*, state: CastState, attempt: Attempt, cost: Cost | None) -> Cost | None:
    """Return what is to be booked with an attempt: nothing twice, and nothing for a call that was booked with another."""
    payer = state.payer(attempt)
    if cost is None or payer is None:
        return cost
    return None if payer is attempt else billed_with(payer.id)


def billed_with(generation_id: UUID) -> Cost:
    """Return the cost of an attempt whose provider saw it and an earlier one as one call."""
    return Cost(usd=Decimal(0), basis={"billed_with": str(generation_id)})


def _judged(*, state: CastState, attempt: Attempt, news: News, now: datetime) -> Change:
    change: Change
    match news:
        case Result():
            cost = news.cost or (Cost(usd=Decimal(0)) if state.tool_of(attempt).effects == Effects.PURE else None)
            change = Change(attempt=attempt, status=GenerationStatus.SUCCEEDED, output=dict(news.output), cost=cost)
        case Unfetched():
            change = _unfetched(state=state, attempt=attempt, news=news, now=now)
        case Submitted():
            poll_at = now + timedelta(seconds=jittered(news.poll_after))
            change = Change(attempt=attempt, status=GenerationStatus.SUBMITTED, poll_at=poll_at)
            change.job_id, change.job_handle = news.job_id, news.handle
        case Progress():
            # the call of a running attempt is still at work here, and will say itself whether there is a job to ask for
            is_job = attempt.status == GenerationStatus.SUBMITTED
            again_at = now + timedelta(seconds=_wait_before_poll(state, attempt, news.poll_after, now)) if is_job else None
            change = Change(attempt=attempt, status=attempt.status, progress=shown_progress(attempt.progress, news), poll_at=again_at)
        case Unasked():
            again_at = now + timedelta(seconds=_wait_before_poll(state, attempt, news.poll_after, now))
            progress = troubled_progress(attempt.progress, news.error)
            change = Change(attempt=attempt, status=attempt.status, progress=progress, poll_at=again_at)
        case Lost():
            change = _lost(state=state, attempt=attempt, message=news.message, now=now)
        case Hint():
            is_asked = attempt.status == GenerationStatus.SUBMITTED  # the call of a running one is still at work
            change = Change(attempt=attempt, status=attempt.status, poll_at=now if is_asked else None)
        case Aborted():
            change = Change(attempt=attempt, status=GenerationStatus.CANCELLED, reason=news.reason)
        case ToolError():
            change = _failure(state=state, attempt=attempt, error=news, now=now)
    return change


def shown_progress(before: dict[str, Any] | None, news: Progress) -> dict[str, Any]:
    """Return the progress to show: never less than was shown before, and no preview or stage lost by news without one."""
    shown = before or {}
    known = [percent for percent in (shown.get("percent"), news.percent) if percent is not None]
    return {
        "percent": max(known, default=None),
        "stage": news.stage or shown.get("stage", ""),
        "preview": news.preview or shown.get("preview"),
    }


def troubled_progress(before: dict[str, Any] | None, error: ToolError) -> dict[str, Any]:
    """Return the progress to show of a job whose provider could not be asked, and why: until it can be."""
    return {"percent": None, "stage": "", "preview": None, **(before or {}), "trouble": error.message[:MAX_TROUBLE_CHARACTERS]}


def _unfetched(*, state: CastState, attempt: Attempt, news: Unfetched, now: datetime) -> Change:
    """Judge a result whose files are not all here: they are tried for again, or it is given up with what is known of it."""
    again_at = None if news.error.permanent else next_try(state=state, attempt=attempt, asked=news.error.retry_after, now=now)
    if again_at is None:
        document = error_document(state=state, attempt=attempt, error=news.error)
        if attempt.unfetched_at is not None:
            document["message"] += f" It was given up after {(now - attempt.unfetched_at).total_seconds() / 60:.0f} minutes."
        return Change(attempt=attempt, status=GenerationStatus.FAILED, error=document, cost=news.cost, unfetched=news.left)
    shown = troubled_progress(attempt.progress, news.error)
    change = Change(attempt=attempt, status=GenerationStatus.SUBMITTED, progress=shown, poll_at=again_at)
    change.cost, change.unfetched = news.cost, news.left
    return change


def abandoned(*, state: CastState, attempt: Attempt, late_output: dict[str, Any] | None, now: datetime) -> Change:
    """Judge a running attempt whose holder lost its claim: nobody will report on it but what came late already."""
    if late_output is not None:
        return Change(attempt=attempt, status=GenerationStatus.SUCCEEDED, output=late_output)
    error = ToolError("The worker that made this call vanished.", code="worker_lost", ambiguous=True)
    return _unanswered(state=state, attempt=attempt, error=error, now=now)


def overdue(*, state: CastState, attempt: Attempt, now: datetime) -> Change:
    """Judge a submitted attempt past its deadline. A billed one may have cost money: nobody knows, unless it is done and its files are missing."""
    trouble = (attempt.progress or {}).get("trouble")
    if attempt.unfetched_at is not None:
        error = ToolError(f"What was made could not be fetched before the deadline. {trouble}", code="output_not_kept", permanent=True)
        return _failure(state=state, attempt=attempt, error=error, now=now)
    why = f" It could not be asked last: {trouble}" if trouble else ""
    error = ToolError(f"The provider did not finish the job before its deadline.{why}", code="deadline_exceeded")
    if state.tool_of(attempt).effects == Effects.BILLED:
        return Change(attempt=attempt, status=GenerationStatus.UNKNOWN, error=error_document(state=state, attempt=attempt, error=error))
    return _failure(state=state, attempt=attempt, error=error, now=now)


def _failure(*, state: CastState, attempt: Attempt, error: ToolError, now: datetime) -> Change:
    step = state.step(attempt.step_id)
    tool = state.tool_of(attempt)
    document = error_document(state=state, attempt=attempt, error=error)
    if error.ambiguous and tool.effects == Effects.BILLED:
        if attempt.status == GenerationStatus.RUNNING:
            excused = is_excused(state=state, attempt=attempt, error=error)
            return _unanswered(state=state, attempt=attempt, error=error, now=now, excused=excused)
        # its provider cannot be asked or knows no such job, and whoever sent it may still be sending
        return Change(attempt=attempt, status=GenerationStatus.UNKNOWN, error=document, cost=error.cost)
    if is_excused(state=state, attempt=attempt, error=error):
        wait = wait_before_retry(tool=tool, failures=attempt.attempt, retry_after=None)
        again_at = now + timedelta(seconds=max(wait, jittered(error.retry_after or 0.0)))
        return Change(attempt=attempt, status=GenerationStatus.FAILED, error=document, cost=error.cost, excused=True, retry_at=again_at)
    failures = state.failures.get(attempt.place, 0) + 1
    retry_at = None
    if not error.permanent and failures < (step.max_attempts or tool.max_attempts):
        retry_at = now + timedelta(seconds=wait_before_retry(tool=tool, failures=failures, retry_after=error.retry_after))
    return Change(attempt=attempt, status=GenerationStatus.FAILED, error=document, cost=error.cost, retry_at=retry_at)


def asks_for_rest(error: ToolError) -> bool:
    """Tell whether a provider asked all of us to slow down, and for how long."""
    return error.code == "rate_limited" and error.retry_after is not None and not error.permanent and not error.elsewhere


def is_excused(*, state: CastState, attempt: Attempt, error: ToolError) -> bool:
    """Tell whether a failure says nothing of the call: the provider asked for rest, or is away.

    Such an attempt does not count, and the waits that its number brings bound how often it is made; the deadline of the
    cast bounds it in all. Before its breaker has opened, an outage may be one of this call alone: it is excused as often
    as it takes to open a breaker, and counts from then on if it did not.
    """
    if asks_for_rest(error):
        return True
    if not error.outage or error.permanent or error.elsewhere:
        return False
    tool = state.tool_of(attempt)
    return is_away(tool) or state.excused.get(attempt.place, 0) < breaker_settings(tool).failures_to_open


def _lost(*, state: CastState, attempt: Attempt, message: str, now: datetime) -> Change:
    """Judge a job of which its provider says for certain that it knows nothing.

    One that it had taken has failed, and is submitted anew, as another call, if the tool says so. One that was only
    looked up may still be on its way there: it is made again under the same idempotency key or not at all.
    """
    tool = state.tool_of(attempt)
    if not attempt.job_id:
        if tool.effects == Effects.BILLED and tool.recovery != Recovery.RESEND:
            error = ToolError(message, code="job_not_found")
            return Change(attempt=attempt, status=GenerationStatus.UNKNOWN, error=error_document(state=state, attempt=attempt, error=error))
        return _made_again(state=state, attempt=attempt, error=ToolError(message, code="job_not_found"), now=now)
    may_retry = tool.retry_lost_jobs or tool.effects == Effects.PURE
    return _failure(state=state, attempt=attempt, error=ToolError(message, code="job_lost", permanent=not may_retry), now=now)


def _unanswered(*, state: CastState, attempt: Attempt, error: ToolError, now: datetime, excused: bool = False) -> Change:
    """Judge a call that may have reached its provider and whose answer will not come.

    One whose job is known, or whose provider can be asked for it, is parked as submitted. A pure one, or one whose
    provider knows our idempotency key, is made again. Any other may have been billed and is never sent again on our own.
    """
    tool = state.tool_of(attempt)
    if attempt.job_id or (tool.effects == Effects.BILLED and tool.recovery == Recovery.LOOKUP):
        return Change(attempt=attempt, status=GenerationStatus.SUBMITTED, poll_at=now, cost=error.cost)
    if tool.effects == Effects.BILLED and tool.recovery == Recovery.NONE:
        document = error_document(state=state, attempt=attempt, error=error)
        return Change(attempt=attempt, status=GenerationStatus.UNKNOWN, error=document, cost=error.cost)
    return _made_again(state=state, attempt=attempt, error=error, now=now, excused=excused)


def _made_again(*, state: CastState, attempt: Attempt, error: ToolError, now: datetime, excused: bool = False) -> Change:
    """Judge a call that nobody knows anything of and that may be made again with the same key: a loss, unless there were too many."""
    tool = state.tool_of(attempt)
    document = error_document(state=state, attempt=attempt, error=error)
    losses = state.losses.get(attempt.place, 0) + 1
    again = excused or losses < max(MAX_LOSSES, tool.max_attempts)
    retry_at = now + timedelta(seconds=wait_before_retry(tool=tool, failures=losses, retry_after=None)) if again else None
    if not again:
        document["message"] = f"{error.message} It was tried {losses} times."
    return Change(
        attempt=attempt, status=GenerationStatus.FAILED, error=document, cost=error.cost, lost=True, excused=excused, retry_at=retry_at
    )


def wait_before_retry(*, tool: Tool, failures: int, retry_after: float | None) -> float:
    """Return the seconds before the next attempt: what the provider asked for, else exponential backoff, full jitter."""
    if retry_after is not None:
        return jittered(max(0.0, retry_after))
    ceiling = min(tool.max_backoff_seconds, tool.backoff_seconds * 2.0 ** min(failures - 1, 60))
    return random.uniform(0.0, ceiling)  # noqa: S311 - spreads retries, guards nothing


def _wait_before_poll(state: CastState, attempt: Attempt, asked: float, now: datetime) -> float:
    """Return the seconds before a job is asked for again: at least what its adapter said, and more as it grows old.

    It needs to be remembered nowhere: an eighth of the job's age, up to a minute. While a cast is being cancelled, what
    becomes of its jobs is asked for often.
    """
    age = (now - attempt.started_at).total_seconds() if attempt.started_at else 0.0
    wait = max(asked, min(age * POLL_SHARE_OF_AGE, LONGEST_POLL_SECONDS))
    cancelled_at = state.cast.cancel_requested_at
    if cancelled_at is not None and (now - cancelled_at).total_seconds() < LONGEST_POLL_SECONDS:
        wait = min(wait, CANCELLED_POLL_SECONDS)
    return jittered(wait)


def crowded_out(*, attempt: Attempt, now: datetime) -> Change:
    """Put off the poll of a job for which there was no place."""
    poll_at = now + timedelta(seconds=CROWDED_POLL_SECONDS * random.uniform(1.0, 2.0))  # noqa: S311 - spreads load, guards nothing
    return Change(attempt=attempt, status=attempt.status, poll_at=poll_at)


def jittered(seconds: float) -> float:
    """Return up to a tenth more, so that what was started together does not come due together."""
    return seconds * random.uniform(1.0, 1.1)  # noqa: S311 - spreads load, guards nothing


def error_document(*, state: CastState, attempt: Attempt, error: ToolError) -> dict[str, Any]:
    """Return the error as clients see it: the provider's words, and where they were said."""
    return failure_document(step=state.step(attempt.step_id), item=attempt.item, attempt=attempt.attempt, error=error)


def failure_document(*, step: PlanStep, item: int, attempt: int, error: ToolError) -> dict[str, Any]:
    document = {
        "code": error.code,
        "message": error.message,
        "step": step.key,
        "item": item,
        "attempt": attempt,
        "provider": step.tool_slug,
    }
    return document if error.details is None else {**document, "details": error.details}
