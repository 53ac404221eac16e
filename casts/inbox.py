"""What stored callbacks do: they are loaded, read by their adapters outside of any transaction, and applied as a set."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction

from casts import engine
from casts.clock import database_now
from casts.engine import Claim, News, Report, Via, sql
from casts.engine.retrying import in_one_transaction
from casts.errands import Errand
from casts.metrics.counters import CALLBACKS_DONE
from generations.artifacts import StoredArtifact
from generations.calls import Call, prepare
from generations.models import LIVE, Callback, Generation
from generations.models.callback import CallbackOutcome
from generations.outputs import clean_text
from generations.tools.contract import Request

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
    """Return the callbacks of these errands, ready to be read, in the order in which they came. Three queries."""
    rows = Callback.objects.filter(pk__in=[errand.id for errand in errands], generation__isnull=False)
    callbacks = list(rows.select_related("generation__step__tool", "generation__cast").order_by("pk"))
    requests = prepare(calls=[_call(callback.generation) for callback in callbacks if callback.generation is not None])
    mine = {errand.id: errand for errand in errands}
    return [_letter(mine[callback.pk], callback, request) for callback, request in zip(callbacks, requests, strict=True)]


def _letter(errand: Errand, callback: Callback, request: Request) -> Letter:
    generation = callback.generation
    assert generation is not None
    return Letter(
        errand=errand,
        adapter_key=callback.adapter,
        request=request,
        job_id=generation.job_id,
        payload=callback.payload if callback.is_complete else None,
        is_awaited=generation.status in LIVE,
        cost_is_known=generation.cost_booked_at is not None,
    )


def _call(generation: Generation) -> Call:
    step = generation.step
    seconds = min(READ_SECONDS, step.run_timeout_seconds or step.tool.run_timeout_seconds)
    times = {"timeout_seconds": seconds, "deadline_seconds": step.deadline_seconds}
    return Call.of(generation, tool=step.tool, owner_id=generation.cast.initiator_id, traceparent=generation.cast.traceparent, **times)


@in_one_transaction
def apply(read: Sequence[Read]) -> None:
    """Settle what these callbacks tell of, and note what each did. One transaction: none is half applied."""
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
    settled = engine.receive_all(reports=reports)
    outcomes = [CallbackOutcome.APPLIED if changed else CallbackOutcome.IGNORED for changed in settled]
    _close([(each.errand, outcome, "") for each, outcome in zip(read, outcomes, strict=True)])


@in_one_transaction
def give_up(errand: Errand, *, why: str) -> None:
    """Keep a callback that cannot be read, with the reason."""
    _close([(errand, CallbackOutcome.UNREADABLE, clean_text(why)[:MAX_REASON_CHARACTERS])])


def note(errand: Errand, *, why: str) -> None:
    """Keep the reason for which a callback could not be read this time."""
    Callback.objects.filter(pk=errand.id, attempts=errand.attempts).update(said=clean_text(why)[:MAX_REASON_CHARACTERS])


def _close(done: Sequence[tuple[Errand, CallbackOutcome, str]]) -> None:
    """Note outcomes, where the errand is still ours: another may have done it after our lease."""
    columns = {"id": "bigint", "attempts": "bigint", "outcome": "text", "said": "text", "at": "timestamptz"}
    now = database_now()
    rows = [{"id": errand.id, "attempts": errand.attempts, "outcome": outcome, "said": said, "at": now} for errand, outcome, said in done]
    closed = sql.fetch(
        f"""
        UPDATE generations_callback SET outcome = told.outcome, said = told.said, applied_at = told.at, due_at = NULL
        FROM {sql.recordset("told", columns)}
        WHERE generations_callback.id = told.id AND generations_callback.attempts = told.attempts
          AND generations_callback.outcome = 'received'
        RETURNING generations_callback.outcome
        """,  # noqa: S608 - our own words; every value is a parameter
        {"rows": sql.rows_parameter(rows)},
    )
    for (outcome,) in closed:
        transaction.on_commit(CALLBACKS_DONE.labels(outcome).inc, robust=True)
