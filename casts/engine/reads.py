"""How much of its earlier outputs a step may read at once: a bound on the memory of whoever looks at the cast."""

import json
from collections.abc import Collection
from itertools import chain
from typing import Any

from django.db.models import Func, IntegerField
from django.db.models.sql.compiler import SQLCompiler

from generations.models import Generation
from generations.outputs import MAX_OUTPUT_BYTES
from generations.tools.contract import ToolError

from .state import DONE
from .turns import Turn

# Outputs that one step may read, in bytes of JSON text. As objects of Python they take several times that.
MAX_READ_BYTES = 64 * 2**20
_CHUNK = 200


class OctetLength(Func):
    """The bytes of a JSON value as text."""

    template = "octet_length(%(expressions)s::text)"
    output_field = IntegerField()

    def as_sqlite(self, compiler: SQLCompiler, connection: Any, **context: Any) -> Any:
        return super().as_sql(compiler, connection, template="length(CAST(%(expressions)s AS BLOB))", **context)


def refusal(*, turn: Turn, step_ids: Collection[int]) -> ToolError | None:
    """Return why the outputs of these steps cannot be read together, or None.

    Those that this turn brings are not in the database yet. The database is asked only if there are so many that they could be too large, and for no more sizes than it takes.
    """
    state = turn.state
    if sum(state.counts.get(step_id, 0) for step_id in step_ids) * MAX_OUTPUT_BYTES <= MAX_READ_BYTES:
        return None
    rows = Generation.objects.filter(cast_id=state.cast.pk, step_id__in=step_ids, status__in=DONE, output__isnull=False)
    fresh = (change.output for change in turn.changes.values() if change.output and change.attempt.step_id in step_ids)
    stored = rows.values_list(OctetLength("output"), flat=True).iterator(chunk_size=_CHUNK)
    total = 0
    for size in chain((len(json.dumps(output)) for output in fresh), stored):
        total += size
        if total > MAX_READ_BYTES:
            keys = ", ".join(sorted(state.step(step_id).key for step_id in step_ids))
            told = (
                f"The outputs of {keys} that it reads have more than {MAX_READ_BYTES:,} bytes in all. Pass on less of them, or artefacts."
            )
            return ToolError(told, code="inputs_too_large", permanent=True)
    return None
