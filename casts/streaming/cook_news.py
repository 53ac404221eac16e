"""What is new of a cook to somebody who has seen it at an earlier time, as events."""

from collections.abc import Collection, Iterator
from datetime import datetime
from functools import cached_property
from typing import Any

from casts.cook_serializers import CookSerializer
from casts.models import ENDED_COOKS, Cook

from . import frames
from .audience import Audience, CookSeen, Origin, Words
from .frames import Event
from .standing import CookStanding, cook_standings_of

# Pieces that are told one by one. Beyond, the counts say it.
MAX_PIECES = 200


def begin(*, cook_id: int, last_event_id: str) -> Words:
    """Return the first words to a client: nothing if it has seen all, else a snapshot.

    `last_event_id` is the id that it has seen last, as it says, or empty. Raises Cook.DoesNotExist.
    """
    standing = cook_standings_of([cook_id]).get(cook_id)
    if standing is None:
        raise Cook.DoesNotExist
    scene = _Scene(cook_id, standing)
    if last_event_id == standing.id:
        return Words(data=b"", seen=scene.seen, is_end=standing.has_ended)
    return scene.words([("snapshot", {"cook": scene.whole})])


def go_on(*, cook_id: int, standing: CookStanding, audiences: Collection[tuple[Origin, CookSeen]]) -> dict[Audience, Words]:
    """Return what each audience, whose standing is another one, is told of a cook."""
    scene = _Scene(cook_id, standing)
    return {(origin, seen): scene.words([*scene.settled_after(seen.settled_at), ("status", scene.whole)]) for origin, seen in audiences}


class _Scene:
    """One cook as it stands, read once for all who are told of it."""

    def __init__(self, cook_id: int, standing: CookStanding) -> None:
        """Take how it stands: what is read here is as new as that, or newer."""
        self.standing = standing
        rows = Cook.objects.select_related("collection", "initiator")
        self.cook = rows.defer("collection__items", "collection__trait_tree", "collection__inputs").get(pk=cook_id)

    @cached_property
    def seen(self) -> CookSeen:
        """Return what whoever was told has seen: the same for all, so that they are told the same from then on."""
        last = self.cook.pieces.filter(settled_at__isnull=False).order_by("-settled_at").values_list("settled_at", flat=True).first()
        return CookSeen(standing=self.standing, settled_at=last)

    @cached_property
    def whole(self) -> Any:
        return CookSerializer(self.cook).data

    def settled_after(self, moment: datetime | None) -> Iterator[Event]:
        """Yield pieces that were settled since, up to what is seen from now on; of very many the newest."""
        until = self.seen.settled_at
        if until is None:
            return
        pieces = self.cook.pieces.filter(settled_at__lte=until)
        if moment is not None:
            pieces = pieces.filter(settled_at__gt=moment)
        newest = pieces.order_by("-settled_at", "-pk").values("id", "index", "status", "traits")[:MAX_PIECES]
        for piece in reversed(newest):
            yield "piece", piece

    def words(self, events: Collection[Event]) -> Words:
        is_end = self.standing.has_ended and self.cook.status in ENDED_COOKS
        end: list[Event] = [("end", self.whole)] if is_end else []
        return Words(data=frames.encode([*events, *end], id=self.standing.id), seen=self.seen, is_end=is_end)
