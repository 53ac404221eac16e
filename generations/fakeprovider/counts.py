"""How many calls were accepted and billed, and for how much: by dialect, generation, idempotency key and request."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

# Of each sort as many are remembered, the newest.
REMEMBERED = 100_000
# By which name of an entry of the log each sort counts.
SORTS: Mapping[str, str] = {"dialects": "dialect", "generations": "generation_id", "keys": "idempotency_key", "requests": "request"}


@dataclass(slots=True)
class _Count:
    accepted: int = 0
    billed: int = 0
    usd: Decimal = Decimal(0)


class Counts:
    """Counts of both kinds of calls. What was accepted before a restart is not known any more; what was billed is, by the log."""

    def __init__(self) -> None:
        """Begin with none."""
        self._counts: dict[str, OrderedDict[str, _Count]] = {sort: OrderedDict() for sort in SORTS}

    def accepted(self, told: Mapping[str, Any]) -> None:
        """Count a call that was accepted, by the names of an entry of the log."""
        for count in self._of(told):
            count.accepted += 1

    def billed(self, entry: Mapping[str, Any]) -> None:
        """Count an entry of the log."""
        for count in self._of(entry):
            count.billed += 1
            count.usd += Decimal(entry["usd"])

    def _of(self, told: Mapping[str, Any]) -> Iterator[_Count]:
        for sort, name in SORTS.items():
            counts = self._counts[sort]
            if value := str(told.get(name) or ""):
                yield counts.setdefault(value, _Count())
                if len(counts) > REMEMBERED:
                    counts.popitem(last=False)

    def told(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return `{"generations": {id: {"accepted", "billed", "usd"}}}`, and so for the other sorts."""
        return {sort: {value: _told(count) for value, count in counts.items()} for sort, counts in self._counts.items()}


def _told(count: _Count) -> dict[str, Any]:
    return {"accepted": count.accepted, "billed": count.billed, "usd": format(count.usd, "f")}
