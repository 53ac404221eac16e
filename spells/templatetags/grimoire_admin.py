"""Filters for the admin's templates."""

from django import template

from spells.admin import formats
from spells.admin.json_html import json_html, visible

register = template.Library()

register.filter("json_html", json_html)
register.filter("duration", formats.duration)
register.filter("moment", formats.moment)
register.filter("money", formats.money)
register.filter("size", formats.size)

# A value that should be a few words, and may be anything.
MAX_WORDS = 2_000


@register.filter(name="visible")
def visible_words(value: object) -> str:
    """Return what somebody else wrote, with its invisible characters made visible, cut where no words are so long."""
    return visible(str(value)[:MAX_WORDS])


@register.filter
def percent(value: float) -> str:
    """Return a place on an axis as SVG takes it, whatever the language of the page."""
    return f"{value:.2f}%"
