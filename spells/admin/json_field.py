"""JSON typed into a form, held to what every part of the system can store."""

import json
from typing import Any

from django import forms
from django.forms.fields import InvalidJSONInput

from spells.schemas import check_json


class StrictJSONField(forms.JSONField):
    """A JSON field that refuses NaN, NUL characters, endless numbers and depths with words, and shows its value indented."""

    def to_python(self, value: Any) -> Any:
        """Read the text. Raises ValidationError, never anything else."""
        try:
            read = super().to_python(value)
        except forms.ValidationError:
            raise
        except (RecursionError, ValueError) as error:  # nested too deeply for the parser, or a number beyond its limit
            raise forms.ValidationError("This JSON is nested too deeply, or has a number too long to be read.", code="invalid") from error
        problems = check_json(read, path="value")
        if problems:
            raise forms.ValidationError([str(problem) for problem in problems], code="invalid")
        return read

    def bound_data(self, data: Any, initial: Any) -> Any:
        """Show again what was typed, as it was typed."""
        return initial if self.disabled or data is None else InvalidJSONInput(data)

    def prepare_value(self, value: Any) -> Any:
        if value is None or isinstance(value, InvalidJSONInput):
            return value
        return json.dumps(value, ensure_ascii=False, indent=2)
