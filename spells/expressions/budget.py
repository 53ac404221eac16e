"""What one evaluation may cost. Everything that grows is asked for here before it is made."""

from typing import Any

from .errors import EvaluationError

MAX_TEXT_CHARS = 1_000_000
MAX_LIST_ITEMS = 100_000

# One unit is a node of the expression, an item of a list, or 64 characters: a microsecond at most.
MAX_WORK = 200_000
CHARS_PER_UNIT = 64


class Budget:
    """The work that is left to one evaluation."""

    __slots__ = ("left",)

    def __init__(self, work: int = MAX_WORK) -> None:
        """Start with all of it."""
        self.left = work

    def spend(self, units: int) -> None:
        self.left -= units
        if self.left < 0:
            raise EvaluationError("needs more work than one expression may do")

    def text(self, chars: int) -> None:
        """Pay for a text of so many characters, made or read through."""
        if chars > MAX_TEXT_CHARS:
            raise EvaluationError(f"would make a text of {chars:,} characters; {MAX_TEXT_CHARS:,} are allowed")
        self.spend(1 + chars // CHARS_PER_UNIT)

    def items(self, count: int) -> None:
        """Pay for a list of so many items, made or gone through."""
        if count > MAX_LIST_ITEMS:
            raise EvaluationError(f"would make a list of {count:,} items; {MAX_LIST_ITEMS:,} are allowed")
        self.spend(1 + count)

    def weigh(self, value: Any) -> int:
        """Pay for going through a whole value, and return about how many characters it has as JSON."""
        chars = 0
        stack = [value]
        while stack:
            current = stack.pop()
            if isinstance(current, str):
                chars += len(current) + 2
                self.text(len(current))
            elif isinstance(current, dict):
                self.items(len(current))
                chars += sum(map(len, current)) + 4 * len(current)
                stack.extend(current.values())
            elif isinstance(current, list):
                self.items(len(current))
                chars += 2 + len(current)
                stack.extend(current)
            else:
                chars += 8
        return chars
