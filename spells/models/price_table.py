"""Price tables: what a tool cost, and costs."""

from django.db import models

from .tool import Tool


class PriceTable(models.Model):
    """The prices of a tool from one change to the next, by the number that the costs of its calls name.

    The database writes it, when a tool comes and whenever its `pricing` changes, and refuses any other hand: see
    `spells.price_triggers`. The newest one is the tool's `pricing`, and its number the tool's `price_table`.
    It goes with its tool.
    """

    # What deletes a tool deletes its tables, in the database: while the tool is there, nobody can.
    tool = models.ForeignKey(Tool, on_delete=models.DO_NOTHING, related_name="price_tables")
    number = models.PositiveIntegerField()
    prices = models.JSONField(help_text="Prices by unit, as decimal strings in US dollars.")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="pricetable_number_is_unique_per_tool", fields=["tool", "number"]),
        ]

    def __str__(self) -> str:
        return f"price table {self.number}"
