"""The form by which an operator gives a step that failed an output of their own, and the cast goes on."""

from typing import Any
from uuid import UUID

from django import forms

from casts.engine import InvalidOutputError
from spells.admin.json_field import StrictJSONField

# What the form says of itself under many casts at once.
SHOWN_PROBLEMS = 5


class SkipForm(forms.Form):
    """What later steps are to see in place of an output, and why."""

    output = StrictJSONField(
        required=False,
        label="Output",
        help_text="As the tool would have returned it. Empty: later steps see null.",
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "placeholder": "A JSON object"}),
    )
    reason = forms.CharField(label="Why", max_length=500, help_text="Kept with your name in the history of the cast.")
    resume = forms.BooleanField(
        required=False, initial=True, label="Go on with the cast", help_text="What failed beside it is tried again."
    )

    def __init__(self, data: Any = None, *, generation_id: UUID | None = None) -> None:
        """Take the generation that failed, or none for many; the ids of fields bear its id, since a page may have several of these forms."""
        super().__init__(data, auto_id=f"skip-{generation_id}-%s" if generation_id else "skip-%s")
        self.generation_id = generation_id

    def refuse(self, error: InvalidOutputError) -> None:
        """Show what is wrong with the output."""
        self.add_error("output", [str(problem) for problem in error.problems[:SHOWN_PROBLEMS]])

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `engine.skip` that say the same."""
        return {name: self.cleaned_data[name] for name in ("output", "reason", "resume")}
