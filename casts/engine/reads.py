"""How much of earlier outputs a look reads: a bound on the memory of whoever looks at casts."""

import json
from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

from django.db.models import Func, IntegerField, Sum
from django.db.models.sql.compiler import SQLCompiler

from generations.models import Generation
from generations.outputs import MAX_OUTPUT_BYTES
from generations.tools.contract import ToolError

from .state import DONE
from .turns import Turn

# Outputs that one step may read, and all steps of one look, in bytes of JSON text. As objects of Python they take several
# times that. Steps for which a look has nothing left are started by the next.
MAX_READ_BYTES = 64 * 2**20
MAX_LOOK_BYTES = 128 * 2**20

Wish = tuple[Turn, Collection[int]]  # a cast, and the steps whose outputs are to be read together


class OctetLength(Func):
    """The bytes of a JSON value as text."""

    template = "octet_length(%(expressions)s::text)"
    output_field = IntegerField()

    def as_sqlite(self, compiler: SQLCompiler, connection: Any, **context: Any) -> Any:
        return super().as_sql(compiler, connection, template="length(CAST(%(expressions)s AS BLOB))", **context)


class Reading:
    """What one look reads from the database. Each output counts once, as large as it can be until it had to be measured."""

    def __init__(self) -> None:
        """Begin with all that a look may read."""
        self._left = MAX_LOOK_BYTES
        self._sizes: dict[tuple[UUID, int], int] = {}
        self._read: set[tuple[UUID, int]] = set()

    def measure(self, wishes: Iterable[Wish]) -> None:
        """Ask the database how large these outputs are, in one query, if they could be too large for a step or for the look."""
        wanted = [(turn, ids) for turn, ids in wishes if ids]
        total = sum(self._bytes_unread(turn, ids) for turn, ids in wanted)
        if total <= self._left and all(self._bytes_in_all(turn, ids) <= MAX_READ_BYTES for turn, ids in wanted):
            return
        casts = {turn.state.cast.pk: turn.state for turn, _ in wanted}
        pairs = {(turn.state.cast.pk, step_id) for turn, ids in wanted for step_id in ids}
        rows = Generation.objects.filter(cast_id__in=casts, step_id__in={step_id for _, step_id in pairs}, status__in=DONE)
        measured = rows.values_list("cast_id", "step_id").annotate(bytes=Sum(OctetLength("output")))
        self._sizes |= dict.fromkeys(pairs, 0) | {(cast_id, step_id): size or 0 for cast_id, step_id, size in measured}

    def refusal(self, turn: Turn, step_ids: Collection[int]) -> ToolError | None:
        """Return why no look can read the outputs of these steps together, or None."""
        if self._bytes_in_all(turn, step_ids) <= MAX_READ_BYTES:
            return None
        keys = ", ".join(sorted(turn.state.step(step_id).key for step_id in step_ids))
        told = f"The outputs of {keys} that it reads have more than {MAX_READ_BYTES:,} bytes in all. Pass on less of them, or artefacts."
        return ToolError(told, code="inputs_too_large", permanent=True)

    def admits(self, turn: Turn, step_ids: Collection[int]) -> bool:
        """Tell whether this look may read these outputs too. If not, the cast is looked at again at once."""
        size = self._bytes_unread(turn, step_ids)
        if size > self._left:
            turn.again = True
            return False
        if size:
            self._left -= size
            self._read |= {(turn.state.cast.pk, step_id) for step_id in step_ids}
        return True

    def _bytes_unread(self, turn: Turn, step_ids: Collection[int]) -> int:
        """Return how much is stored, at most, of what this look does not read anyway."""
        if not self._bytes(turn, step_ids):
            return 0
        return self._bytes(turn, [step_id for step_id in step_ids if (turn.state.cast.pk, step_id) not in self._read])

    def _bytes(self, turn: Turn, step_ids: Collection[int]) -> int:
        """Return how much is stored, at most."""
        cast_id, done = turn.state.claim.cast_id, turn.state.done
        return sum(self._sizes.get((cast_id, step_id), done.get(step_id, 0) * MAX_OUTPUT_BYTES) for step_id in step_ids)

    def _bytes_in_all(self, turn: Turn, step_ids: Collection[int]) -> int:
        """Return how much that is together with what this very look brings, which is in memory already."""
        stored = self._bytes(turn, step_ids)
        if stored + len(turn.changes) * MAX_OUTPUT_BYTES <= MAX_READ_BYTES:
            return stored
        fresh = [change.output for change in turn.changes.values() if change.output and change.attempt.step_id in step_ids]
        if stored + len(fresh) * MAX_OUTPUT_BYTES <= MAX_READ_BYTES:
            return stored
        return stored + sum(len(json.dumps(output)) for output in fresh)
