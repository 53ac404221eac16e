"""How far running calls are, by their own word. Nothing is advanced by it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from casts.clock import database_now
from generations.artifacts import StoredArtifact

from . import changes, sql
from .retrying import in_one_transaction

_COLUMNS = {"id": "uuid", "epoch": "bigint", "percent": "float8", "progress": "jsonb"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What a call says of itself: `{"percent", "stage", "preview"}`, and the stored bytes that its preview refers to.

    `epoch` is the claim under which it was begun, `owner_id` the initiator of its cast.
    """

    generation_id: UUID
    epoch: int
    owner_id: int
    progress: dict[str, Any]
    made: Sequence[StoredArtifact] = ()


@in_one_transaction
def keep_reported(reported: Sequence[Reported]) -> int:
    """Write how far calls are, in one statement. Returns how many were still running, and not further already."""
    rows = [
        {"id": each.generation_id, "epoch": each.epoch, "percent": each.progress["percent"], "progress": each.progress} for each in reported
    ]
    shown = sql.json_number("generations_generation.progress", "percent")
    written = sql.count(
        f"""
        UPDATE generations_generation SET progress = told.progress
        FROM {sql.recordset("told", _COLUMNS)}
        WHERE generations_generation.id = told.id AND generations_generation.status = 'running'
          AND generations_generation.epoch = told.epoch AND COALESCE({shown}, 0) <= COALESCE(told.percent, 0)
        """,
        {"rows": sql.rows_parameter(rows)},
    )
    changes.keep_artifacts(made=[(each.generation_id, each.owner_id, each.made) for each in reported], now=database_now())
    return written
