"""What a timeline reads of a cast's generations: all of them without payloads, and the payloads of those that it shows."""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import TextField, Window
from django.db.models.functions import Cast as As
from django.db.models.functions import Left, RowNumber
from django.utils.safestring import SafeString

from generations.admin.pictures import artifact_figure, picture_of
from generations.models import LIVE, Artifact, Generation, GenerationStatus
from generations.progress import CallProgress, read_progress
from spells.admin.json_html import cut_json_html, json_html

# Attempts that one page reads, without payloads. More exist only under very large fan-outs that failed again and again.
MAX_ATTEMPTS = 20_000

# Artefacts of one attempt that a timeline shows.
MAX_FIGURES = 4


class Attempt(NamedTuple):
    """A generation without its payloads."""

    id: UUID
    step_id: int
    item: int
    attempt: int
    round: int
    status: str
    lost: bool
    cost_usd: Decimal | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    retry_at: datetime | None

    @property
    def is_live(self) -> bool:
        return self.status in LIVE

    @property
    def wants_attention(self) -> bool:
        return self.status == GenerationStatus.UNKNOWN or self.is_live or (self.status == GenerationStatus.FAILED and self.retry_at is None)


def attempts_of(cast_id: UUID) -> dict[int, dict[int, list[Attempt]]]:
    """Return the attempts of a cast by step and item, in order. One query, over the index of attempts."""
    rows = Generation.objects.filter(cast=cast_id).order_by("step", "item", "attempt").values_list(*Attempt._fields)
    told: dict[int, dict[int, list[Attempt]]] = defaultdict(lambda: defaultdict(list))
    for row in rows[:MAX_ATTEMPTS]:
        attempt = Attempt(*row)
        told[attempt.step_id][attempt.item].append(attempt)
    return told


@dataclass(slots=True, kw_only=True)
class Payload:
    """What went into a call and came out of it, as HTML and cut to what a page can bear."""

    inputs: SafeString
    output: SafeString | None
    late_output: SafeString | None
    unfetched: SafeString | None
    error: Mapping[str, Any] | None
    error_shown: SafeString | None
    reason: str
    job_id: str
    progress: CallProgress | None
    deadline_at: datetime | None
    figures: list[SafeString] = field(default_factory=list)

    @property
    def preview(self) -> SafeString | None:
        """Return the picture of the unfinished work, if there is one."""
        return json_html(self.progress.preview, picture=picture_of) if self.progress and self.progress.preview else None

    @property
    def message(self) -> str:
        """Return the provider's own words."""
        return str((self.error or {}).get("message", ""))


def payloads_of(ids: Collection[UUID], *, limit: int) -> dict[UUID, Payload]:
    """Read the payloads of these attempts, each value cut by the database after `limit` characters. Two queries."""
    cut = {f"{name}_text": Left(As(name, TextField()), limit + 1) for name in ("inputs", "output", "late_output", "unfetched", "error")}
    columns = ("id", "reason", "job_id", "progress", "deadline_at", *cut)
    told = {}
    for row in Generation.objects.filter(pk__in=ids).annotate(**cut).values(*columns):
        error = _error(row["error_text"], limit=limit)
        told[row["id"]] = Payload(
            inputs=cut_json_html(row["inputs_text"], limit=limit, picture=picture_of),
            output=_value(row["output_text"], limit=limit),
            late_output=_value(row["late_output_text"], limit=limit),
            unfetched=_value(row["unfetched_text"], limit=limit),
            error=error,
            error_shown=cut_json_html(row["error_text"], limit=limit) if error is None and row["error_text"] else json_html(error),
            reason=row["reason"],
            job_id=row["job_id"],
            progress=read_progress(row["progress"]),
            deadline_at=row["deadline_at"],
        )
    _add_figures(told)
    return told


def _value(text: str | None, *, limit: int) -> SafeString | None:
    return None if text is None else cut_json_html(text, limit=limit, picture=picture_of)


def _error(text: str | None, *, limit: int) -> Mapping[str, Any] | None:
    """Return an error as an object, when it is one and was not cut."""
    if text is None or len(text) > limit:
        return None
    error = json.loads(text)
    return error if isinstance(error, dict) else {"message": error}


def _add_figures(told: Mapping[UUID, Payload]) -> None:
    place = Window(RowNumber(), partition_by="generation_id", order_by="pk")
    rows = Artifact.objects.filter(generation__in=list(told)).annotate(place=place).filter(place__lte=MAX_FIGURES)
    for artifact in rows.select_related("generation__step").defer("generation__inputs", "generation__output").order_by("pk"):
        assert artifact.generation is not None
        caption = f"{artifact.generation.step.key} {artifact.generation.item}"
        told[artifact.generation.pk].figures.append(artifact_figure(artifact, caption))
