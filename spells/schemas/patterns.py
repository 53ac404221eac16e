"""Regular expressions of schemas, matched in linear time."""

from functools import lru_cache
from typing import Any

import re2

# What a pattern may take when compiled, in bytes; RE2 refuses one that would take more.
_MAX_MEMORY = 1 << 20
MAX_PATTERN_CHARS = 1_000


class PatternError(ValueError):
    """A pattern that RE2 does not know: too large, with look-around, or with back-references."""


@lru_cache(maxsize=256)
def compiled(pattern: str) -> Any:
    """Compile a pattern for RE2, which needs time linear in the text, whatever the pattern.

    Python's own `re` would take for ever on `(a+)+$`. Raises PatternError.
    """
    if len(pattern) > MAX_PATTERN_CHARS:
        raise PatternError(f"is longer than {MAX_PATTERN_CHARS:,} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else str(error)
        raise PatternError(f"is no pattern that can be matched in linear time (RE2): {reason}") from error


def matches(pattern: str, text: str) -> bool:
    """Tell whether the pattern matches anywhere in the text, as JSON Schema has it. Raises PatternError.

    RE2 reads UTF-8, in which half of a surrogate pair cannot be written: such a text matches as with a question mark there.
    """
    return compiled(pattern).search(text.encode(errors="replace").decode()) is not None
