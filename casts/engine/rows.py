"""Whole rows that a statement written by hand returns, as objects of their models.

They are what the ORM would return. It makes its SQL anew for each query, which took longer than the rest of reading the
few rows that every look begins with.
"""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from django.db import connection, models

M = TypeVar("M", bound=models.Model)


class _Form(NamedTuple):
    """The names of a row's values, and what converts the one at each place from what the database returns."""

    names: list[str]
    converters: list[tuple[int, Callable[[Any, Any, Any], Any], Any]]


def columns(model: type[models.Model], alias: str) -> str:
    """Return SQL that lists the columns of a model, its key first, in the order in which `read` takes them."""
    return ", ".join(f"{alias}.{field.column}" for field in _fields(model))


def split(values: Sequence[Any], *of: type[models.Model]) -> list[Sequence[Any]]:
    """Part a row of several models, in the order in which their columns were listed."""
    rest = iter(values)
    return [list(islice(rest, len(_fields(model)))) for model in of]


def read(model: type[M], values: Sequence[Any]) -> M | None:
    """Return the object of a row; None when its key is null, as an outer join leaves it."""
    if values[0] is None:
        return None
    form, converted = _form(model, connection.vendor), list(values)
    for place, convert, column in form.converters:
        converted[place] = convert(converted[place], column, connection)
    return model.from_db(connection.alias, form.names, converted)


@cache
def _form(model: type[models.Model], _vendor: str) -> _Form:
    listed = [field.get_col(model._meta.db_table) for field in _fields(model)]
    converters = [
        (place, convert, column)
        for place, column in enumerate(listed)
        for convert in (*connection.ops.get_db_converters(column), *column.get_db_converters(connection))
    ]
    return _Form(names=[field.attname for field in _fields(model)], converters=converters)


@cache
def _fields(model: type[models.Model]) -> list["models.Field[Any, Any]"]:
    return sorted(model._meta.concrete_fields, key=lambda field: not field.primary_key)
