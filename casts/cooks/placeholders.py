"""Placeholders for traits that imports may have in their inputs: `[[Background]]` is `{{ traits.Background }}`."""

import re
from collections.abc import Collection
from typing import Any

from casts.cooks.traits import TraitTreeError, normalised
from spells.problems import MAX_PROBLEMS, Problem, join_path, shown, suggestion
from spells.schemas import check_json

_TOKEN = re.compile(r"""\{\{|\}\}|\[\[(?P<name>[^\[\]{}'"\\]{1,200})\]\]|['"]|\\.""", re.DOTALL)
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")


def expression_for(name: str) -> str:
    """Return the expression that reads the trait of a category."""
    return f"{{{{ traits.{name} }}}}" if _IDENTIFIER.match(name) else f"{{{{ traits['{name}'] }}}}"


def translated(value: Any, *, path: str, categories: Collection[str]) -> Any:
    """Return a JSON value whose texts have expressions in place of placeholders. What stands in expressions stays as it is.

    Raises TraitTreeError for a placeholder that names no category.
    """
    problems = check_json(value, path=path)
    if problems:
        raise TraitTreeError(problems)
    translation = _Translation(categories)
    result = translation.of(value, path)
    if translation.problems:
        raise TraitTreeError(translation.problems[:MAX_PROBLEMS])
    return result


class _Translation:
    """Translates the texts of one value, and gathers what names no category."""

    def __init__(self, categories: Collection[str]) -> None:
        """Take the names that there are."""
        self.categories = frozenset(categories)
        self.problems: list[Problem] = []

    def of(self, value: Any, path: str) -> Any:
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, list):
            return [self.of(item, join_path(path, index)) for index, item in enumerate(value)]
        if isinstance(value, dict):
            return {key: self.of(item, join_path(path, key)) for key, item in value.items()}
        return value

    def _text(self, text: str, path: str) -> str:
        parts, end = [], 0
        inside, quote = False, ""
        for token in _TOKEN.finditer(text):
            if not inside and token["name"] is not None:
                parts += [text[end : token.start()], self._expression(token["name"], path)]
                end = token.end()
            elif not inside:
                inside = token[0] == "{{"
            elif quote:
                quote = "" if token[0] == quote else quote
            elif token[0] in {"'", '"'}:
                quote = token[0]
            else:
                inside = token[0] != "}}"
        return "".join([*parts, text[end:]])

    def _expression(self, written: str, path: str) -> str:
        name = normalised(written)
        if name not in self.categories:
            self.problems.append(Problem(path, f"[[{shown(written)}]] names no category{suggestion(name, self.categories)}"))
        return expression_for(name)
