"""What became of a call that may have been billed, in the words of somebody who looked it up."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from casts.doorbell import knock
from casts.models import Cast, CastEvent, EventKind
from generations.models import Generation, GenerationStatus
from generations.tools.contract import Cost

from . import changes, notices
from . import claims as leases
from .retrying import in_one_transaction
from .verbs import TransitionRefusedError


@in_one_transaction
def resolve(
    *,
    generation_id: UUID,
    now: datetime,
    output: Mapping[str, Any] | None = None,
    again: bool = False,
    cost_usd: Decimal | None = None,
    actor_id: int | None = None,
) -> None:
    """Settle an `unknown` generation: it happened (`output`), it did not (`again`), or it is written off (neither).

    The finding counts for the cast's present round: what is written off is not sent again by a retry that came before.

    Raises:
        TransitionRefusedError: the generation is not `unknown`.
    """
    generation = Generation.objects.only("cast_id", "item", "attempt", "step__key").select_related("step").get(pk=generation_id)
    cast_id = generation.cast_id
    is_heard = leases.ring(cast_id=cast_id)
    cast = Cast.objects.select_for_update(no_key=True).get(pk=cast_id)
    leases.have_missed_none(cast_ids=() if is_heard else (cast_id,))
    unknown = Generation.objects.filter(pk=generation_id, status=GenerationStatus.UNKNOWN)
    if output is not None:
        moved = unknown.update(status=GenerationStatus.SUCCEEDED, output=dict(output), error=None, finished_at=now)
    else:
        moved = unknown.update(status=GenerationStatus.FAILED, retry_at=now if again else None, round=cast.round, finished_at=now)
    if not moved:
        raise TransitionRefusedError("resolved", str(Generation.objects.values_list("status", flat=True).get(pk=generation_id)))
    if cost_usd is not None:
        basis = {"resolved_by": actor_id}
        changes.book_late(generation_id=generation_id, cast_id=cast_id, cost=Cost(usd=cost_usd, basis=basis), now=now)
    finding = "happened" if output is not None else "again" if again else "written_off"
    notices.tell(notices=notices.of_generations(cast=cast, ids=[generation_id]), now=now)
    _note(generation=generation, actor_id=actor_id, now=now, finding=finding, cost_usd=None if cost_usd is None else f"{cost_usd:f}")
    knock(cast_id=cast_id)


def _note(*, generation: Generation, actor_id: int | None, now: datetime, **found: str | None) -> None:
    place = {"step": generation.step.key, "item": generation.item, "attempt": generation.attempt}
    data = {**found, **place, "generation": str(generation.pk)}
    CastEvent.objects.create(cast_id=generation.cast_id, kind=EventKind.RESOLVED, actor_id=actor_id, data=data, at=now)
