"""News that comes from beside the claim: after it was lost, or from a provider's callback."""

from casts.clock import database_now
from casts.doorbell import knock
from casts.models import Cast
from generations.models import Generation, GenerationStatus
from generations.tools.contract import Result, Submitted, ToolError

from . import changes
from . import claims as leases
from .claims import Claim
from .reports import Report, Via
from .retrying import in_one_transaction
from .state import load
from .verdicts import SETTLES_FROM, verdict


@in_one_transaction
def take_late(*, report: Report) -> None:
    """Account for news for which nobody waits: book its cost, keep its output, settle what it explains.

    An `unknown` generation is resolved by it: that is the evidence an operator would have looked for.
    """
    cast_id, generation_id, news = report.claim.cast_id, report.generation_id, report.news
    leases.ring(cast_id=cast_id)
    cast = Cast.objects.select_for_update(no_key=True).get(pk=cast_id)
    now = database_now()
    cost = news.cost if isinstance(news, Result | ToolError) else None
    if cost is not None:
        changes.book_late(generation_id=generation_id, cast_id=cast_id, cost=cost, now=now)
    match news:
        case Submitted():
            Generation.objects.filter(pk=generation_id, job_id="").update(job_id=news.job_id)
        case Result():
            changes.keep_artifacts(made=[(generation_id, cast.initiator_id, report.made)], now=now)
            resolved = Generation.objects.filter(pk=generation_id, status=GenerationStatus.UNKNOWN).update(
                status=GenerationStatus.SUCCEEDED, output=dict(news.output), error=None, finished_at=now
            )
            if not resolved:
                changes.keep_late_output(generation_id=generation_id, output=dict(news.output))
        case _:
            pass
    knock(cast_id=cast_id)


@in_one_transaction
def receive(*, report: Report) -> bool:
    """Settle a generation by what its provider told us, without a claim. Returns False when nobody waited for it.

    Rings first, so that whoever holds the cast looks at it again. The next step is left to a claimed advance.
    """
    cast_id = report.claim.cast_id
    if leases.ring(cast_id=cast_id):
        standing = {cast_id: Claim(cast_id=cast_id, epoch=0, bell=0)}
        state = load(held=standing)[cast_id]
        attempt = state.attempts.get(report.generation_id)
        if attempt is not None and attempt.status in SETTLES_FROM[Via.CALLBACK]:
            now = database_now()
            change = verdict(state=state, attempt=attempt, news=report.news, made=report.made, now=now)
            changes.apply(changes=[change], now=now)
            changes.book(changes=[change])
            changes.keep_artifacts(made=[(attempt.id, state.cast.initiator_id, report.made)], now=now)
            knock(cast_id=cast_id)
            return True
    take_late(report=report)
    return False
