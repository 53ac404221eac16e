"""What can be done: tools, and the spells that chain them."""

from .price_table import PriceTable
from .provider import Provider
from .spell import Spell, SpellQuerySet, Visibility
from .tool import Effects, Recovery, Tool
from .version import OnFailure, SpellVersion, Step, StepDependency

__all__ = [
    "Effects",
    "OnFailure",
    "PriceTable",
    "Provider",
    "Recovery",
    "Spell",
    "SpellQuerySet",
    "SpellVersion",
    "Step",
    "StepDependency",
    "Tool",
    "Visibility",
]
