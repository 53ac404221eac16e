"""The start of a cast: its row, its wakeup and its event, all of them or none; in the transaction of whoever has one."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, connection, transaction

from casts.doorbell import knock
from casts.models import Cast, CastEvent, EventKind, Priority, Wakeup
from casts.repeats import made_before
from generations import tracing
from spells import schemas
from spells.models import SpellVersion
from spells.schemas import Problem

from . import measuring, sql

DEADLINE = timedelta(hours=24)


class InvalidInputsError(Exception):
    """The inputs do not fit the spell. `problems` name each place."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Take what was found wrong."""
        super().__init__("; ".join(f"{problem.path}: {problem.message}" for problem in problems))
        self.problems = list(problems)


class NotPublishedError(Exception):
    """Only a published version can be cast."""


class ToolDisabledError(Exception):
    """A step of the spell needs a tool that an operator has disabled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A cast, and whether it is new: a repeated request gets the first one's."""

    cast: Cast
    created: bool


def start(
    *,
    version: SpellVersion,
    initiator_id: int,
    inputs: Mapping[str, Any],
    now: datetime,
    idempotency_key: str | None = None,
    request_digest: str = "",
    max_cost_usd: Decimal | None = None,
    deadline: timedelta = DEADLINE,
    priority: Priority = Priority.INTERACTIVE,
    is_castable: bool = False,
) -> Started:
    """Start a cast of a published version, or return the one that the same request started before.

    `inputs` are checked against the version's schema and filled with its defaults. `request_digest` tells a repeat
    from another request under the same `idempotency_key`. `priority` says whom conductors take first. `is_castable`: whoever
    asks has called `refuse_uncastable` with what it read beside the version.

    Raises:
        NotPublishedError, ToolDisabledError, InvalidInputsError: nothing was written.
        IdempotencyKeyReusedError: the key belongs to another request.
    """
    if not is_castable:
        check_castable(version)
    cast = Cast(
        version=version,
        initiator_id=initiator_id,
        inputs=complete_inputs(version=version, inputs=inputs),
        idempotency_key=idempotency_key,
        request_digest=request_digest,
        max_cost_usd=max_cost_usd,
        priority=priority,
        deadline_at=now + deadline,
        created_at=now,
    )
    try:
        with tracing.span("start cast", attributes={"grimoire.cast_id": str(cast.pk), "grimoire.spell": version.spell.slug}):
            cast.traceparent = tracing.current()
            _insert(cast=cast, now=now)
    except IntegrityError:
        earlier = made_before(Cast.objects.filter(initiator=initiator_id), key=idempotency_key, digest=request_digest)
        if earlier is None:
            raise
        return Started(cast=earlier, created=False)
    return Started(cast=cast, created=True)


def check_castable(version: SpellVersion) -> None:
    """Raise NotPublishedError or ToolDisabledError when the version cannot be cast at present."""
    refuse_uncastable(version, disabled=disabled_tool(version))


def refuse_uncastable(version: SpellVersion, *, disabled: str | None) -> None:
    """Raise as `check_castable` does, by the slug of a `disabled` tool of the version that was read before. Asks nothing."""
    if not version.is_published:
        raise NotPublishedError(f"Version {version.number} of {version.spell.slug} is not published.")
    if disabled:
        raise ToolDisabledError(f"The tool {disabled} is disabled.")


def disabled_tool(version: SpellVersion) -> str | None:
    """Return the slug of a tool of a version that is disabled, by itself or with its provider; None when there is none."""
    found = sql.fetch(disabled_tool_of("%(version)s"), {"version": version.pk})
    return found[0][0] if found else None


def disabled_tool_of(version: str) -> str:
    """Return SQL that does so, for whoever asks for more in the same statement; `version` is SQL for the version's id."""
    return f"""
        SELECT tool.slug
        FROM spells_step AS step
            JOIN spells_tool AS tool ON tool.id = step.tool_id
            LEFT JOIN spells_provider AS provider ON provider.id = tool.provider_id
        WHERE step.version_id = {version} AND (NOT tool.enabled OR NOT provider.enabled)
        ORDER BY tool.id LIMIT 1
        """


def complete_inputs(*, version: SpellVersion, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs with their defaults. Raises InvalidInputsError when they do not fit the version."""
    problems = schemas.check_json(inputs, path="inputs")
    if problems:
        raise InvalidInputsError(problems)
    complete = schemas.complete(inputs, version.input_schema)
    problems = schemas.check(complete, version.input_schema, path="inputs")
    if problems:
        raise InvalidInputsError(problems)
    return complete


def _insert(*, cast: Cast, now: datetime) -> None:
    # only a repeat is refused by the database and gone on after: whoever has a transaction needs it sound then
    needs_savepoint = cast.idempotency_key is not None and connection.in_atomic_block
    with transaction.atomic() if needs_savepoint else nullcontext():
        sql.insert_together(
            cast,
            Wakeup(cast=cast, initiator_id=cast.initiator_id, due_at=now, priority=cast.priority),
            CastEvent(cast=cast, kind=EventKind.STARTED, actor_id=cast.initiator_id, at=now),
        )
        cast._state.adding = False
        measuring.note_start(cast=cast)
        knock(cast_id=cast.pk)
