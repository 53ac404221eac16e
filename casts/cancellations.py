"""Asking providers to stop jobs: what there is to ask, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from casts import engine
from casts.clock import database_now
from casts.engine import Claim, Hint, Report, Via
from casts.engine.retrying import in_one_transaction
from casts.errands import Errand, put_off, wait_before_retry
from generations.calls import Call, prepare
from generations.models import Cancellation, Generation, GenerationStatus
from generations.models.cancellation import CancellationOutcome
from generations.outputs import clean_text
from generations.tools.contract import Request, ToolError

# After so many tries the provider counts as not to be reached.
MAX_TRIES = 6
# How long one question may take.
ASK_SECONDS = 30.0
MAX_SAID_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A job to be stopped. It is `needless` when the job has ended."""

    errand: Errand
    adapter_key: str
    request: Request
    job_id: str
    needless: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What came of asking. Without an outcome it is to be tried again. `error` is what the provider, or the way to it, said."""

    errand: Errand
    generation_id: UUID
    cast_id: UUID
    outcome: CancellationOutcome | None
    said: str = ""
    error: ToolError | None = None

    @property
    def was_asked(self) -> bool:
        return self.error is not None or self.outcome == CancellationOutcome.REQUESTED


def load(errands: Sequence[Errand]) -> list[Wish]:
    """Return the jobs that these errands are to stop. Two queries."""
    rows = Cancellation.objects.filter(pk__in=[errand.id for errand in errands])
    found = list(rows.select_related("generation__step__tool", "generation__cast").order_by("pk"))
    requests = prepare(calls=[_call(cancellation.generation) for cancellation in found])
    mine = {errand.id: errand for errand in errands}
    return [
        Wish(
            errand=mine[cancellation.pk],
            adapter_key=cancellation.generation.step.tool.adapter,
            request=request,
            job_id=cancellation.generation.job_id,
            needless=cancellation.generation.status == GenerationStatus.SUCCEEDED,
        )
        for cancellation, request in zip(found, requests, strict=True)
    ]


def _call(generation: Generation) -> Call:
    step = generation.step
    seconds = min(ASK_SECONDS, step.run_timeout_seconds or step.tool.run_timeout_seconds)
    cast = generation.cast
    return Call.of(generation, tool=step.tool, owner_id=cast.initiator_id, timeout_seconds=seconds, traceparent=cast.traceparent)


@in_one_transaction
def note(answers: Sequence[Answered]) -> list[UUID]:
    """Write what came of asking, and have the jobs polled that are to stop. Returns the casts that rang."""
    stopping = [each for each in answers if each.outcome == CancellationOutcome.REQUESTED]
    if stopping:
        engine.receive_all(
            reports=[
                Report(
                    generation_id=each.generation_id,
                    claim=Claim(cast_id=each.cast_id, epoch=0, bell=0),
                    via=Via.CALLBACK,
                    news=Hint(),
                )
                for each in stopping
            ]
        )
    engine.learn_from_asking(met={each.generation_id: each.error for each in answers if each.was_asked})
    now = database_now()
    for each in answers:
        said = clean_text(each.said)[:MAX_SAID_CHARACTERS]
        outcome = each.outcome or (CancellationOutcome.FAILED if each.errand.attempts >= MAX_TRIES else None)
        row = Cancellation.objects.filter(pk=each.errand.id, attempts=each.errand.attempts, outcome=CancellationOutcome.PENDING)
        if outcome is not None:
            row.update(outcome=outcome, said=said, due_at=None, done_at=now)
            continue
        row.update(said=said)
        put_off(Cancellation, [each.errand], seconds=wait_before_retry(each.errand))
    return [each.cast_id for each in stopping]
