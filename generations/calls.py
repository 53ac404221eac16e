"""Calls to make: what the engine orders, made into what an adapter sees."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from spells.models import Tool

from . import tracing
from .artifacts import Workbench, readable_by_each, referenced_ids
from .callback_addresses import callback_url
from .models import Generation
from .tools.contract import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of one tool. `owner_id` is the cast's initiator: only artefacts of theirs can be read."""

    generation_id: UUID
    cast_id: UUID
    owner_id: int
    attempt: int
    idempotency_key: UUID
    inputs: Mapping[str, Any]
    tool: Tool
    timeout_seconds: float
    deadline_seconds: float
    job_handle: Mapping[str, str] = field(default_factory=dict)
    traceparent: str = ""
    unfetched: Mapping[str, Any] | None = None

    @classmethod
    def of(
        cls,
        generation: Generation,
        *,
        tool: Tool,
        owner_id: int,
        timeout_seconds: float | None = None,
        deadline_seconds: float | None = None,
        traceparent: str = "",
    ) -> "Call":
        """Return the call of a generation, or a question about its job. Without times of its step, those of its tool hold.

        `traceparent` is where its cast was started.
        """
        return cls(
            generation_id=generation.pk,
            cast_id=generation.cast_id,
            owner_id=owner_id,
            attempt=generation.attempt,
            idempotency_key=generation.idempotency_key,
            inputs=generation.inputs,
            tool=tool,
            timeout_seconds=timeout_seconds or tool.run_timeout_seconds,
            deadline_seconds=deadline_seconds or tool.deadline_seconds,
            job_handle=generation.job_handle,
            traceparent=tracing.derived(traceparent, "generation", generation.pk),
            unfetched=generation.unfetched,
        )


def prepare(*, calls: Sequence[Call]) -> list[Request]:
    """Return a request for each call, in order. One query for all artefacts that they name, none when they name none.

    A reference to what is not there, or belongs to another, is left for the adapter to stumble on: that is an error of
    its call, not of its neighbours.
    """
    wanted: dict[int, set[UUID]] = {}
    for call in calls:
        wanted.setdefault(call.owner_id, set()).update(referenced_ids(call.inputs))
    readable = readable_by_each(wanted)
    addresses = _first_sendings(calls)
    return [_request(call, Workbench(readable=readable[call.owner_id]), addresses.get(call.idempotency_key)) for call in calls]


def _first_sendings(calls: Sequence[Call]) -> dict[UUID, UUID]:
    """Return by idempotency key which generation bore it first, of those calls that may have been sent before. One query, or none."""
    again = [call for call in calls if call.attempt > 1]
    if not again:
        return {}
    rows = Generation.objects.filter(cast__in={call.cast_id for call in again}).under_keys({call.idempotency_key for call in again})
    return {row.idempotency_key: row.pk for row in rows.only("owed_key").order_by("-attempt")}


def _request(call: Call, workbench: Workbench, sent_first: UUID | None) -> Request:
    """Make a request. What is sent again under a key must be the same to the letter, the address for callbacks too."""
    return Request(
        tool=call.tool.slug,
        config=call.tool.config,
        pricing=call.tool.pricing,
        price_table=call.tool.price_table,
        deadline_seconds=call.deadline_seconds,
        inputs=call.inputs,
        generation_id=call.generation_id,
        cast_id=call.cast_id,
        attempt=call.attempt,
        idempotency_key=call.idempotency_key,
        timeout_seconds=call.timeout_seconds,
        workbench=workbench,
        callback_url=callback_url(adapter=call.tool.adapter, generation_id=sent_first or call.generation_id),
        job_handle=call.job_handle,
        traceparent=call.traceparent,
        unfetched=call.unfetched,
    )
