"""Cooks that the body of a request names."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet

from casts.models import Cook
from spells.problems import Problem
from spells.requests import InvalidBodyError


def named_cook(said: Mapping[str, Any], *, rows: QuerySet[Cook]) -> Cook:
    """Return the one of these cooks whose id stands under `cook`, with its collection. Raises InvalidBodyError when there is none."""
    cook = rows.select_related("collection").filter(pk=int(said["cook"])).first()
    if cook is None:
        raise InvalidBodyError([Problem("cook", f"there is no cook {said['cook']} that you may see")])
    return cook
