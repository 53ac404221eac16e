"""Reading what the engine knows of casts, after their wakeups were locked: light rows at once, payloads where they are wanted."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from casts.clock import database_now, moment_of
from casts.models import Cast, CastStatus, FanOut, Gate
from spells.models import Provider, Tool
from spells.plan import plan_of

from . import rows, sql
from .claims import Claim
from .remembering import Known
from .state import ATTEMPT_COLUMNS, DONE, Attempt, CastState


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a transaction sees once its locks are held: casts, and the one reading of the clock that it goes by.

    `has_subscribers` tells whether anybody wants to be told of one of these casts.
    """

    states: dict[UUID, CastState]
    now: datetime
    has_subscribers: bool


def load(*, held: Mapping[UUID, Claim], known: Known | None = None) -> Sight:
    """Lock the casts of these claims, in order, and read what stands of them. Three queries, whatever the number; a fourth if any has fan-outs.

    Casts that are `known` from the last look under the same claim are neither locked nor read, for nobody but its holder
    writes to a cast without having rung. They are taken out of `known`: should this transaction not be committed, what
    this look makes of them is not what stands.
    """
    states = known.take(held) if known is not None else {}
    unknown = [cast_id for cast_id in held if cast_id not in states]
    fresh = _read_casts(unknown, held) if unknown else {}
    states |= fresh
    if not states:
        return Sight(states=states, now=database_now(), has_subscribers=False)
    tools, now, has_subscribers = _read_surroundings(states)
    for state in states.values():
        state.tools = tools
    _read_counts(fresh)
    # of one that was never looked at nothing was begun
    begun = {cast_id: state for cast_id, state in fresh.items() if state.cast.status != CastStatus.QUEUED}
    if begun:
        _read_attempts(begun)
    return Sight(states=states, now=now, has_subscribers=has_subscribers)


def _read_casts(ids: Sequence[UUID], held: Mapping[UUID, Claim]) -> dict[UUID, CastState]:
    """Lock casts in the order of their ids, and read them.

    `FOR NO KEY UPDATE`: a plain lock would block whoever inserts a generation under its foreign key.
    """
    query = f"""
        SELECT {rows.columns(Cast, "own")}
        FROM casts_cast AS own WHERE {sql.ids_in("own.id")} ORDER BY own.id {sql.on_postgresql("FOR NO KEY UPDATE OF own")}
        """
    states = {}
    for values in sql.fetch(query, {"ids": sql.ids_parameter(ids)}):
        cast = rows.read(Cast, values)
        assert cast is not None, "its key is not null"
        states[cast.pk] = CastState(claim=held[cast.pk], cast=cast, plan=plan_of(cast.version_id), tools={})
    return states


def _read_surroundings(states: Mapping[UUID, CastState]) -> tuple[dict[int, Tool], datetime, bool]:
    """Read tools as they are now, each with its provider and with the gates before both; the clock; and whether anybody subscribed."""
    tools, now, has_subscribers = {}, None, False
    parameters = {
        "numbers": sql.numbers_parameter({step.tool_id for state in states.values() for step in state.plan.steps}),
        "ids": sql.ids_parameter(list(states)),
        "owners": sql.numbers_parameter({state.cast.initiator_id for state in states.values()}),
    }
    for at, is_watched, *row in sql.fetch(_surroundings(), parameters):
        now, has_subscribers = moment_of(at), bool(is_watched)
        parts = rows.split(row, Tool, Provider, Gate, Gate)
        tool, provider = rows.read(Tool, parts[0]), rows.read(Provider, parts[1])
        assert tool is not None, "its key is not null"
        Gate.tool.field.remote_field.set_cached_value(tool, rows.read(Gate, parts[2]))
        if provider is not None:
            Gate.provider.field.remote_field.set_cached_value(provider, rows.read(Gate, parts[3]))
            tool.provider = provider
        tools[tool.pk] = tool
    assert now is not None, "a spell has a step, a step has a tool, and no tool goes while a step names it"
    return tools, now, has_subscribers


