"""Filters for the admin's templates."""

from django import template

from spells.admin import formats
from spells.admin.json_html import json_html, visible

register = template.Library()

register.filter("json_html", json_html)
register.filter("visible", visible)
register.filter("duration", formats.duration)
register.filter("moment", formats.moment)
register.filter("money", formats.money)
register.filter("size", formats.size)


@register.filter
def percent(value: float) -> str:
    """Return a place on an axis as SVG takes it, whatever the language of the page."""
    return f"{value:.2f}%"
