"""How long a cancelled cast waits for jobs that its providers are stopping, and what becomes of them then."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from generations.models import Cancellation, GenerationStatus
from generations.models.cancellation import CancellationOutcome
from generations.tools.contract import ToolError

from .state import Attempt, CastState
from .verdicts import Change, error_document

# How long after its provider confirmed a cancelled job may take to tell how it ended, and what it cost.
PATIENCE = timedelta(seconds=60)


def confirmed(ids: Iterable[UUID]) -> Mapping[UUID, datetime]:
    """Return when providers confirmed that they stop these jobs, for those that did. One query, or none."""
    wanted = list(ids)
    if not wanted:
        return {}
    rows = Cancellation.objects.filter(generation__in=wanted, outcome=CancellationOutcome.REQUESTED, done_at__isnull=False)
    return {generation_id: at for generation_id, at in rows.values_list("generation_id", "done_at") if at is not None}


def unaccounted(*, state: CastState, attempt: Attempt) -> Change:
    """Judge a billed job whose provider took the cancellation and never said how the job ended: it may have cost money."""
    seconds = PATIENCE.total_seconds()
    message = f"The provider was asked to stop the job, and did not say within {seconds:.0f} seconds how it ended."
    error = error_document(state=state, attempt=attempt, error=ToolError(message, code="cancelled"))
    return Change(attempt=attempt, status=GenerationStatus.UNKNOWN, error=error)
