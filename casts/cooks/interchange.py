"""Trait trees as text, in JSON and in CSV. What is written can be read back: the tree is the same.

docs/cooks-drawing.md describes both forms.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from casts.cooks.traits import (
    WEIGHT_UNIT,
    Category,
    TraitTree,
    TraitTreeError,
    condition_data,
    normalised,
    read_tree,
    rule_data,
    tree_document,
)
from casts.cooks.tree_schema import MAX_TEXT_BYTES
from spells.documents import DocumentError, load
from spells.problems import MAX_PROBLEMS, Problem, shown, suggestion

MAX_ROWS = 5_000
_RANGE_NUMBERS = ("start", "end", "step", "zero_pad", "shuffle_seed")
COLUMNS = ("category", "value", "prompt", "weight", "silent", "start", "end", "step", "zero_pad", "unique", "shuffle_seed", "when", "rule")

_INTEGER = re.compile(r"-?[0-9]{1,19}\Z")
_DECIMAL = re.compile(r"[0-9]{1,10}(\.[0-9]{1,17})?\Z")
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "'")


def to_json(tree: TraitTree) -> str:
    """Write a tree as JSON. Equal trees give the same text."""
    return json.dumps(tree_document(tree), ensure_ascii=False, indent=1) + "\n"


def from_json(text: str | bytes) -> TraitTree:
    """Read a tree from JSON; bytes are UTF-8. Raises TraitTreeError."""
    try:
        return read_tree(load(text, format="json", max_bytes=MAX_TEXT_BYTES))
    except DocumentError as error:
        raise TraitTreeError(error.problems) from error


def to_csv(tree: TraitTree) -> str:
    """Write a tree as CSV: a row for each trait, range and rule. Spreadsheets take none of its texts for a formula."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, restval="")
    writer.writeheader()
    for category in tree.categories:
        writer.writerows(_category_rows(category))
    writer.writerows({"rule": _compact(rule_data(rule))} for rule in tree.rules)
    return text.getvalue()


def _category_rows(category: Category) -> Iterator[dict[str, Any]]:
    first = {} if category.when is None else {"when": _compact(condition_data(category.when))}
    name = _harmless(category.name)
    if (span := category.range) is not None:
        numbers = {"start": span.start, "end": span.end, "step": span.step, "zero_pad": span.zero_pad, "shuffle_seed": span.shuffle_seed}
        yield {"category": name, **numbers, "unique": "yes" if span.unique else "no", **first}
    for trait in category.traits:
        prompt = {"silent": "yes"} if not trait.prompt else {"prompt": "" if trait.prompt == trait.value else _harmless(trait.prompt)}
        yield {"category": name, "value": _harmless(trait.value), **prompt, "weight": f"{Decimal(trait.weight) / WEIGHT_UNIT:f}", **first}
        first = {}


