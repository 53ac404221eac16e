"""The expression language of spells: `{{ steps.story.scenes[0].text | upper }}`.

Jinja's grammar over plain JSON values, walked by ourselves: nothing is compiled, no Python object can be reached, and
all work is paid for before it is done. docs/spells.md describes the language.
"""

from .budget import MAX_LIST_ITEMS, MAX_TEXT_CHARS, MAX_WORK, Budget
from .errors import ExpressionError
from .filters import FILTERS
from .predicates import PREDICATES
from .references import Reference
from .syntax import MAX_TEMPLATE_CHARS, NAMES
from .templates import MAX_EXPRESSIONS, MAX_RESULT_BYTES, Template, TemplateTree, compile_expression, compile_template, compile_value
from .values import kind

__all__ = [
    "FILTERS",
    "MAX_EXPRESSIONS",
    "MAX_LIST_ITEMS",
    "MAX_RESULT_BYTES",
    "MAX_TEMPLATE_CHARS",
    "MAX_TEXT_CHARS",
    "MAX_WORK",
    "NAMES",
    "PREDICATES",
    "Budget",
    "ExpressionError",
    "Reference",
    "Template",
    "TemplateTree",
    "compile_expression",
    "compile_template",
    "compile_value",
    "kind",
]
