"""Whole rows that a statement written by hand returns or inserts, as objects of their models.

They are what the ORM would return, or make. It makes its SQL anew for each query, which took longer than the rest of
reading the few rows that every look begins with.
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


def new(model: type[M], **values: Any) -> M:
    """Return a new object of a model, by the names of its columns' attributes (`cast_id`). Raises KeyError for any other.

    It is what the model's constructor makes of the same, which asks each field for its default: a third of its work.
    """
    blank = _blank(model)
    row = blank.values.copy()
    for name, default in blank.defaults:
        if name not in values:
            row[blank.places[name]] = default()
    for name, value in values.items():
        row[blank.places[name]] = value
    return model(*row)


class _Blank(NamedTuple):
    """A row of which nothing is given: its values, what makes those that are another for each row, and where each stands."""

    values: list[Any]
    defaults: list[tuple[str, Callable[[], Any]]]
    places: dict[str, int]


@cache
def _blank(model: type[models.Model]) -> _Blank:
    fields = model._meta.concrete_fields
    made = [field for field in fields if field.has_default() and callable(field.default)]
    return _Blank(
        values=[None if field in made else field.get_default() for field in fields],
        defaults=[(field.attname, field.default) for field in made],
        places={field.attname: place for place, field in enumerate(fields)},
    )


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
