"""Telling cooks that casts of theirs have ended, after the commit that ended them: the locks on the casts are gone by then.

Only a batch is made of pieces, so that a site without cooks asks the database for nothing. What is lost with its process
costs time only: a cook that goes on is looked at by itself.
"""

import logging
from collections.abc import Sequence
from functools import partial
from uuid import UUID

from django.db import DatabaseError, transaction

from casts.doorbell import knock

from . import sql
from .retrying import in_one_transaction

logger = logging.getLogger(__name__)


def tell_later(*, cast_ids: Sequence[UUID]) -> None:
    """Have somebody look at the cooks of these casts once the present transaction has committed."""
    if cast_ids:
        transaction.on_commit(partial(_tell, cast_ids), robust=True)


def _tell(cast_ids: Sequence[UUID]) -> None:
    try:
        wake_cooks(cast_ids=cast_ids)
    except DatabaseError:
        logger.warning("The cooks of %d casts were not told of their ends; they look by themselves.", len(cast_ids), exc_info=True)


@in_one_transaction
def wake_cooks(*, cast_ids: Sequence[UUID]) -> int:
    """Make the cooks of these casts due now. Returns how many were not."""
    woken = sql.count(
        f"""
        UPDATE casts_cook SET due_at = (SELECT grimoire_now())
        WHERE id IN (SELECT cook_id FROM casts_pieceattempt WHERE {sql.ids_in("cast_id")})
          AND (due_at IS NULL OR due_at > (SELECT grimoire_now()))
        """,
        {"ids": sql.ids_parameter(cast_ids)},
    )
    if woken:
        knock()
    return woken
