"""Which steps of a cast are ready, and the generations with which they start."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from casts.models import FanOut
from generations.models import Generation, GenerationStatus
from generations.tools.contract import ToolError
from spells.expressions import ExpressionError
from spells.models import OnFailure, Tool
from spells.plan import PlanStep

from . import rows
from .budgets import Budgets
from .gates import Passage
from .gates import lock as lock_gates
from .inputs import Inputs
from .loading import load_items, load_outputs
from .reads import Reading
from .state import Attempt, CastState
from .turns import Turn
from .verdicts import failure_document

# Calls and jobs of one cast that may be at work at once: a window, so that a large fan-out does not starve its neighbours.
WINDOW = 50


class Slots(Protocol):
    """Where a conductor has room for calls. A generation is inserted only with a slot in hand."""

    def begin(self) -> None:
        """Begin a transaction, maybe anew: what an earlier try of it took is free again."""

    def has_room(self, tool: Tool, *, apart: bool, seconds: float) -> bool:
        """Tell whether a call of `tool` that may take so long could start now, in a process of its own if it must be `apart`."""

    def take(self, tool: Tool, *, apart: bool) -> None:
        """Reserve room for one such call."""

    def may_poll(self) -> bool:
        """Tell whether one more provider may be asked for a job. Reserves its place."""

    def may_wait(self) -> bool:
        """Tell whether one more cast that found no room may be held until there is some. Reserves its seat."""

    def leave_for(self) -> float:
        """Return for how many seconds casts that found no room, and no seat, are better left to others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """What a call must pass to start: the schema of its tool, its cast's budget, room in this process, and the tool's gates over all of them."""

    slots: Slots
    passage: Passage
    budgets: Budgets
    inputs: Inputs


def start_ready(*, turns: Sequence[Turn], slots: Slots) -> Passage:
    """Start whatever is ready, and whatever becomes ready by a step that is skipped or has no items.

    Each pass reads the outputs that the ready steps of all casts need in one query. Returns the gates that were locked.
    """
    ready = _ready_steps(turns)
    wanted = (turn.state.tools[step.tool_id] for turn, steps in ready for step in steps)
    doors = Doors(slots=slots, passage=lock_gates(turns=turns, wanted=wanted), budgets=Budgets(), inputs=Inputs())
    reading = Reading()
    while ready:
        reading.measure((turn, _read_by(turn.state, step)) for turn, steps in ready for step in steps)
        refused = [_refuse_unreadable(turn, steps, reading) for turn, steps in ready]
        readable = [(turn, [step for step in steps if reading.admits(turn, _read_by(turn.state, step))]) for turn, steps in ready]
        _load(readable)
        moved = [_start(turn=turn, steps=steps, doors=doors) for turn, steps in readable]
        ready = _ready_steps(turn for (turn, _), *news in zip(ready, refused, moved, strict=True) if any(news))
    for turn in turns:
        turn.waits = turn.starved and not turn.is_held and slots.may_wait()
        turn.leave_for = slots.leave_for()
    _load_last(turns=turns, reading=reading)
    return doors.passage


def _ready_steps(turns: Iterable[Turn]) -> list[tuple[Turn, list[PlanStep]]]:
    """Return the steps that are ready, of those casts that may start any."""
    found = ((turn, list(_ready(turn))) for turn in turns if turn.may_start)
    return [(turn, steps) for turn, steps in found if steps]


def _load_last(*, turns: Sequence[Turn], reading: Reading) -> None:
    """Read what the outputs of those casts need of which all steps are done."""
    done = [turn for turn in turns if turn.state.all_done()]
    reading.measure((turn, turn.state.plan.output_reads) for turn in done)
    wanted = []
    for turn in done:
        step_ids = turn.state.plan.output_reads
        turn.oversized = reading.refusal(turn, step_ids)
        if turn.oversized is None and reading.admits(turn, step_ids):
            wanted.append((turn.state, step_ids))
    load_outputs(wanted)


