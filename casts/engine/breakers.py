"""Circuit breakers: when a provider is left alone, and when it is tried again.

What calls and polls meet is evidence, taken after the commit that settled them, in a transaction of its own: the locks
of the settled casts are gone by then. Evidence that is lost with its process costs a breaker nothing but time: the
next failure counts as well, and a try whose end nobody told is found by its generation, which ended a while ago.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction

from casts.clock import database_now
from casts.models import BreakerState, Gate, GateEvent, GateEventKind
from generations.models import Generation
from generations.outputs import clean_text
from generations.tools.contract import Lost, Progress, Result, Submitted, ToolError
from generations.unfetched import Unfetched
from spells.models import Tool

from .gates import lock_rows
from .owners import Owner, answerable, breaker_settings, gate_of
from .queues import ring
from .reports import Report, Unasked, Via
from .retrying import in_one_transaction
from .turns import Turn
from .verdicts import asks_for_rest

logger = logging.getLogger(__name__)

KEPT_ERRORS = 5
MAX_MESSAGE_CHARACTERS = 300
LONGEST_REST_SECONDS = 24 * 3600.0
# Errors that were made on this side, before anybody was asked: they say nothing of the provider.
OURS = frozenset({"adapter_not_found", "adapter_crashed", "secret_missing", "bad_output", "bad_request", "artifact_not_found", "no_thread"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a call met: an answer, an outage, or with `rest_seconds` the wish to be left alone for so long."""

    tool: Tool
    generation_id: UUID
    outage: ToolError | None = None
    rest_seconds: float | None = None

    @property
    def is_news(self) -> bool:
        """Tell whether it changes anything: an answer of a provider that is well does not."""
        gate = gate_of(answerable(self.tool))
        is_well = gate is None or (gate.state == BreakerState.CLOSED and not gate.failures)
        return self.outage is not None or self.rest_seconds is not None or not is_well


def evidence_of(report: Report, turn: Turn | None) -> Evidence | None:
    """Return what a report says of the provider that was asked, if that is news. A callback answers no question."""
    attempt = turn.state.attempts.get(report.generation_id) if turn else None
    # fetching what was made asks the provider nothing
    if turn is None or attempt is None or report.via is Via.CALLBACK or attempt.unfetched_at is not None:
        return None
    evidence = _read(report, turn.state.tool_of(attempt))
    return evidence if evidence is not None and evidence.is_news else None


def _read(report: Report, tool: Tool) -> Evidence | None:
    said = partial(Evidence, tool=tool, generation_id=report.generation_id)
    match report.news:
        case Progress() if report.via is Via.RUN:
            return None  # the call is at work still
        case Result() | Unfetched() | Submitted() | Progress() | Lost():
            return said()
        case ToolError() as error:
            return _of_error(error, tool, said)
        case Unasked(error=error):
            return _of_error(error, tool, said)
    return None


def _of_error(error: ToolError | None, tool: Tool, said: "partial[Evidence]") -> Evidence | None:
    if error is None:
        return said()
    if error.code in OURS or error.elsewhere:
        return None
    if error.outage or (error.code == "timeout" and tool.provider is not None):
        return said(outage=error)
    return said(rest_seconds=error.retry_after) if asks_for_rest(error) else said()


def learn_from_asking(*, met: Mapping[UUID, ToolError | None]) -> None:
    """Take what somebody met who asked providers about these generations beside calls and polls: an answer, or an error."""
    if not met:
        return
    asked = Generation.objects.filter(pk__in=met).select_related("tool__gate", "tool__provider__gate").order_by("pk")
    found = [_of_error(met[each.pk], each.tool, partial(Evidence, tool=each.tool, generation_id=each.pk)) for each in asked.only("tool")]
    learn_later(evidence=[evidence for evidence in found if evidence is not None and evidence.is_news])


def learn_later(*, evidence: Sequence[Evidence]) -> None:
    """Take evidence once the present transaction has committed."""
    if evidence:
        transaction.on_commit(partial(learn, evidence=evidence), robust=True)


@in_one_transaction
def learn(*, evidence: Sequence[Evidence]) -> None:
    """Take evidence: count outages in a row, open and close breakers, let those rest that ask for it."""
    gates = {_key(gate.owner): gate for gate in lock_rows([answerable(each.tool) for each in evidence])}
    now = database_now()
    changed: dict[int, Gate] = {}
    events: list[GateEvent] = []
    for each in evidence:
        gate = gates[_key(answerable(each.tool))]
        event = _take(gate, each, now=now)
        changed[gate.pk] = gate
        if event is not None:
            events.append(event)
    _save(changed.values())
    GateEvent.objects.bulk_create(events)
    closed = [event.gate_id for event in events if event.kind == GateEventKind.CLOSED]
    if closed:
        transaction.on_commit(partial(ring, gate_ids=sorted(closed)), robust=True)


