"""An operator's own answer in place of a step that failed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from casts.doorbell import knock
from casts.models import Cast, CastEvent, CastStatus, EventKind, FanOut
from generations.models import Generation, GenerationStatus
from spells import schemas
from spells.models import Step
from spells.plan import MAX_ITEMS
from spells.problems import Problem, ProblemsError, shown

from . import notices
from .retrying import in_one_transaction
from .start import DEADLINE
from .verbs import TransitionRefusedError, carry_on

SKIPPED = "Skipped by an operator."


class NotSkippableError(Exception):
    """There is nothing to skip at this place: nothing failed there, or it is not known how a call ended."""


class InvalidOutputError(ProblemsError):
    """The given output is not what the step's tool would have returned. `problems` name each place."""


@in_one_transaction
def skip(
    *,
    cast_id: UUID,
    reason: str,
    now: datetime,
    step_key: str | None = None,
    item: int | None = None,
    output: Any = None,
    resume: bool = True,
    actor_id: int | None = None,
    deadline: timedelta = DEADLINE,
) -> Cast:
    """Give a failed step of a cast that has ended an output by hand, and go on with the cast from there.

    The failed attempts stay as they are; a `skipped` one after them bears the output. Without `step_key` and `item` it
    is the step whose failure ended the cast. `output` is held to the schema of the tool; None: later steps see null, as
    of a step whose condition was false. Of a step that failed because its list of items could not be made, `output`
    is the list of the outputs of its items. Without `resume` the cast stays as it ended, so that more can be skipped.

    Raises:
        TransitionRefusedError: the cast has not failed, nor been cancelled.
        NotSkippableError: nothing failed at this place, or what became of its call is unknown.
        InvalidOutputError: nothing was written.
    """
    cast = Cast.objects.select_for_update(no_key=True).get(pk=cast_id)
    if cast.status not in (CastStatus.FAILED, CastStatus.CANCELLED):
        raise TransitionRefusedError("carried on past a step", cast.status)
    failed = _failed(cast=cast, step_key=step_key, item=item)
    reason = reason.strip() or SKIPPED
    made = _made(failed=failed, outputs=_checked(failed, output), reason=reason, now=now)
    if not failed.is_expanded:
        place = {"cast_id": cast_id, "version_id": cast.version_id, "step": failed.step}
        FanOut.objects.create(**place, items=[None] * len(made), count=len(made), created_at=now)
    Generation.objects.bulk_create(made)
    data = {"step": failed.step.key, "item": failed.last.item, "reason": reason, "generations": [str(each.pk) for each in made[:1]]}
    CastEvent.objects.create(cast=cast, kind=EventKind.SKIPPED, actor_id=actor_id, data=data, at=now)
    notices.tell(notices=notices.of_generations(cast=cast, ids=[each.pk for each in made]), now=now)
    knock(cast_id=cast_id)
    return carry_on(cast=cast, actor_id=actor_id, now=now, deadline=deadline) if resume else cast


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failed:
    """A place where a cast failed: the step, and the last attempt there. `is_expanded`: its items are known, if it has any."""

    cast: Cast
    step: Step
    last: Generation
    is_expanded: bool


def _failed(*, cast: Cast, step_key: str | None, item: int | None) -> _Failed:
    """Return where the cast failed: at the place that is named, or at the one that its error names."""
    error = cast.error or {}
    key = step_key if step_key is not None else error.get("step")
    index = item if item is not None else (error.get("item") or 0) if key == error.get("step") else 0
    if key is None:
        raise NotSkippableError("The cast did not end by a step that failed: name the step to skip.")
    step = Step.objects.select_related("tool").filter(version_id=cast.version_id, key=key).first()
    if step is None:
        raise NotSkippableError(f"The spell has no step {shown(key)}.")
    place = f"Step {step.key}, item {index}," if step.for_each else f"Step {step.key}"
    last = Generation.objects.filter(cast=cast, step=step, item=index).order_by("-attempt").first()
    if last is None:
        raise NotSkippableError(f"{place} was never begun: only what failed can be skipped.")
    if last.status == GenerationStatus.UNKNOWN:
        raise NotSkippableError(f"{place} may have been billed, and nobody knows how it ended: settle it first.")
    if last.status not in (GenerationStatus.FAILED, GenerationStatus.CANCELLED):
        raise NotSkippableError(f"{place} has {last.status}: only what failed can be skipped.")
    is_expanded = not step.for_each or FanOut.objects.filter(cast=cast, step=step).exists()
    return _Failed(cast=cast, step=step, last=last, is_expanded=is_expanded)


def _checked(failed: _Failed, output: Any) -> list[dict[str, Any] | None]:
    """Return the outputs to store, one for each item. Raises InvalidOutputError unless its tool might have returned them."""
    if failed.is_expanded:
        return [_fitting(failed.step, output, path="output")]
    if not isinstance(output, list) or len(output) > MAX_ITEMS:
        told = f"must be a list of at most {MAX_ITEMS:,} outputs, one for each item: the items of {failed.step.key} could not be made"
        raise InvalidOutputError([Problem("output", told)])
    return [_fitting(failed.step, each, path=f"output[{place}]") for place, each in enumerate(output)]


def _fitting(step: Step, output: Any, *, path: str) -> dict[str, Any] | None:
    problems = [] if output is None else schemas.check_json(output, path=path) or schemas.check(output, step.tool.output_schema, path=path)
    if problems:
        raise InvalidOutputError(problems)
    if output is None or isinstance(output, dict):
        return output
    raise InvalidOutputError([Problem(path, "must be an object, or null")])


def _made(*, failed: _Failed, outputs: Sequence[Mapping[str, Any] | None], reason: str, now: datetime) -> list[Generation]:
    last = failed.last
    return [
        Generation(
            cast_id=last.cast_id,
            version_id=last.version_id,
            step_id=last.step_id,
            tool_id=last.tool_id,
            item=last.item + place,
            attempt=last.attempt + 1 if place == 0 else 1,
            round=failed.cast.round,
            status=GenerationStatus.SKIPPED,
            output=output,
            reason=reason,
            created_at=now,
            finished_at=now,
        )
        for place, output in enumerate(outputs)
    ]
