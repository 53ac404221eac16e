"""Reading what the engine knows of casts, after their wakeups were locked: light rows at once, payloads where they are wanted."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from casts.models import Cast, FanOut, Gate
from generations.models import Generation
from spells.models import Provider, Tool
from spells.plan import plan_of

from . import rows, sql
from .claims import Claim
from .state import ATTEMPT_COLUMNS, DONE, Attempt, CastState


def load(*, held: Mapping[UUID, Claim]) -> dict[UUID, CastState]:
    """Lock the casts of these claims, in order, and read what stands of them. Three queries, whatever the number; a fourth if any has fan-outs.

    `FOR NO KEY UPDATE`: a plain lock would block whoever inserts a generation under its foreign key.
    """
    ids = {"ids": sql.ids_parameter(list(held))}
    states = {}
    for has_subscribers, *values in sql.fetch(_locked_casts(), ids):
        cast = rows.read(Cast, values)
        assert cast is not None, "its key is not null"
        plan = plan_of(cast.version_id)
        states[cast.pk] = CastState(claim=held[cast.pk], cast=cast, plan=plan, tools={}, has_subscribers=bool(has_subscribers))
    tools = _load_tools({step.tool_id for state in states.values() for step in state.plan.steps})
    expanding = []
    for state in states.values():
        state.tools = tools
        state.counts = {step.id: 1 for step in state.plan.steps if not step.has_for_each}
        if len(state.counts) < len(state.plan.steps):
            expanding.append(state.cast.pk)
    if expanding:
        for cast_id, step_id, count in FanOut.objects.filter(cast_id__in=expanding).values_list("cast_id", "step_id", "count"):
            states[cast_id].counts[step_id] = count
    if states:
        _load_attempts(states, ids)
    return states


def _locked_casts() -> str:
    """Return SQL that locks casts in the order of their ids, and reads them, each behind whether anybody subscribed to it."""
    return f"""
        SELECT EXISTS (
            SELECT 1 FROM casts_subscription AS wish
            WHERE wish.enabled AND (wish.cast_id = own.id OR (wish.cast_id IS NULL AND wish.owner_id = own.initiator_id))
        ), {rows.columns(Cast, "own")}
        FROM casts_cast AS own WHERE {sql.ids_in("own.id")} ORDER BY own.id {sql.on_postgresql("FOR NO KEY UPDATE OF own")}
        """


def _load_tools(ids: Collection[int]) -> dict[int, Tool]:
    """Read tools as they are now, each with its provider and with the gates before both."""
    if not ids:
        return {}
    tools = {}
    for row in sql.fetch(_tools(), {"numbers": sql.numbers_parameter(ids)}):
        parts = rows.split(row, Tool, Provider, Gate, Gate)
        tool, provider = rows.read(Tool, parts[0]), rows.read(Provider, parts[1])
        assert tool is not None, "its key is not null"
        Gate.tool.field.remote_field.set_cached_value(tool, rows.read(Gate, parts[2]))
        if provider is not None:
            Gate.provider.field.remote_field.set_cached_value(provider, rows.read(Gate, parts[3]))
            tool.provider = provider
        tools[tool.pk] = tool
    return tools


def _tools() -> str:
    """Return SQL for tools, their providers, and the gates of both: where there is none, its columns are null."""
    return f"""
        SELECT {rows.columns(Tool, "tool")}, {rows.columns(Provider, "provider")}, {rows.columns(Gate, "gate")}, {rows.columns(Gate, "other")}
        FROM spells_tool AS tool
        LEFT JOIN spells_provider AS provider ON provider.id = tool.provider_id
        LEFT JOIN casts_gate AS gate ON gate.tool_id = tool.id
        LEFT JOIN casts_gate AS other ON other.provider_id = provider.id
        WHERE {sql.numbers_in("tool.id")}
        """


def _load_attempts(states: Mapping[UUID, CastState], ids: Mapping[str, Any]) -> None:
    """Read how many items of each step are done, and all attempts at those that are not."""
    for cast, step_id, last, done, *values in sql.fetch(_standing(), ids):
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


def load_outputs(*, wanted: Mapping[UUID, set[int]], states: Mapping[UUID, CastState]) -> None:
    """Read the outputs of `wanted` steps, by cast, into their states. One query, or none."""
    missing = {cast_id: step_ids - states[cast_id].loaded for cast_id, step_ids in wanted.items()}
    casts = [cast_id for cast_id, step_ids in missing.items() if any(states[cast_id].done[step_id] for step_id in step_ids)]
    for cast_id, step_ids in missing.items():
        states[cast_id].loaded |= step_ids
    if not casts:
        return
    steps = set().union(*(missing[cast_id] for cast_id in casts))
    rows = Generation.objects.filter(cast_id__in=casts, step_id__in=steps, status__in=DONE)
    for cast_id, step_id, item, output in rows.values_list("cast_id", "step_id", "item", "output"):
        states[cast_id].outputs.setdefault((step_id, item), output)


def load_items(*, wanted: Mapping[UUID, set[int]], states: Mapping[UUID, CastState]) -> None:
    """Read the stored items of `wanted` fan-outs, by cast, into their states. One query, or none."""
    by_step: dict[int, set[UUID]] = defaultdict(set)
    for cast_id, step_ids in wanted.items():
        for step_id in step_ids - states[cast_id].items.keys():
            by_step[step_id].add(cast_id)
    if not by_step:
        return
    casts = set().union(*by_step.values())
    for cast_id, step_id, items in FanOut.objects.filter(cast_id__in=casts, step_id__in=by_step).values_list("cast_id", "step_id", "items"):
        states[cast_id].items.setdefault(step_id, items)
