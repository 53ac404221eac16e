"""What is wrong with something that a user wrote, and at which place."""

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

# More would not be read; looking for more would be work done for whoever sends rubbish.
MAX_PROBLEMS = 50

_MAX_SHOWN = 60
_MAX_LISTED = 12
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend: `path` is the place, like `steps.art.params.prompt`; `message` says what is wrong there."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ProblemsError(Exception):
    """Something that a user wrote was refused. `problems` says what to mend, place by place."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Take the problems; the message has one on each line."""
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def join_path(path: str, *parts: str | int) -> str:
    """Return the path of a place inside another: `("inputs", "images", 0)` is `inputs.images[0]`."""
    for part in parts:
        if isinstance(part, int):
            path = f"{path}[{part}]"
        elif not _IDENTIFIER.match(part):
            path = f"{path}[{shown(part)}]"
        else:
            path = f"{path}.{part}" if path else part
    return path


def shown(value: Any) -> str:
    """Return a JSON value as an error message names it: short whatever its size, and never with its contents when nested."""
    if isinstance(value, str):
        cut = value if len(value) <= _MAX_SHOWN else f"{value[:_MAX_SHOWN]}…"
        return repr(cut)
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 128:  # noqa: PLR2004 - longer than anybody reads
        return "a very large number"
    return json.dumps(value)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return what to append to a message about an unknown name: the one that was probably meant, or all there are."""
    names = sorted(known)
    close = difflib.get_close_matches(name[:_MAX_SHOWN], names, n=1, cutoff=0.7)
    if close:
        return f"; did you mean {shown(close[0])}?"
    if not names:
        return "; there is none"
    more = ", …" if len(names) > _MAX_LISTED else ""
    return f"; known: {', '.join(name[:_MAX_SHOWN] for name in names[:_MAX_LISTED])}{more}"