def _key(owner: Owner) -> tuple[type, int]:
    return type(owner), owner.pk


def _take(gate: Gate, evidence: Evidence, *, now: datetime) -> GateEvent | None:
    """Take one piece of evidence, and return what it did to the breaker."""
    if evidence.rest_seconds is not None:
        until = now + timedelta(seconds=min(max(1.0, evidence.rest_seconds), LONGEST_REST_SECONDS))
        gate.quiet_until = max(until, gate.quiet_until or until)
    is_try = gate.state == BreakerState.HALF_OPEN and gate.probe_id == evidence.generation_id
    if evidence.outage is not None:
        return _fail(gate, evidence.tool, evidence.outage, is_try=is_try, now=now)
    if is_try:
        return _close(gate, now=now, reason="The try was answered.")
    if gate.state == BreakerState.CLOSED:
        gate.failures = 0
    elif gate.state == BreakerState.OPEN and gate.retry_at is not None and gate.since is not None:
        # a poll, or a call from before, was answered: it may be back, so the next try need not wait for its time
        gate.retry_at = min(gate.retry_at, max(now, gate.since + timedelta(seconds=breaker_settings(gate.owner).first_wait_seconds)))
        gate.ring_at = gate.ring_at and min(gate.ring_at, gate.retry_at)
    return None


def _fail(gate: Gate, tool: Tool, error: ToolError, *, is_try: bool, now: datetime) -> GateEvent | None:
    told = {"at": now.isoformat(), "tool": tool.slug, "code": error.code, "message": clean_text(error.message)[:MAX_MESSAGE_CHARACTERS]}
    gate.errors = [told, *gate.errors][:KEPT_ERRORS]
    gate.failures += 1
    settings = breaker_settings(gate.owner)
    if is_try:
        wait = min(settings.max_wait_seconds, max(2 * gate.wait_seconds, settings.first_wait_seconds))
        return _open(gate, wait=wait, now=now, reason=f"The try failed: {told['message']}")
    if gate.state == BreakerState.CLOSED and gate.failures >= settings.failures_to_open:
        return _open(gate, wait=settings.first_wait_seconds, now=now, reason=f"{gate.failures} outages in a row: {told['message']}")
    return None


def _open(gate: Gate, *, wait: int | None, now: datetime, reason: str, **who: Any) -> GateEvent:
    gate.state, gate.since, gate.probe_id = BreakerState.OPEN, now, None
    gate.wait_seconds = wait or 0
    gate.retry_at = None if wait is None else now + timedelta(seconds=wait)
    logger.warning("The breaker of %s opens: %s", gate, reason)
    return GateEvent(gate=gate, kind=GateEventKind.OPENED, reason=reason, at=now, **who)


def _close(gate: Gate, *, now: datetime, reason: str, **who: Any) -> GateEvent:
    gate.state, gate.since, gate.probe_id, gate.retry_at = BreakerState.CLOSED, now, None, None
    gate.failures = gate.wait_seconds = 0
    logger.info("The breaker of %s closes: %s", gate, reason)
    return GateEvent(gate=gate, kind=GateEventKind.CLOSED, reason=reason, at=now, **who)


def _save(gates: Iterable[Gate]) -> None:
    fields = ["quiet_until", "ring_at", "state", "since", "failures", "wait_seconds", "retry_at", "probe", "errors"]
    Gate.objects.bulk_update(gates, fields)


@in_one_transaction
def open_breaker(*, owner: Owner, reason: str, by: str, actor_id: int | None = None) -> Gate:
    """Let no call start, until somebody closes the breaker by hand. `by` names who says so."""
    (gate,) = lock_rows([owner])
    event = _open(gate, wait=None, now=database_now(), reason=reason, by=by, actor_id=actor_id)
    _save([gate])
    event.save()
    return gate


@in_one_transaction
def close_breaker(*, owner: Owner, reason: str, by: str, actor_id: int | None = None) -> Gate:
    """Let calls start again, whatever was found before, and end a rest that the provider asked for."""
    (gate,) = lock_rows([owner])
    event = _close(gate, now=database_now(), reason=reason, by=by, actor_id=actor_id)
    gate.quiet_until = None
    _save([gate])
    event.save()
    transaction.on_commit(partial(ring, gate_ids=[gate.pk]), robust=True)
    return gate