def _read_by(state: CastState, step: PlanStep) -> frozenset[int]:
    """Return the steps whose outputs this one reads now: not again those of which its items were made."""
    is_expanded = step.has_for_each and step.id in state.counts
    return step.call_reads if is_expanded else step.depends_on


def _load(ready: Sequence[tuple[Turn, Sequence[PlanStep]]]) -> None:
    load_outputs([(turn.state, _read_by(turn.state, step)) for turn, steps in ready for step in steps])
    load_items([(turn.state, step.id) for turn, steps in ready for step in steps if step.has_for_each and step.id in turn.state.counts])


def _ready(turn: Turn) -> Iterator[PlanStep]:
    """Yield the steps whose inputs stand and of which an item, or the list of items, is still to start."""
    state = turn.state
    done = state.done_steps()
    for step in state.plan.steps:
        if (
            step.id not in done
            and step.depends_on <= done
            and (step.id not in state.counts or any(_is_startable(turn, attempt) for _, attempt in state.open_items(step)))
        ):
            yield step


def _refuse_unreadable(turn: Turn, steps: list[PlanStep], reading: Reading) -> bool:
    """Fail those steps that would read too much, and leave them out of the list. Returns whether there were any."""
    refused = {step.id: error for step in steps if (error := reading.refusal(turn, _read_by(turn.state, step)))}
    for step in steps:
        error = refused.get(step.id)
        if error is None:
            continue
        if step.id not in turn.state.counts:
            _expand_into_nothing(turn, step, error)
        else:
            item, previous = next((item, attempt) for item, attempt in turn.state.open_items(step) if _is_startable(turn, attempt))
            _insert_failed(turn=turn, step=step, item=item, previous=previous, error=error)
    steps[:] = [step for step in steps if step.id not in refused]
    return bool(refused)


def _is_startable(turn: Turn, attempt: Attempt | None) -> bool:
    if attempt is None:
        return True
    if attempt.status == GenerationStatus.FAILED and attempt.round == turn.state.cast.round:
        return attempt.retry_at is not None and attempt.retry_at <= turn.now
    # withdrawn while the cast was stopped, or failed in an earlier round of it: it goes on now
    return attempt.status in (GenerationStatus.FAILED, GenerationStatus.CANCELLED)


def _start(*, turn: Turn, steps: Sequence[PlanStep], doors: Doors) -> bool:
    """Start these steps of one cast. Returns whether anything ended at once, so that more may be ready."""
    more = False
    room = WINDOW - len(turn.state.live())
    for step in steps:
        namespace = turn.state.namespace(_read_by(turn.state, step))
        if step.id not in turn.state.counts:
            more = True
            if not _expand(turn=turn, step=step, namespace=namespace):
                continue
        for item, attempt in turn.state.open_items(step):
            if room <= 0:
                return more  # the end of any of them brings the next look
            if _is_startable(turn, attempt):
                tool = turn.state.tools[step.tool_id]
                seconds = step.run_timeout_seconds or tool.run_timeout_seconds
                if not doors.slots.has_room(tool, apart=turn.is_apart_at((step.id, item)), seconds=seconds):
                    turn.starved = True
                    break
                seen = namespace if not step.has_for_each else _with_item(turn.state, step, item, namespace)
                ended = _start_item(turn=turn, step=step, item=item, previous=attempt, namespace=seen, doors=doors)
                if ended is None:
                    break
                more |= ended
                room -= not ended
    return more


def _with_item(state: CastState, step: PlanStep, item: int, namespace: Mapping[str, Any]) -> dict[str, Any]:
    return {**namespace, "item": state.items[step.id][item], "item_index": item}


def _expand(*, turn: Turn, step: PlanStep, namespace: Mapping[str, Any]) -> bool:
    """Evaluate and store the items of a step. Returns False when that failed, which ends the branch."""
    try:
        items = step.items(namespace)
    except ExpressionError as error:
        return _expand_into_nothing(turn, step, _expression_error(error))
    _store_items(turn, step, items)
    return True