def _compact(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def _harmless(text: str) -> str:
    """Return a text as a cell that a spreadsheet shows and does not reckon with."""
    return f"'{text}" if text.startswith(_FORMULAS) else text


def _meant(cell: str) -> str:
    """Return the text that a cell says."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULAS) else cell


def from_csv(text: str | bytes) -> TraitTree:
    """Read a tree from CSV with the columns `COLUMNS` in any order; bytes are UTF-8.

    Raises TraitTreeError, whose problems name the line and the column.
    """
    sheet = _Sheet()
    for line, cells in _rows(_decoded(text)):
        sheet.add(line, cells)
    if sheet.problems:
        raise TraitTreeError(sheet.problems[:MAX_PROBLEMS])
    try:
        return read_tree(sheet.document())
    except TraitTreeError as error:
        raise TraitTreeError([sheet.located(problem) for problem in error.problems]) from error


def _decoded(text: str | bytes) -> str:
    data = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    if len(data) > MAX_TEXT_BYTES:
        raise TraitTreeError([Problem("", f"is larger than the {MAX_TEXT_BYTES:,} bytes that are allowed")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TraitTreeError([Problem(f"line {line}", "is not UTF-8")]) from error


def _rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows that are not empty, each with the number of its first line."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        _check_header(header)
        line = reader.line_num + 1
        for count, row in enumerate(reader):
            if count >= MAX_ROWS:
                raise TraitTreeError([Problem(f"line {line}", f"is beyond the {MAX_ROWS:,} rows that are allowed")])
            if len(row) > len(header) and any(row[len(header) :]):
                raise TraitTreeError([Problem(f"line {line}", f"has more cells than the {len(header)} columns of the first line")])
            if any(row):
                yield line, {name: cell for name, cell in zip(header, row, strict=False) if cell}
            line = reader.line_num + 1
    except csv.Error as error:
        raise TraitTreeError([Problem(f"line {reader.line_num}", f"is no CSV: {error}")]) from error


def _check_header(header: list[str]) -> None:
    problems = [Problem("line 1", f"{shown(name)} is no column{suggestion(name, COLUMNS)}") for name in header if name not in COLUMNS]
    problems += [Problem("line 1", f"has the column {shown(name)} twice") for name in sorted(set(header)) if header.count(name) > 1]
    if "category" not in header:
        problems.append(Problem("line 1", f"names the columns; `category` is missing; known: {', '.join(COLUMNS)}"))
    if problems:
        raise TraitTreeError(problems[:MAX_PROBLEMS])


class _Sheet:
    """Gathers the rows of a sheet as the document of a tree, and remembers which line said what."""

    def __init__(self) -> None:
        """Begin without rows."""
        self.problems: list[Problem] = []
        self.categories: dict[str, dict[str, Any]] = {}
        self.rules: list[Any] = []
        self.lines: dict[str, int] = {}

    def document(self) -> dict[str, Any]:
        return {"categories": list(self.categories.values()), "rules": self.rules}

    def located(self, problem: Problem) -> Problem:
        """Return a problem of the document with the line of the row that said it."""
        for place in sorted(self.lines, key=len, reverse=True):
            if problem.path == place or problem.path.startswith((f"{place}.", f"{place}[")):
                rest = problem.path[len(place) :].lstrip(".")
                return Problem(f"line {self.lines[place]}{', ' if rest else ''}{rest}", problem.message)
        return problem

    def add(self, line: int, cells: Mapping[str, str]) -> None:
        if "rule" in cells:
            self._only(line, cells, {"rule"})
            self.lines[f"rules[{len(self.rules)}]"] = line
            self.rules.append(self._json(line, "rule", cells["rule"]))
        elif "category" not in cells:
            self._wrong(line, "category", "is missing")
        else:
            self._add_to_category(line, cells)

    def _add_to_category(self, line: int, cells: Mapping[str, str]) -> None:
        name = _meant(cells["category"])
        category = self.categories.setdefault(normalised(name), {"name": name})
        place = f"categories[{list(self.categories).index(normalised(name))}]"
        self.lines.setdefault(place, line)
        if "when" in cells:
            if "when" in category:
                self._wrong(line, "when", "is said of this category before; once is enough")
            self.lines[f"{place}.when"] = line
            category["when"] = self._json(line, "when", cells["when"])
        if "start" in cells or "end" in cells:
            self._only(line, cells, {"category", "when", "unique", *_RANGE_NUMBERS})
            if "range" in category:
                self._wrong(line, "start", "is a second range of this category")
            self.lines[f"{place}.range"] = line
            category["range"] = self._range(line, cells)
        else:
            self._only(line, cells, {"category", "when", "value", "prompt", "weight", "silent"})
            traits = category.setdefault("traits", [])
            self.lines[f"{place}.traits[{len(traits)}]"] = line
            traits.append(self._trait(line, cells))

    def _trait(self, line: int, cells: Mapping[str, str]) -> dict[str, Any]:
        trait: dict[str, Any] = {"value": _meant(cells["value"])} if "value" in cells else {}
        if "weight" in cells:
            trait["weight"] = self._number(line, "weight", cells["weight"])
        if self._yes(line, "silent", cells):
            trait["prompt"] = ""
            if "prompt" in cells:
                self._wrong(line, "silent", "is for a trait without a prompt")
        elif "prompt" in cells:
            trait["prompt"] = _meant(cells["prompt"])
        return trait

    def _range(self, line: int, cells: Mapping[str, str]) -> dict[str, Any]:
        numbers: dict[str, Any] = {name: self._number(line, name, cells[name]) for name in _RANGE_NUMBERS if name in cells}
        return {**numbers, "unique": self._yes(line, "unique", cells)}

    def _number(self, line: int, column: str, cell: str) -> int | float:
        written = cell.strip()
        if _INTEGER.match(written):
            return int(written)
        if _DECIMAL.match(written):
            return float(written)
        self._wrong(line, column, f"{shown(cell)} is no number, like 12 or 0.5")
        return 0

    def _yes(self, line: int, column: str, cells: Mapping[str, str]) -> bool:
        said = cells.get(column, "no").strip().lower()
        if said not in {"yes", "no", "true", "false"}:
            self._wrong(line, column, f"{shown(said)} is neither yes nor no")
        return said in {"yes", "true"}

    def _json(self, line: int, column: str, cell: str) -> Any:
        try:
            return load(cell, format="json")
        except DocumentError as error:
            self._wrong(line, column, f"is no JSON object: {error.problems[0].message}")
            return {}

    def _only(self, line: int, cells: Mapping[str, str], columns: set[str]) -> None:
        for column in sorted(cells.keys() - columns):
            self._wrong(line, column, "is not for a row of this kind")

    def _wrong(self, line: int, column: str, message: str) -> None:
        self.problems.append(Problem(f"line {line}, {column}", message))
