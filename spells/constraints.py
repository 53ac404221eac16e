"""A foreign key over several columns, as a Django constraint."""

from collections.abc import Collection, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import BaseConstraint, Model


class CompositeForeignKey(BaseConstraint):
    """Refuse rows whose `fields`, taken together, name no row of the model that the first of them points at.

    Django joins by one column; what keeps a generation's step inside its cast's version needs two. As a member of
    `Meta.constraints` it is written into the migrations and into the tables that Django rebuilds on SQLite.
    `to_fields` must be unique together over there. Rows with a NULL among `fields` are not checked (SQL's MATCH SIMPLE).
    Checked at commit, as Django's own foreign keys are.
    """

    def __init__(
        self,
        *,
        fields: Sequence[str],
        to_fields: Sequence[str],
        name: str,
        violation_error_code: str | None = None,
        violation_error_message: str | None = None,
    ) -> None:
        """Take the fields here, a foreign key first, and the fields there, in the same order."""
        self.fields = tuple(fields)
        self.to_fields = tuple(to_fields)
        super().__init__(name=name, violation_error_code=violation_error_code, violation_error_message=violation_error_message)

    def _target(self, model: type[Model]) -> type[Model]:
        # Asked of the field, not of the app registry: the copies of a model that Django rebuilds a table from on
        # SQLite live in a registry of their own.
        target = model._meta.get_field(self.fields[0]).related_model
        assert isinstance(target, type)
        return target

    def constraint_sql(self, model: type[Model] | None, schema_editor: BaseDatabaseSchemaEditor | None) -> str:
        assert model is not None
        assert schema_editor is not None
        quote = schema_editor.quote_name
        target = self._target(model)
        here = ", ".join(quote(model._meta.get_field(name).column) for name in self.fields)  # type: ignore[union-attr, arg-type]
        there = ", ".join(quote(target._meta.get_field(name).column) for name in self.to_fields)  # type: ignore[union-attr, arg-type]
        return (
            f"CONSTRAINT {quote(self.name)} FOREIGN KEY ({here}) "
            f"REFERENCES {quote(target._meta.db_table)} ({there}) DEFERRABLE INITIALLY DEFERRED"
        )

    def create_sql(self, model: type[Model] | None, schema_editor: BaseDatabaseSchemaEditor | None) -> str:
        assert model is not None
        assert schema_editor is not None
        return f"ALTER TABLE {schema_editor.quote_name(model._meta.db_table)} ADD {self.constraint_sql(model, schema_editor)}"

    def remove_sql(self, model: type[Model] | None, schema_editor: BaseDatabaseSchemaEditor | None) -> str:
        assert model is not None
        assert schema_editor is not None
        return f"ALTER TABLE {schema_editor.quote_name(model._meta.db_table)} DROP CONSTRAINT {schema_editor.quote_name(self.name)}"

    def validate(self, model: type[Model], instance: Model, exclude: Collection[str] | None = None, using: str = DEFAULT_DB_ALIAS) -> None:
        if exclude and set(exclude) & set(self.fields):
            return
        values = [getattr(instance, model._meta.get_field(name).attname) for name in self.fields]  # type: ignore[union-attr]
        if None in values:
            return
        target = self._target(model)
        wanted = dict(zip(self.to_fields, values, strict=True))
        if not target._default_manager.using(using).filter(**wanted).exists():
            raise ValidationError(self.get_violation_error_message(), code=self.violation_error_code)

    def deconstruct(self) -> tuple[str, Sequence[Any], dict[str, Any]]:
        path, args, kwargs = super().deconstruct()
        return path, args, {**kwargs, "fields": self.fields, "to_fields": self.to_fields}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CompositeForeignKey):
            return NotImplemented
        return self.deconstruct() == other.deconstruct()

    def __hash__(self) -> int:
        return hash((self.name, self.fields, self.to_fields))
