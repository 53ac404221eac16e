"""Who follows what, what they have seen of it, and what they are told next."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from .standing import CookStanding, Standing

# The id of a cast, or of a cook.
Subject = UUID | int


def name_of(subject: Subject) -> str:
    """Return what a log calls it."""
    return f"cast {subject}" if isinstance(subject, UUID) else f"cook {subject}"


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme and host of the addresses that a client is told. Stands in for the request, which is over by then."""

    base: str

    def build_absolute_uri(self, path: str) -> str:
        return f"{self.base}{path}"


class Mark(NamedTuple):
    """What may change of a generation, in brief."""

    status: str
    rest: int
    progress: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """What a client has been told of a cast: where it stood, its newest event, its generations."""

    standing: Standing
    last_event: int
    marks: Mapping[UUID, Mark]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CookSeen:
    """What a client has been told of a cook: where it stood, and up to when pieces that were settled."""

    standing: CookStanding
    settled_at: datetime | None


AnySeen = Seen | CookSeen


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What to tell a client next, what it will have seen then, and whether nothing comes after that."""

    data: bytes
    seen: AnySeen
    is_end: bool


Audience = tuple[Origin, AnySeen]
