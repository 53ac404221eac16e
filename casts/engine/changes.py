"""Writing what was judged: guarded updates of generations, artefacts of theirs, and the booking of costs."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import F
from django.db.models.functions import Round

from casts.models import Cast, CastStatus
from generations.artifacts import StoredArtifact, record
from generations.models import ENDED, Artifact, Generation, GenerationStatus
from generations.tools.contract import Cost
from spells.models import Effects

from . import measuring, sql
from .retrying import LostUpdateError
from .turns import Turn
from .verdicts import Change, billed_with

_COLUMNS = {
    "id": "uuid",
    "was": "text",
    "status": "text",
    "output": "jsonb",
    "error": "jsonb",
    "reason": "text",
    "progress": "jsonb",
    "cost_usd": "numeric",
    "cost_basis": "jsonb",
    "booked_at": "timestamptz",
    "lost": "boolean",
    "excused": "boolean",
    "retry_at": "timestamptz",
    "poll_at": "timestamptz",
    "job_id": "text",
    "job_handle": "jsonb",
    "unfetched": "jsonb",
    "unfetched_at": "timestamptz",
    "finished_at": "timestamptz",
}


def write(*, turns: Collection[Turn], now: datetime) -> None:
    """Write what turns decided on their generations, and what they begin; add up what that cost, and name what was stored."""
    made = [change for turn in turns for change in turn.changes.values()]
    inserts = [generation for turn in turns for generation in turn.inserts]
    apply(changes=made, inserts=inserts if made else (), now=now)
    _begin(turns=turns, inserts=() if made else inserts, now=now)
    book(changes=made)
    owners = {turn.state.cast.pk: turn.state.cast.initiator_id for turn in turns}
    keep_artifacts(made=[(each.attempt.id, owners[each.attempt.cast_id], each.made) for each in made], now=now)


def _begin(*, turns: Iterable[Turn], inserts: Sequence[Generation], now: datetime) -> None:
    """Have casts run that were looked at for the first time, and insert their first generations."""
    queued = [turn.state.cast.pk for turn in turns if turn.state.cast.status == CastStatus.QUEUED and not turn.is_cancelled]
    if not queued:
        sql.insert(inserts)
        return
    statement = f"""
        UPDATE casts_cast SET status = '{CastStatus.RUNNING}', started_at = %(now)s
        WHERE {sql.ids_in("id")} AND status = '{CastStatus.QUEUED}'
        """
    parameters = {"ids": sql.ids_parameter(queued), "now": sql.moment_parameter(now)}
    sql.count_and_insert(statement, parameters, rows=inserts)


def apply(*, changes: Sequence[Change], inserts: Sequence[Generation] = (), now: datetime) -> None:
    """Write all changes in one statement, each guarded by the status and the booking that it was judged by; with them insert new generations.

    Raises:
        LostUpdateError: a guard failed, which the lock on the wakeup should make impossible.
    """
    if not changes:
        return
    statement = f"""
        UPDATE generations_generation SET
            status = change.status, output = change.output, error = change.error, reason = change.reason,
            progress = COALESCE(change.progress, generations_generation.progress),
            cost_usd = COALESCE(change.cost_usd, generations_generation.cost_usd),
            cost_basis = COALESCE(change.cost_basis, generations_generation.cost_basis),
            cost_booked_at = COALESCE(change.booked_at, generations_generation.cost_booked_at),
            lost = change.lost, excused = change.excused, retry_at = change.retry_at, poll_at = change.poll_at,
            job_id = CASE WHEN change.job_id = '' THEN generations_generation.job_id ELSE change.job_id END,
            job_handle = CASE WHEN change.job_id = '' THEN generations_generation.job_handle ELSE change.job_handle END,
            unfetched = CASE WHEN change.status = 'succeeded' THEN NULL ELSE COALESCE(change.unfetched, generations_generation.unfetched) END,
            unfetched_at = CASE WHEN change.status = 'succeeded' THEN NULL
                           ELSE COALESCE(generations_generation.unfetched_at, change.unfetched_at) END,
            finished_at = change.finished_at
        FROM {sql.recordset("change", _COLUMNS)}
        WHERE generations_generation.id = change.id AND generations_generation.status = change.was
          AND (generations_generation.cost_booked_at IS NULL OR change.booked_at IS NULL)
          AND {sql.ids_in("generations_generation.id")}
        """
    # the ids once more: of how many rows JSON has nothing is known to PostgreSQL, which then reads the whole table
    ids = sql.ids_parameter([change.attempt.id for change in changes])
    parameters = {"rows": sql.rows_parameter(_row(change, now) for change in changes), "ids": ids}
    # what follows an attempt at the same item has to wait until that is written: no two are live at once
    places = {(change.attempt.cast_id, *change.attempt.place) for change in changes}
    after = [made for made in inserts if (made.cast_id, made.step_id, made.item) in places]
    late = {made.pk for made in after}
    written = sql.count_and_insert(statement, parameters, rows=[made for made in inserts if made.pk not in late])
    if written != len(changes):
        raise LostUpdateError(f"{len(changes) - written} of {len(changes)} generations changed under their lock.")
    sql.insert(after)


def _row(change: Change, now: datetime) -> dict[str, object]:
    cost = change.cost
    return {
        "id": change.attempt.id,
        "was": change.was,
        "status": change.status,
        "output": change.output,
        "error": change.error,
        "reason": change.reason,
        "progress": change.progress,
        "cost_usd": cost and cost.usd,
        "cost_basis": cost and dict(cost.basis),
        "booked_at": now if cost else None,
        "lost": change.lost,
        "excused": change.excused,
        "retry_at": change.retry_at,
        "poll_at": change.poll_at,
        "job_id": change.job_id,
        "job_handle": dict(change.job_handle),
        "unfetched": change.unfetched and dict(change.unfetched),
        "unfetched_at": now if change.unfetched else None,
        "finished_at": now if change.status in ENDED else None,
    }


def book(*, changes: Iterable[Change]) -> None:
    """Add the costs of these changes to the sums of their casts. Same transaction as `apply`."""
    sums: dict[UUID, Decimal] = defaultdict(Decimal)
    for change in changes:
        if change.cost is not None and change.cost.usd:
            sums[change.attempt.cast_id] += change.cost.usd
    for cast_id in sorted(sums):
        _add(sums[cast_id], to=cast_id)


def book_late(*, generation_id: UUID, cast_id: UUID, cost: Cost, now: datetime) -> bool:
    """Book what a call cost after its generation was settled otherwise, once. Asks for no claim and no status.

    The cast's row must be locked: of attempts that were one call to their provider, only the first is booked.
    """
    fresh = Generation.objects.filter(pk=generation_id, cost_booked_at__isnull=True)
    payer = _payer(generation_id)
    if payer is not None:
        cost = billed_with(payer)
    booked = fresh.update(cost_usd=cost.usd, cost_basis=dict(cost.basis), cost_booked_at=now)
    if booked:
        _add(cost.usd, to=cast_id)
        measuring.note_cost(tool=Generation.objects.values_list("tool__slug", flat=True).get(pk=generation_id), usd=cost.usd)
    return bool(booked)


def _payer(generation_id: UUID) -> UUID | None:
    """Return the booked attempt that bears the same idempotency key. Calls of pure tools are each their own."""
    billed = Generation.objects.filter(pk=generation_id, step__tool__effects=Effects.BILLED)
    made = billed.only("cast_id", "step_id", "item", "owed_key").first()
    if made is None:
        return None
    same = Generation.objects.filter(cast=made.cast_id, step=made.step_id, item=made.item).under_keys([made.idempotency_key])
    return same.filter(cost_booked_at__isnull=False).exclude(pk=generation_id).values_list("pk", flat=True).first()


def _add(usd: Decimal, *, to: UUID) -> None:
    # SQLite adds in binary: rounded each time, what is lost on the way never adds up
    Cast.objects.filter(pk=to).update(cost_usd=Round(F("cost_usd") + usd, precision=10))


def keep_late_output(*, generation_id: UUID, output: dict[str, object]) -> bool:
    """Keep a result for which nobody waited any more, once, beside whatever ended the generation."""
    rows = Generation.objects.filter(pk=generation_id, late_output__isnull=True).exclude(status=GenerationStatus.SUCCEEDED)
    return bool(rows.update(late_output=output))


def keep_unfetched(*, generation_id: UUID, left: Mapping[str, object], now: datetime) -> bool:
    """Keep what is left of a result that came late and without all of its files, once, for whoever fetches them by hand."""
    rows = Generation.objects.filter(pk=generation_id, unfetched__isnull=True).exclude(status=GenerationStatus.SUCCEEDED)
    return bool(rows.update(unfetched=dict(left), unfetched_at=now))


def keep_artifacts(*, made: Iterable[tuple[UUID, int, Sequence[StoredArtifact]]], now: datetime) -> None:
    """Insert the rows of what calls stored: triples of generation, owner, and stored bytes. Repeats change nothing."""
    rows = [
        row for generation_id, owner_id, stored in made for row in record(stored, owner_id=owner_id, generation_id=generation_id, now=now)
    ]
    if rows:
        Artifact.objects.bulk_create(rows, ignore_conflicts=True)
