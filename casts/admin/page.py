"""What the page of one cast shows."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from casts.clock import database_now
from casts.models import LIVE, Cast, CastEvent, CastStatus, Wakeup
from casts.progress import progress_of
from casts.providers import WaitingFor, waiting_for
from generations.admin.pictures import picture_of
from generations.models import GenerationStatus
from spells.admin.formats import ago, duration
from spells.admin.json_html import json_html

from .resolving import ResolveForm
from .skipping import SkipForm
from .stuck import PATIENCE
from .timeline import Timeline, View, timeline_of
from .verbs import VERBS

SHOWN_EVENTS = 100
REFRESH_MILLISECONDS = 3000


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """When somebody will look at a cast, in words. `is_bad` when nobody seems to."""

    words: str
    is_bad: bool = False


def outlook(cast: Cast, wakeup: Wakeup | None, *, now: datetime, waits: WaitingFor | None = None) -> Outlook:
    """Tell when a cast is looked at next, and by whom."""
    if cast.status not in LIVE:
        return Outlook(words="It has ended: nobody needs to look at it any more.")
    if wakeup is None:
        return Outlook(words="It has no wakeup. Nobody will look at it until the reaper gives it one: manage.py reap", is_bad=True)
    if wakeup.claimed_until is not None and wakeup.claimed_until > now:
        return Outlook(words=f"A conductor holds it, for the next {duration((wakeup.claimed_until - now).total_seconds())} at least.")
    if wakeup.claimed_until is not None:
        return Outlook(
            words=f"Its holder vanished: the claim ended {ago(wakeup.claimed_until, now=now)}. The next conductor takes it.", is_bad=True
        )
    if wakeup.due_at > now:
        return Outlook(words=f"{_waits(waits)}Somebody looks at it {ago(wakeup.due_at, now=now)}, or as soon as it rings.")
    late = now - wakeup.due_at
    words = f"It has been due for {duration(late.total_seconds())}, and no conductor has taken it yet."
    return Outlook(words=words, is_bad=late > PATIENCE)


def _waits(waits: WaitingFor | None) -> str:
    if waits is None:
        return ""
    others = f"{waits['ahead']} ahead" if waits["ahead"] else "next in line"
    return f"It waits for room at {waits['at']} ({others}). "


def view_of(request: HttpRequest, *, focus: UUID | None = None) -> View:
    """Read from the address which step, and which page of it, is looked at."""
    page = request.GET.get("page", "1")
    return View(
        step=request.GET.get("step", "")[:64],
        page=int(page) if page.isascii() and page.isdecimal() and len(page) <= 6 else 1,  # noqa: PLR2004 - beyond any page
        focus=focus,
    )


def page_of(cast: Cast, *, view: View, may_act: bool, refused: ResolveForm | SkipForm | None = None) -> dict[str, Any]:
    """Return the context of the page of one cast. A fixed number of queries, whatever its size."""
    now = database_now()
    wakeup = Wakeup.objects.filter(pk=cast.pk).first()
    timeline = timeline_of(cast, view=view, now=now)
    if may_act:
        _add_forms(timeline, cast, refused)
    end = cast.finished_at or now
    return {
        "cast": cast,
        "here": reverse("admin:casts_cast_change", args=[cast.pk]),
        "now": now,
        "progress": progress_of([cast])[cast.pk],
        "wakeup": wakeup,
        "outlook": outlook(cast, wakeup, now=now, waits=waiting_for([cast.pk]).get(cast.pk)),
        "seconds": (end - cast.started_at).total_seconds() if cast.started_at else None,
        "age": ago(cast.created_at, now=now),
        "error": cast.error if isinstance(cast.error, dict) else {},
        "inputs_shown": json_html(cast.inputs, picture=picture_of),
        "outputs_shown": _outputs(cast),
        "timeline": timeline,
        "view": view,
        "unknown": sum(block.counts[GenerationStatus.UNKNOWN] for block in timeline.steps),
        "events": list(CastEvent.objects.filter(cast=cast.pk).select_related("actor").order_by("-pk")[:SHOWN_EVENTS]),
        "verbs": [verb for verb in VERBS.values() if verb.applies_to(cast)] if may_act else [],
        "refresh": REFRESH_MILLISECONDS if cast.status in LIVE and refused is None else None,
    }


def _add_forms(timeline: Timeline, cast: Cast, refused: ResolveForm | SkipForm | None) -> None:
    """Give each attempt the form by which it can be settled or skipped, if it can: the refused one, or a new one."""
    can_skip = cast.status in (CastStatus.FAILED, CastStatus.CANCELLED)
    for block in timeline.steps:
        for row in block.rows:
            attempt = row.attempt
            if refused is not None and refused.generation_id == attempt.id:
                row.form = refused
            elif attempt.status == GenerationStatus.UNKNOWN:
                row.form = ResolveForm(generation_id=attempt.id, output_schema=block.step.tool.output_schema)
            elif can_skip and row.is_last and attempt.status in (GenerationStatus.FAILED, GenerationStatus.CANCELLED):
                row.form = SkipForm(generation_id=attempt.id)


def _outputs(cast: Cast) -> SafeString | None:
    return None if cast.outputs is None else json_html(cast.outputs, picture=picture_of)
