"""What the engine counts of what it wrote, whoever had it written: once it is committed, for what is rolled back did not happen."""

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from functools import partial

from django.db import transaction

from casts.metrics.counters import CASTS_ENDED, COST, PROVIDER_ERRORS, STEP_DURATION, STEP_RETRIES, STEPS_ENDED, code_label
from generations.models import ENDED, LIVE

from .state import CastState
from .turns import Turn
from .verdicts import Change


def note(*, turns: Iterable[Turn]) -> None:
    """Count the attempts that these turns ended and what they cost. Same transaction as the writing of them."""
    for turn in turns:
        for change in turn.changes.values():
            note_change(state=turn.state, change=change, now=turn.now)
        for generation in turn.inserts:
            if generation.status in ENDED:
                tool = turn.state.step(generation.step_id).tool_slug
                _later(_count_step, tool=tool, status=generation.status, error=generation.error, seconds=None, again=False)


def note_change(*, state: CastState, change: Change, now: datetime) -> None:
    """Count one change. What is learnt later of a call of unknown fate is no second end of it, but may tell its cost."""
    attempt = change.attempt
    tool = state.step(attempt.step_id).tool_slug
    if change.cost is not None:
        note_cost(tool=tool, usd=change.cost.usd)
    if change.was in LIVE and change.status in ENDED:
        seconds = max(0.0, (now - attempt.started_at).total_seconds()) if attempt.started_at is not None else None
        again = change.retry_at is not None
        _later(_count_step, tool=tool, status=change.status, error=change.error, seconds=seconds, again=again)


def note_given_up(*, tools: Iterable[str], status: str) -> None:
    """Count the calls, one of each of these tools, that end with a cast that cannot be advanced."""
    for tool in tools:
        _later(_count_step, tool=tool, status=status, error=None, seconds=None, again=False)


def note_cost(*, tool: str, usd: Decimal) -> None:
    """Count what a call of this tool cost."""
    _later(COST.labels(tool).inc, float(usd))


def note_end(*, status: str) -> None:
    """Count the end of a cast."""
    _later(CASTS_ENDED.labels(status).inc)


def _later(count: Callable[..., None], *args: object, **values: object) -> None:
    transaction.on_commit(partial(count, *args, **values), robust=True)


def _count_step(*, tool: str, status: str, error: dict[str, object] | None, seconds: float | None, again: bool) -> None:
    STEPS_ENDED.labels(tool, status).inc()
    if seconds is not None:
        STEP_DURATION.labels(tool).observe(seconds)
        if error is not None:
            PROVIDER_ERRORS.labels(tool, code_label(str(error["code"]))).inc()
    if again:
        STEP_RETRIES.labels(tool).inc()