def _surroundings() -> str:
    """Return SQL for tools, their providers, and the gates of both: where there is none, its columns are null.

    Before each stand the clock and whether anybody subscribed: both are read once, not for each row.
    """
    return f"""
        SELECT
            (SELECT grimoire_now()),
            EXISTS (
                SELECT 1 FROM casts_subscription AS wish
                WHERE wish.enabled AND ({sql.ids_in("wish.cast_id")} OR (wish.cast_id IS NULL AND {sql.numbers_in("wish.owner_id", "owners")}))
            ),
            {rows.columns(Tool, "tool")}, {rows.columns(Provider, "provider")}, {rows.columns(Gate, "gate")}, {rows.columns(Gate, "other")}
        FROM spells_tool AS tool
        LEFT JOIN spells_provider AS provider ON provider.id = tool.provider_id
        LEFT JOIN casts_gate AS gate ON gate.tool_id = tool.id
        LEFT JOIN casts_gate AS other ON other.provider_id = provider.id
        WHERE {sql.numbers_in("tool.id")}
        """


def _read_counts(states: Mapping[UUID, CastState]) -> None:
    """Read how many items each step has. One query, or none: a step without `for_each` has one."""
    expanding = []
    for state in states.values():
        state.counts = {step.id: 1 for step in state.plan.steps if not step.has_for_each}
        if len(state.counts) < len(state.plan.steps):
            expanding.append(state.cast.pk)
    if expanding:
        for cast_id, step_id, count in FanOut.objects.filter(cast_id__in=expanding).values_list("cast_id", "step_id", "count"):
            states[cast_id].counts[step_id] = count


def _read_attempts(states: Mapping[UUID, CastState]) -> None:
    """Read how many items of each step are done, and all attempts at those that are not."""
    for cast, step_id, last, done, *values in sql.fetch(_standing(), {"ids": sql.ids_parameter(list(states))}):
        state = states[sql.uuid_of(cast)]
        state.begun[step_id], state.done[step_id] = last + 1, done
        if values[0] is not None:
            state.add(Attempt.read(values))


def _standing() -> str:
    """Return SQL for a row for each step that was begun, and each attempt at an item of it that is not done; the latest last."""
    done = f"status IN ({sql.words(DONE)})"
    return f"""
        SELECT begun.cast_id, begun.step_id, begun.last, begun.done, {", ".join(f"attempt.{column}" for column in ATTEMPT_COLUMNS)}
        FROM (
            SELECT cast_id, step_id, MAX(item) AS last, COUNT(*) FILTER (WHERE {done}) AS done
            FROM generations_generation WHERE {sql.ids_in("cast_id")} GROUP BY cast_id, step_id
        ) AS begun
        LEFT JOIN generations_generation AS attempt
            ON attempt.cast_id = begun.cast_id AND attempt.step_id = begun.step_id AND NOT attempt.{done} AND {sql.ids_in("attempt.cast_id")}
            AND NOT EXISTS (
                SELECT 1 FROM generations_generation AS other
                WHERE other.cast_id = attempt.cast_id AND other.step_id = attempt.step_id AND other.item = attempt.item AND other.{done}
            )
        ORDER BY attempt.attempt
        """


def load_outputs(wanted: Iterable[tuple[CastState, Collection[int]]]) -> None:
    """Read the outputs of these steps of casts into their states. One query, or none."""
    casts, steps = {}, set()
    for state, step_ids in wanted:
        missing = [step_id for step_id in step_ids if step_id not in state.loaded]
        state.loaded.update(missing)
        if any(state.done.get(step_id) for step_id in missing):
            casts[state.cast.pk] = state
            steps.update(missing)
    if not casts:
        return
    parameters = {"ids": sql.ids_parameter(list(casts)), "numbers": sql.numbers_parameter(steps)}
    for cast_id, step_id, item, output in sql.fetch(_outputs(), parameters):
        casts[sql.uuid_of(cast_id)].outputs.setdefault((step_id, item), sql.json_of(output))


def _outputs() -> str:
    """Return SQL for what the items of some steps made that are done, in some casts."""
    return f"""
        SELECT cast_id, step_id, item, output FROM generations_generation
        WHERE {sql.ids_in("cast_id")} AND {sql.numbers_in("step_id")} AND status IN ({sql.words(DONE)})
        """


def load_items(wanted: Iterable[tuple[CastState, int]]) -> None:
    """Read the stored items of these fan-outs of casts into their states. One query, or none."""
    missing = [(state, step_id) for state, step_id in wanted if step_id not in state.items]
    if not missing:
        return
    casts, steps = {state.cast.pk: state for state, _ in missing}, {step_id for _, step_id in missing}
    for cast_id, step_id, items in FanOut.objects.filter(cast_id__in=casts, step_id__in=steps).values_list("cast_id", "step_id", "items"):
        casts[cast_id].items.setdefault(step_id, items)
