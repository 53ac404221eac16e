"""Collections as documents: what a file says, or the body of a request, read as a plan."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, Literal

from spells.documents import DocumentError, Format, load
from spells.problems import MAX_PROBLEMS, Problem, ProblemsError
from spells.schemas import check

from .beginning import MAX_PIECES
from .collecting import MAX_DESCRIPTION_CHARACTERS, MAX_ITEMS_BYTES, Plan
from .numbers import MAX_SEED
from .placeholders import translated
from .traits import TraitTreeError, read_tree

MAX_DOCUMENT_BYTES = 9 * 1024 * 1024
MAX_COLUMNS = 200
MAX_COLUMN_CHARACTERS = 64
# What JSON puts around a name and a text: quotation marks, a colon and a comma.
_SIZE_OF_A_CELL = 6
NEWLINE = b"\n"

ListFormat = Literal["csv", "jsonl"]

DOCUMENT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 200, "description": "What it is called."},
        "description": {"type": "string", "maxLength": MAX_DESCRIPTION_CHARACTERS, "default": ""},
        "spell": {
            "type": "string",
            "maxLength": 110,
            "description": "The slug of the spell that is cast for each piece; @ and a number after it chooses a version.",
        },
        "tool": {"type": "string", "maxLength": 100, "description": "Or the slug of a tool, to run it on its own for each piece."},
        "inputs": {
            "type": "object",
            "description": (
                "The inputs of each cast, with expressions that read `traits`, `prompts`, `item`, `index` (from 0), `number` (from 1) "
                "and `seed`. `[[Hat]]` is read as `{{ traits.Hat }}`. Without any, each item of the list is the inputs."
            ),
            "default": {},
        },
        "trait_tree": {"type": ["object", "null"], "description": "What pieces are drawn from: categories and rules.", "default": None},
        "items": {
            "type": ["array", "null"],
            "maxItems": MAX_PIECES,
            "minItems": 1,
            "description": "Or a list: each piece gets one item of it, in their order.",
            "default": None,
        },
        "list": {
            "type": ["object", "null"],
            "description": "Or the list as text: JSON lines, or CSV whose first line names the columns and whose cells are texts.",
            "properties": {"format": {"type": "string", "enum": ["csv", "jsonl"]}, "text": {"type": "string", "minLength": 1}},
            "required": ["format", "text"],
            "additionalProperties": False,
            "default": None,
        },
        "seed": {"type": "integer", "minimum": 0, "maximum": MAX_SEED, "description": "Another seed draws other pieces.", "default": 0},
        "target_supply": {
            "type": ["integer", "null"],
            "minimum": 1,
            "maximum": MAX_PIECES,
            "description": "How many pieces there are to be. By default one hundred, or as many as the list has.",
            "default": None,
        },
    },
    "required": ["name"],
    "additionalProperties": False,
}


def plan_of(data: Any) -> Plan:
    """Return the plan of a document, as JSON data. Raises ProblemsError, which names each place."""
    problems = check(data, DOCUMENT_SCHEMA, path="")
    if problems:
        raise ProblemsError(problems[:MAX_PROBLEMS])
    said = {**data, "inputs": data.get("inputs", {})}
    if said.get("trait_tree") is not None:
        try:
            names = [category.name for category in read_tree(said["trait_tree"]).categories]
        except TraitTreeError as error:
            raise ProblemsError(
                [Problem(f"trait_tree.{each.path}" if each.path else "trait_tree", each.message) for each in error.problems]
            ) from error
        said["inputs"] = translated(said["inputs"], path="inputs", categories=names)
    listed = said.pop("list", None)
    if listed is not None:
        said["items"] = _listed(listed, beside=said.get("items"))
    for name in ("seed", "target_supply"):
        if said.get(name) is not None:
            said[name] = int(said[name])  # JSON Schema takes 1.0 for an integer, too
    return Plan(**said)


def _listed(said: Mapping[str, str], *, beside: Any) -> list[Any]:
    """Return the items of a list that a document has as text."""
    if beside is not None:
        raise ProblemsError([Problem("list", "either `items` or `list` says what pieces differ in")])
    try:
        return read_items(said["text"].encode(errors="surrogatepass"), format="csv" if said["format"] == "csv" else "jsonl")
    except ProblemsError as error:
        raise ProblemsError([Problem("list.text", str(each)) for each in error.problems]) from error


def read_plan(text: bytes, *, format: Format) -> dict[str, Any]:  # noqa: A002 - the word that fits
    """Return the data of a collection's document from text. Raises ProblemsError."""
    data = load(text, format=format, max_bytes=MAX_DOCUMENT_BYTES)
    if not isinstance(data, dict):
        raise DocumentError([Problem("", "is an object: a value for each of name, spell, inputs and so on")])
    return data


