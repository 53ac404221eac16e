"""The gallery of pieces."""

from django import template

from casts.admin.piece import piece_figure

register = template.Library()

register.simple_tag(piece_figure)
