"""The last resort: a cast that the engine itself cannot advance."""

from casts.clock import database_now
from casts.models import LIVE, Cast, CastStatus, Wakeup
from generations.models import Generation, GenerationStatus
from generations.outputs import clean_text
from spells.models import Effects

from . import claims as leases
from . import ends, measuring, notices
from .claims import Claim
from .retrying import in_one_transaction
from .turns import End
from .withdrawing import ask

MAX_MESSAGE_CHARACTERS = 2_000


@in_one_transaction
def give_up(*, claim: Claim, message: str) -> bool:
    """Fail a cast whose advance raises, whatever is asked of it. Returns False when the claim was lost, or the cast ended, meanwhile.

    Needs no plan and evaluates nothing. Its live billed calls become `unknown`: they may have cost money.
    """
    if not leases.lock(claims=[claim]):
        return False
    cast = Cast.objects.select_for_update(no_key=True).get(pk=claim.cast_id)
    now = database_now()
    message = clean_text(message)[:MAX_MESSAGE_CHARACTERS]
    error = {"code": "engine_error", "message": message, "step": None, "attempt": None, "provider": None}
    Wakeup.objects.filter(pk=cast.pk, epoch=claim.epoch).delete()
    if not Cast.objects.filter(pk=cast.pk, status__in=LIVE).update(status=CastStatus.FAILED, error=error, reason="", finished_at=now):
        return False
    live = Generation.objects.live().filter(cast_id=cast.pk)
    jobs = live.filter(status=GenerationStatus.SUBMITTED).exclude(job_id="")
    ask(generation_ids=jobs.values_list("pk", flat=True), now=now)
    ids = list(live.values_list("pk", flat=True))
    ended = {"error": error, "poll_at": None, "finished_at": now}
    billed = live.filter(step__tool__effects=Effects.BILLED, started_at__isnull=False)
    for calls, status in ((billed, GenerationStatus.UNKNOWN), (live, GenerationStatus.FAILED)):
        measuring.note_given_up(tools=calls.values_list("tool__slug", flat=True), status=status)
        calls.update(status=status, **ended)
    end = End(status=CastStatus.FAILED, error=error)
    ends.note(ended=[(cast, end)], now=now)
    told = [*notices.of_generations(cast=cast, ids=ids), notices.of_end(cast=cast, end=end)]
    notices.tell(notices=told, now=now)
    return True
