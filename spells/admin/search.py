"""Search words of the admin: whole ids, beginnings of ids, and anything else."""

import re
from uuid import UUID

from django.db.models import Q

MAX_WORDS = 5
MAX_WORD = 255

# Shorter words match too many ids to be meant as the beginning of one.
_HEX = re.compile(r"[0-9a-f]{6,32}")


def words_of(search: str) -> list[str]:
    """Return the words of what somebody typed: a few, and none that no column could hold."""
    return [word[: MAX_WORD + 1] for word in search.replace("\0", " ").split()[:MAX_WORDS]]


def id_range(word: str) -> tuple[UUID, UUID] | None:
    """Return the first and the last UUID that begin with the word, or None when it is no beginning of one."""
    digits = word.replace("-", "").lower()
    if not _HEX.fullmatch(digits):
        return None
    return UUID(hex=digits.ljust(32, "0")), UUID(hex=digits.ljust(32, "f"))


def matches_id(word: str, *, field: str = "pk") -> Q | None:
    """Return the condition that a UUID begins with the word: a range, which an index serves on every database."""
    bounds = id_range(word)
    if bounds is None:
        return None
    first, last = bounds
    return Q(**{f"{field}__gte": first, f"{field}__lte": last})  # two bounds: foreign keys know no range
