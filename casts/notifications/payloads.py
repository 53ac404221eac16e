"""Casts, generations and cooks as the API shows them, for messages: made without a request, in a process that serves no API.

Their fields are those of the API's serializers; a test holds the two together.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Case, F, JSONField, TextField, When
from django.db.models.functions import Cast as As
from django.db.models.functions import Length
from django.urls import reverse

from casts.clock import database_now
from casts.cooks.progress import CookProgress, progress_of_all
from casts.models import Cast, Cook
from casts.progress import progress_of, with_shown_status
from casts.providers import waiting_for
from generations.artifacts import REFERENCE_KEY
from generations.models import Artifact, Generation
from generations.progress import read_progress

Json = dict[str, Any]

# A message carries no value that is larger, in characters of JSON: it says `omitted`, and the API has it.
MAX_VALUE_CHARACTERS = 128 * 1024
ERROR_NAMES = ("code", "message", "step", "item", "attempt", "provider", "details")


def casts_shown(cast_ids: Collection[UUID]) -> dict[UUID, Json]:
    """Return these casts as `GET /casts/{id}/` shows them. At most eight queries, whatever their number."""
    rows = with_shown_status(Cast.objects.filter(pk__in=cast_ids)).select_related("version__spell", "initiator", "callback")
    casts: list[Any] = list(_without_large(rows, "inputs", "outputs"))
    progress, waits = progress_of(casts), waiting_for(cast.pk for cast in casts if cast.finished_at is None)
    return {cast.pk: _cast(cast) | {"progress": asdict(progress[cast.pk]), "waiting_for": _waits(waits.get(cast.pk))} for cast in casts}


def _without_large(rows: Any, *names: str) -> Any:
    """Read JSON columns only where they are small: what is larger is `{name}_read` as None, and too large by `{name}_size`."""
    sizes = {f"{name}_size": Length(As(name, TextField())) for name in names}
    read = {
        f"{name}_read": Case(When(**{f"{name}_size__lte": MAX_VALUE_CHARACTERS}, then=F(name)), default=None, output_field=JSONField())
        for name in names
    }
    return rows.defer(*names).annotate(**sizes).annotate(**read)


def _omitted(row: Any, *names: str) -> Json:
    omitted = [name for name in names if (getattr(row, f"{name}_size") or 0) > MAX_VALUE_CHARACTERS]
    return {"omitted": omitted} if omitted else {}


def _cast(cast: Any) -> Json:
    return {
        "id": str(cast.pk),
        "spell": cast.version.spell.slug,
        "version": cast.version.number,
        "status": cast.shown_status,
        "inputs": cast.inputs_read,
        "outputs": cast.outputs_read,
        "error": shown_error(cast.error),
        "reason": cast.reason,
        "cost_usd": shown_money(cast.cost_usd),
        "max_cost_usd": shown_money(cast.max_cost_usd),
        "initiator": cast.initiator.get_username(),
        "idempotency_key": cast.idempotency_key,
        "callback": shown_callback(getattr(cast, "callback", None)),
        "created_at": shown_time(cast.created_at),
        "started_at": shown_time(cast.started_at),
        "finished_at": shown_time(cast.finished_at),
        "deadline_at": shown_time(cast.deadline_at),
        "cancel_requested_at": shown_time(cast.cancel_requested_at),
        "generations": address("api:cast-generations", cast_id=cast.pk),
        **_omitted(cast, "inputs", "outputs"),
    }


def _waits(waiting: Mapping[str, Any] | None) -> Json | None:
    return None if waiting is None else {**waiting, "since": shown_time(waiting["since"])}


def generations_shown(generation_ids: Collection[UUID]) -> dict[UUID, Json]:
    """Return these generations as `GET /generations/{id}/` shows them. Two queries, whatever their number."""
    rows = Generation.objects.filter(pk__in=generation_ids).select_related("step__tool", "cancellation").prefetch_related("artifacts")
    return {row.pk: _generation(row) for row in _without_large(rows.defer("late_output"), "inputs", "output", "unfetched")}


def _generation(generation: Any) -> Json:
    return {
        "id": str(generation.pk),
        "cast": str(generation.cast_id),
        "step": generation.step.key,
        "item": generation.item,
        "attempt": generation.attempt,
        "status": generation.status,
        "tool": generation.step.tool.slug,
        "inputs": generation.inputs_read,
        "output": generation.output_read,
        "unfetched": generation.unfetched_read,
        "error": shown_error(generation.error),
        "reason": generation.reason,
        "cost_usd": shown_money(generation.cost_usd),
        "cost_basis": generation.cost_basis,
        "progress": _progress(generation.progress),
        "job_id": generation.job_id,
        "cancellation": _cancellation(getattr(generation, "cancellation", None)),
        **{name: shown_time(getattr(generation, name)) for name in ("created_at", "started_at", "finished_at", "retry_at", "deadline_at")},
        "artifacts": [_artifact(artifact) for artifact in generation.artifacts.all()],
        **_omitted(generation, "inputs", "output", "unfetched"),
    }


def cooks_shown(cook_ids: Collection[int]) -> dict[int, Json]:
    """Return these cooks as `GET /cooks/{id}/` shows them. Three queries, whatever their number."""
    rows = Cook.objects.filter(pk__in=cook_ids).select_related("collection", "initiator")
    cooks = list(rows.defer("collection__items", "collection__trait_tree", "collection__inputs"))
    progress = progress_of_all(cooks, now=database_now())
    return {cook.pk: _cook(cook, progress[cook.pk]) for cook in cooks}


def _cook(cook: Cook, progress: CookProgress) -> Json:
    told = ("total", "pending", "cooking", "made", "failed", "percent", "per_minute", "seconds_left")
    return {
        "id": cook.pk,
        "collection": cook.collection_id,
        "name": cook.collection.name,
        "status": cook.status,
        "reason": cook.reason,
        "max_parallel": cook.max_parallel,
        "budget_usd": shown_money(cook.budget_usd),
        "quote_usd": shown_money(cook.quote_usd),
        "cost_usd": shown_money(progress.cost_usd),
        "on_failure": cook.on_failure,
        "max_attempts": cook.max_attempts,
        "failures_to_stop": cook.failures_to_stop,
        "progress": {name: getattr(progress, name) for name in told},
        "initiator": cook.initiator.get_username(),
        "idempotency_key": cook.idempotency_key,
        "created_at": shown_time(cook.created_at),
        "finished_at": shown_time(cook.finished_at),
    }


def _progress(value: Any) -> Json | None:
    progress = read_progress(value)
    if progress is None:
        return None
    preview = progress.preview and {**progress.preview, "url": address("api:artifact", artifact_id=progress.preview[REFERENCE_KEY])}
    return {"percent": progress.percent, "stage": progress.stage, "preview": preview, "trouble": progress.trouble}


def _cancellation(cancellation: Any) -> Json | None:
    if cancellation is None:
        return None
    times = {"created_at": shown_time(cancellation.created_at), "done_at": shown_time(cancellation.done_at)}
    return {"outcome": cancellation.outcome, "said": cancellation.said, **times}


def _artifact(artifact: Artifact) -> Json:
    known = {name: getattr(artifact, name) for name in ("sha256", "mime_type", "size", "name")}
    return {"id": str(artifact.pk), **known, "url": address("api:artifact", artifact_id=artifact.pk)}


def shown_callback(callback: Any) -> Json | None:
    """Return the callback of a cast as its owner may see it: without the secret."""
    if callback is None:
        return None
    return {
        "url": callback.url,
        "events": callback.kinds,
        "enabled": callback.enabled,
        "disabled_reason": callback.disabled_reason,
    }


def shown_error(error: Mapping[str, Any] | None) -> Json | None:
    return None if error is None else {name: error.get(name) for name in ERROR_NAMES}


def shown_money(usd: Decimal | None) -> str | None:
    return None if usd is None else f"{Decimal(usd).normalize():f}"


def shown_time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def address(name: str, **parts: Any) -> str:
    """Return an address of ours as clients reach it."""
    return settings.PUBLIC_URL + reverse(name, kwargs=parts)
