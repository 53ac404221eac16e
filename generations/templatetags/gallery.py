"""The gallery of artefacts."""

from django import template

from generations.admin.artifact import gallery_figure

register = template.Library()

register.simple_tag(gallery_figure)
