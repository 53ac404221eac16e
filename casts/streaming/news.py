"""What is new of a cast to somebody who has seen it at an earlier time, as events."""

import re
from collections.abc import Collection, Iterator
from functools import cached_property
from typing import Any
from uuid import UUID

from casts.models import ENDED, Cast, CastEvent
from casts.progress import with_shown_status
from casts.serializers import CastEventSerializer, CastSerializer, CastStatusSerializer
from generations.models import BLOCKING, Generation
from generations.serializers import GenerationShortSerializer

from . import frames
from .audience import Audience, Mark, Origin, Seen, Words
from .frames import Event
from .standing import Standing, standings_of

# Generations that one snapshot shows, and changes that are told one by one: beyond, the snapshot is shorter.
MAX_GENERATIONS = 500
MAX_EVENTS = 1_000

_ID = re.compile(r"([0-9]{1,18})-[0-9a-f]{16}")


def begin(*, cast_id: UUID, origin: Origin, last_event_id: str) -> Words:
    """Return the first words to a client: nothing if it has seen all, else the events that it missed and a snapshot.

    `last_event_id` is the id that it has seen last, as it says, or empty. Raises Cast.DoesNotExist.
    """
    standing = standings_of([cast_id]).get(cast_id)
    if standing is None:
        raise Cast.DoesNotExist
    scene = _Scene(cast_id, standing)
    seen = scene.seen(standing.last_event)
    if last_event_id == standing.id:
        return Words(data=b"", seen=seen, is_end=standing.has_ended)
    known = _ID.fullmatch(last_event_id)
    missed = scene.events_after(int(known[1])) if known else []
    return scene.words(origin, seen.last_event, events=missed, changes=[scene.snapshot(origin)])


def go_on(*, cast_id: UUID, standing: Standing, audiences: Collection[tuple[Origin, Seen]]) -> dict[Audience, Words]:
    """Return what each audience, whose standing is another one, is told of a cast."""
    scene = _Scene(cast_id, standing)
    told: dict[Audience, Words] = {}
    for origin, seen in audiences:
        events = scene.events_after(seen.last_event)
        changed = [id_ for id_, mark in scene.marks.items() if seen.marks.get(id_) != mark]
        if max(len(changed), len(events)) > MAX_GENERATIONS:
            changes = [scene.snapshot(origin)]
        else:
            changes = [*scene.changes(origin, changed, seen), ("status", scene.status(origin))]
        last_event = max([seen.last_event, *(event.pk for event in events)])
        told[origin, seen] = scene.words(origin, last_event, events=events, changes=changes)
    return told


class _Scene:
    """One cast as it stands, read once for all who are told of it."""

    def __init__(self, cast_id: UUID, standing: Standing) -> None:
        """Take how it stands: what is read here is as new as that, or newer."""
        self.cast_id = cast_id
        self.standing = standing
        self._seen: dict[int, Seen] = {}

    def seen(self, last_event: int) -> Seen:
        """Return what whoever was told has seen: the same for all, so that they are told the same from then on."""
        return self._seen.setdefault(last_event, Seen(standing=self.standing, last_event=last_event, marks=self.marks))

    def words(self, origin: Origin, last_event: int, *, events: list[CastEvent], changes: list[Event]) -> Words:
        shown: list[Event] = [("cast", CastEventSerializer(event).data) for event in events]
        # retried since its standing was read, it has not ended
        is_end = self.standing.has_ended and self.cast.status in ENDED
        end: list[Event] = [("end", self.whole(origin))] if is_end else []
        data = frames.encode([*shown, *changes, *end], id=self.standing.id)
        return Words(data=data, seen=self.seen(last_event), is_end=is_end)

    @cached_property
    def marks(self) -> dict[UUID, Mark]:
        rows = Generation.objects.filter(cast=self.cast_id).order_by("id")
        fields = ("id", "status", "progress", "job_id", "cost_usd", "retry_at", "finished_at")
        return {
            id_: Mark(status=status, rest=hash(tuple(rest)), progress=hash(repr(progress)))
            for id_, status, progress, *rest in rows.values_list(*fields)
        }

    @cached_property
    def cast(self) -> Any:
        return with_shown_status(Cast.objects.all()).select_related("version__spell", "initiator", "callback").get(pk=self.cast_id)

    def whole(self, origin: Origin) -> Any:
        return CastSerializer(self.cast, context={"request": origin}).data

    def status(self, origin: Origin) -> Any:
        return CastStatusSerializer(self.cast, context={"request": origin}).data

    def events_after(self, last_event: int) -> list[CastEvent]:
        """Return the events of the cast after one of them; of very many the newest, in order."""
        events = CastEvent.objects.filter(cast=self.cast_id, pk__gt=last_event).select_related("actor").order_by("-pk")
        return list(events[:MAX_EVENTS])[::-1]

    def snapshot(self, origin: Origin) -> Event:
        """Return the cast and its generations: of very many those that are not settled, then the newest."""
        ranked = sorted(self.marks, key=lambda id_: (self.marks[id_].status in BLOCKING, id_), reverse=True)[:MAX_GENERATIONS]
        shown = list(self._short(origin, ranked).values())
        return "snapshot", {"cast": self.whole(origin), "generations": shown, "omitted": len(self.marks) - len(shown)}

    def changes(self, origin: Origin, changed: Collection[UUID], seen: Seen) -> Iterator[Event]:
        """Yield what changed of generations. How far a call is, and nothing else, is an event of its own."""
        for id_, shown in self._short(origin, changed).items():
            if id_ in seen.marks and seen.marks[id_]._replace(progress=0) == self.marks[id_]._replace(progress=0):
                place = {name: shown[name] for name in ("step", "item", "attempt")}
                yield "progress", {"generation": shown["id"], **place, **(shown["progress"] or {})}
            else:
                yield "generation", shown

    def _short(self, origin: Origin, ids: Collection[UUID]) -> dict[UUID, Any]:
        rows = Generation.objects.filter(pk__in=ids).select_related("step__tool").defer("inputs", "output", "late_output", "unfetched")
        serializer = GenerationShortSerializer(context={"request": origin})
        return {row.pk: serializer.to_representation(row) for row in rows.order_by("id")}
