"""The form by which an operator settles a call of which nobody knew whether it happened."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms
from django.db.models import TextChoices

from spells.admin.json_field import StrictJSONField
from spells.schemas import check


class Finding(TextChoices):
    """What somebody found who looked the call up at its provider."""

    HAPPENED = "happened", "It happened; its result is the JSON below."
    RUN_AGAIN = "again", "It did not happen: run it again."
    WRITTEN_OFF = "written_off", "Nobody can tell: write it off. The step fails."


class ResolveForm(forms.Form):
    """What became of an `unknown` generation. A result is held to the schema of its tool, like one that the tool gave."""

    finding = forms.ChoiceField(choices=Finding, widget=forms.RadioSelect, label="What you found at the provider")
    output = StrictJSONField(
        required=False, label="Result", widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false", "placeholder": "A JSON object"})
    )
    cost_usd = forms.DecimalField(
        required=False,
        label="Cost in US dollars",
        help_text="Empty when nobody knows.",
        min_value=Decimal(0),
        max_digits=20,
        decimal_places=10,
    )

    def __init__(self, data: Any = None, *, generation_id: UUID, output_schema: Mapping[str, Any]) -> None:
        """Take the generation; the ids of fields bear its id, since a page may have several of these forms."""
        super().__init__(data, auto_id=f"resolve-{generation_id}-%s")
        self.generation_id = generation_id
        self._output_schema = output_schema

    def clean(self) -> dict[str, Any]:
        """Ask for a result if and only if there is one, and check it."""
        cleaned = super().clean() or {}
        if "output" in self.errors or "finding" in self.errors:
            return cleaned
        output = cleaned.get("output")
        if cleaned["finding"] != Finding.HAPPENED:
            if output is not None:
                self.add_error("output", "A result was given, but not the finding that it happened.")
        elif not isinstance(output, dict):
            self.add_error("output", "Paste the result as the tool would have returned it: a JSON object.")
        else:
            problems = check(output, self._output_schema, path="output")
            if problems:
                self.add_error("output", [str(problem) for problem in problems])
        return cleaned

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `engine.resolve` that say the same."""
        finding = self.cleaned_data["finding"]
        return {
            "output": self.cleaned_data["output"] if finding == Finding.HAPPENED else None,
            "again": finding == Finding.RUN_AGAIN,
            "cost_usd": self.cleaned_data["cost_usd"],
        }
