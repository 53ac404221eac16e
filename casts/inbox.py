"""What stored callbacks do: they are loaded, read by their adapters outside of any transaction, and applied as a set."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from casts import engine
from casts.clock import database_now
from casts.engine import Claim, News, Received, Report, Via, rows, sql
from casts.engine.retrying import in_one_transaction
from casts.errands import Errand
from casts.metrics.counters import CALLBACKS_DONE
from generations.artifacts import StoredArtifact
from generations.calls import Call, prepare
from generations.models import LIVE, Callback, Generation
from generations.models.callback import CallbackOutcome
from generations.outputs import clean_text
from generations.tools.contract import Request
from spells.models import Tool

# A callback that its adapter cannot read is given up after so many tries; the job is polled all the same.
MAX_TRIES = 5
# How long reading one, or asking its provider for more, may take. What is fetched then has time of its own.
READ_SECONDS = 30.0
MAX_REASON_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A callback to read. `payload` is None when it was not kept. `is_awaited` tells whether the job is still at work for us."""

    errand: Errand
    adapter_key: str
    request: Request
    job_id: str
    payload: dict[str, Any] | None
    is_awaited: bool
    cost_is_known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A callback that was read: what it says, and what was stored on the way."""

    errand: Errand
    generation_id: UUID
    cast_id: UUID
    news: News
    made: Sequence[StoredArtifact] = ()


def load(errands: Sequence[Errand]) -> list[Letter]:
    """Return the callbacks of these errands, ready to be read, in the order in which they came. One query, and those of `prepare`."""
    mine = {errand.id: errand for errand in errands}
    found = [_told(row) for row in sql.fetch(_letters(), {"numbers": sql.numbers_parameter(mine)})]
    requests = prepare(calls=[call for _, _, call in found])
    return [_letter(mine[told.pk], told, made, request) for (told, made, _), request in zip(found, requests, strict=True)]


def _letters() -> str:
    """Return SQL for callbacks, each with its generation, the tool that made that, and what its step and its cast say of calls."""
    return f"""
        SELECT step.run_timeout_seconds, step.deadline_seconds, owned.initiator_id, owned.traceparent,
            {rows.columns(Callback, "told")}, {rows.columns(Generation, "made")}, {rows.columns(Tool, "tool")}
        FROM generations_callback AS told
        JOIN generations_generation AS made ON made.id = told.generation_id
        JOIN casts_cast AS owned ON owned.id = made.cast_id
        JOIN spells_step AS step ON step.id = made.step_id
        JOIN spells_tool AS tool ON tool.id = step.tool_id
        WHERE {sql.unseen_numbers_in("told.id")} ORDER BY told.id
        """  # noqa: S608 - our own words; every value is a parameter


def _told(row: Sequence[Any]) -> tuple[Callback, Generation, Call]:
    """Read a row of `_letters`. The call has the time that reading may take."""
    seconds, deadline_seconds, owner_id, traceparent, *values = row
    parts = rows.split(values, Callback, Generation, Tool)
    told, made, tool = rows.read(Callback, parts[0]), rows.read(Generation, parts[1]), rows.read(Tool, parts[2])
    assert told is not None, "its key is not null"
    assert made is not None, "its key is not null"
    assert tool is not None, "its key is not null"
    times = {"timeout_seconds": min(READ_SECONDS, seconds or tool.run_timeout_seconds), "deadline_seconds": deadline_seconds}
    return told, made, Call.of(made, tool=tool, owner_id=owner_id, traceparent=traceparent, **times)


def _letter(errand: Errand, callback: Callback, generation: Generation, request: Request) -> Letter:
    return Letter(
        errand=errand,
        adapter_key=callback.adapter,
        request=request,
        job_id=generation.job_id,
        payload=callback.payload if callback.is_complete else None,
        is_awaited=generation.status in LIVE,
        cost_is_known=generation.cost_booked_at is not None,
    )


def apply(read: Sequence[Read], *, room: int = 0, lease_seconds: float = engine.LEASE_SECONDS) -> Received:
    """Settle what these callbacks tell of, and note what each did. One transaction: none is half applied.

    A caller who has `room` for them may get the claims of casts that nobody holds (`engine.receive_all`).
    """
    reports = [
        Report(
            generation_id=each.generation_id,
            claim=Claim(cast_id=each.cast_id, epoch=0, bell=0),
            via=Via.CALLBACK,
            news=each.news,
            made=each.made,
        )
        for each in read
    ]

    def note(settled: Sequence[bool], now: datetime) -> None:
        outcomes = [CallbackOutcome.APPLIED if changed else CallbackOutcome.IGNORED for changed in settled]
        _close([(each.errand, outcome, "") for each, outcome in zip(read, outcomes, strict=True)], now=now)

    return engine.receive_all(reports=reports, room=room, lease_seconds=lease_seconds, note=note)


@in_one_transaction
def give_up(errand: Errand, *, why: str) -> None:
    """Keep a callback that cannot be read, with the reason."""
    _close([(errand, CallbackOutcome.UNREADABLE, clean_text(why)[:MAX_REASON_CHARACTERS])], now=database_now())


def note(errand: Errand, *, why: str) -> None:
    """Keep the reason for which a callback could not be read this time."""
    Callback.objects.filter(pk=errand.id, attempts=errand.attempts).update(said=clean_text(why)[:MAX_REASON_CHARACTERS])


def _close(done: Sequence[tuple[Errand, CallbackOutcome, str]], *, now: datetime) -> None:
    """Note outcomes, where the errand is still ours: another may have done it after our lease."""
    columns = {"id": "bigint", "attempts": "bigint", "outcome": "text", "said": "text", "at": "timestamptz"}
    told = [{"id": errand.id, "attempts": errand.attempts, "outcome": outcome, "said": said, "at": now} for errand, outcome, said in done]
    closed = sql.fetch(
        f"""
        UPDATE generations_callback SET outcome = told.outcome, said = told.said, applied_at = told.at, due_at = NULL
        FROM {sql.recordset("told", columns)}
        WHERE generations_callback.id = told.id AND generations_callback.attempts = told.attempts
          AND generations_callback.outcome = 'received'
        RETURNING generations_callback.outcome
        """,  # noqa: S608 - our own words; every value is a parameter
        {"rows": sql.rows_parameter(told)},
    )
    for (outcome,) in closed:
        transaction.on_commit(CALLBACKS_DONE.labels(outcome).inc, robust=True)
