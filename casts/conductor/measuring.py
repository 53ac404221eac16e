"""What a conductor counts of the sets that it settled, after their commit."""

from collections.abc import Sequence

from casts.engine import Turn
from casts.metrics.counters import (
    CASTS_ENDED,
    CLAIMS_LOST,
    CONTINUATIONS,
    COST,
    PROVIDER_ERRORS,
    SETTLEMENTS,
    STEP_DURATION,
    STEP_RETRIES,
    STEPS_ENDED,
)
from generations.models import ENDED, GenerationStatus


def count(*, turns: Sequence[Turn], fenced: int, reports: int, late: int) -> None:
    """Count a settled set: its turns, the claims that had been lost, the reports and how many of them came too late."""
    CONTINUATIONS.labels("advanced").inc(len(turns))
    CONTINUATIONS.labels("fenced").inc(fenced)
    CLAIMS_LOST.inc(fenced)
    SETTLEMENTS.labels("in_time").inc(reports - late)
    SETTLEMENTS.labels("late").inc(late)
    for turn in turns:
        _count_steps(turn)
        if turn.end is not None:
            CASTS_ENDED.labels(turn.end.status).inc()


def _count_steps(turn: Turn) -> None:
    for change in turn.changes.values():
        tool = turn.state.step(change.attempt.step_id).tool_slug
        if change.cost is not None:
            COST.labels(tool).inc(float(change.cost.usd))
        if change.status not in ENDED:
            continue
        STEPS_ENDED.labels(tool, change.status).inc()
        if change.attempt.started_at is not None:
            STEP_DURATION.labels(tool).observe(max(0.0, (turn.now - change.attempt.started_at).total_seconds()))
        if change.error is not None:
            PROVIDER_ERRORS.labels(tool, change.error["code"]).inc()
        if change.retry_at is not None:
            STEP_RETRIES.labels(tool).inc()
    for generation in turn.inserts:
        if generation.status in (GenerationStatus.FAILED, GenerationStatus.SKIPPED):
            STEPS_ENDED.labels(turn.state.step(generation.step_id).tool_slug, generation.status).inc()