def format_of(name: str) -> Format:
    """Return the form of a document by the name of its file."""
    return "json" if PurePath(name).suffix.lower() == ".json" else "yaml"


def list_format_of(name: str) -> ListFormat | None:
    """Return the form of a list by the name of its file; None for a name that tells none."""
    suffixes: dict[str, ListFormat] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
    return suffixes.get(PurePath(name).suffix.lower())


def read_items(text: bytes, *, format: ListFormat, schema: Mapping[str, Any] | None = None) -> list[Any]:  # noqa: A002 - as above
    """Return the items of a list from text: each line of JSON lines, or each row of CSV as an object by its columns.

    Cells of CSV are texts; where the `schema` of inputs asks for something else under the column's name, they are read as
    JSON. Raises ProblemsError, which names the line.
    """
    if len(text) > MAX_ITEMS_BYTES:
        raise ProblemsError([_too_large()])
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProblemsError([Problem(f"line {text.count(NEWLINE, 0, error.start) + 1}", "is not UTF-8")]) from error
    rows = _of_lines(decoded) if format == "jsonl" else _of_csv(decoded, (schema or {}).get("properties", {}))
    items: list[Any] = []
    for item in rows:
        items.append(item)
        if len(items) > MAX_PIECES:
            raise ProblemsError([Problem("items", f"are more than the {MAX_PIECES:,} that are allowed")])
    if not items:
        raise ProblemsError([Problem("items", "are none")])
    return items


def _too_large() -> Problem:
    return Problem("items", f"are larger than the {MAX_ITEMS_BYTES:,} bytes that are allowed")


def _of_lines(text: str) -> Iterator[Any]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield load(line, format="json", max_bytes=MAX_ITEMS_BYTES)
            except DocumentError as error:
                raise ProblemsError([Problem(f"line {number}", each.message) for each in error.problems]) from error


def _of_csv(text: str, properties: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        if not header or "" in header or len(set(header)) < len(header) or len(header) > MAX_COLUMNS:
            raise ProblemsError([Problem("line 1", f"names the columns, at most {MAX_COLUMNS}, each once")])
        if max(map(len, header)) > MAX_COLUMN_CHARACTERS:
            raise ProblemsError([Problem("line 1", f"names a column with more than {MAX_COLUMN_CHARACTERS} characters")])
        names_size = sum(len(name) + _SIZE_OF_A_CELL for name in header)
        size = 0
        for row in reader:
            if any(row):
                if len(row) != len(header):
                    raise ProblemsError([Problem(f"line {reader.line_num}", f"has {len(row)} cells for {len(header)} columns")])
                size += names_size + sum(map(len, row))  # each item says the names again
                if size > MAX_ITEMS_BYTES:
                    raise ProblemsError([_too_large()])
                yield {name: _cell(name, cell, properties.get(name), reader.line_num) for name, cell in zip(header, row, strict=True)}
    except csv.Error as error:
        raise ProblemsError([Problem(f"line {reader.line_num}", f"is no CSV: {error}")]) from error


def _cell(name: str, cell: str, schema: Any, line: int) -> Any:
    kinds = schema.get("type", []) if isinstance(schema, Mapping) else []
    if not kinds or "string" in kinds:  # one name, or a list of names
        return cell
    try:
        return load(cell, format="json")
    except DocumentError as error:
        raise ProblemsError(
            [Problem(f"line {line}, {name}", f"{json.dumps(cell[:60])} is not the JSON that the spell asks for")]
        ) from error