def _expand_into_nothing(turn: Turn, step: PlanStep, error: ToolError) -> bool:
    """Note that the items of a step cannot be had. Returns whether the cast goes on, without any."""
    _insert_failed(turn=turn, step=step, item=0, previous=turn.state.latest.get(step.id, {}).get(0), error=error)
    if step.on_failure != OnFailure.CONTINUE:
        return False  # not stored: a retry of the cast evaluates anew
    _store_items(turn, step, [])
    return True


def _store_items(turn: Turn, step: PlanStep, items: list[Any]) -> None:
    turn.state.counts[step.id], turn.state.items[step.id] = len(items), items
    turn.fan_outs.append(_fan_out(turn, step, items))


def _fan_out(turn: Turn, step: PlanStep, items: list[Any]) -> FanOut:
    cast = turn.state.cast
    return FanOut(cast_id=cast.pk, version_id=cast.version_id, step_id=step.id, items=items, count=len(items), created_at=turn.now)


def _start_item(
    *, turn: Turn, step: PlanStep, item: int, previous: Attempt | None, namespace: Mapping[str, Any], doors: Doors
) -> bool | None:
    """Insert the next attempt at one item. Returns whether it ended at once: skipped, or refused; None: it must wait."""
    tool = turn.state.tools[step.tool_id]
    try:
        if not step.runs(namespace):
            _insert(turn, step, item, previous, status=GenerationStatus.SKIPPED, reason="Its condition was false.", finished_at=turn.now)
            return True
        inputs = doors.inputs.of(step=step, tool=tool, params=step.params(namespace))
        if not doors.budgets.admits(turn=turn, tool=tool):
            return None
    except ExpressionError as error:
        _insert_failed(turn=turn, step=step, item=item, previous=previous, error=_expression_error(error))
        return True
    except ToolError as error:
        _insert_failed(turn=turn, step=step, item=item, previous=previous, error=error)
        return True
    if not doors.passage.admits(turn=turn, tool=tool):
        return None
    doors.slots.take(tool, apart=turn.is_apart_at((step.id, item)))
    started_at = doors.passage.moment or turn.now
    deadline_at = started_at + timedelta(seconds=step.deadline_seconds or tool.deadline_seconds)
    values = {"status": GenerationStatus.RUNNING, "inputs": inputs, "started_at": started_at, "deadline_at": deadline_at}
    call = _insert(turn, step, item, previous, **values)
    turn.calls.append(call)
    doors.passage.take(turn=turn, tool=tool, generation=call)
    return False


def _expression_error(error: ExpressionError) -> ToolError:
    return ToolError(f"{error.path}: {error.message}", code="expression_failed", permanent=True)


def _insert_failed(*, turn: Turn, step: PlanStep, item: int, previous: Attempt | None, error: ToolError) -> None:
    attempt = previous.attempt + 1 if previous else 1
    document = failure_document(step=step, item=item, attempt=attempt, error=error)
    _insert(turn, step, item, previous, status=GenerationStatus.FAILED, error=document, finished_at=turn.now)


def _insert(turn: Turn, step: PlanStep, item: int, previous: Attempt | None, **values: Any) -> Generation:
    """Add a generation to the turn, and to its picture of the cast."""
    cast = turn.state.cast
    generation = rows.new(
        Generation,
        cast_id=cast.pk,
        version_id=cast.version_id,
        step_id=step.id,
        tool_id=step.tool_id,
        item=item,
        attempt=previous.attempt + 1 if previous else 1,
        round=cast.round,
        epoch=turn.state.claim.epoch,
        # of a call whose answer was lost, the next one must not look like another to the provider
        owed_key=turn.state.key_owed(previous) if previous else None,
        created_at=turn.now,
        **values,
    )
    turn.inserts.append(generation)
    turn.state.add(Attempt.of(generation))
    return generation
