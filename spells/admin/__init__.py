"""Spells for operators: what is written, what is published, and who owns it."""

from .spell import SpellAdmin
from .version import SpellVersionAdmin

__all__ = ["SpellAdmin", "SpellVersionAdmin"]
