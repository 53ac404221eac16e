"""Tools that put text together and take it apart."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from .contract import Adapter, Request, Result, ToolDefinition, ToolError
from .definition import object_schema, text_schema

MAX_TEXT_CHARACTERS = 200_000
MAX_PARTS = 10_000

# A placeholder, or an escaped brace. Anything else in braces is text: JSON needs no escaping.
_PLACEHOLDER = re.compile(r"\\\{|\{([A-Za-z_][A-Za-z0-9_]{0,63}(?:\.[A-Za-z0-9_]{1,64}){0,9})\}")
_ABSENT = object()


def bounded(pieces: Iterable[str]) -> str:
    """Join pieces, and stop with an error as soon as they are too long together."""
    kept: list[str] = []
    length = 0
    for piece in pieces:
        length += len(piece)
        if length > MAX_TEXT_CHARACTERS:
            raise ToolError(f"The text would be longer than {MAX_TEXT_CHARACTERS} characters.", code="too_long", permanent=True)
        kept.append(piece)
    return "".join(kept)


def as_text(value: Any) -> str:
    """Return a JSON value as a reader wants it: text as it is, all else as compact JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class TextTemplate(Adapter):
    """Fills the placeholders of a text."""

    key = "text.template"
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="text.template",
            name="Fill a template",
            description=(
                "Fills each {name} in a text from `values`; {hero.name} and {scenes.0.title} reach into objects and lists. "
                "Write \\{ for a brace that starts no placeholder. Other braces stay as they are."
            ),
            category="text",
            input_schema=object_schema(
                {
                    "template": text_schema("The text with its placeholders."),
                    "values": {
                        "type": "object",
                        "description": "What goes in, by name. What is no text goes in as compact JSON.",
                        "default": {},
                        "maxProperties": 1000,
                    },
                    "missing": {
                        "type": "string",
                        "description": "What becomes of a placeholder without a value: fail, leave it, or put nothing there.",
                        "enum": ["fail", "keep", "empty"],
                        "default": "fail",
                    },
                },
                required=("template",),
            ),
            output_schema=object_schema({"text": text_schema("The filled text.")}, required=("text",)),
            example={"template": "Dear {hero.name}, \\{sic} {n}", "values": {"hero": {"name": "Mara"}, "n": 3}},
        ),
    )

    def run(self, request: Request) -> Result:
        values, missing = request.inputs["values"], request.inputs["missing"]
        return Result(output={"text": bounded(_filled(request.inputs["template"], values=values, missing=missing))})


def _filled(template: str, *, values: Mapping[str, Any], missing: str) -> Iterable[str]:
    end = 0
    for match in _PLACEHOLDER.finditer(template):
        yield template[end : match.start()]
        end = match.end()
        name = match[1]
        if name is None:
            yield "{"
            continue
        value = _reach(values, name)
        if value is not _ABSENT:
            yield as_text(value)
        elif missing == "fail":
            raise ToolError(
                f"The template asks for {{{name}}}, and `values` has no such value. It has: {_listed(values)}.",
                code="missing_value",
                permanent=True,
            )
        elif missing == "keep":
            yield match[0]
    yield template[end:]


def _reach(values: Any, path: str) -> Any:
    """Return the value at a dotted path, or `_ABSENT`. A null counts as absent: nobody wants to read `null`."""
    for name in path.split("."):
        if isinstance(values, Mapping) and name in values:
            values = values[name]
        elif isinstance(values, list) and name.isdecimal() and int(name) < len(values):
            values = values[int(name)]
        else:
            return _ABSENT
    return _ABSENT if values is None else values


def _listed(values: Mapping[str, Any]) -> str:
    names = ", ".join(sorted(values)[:20]) or "nothing"
    return names if len(names) <= MAX_LISTED_CHARACTERS else f"{names[:MAX_LISTED_CHARACTERS]}..."


MAX_LISTED_CHARACTERS = 300


class TextJoin(Adapter):
    """Joins the items of a list."""

    key = "text.join"
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="text.join",
            name="Join texts",
            description="Joins the items of a list into one text.",
            category="text",
            input_schema=object_schema(
                {
                    "items": {
                        "type": "array",
                        "description": "What to join. What is no text goes in as compact JSON.",
                        "maxItems": MAX_PARTS,
                    },
                    "separator": text_schema("What stands between two items.", max_length=1000, default="\n"),
                    "last_separator": text_schema("What stands before the last item instead, like ' and '.", max_length=1000),
                    "skip_empty": {"type": "boolean", "description": "Leave out empty texts and nulls.", "default": False},
                },
                required=("items",),
            ),
            output_schema=object_schema({"text": text_schema("The joined text.")}, required=("text",)),
            example={"items": ["sea", "storm", 3], "separator": ", ", "last_separator": " and "},
        ),
    )

    def run(self, request: Request) -> Result:
        inputs = request.inputs
        items = [as_text(item) for item in inputs["items"] if not (inputs["skip_empty"] and item in (None, ""))]
        separator, last = inputs["separator"], inputs.get("last_separator", inputs["separator"])
        pieces = items[:1]
        for position, item in enumerate(items[1:], start=2):
            pieces += [last if position == len(items) else separator, item]
        return Result(output={"text": bounded(pieces)})


# Each is linear in the length of the text: no pattern has two ways to match the same characters.
_SPLITTERS: Mapping[str, Callable[[str], list[str]]] = {
    "lines": str.splitlines,
    "paragraphs": re.compile(r"(?:\r\n|\n|\r)[ \t]*(?:(?:\r\n|\n|\r)[ \t]*)+").split,
    "sentences": re.compile(r"(?:(?<=[.!?\u2026])|(?<=[.!?\u2026][\"'\u201d\u2019)\]]))\s+").split,
    "words": str.split,
}


class TextSplit(Adapter):
    """Splits a text into a list."""

    key = "text.split"
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="text.split",
            name="Split a text",
            description="Splits a text at a separator, or into lines, paragraphs, sentences or words.",
            category="text",
            input_schema=object_schema(
                {
                    "text": text_schema("The text to split."),
                    "by": {
                        "type": "string",
                        "description": "Where to split; a paragraph ends at an empty line.",
                        "enum": ["separator", "lines", "paragraphs", "sentences", "words"],
                        "default": "lines",
                    },
                    "separator": text_schema("Where to split, when `by` is separator.", max_length=1000, minLength=1, default=","),
                    "trim": {"type": "boolean", "description": "Take white space off both ends of each part.", "default": True},
                    "keep_empty": {"type": "boolean", "description": "Keep parts that are empty.", "default": False},
                },
                required=("text",),
            ),
            output_schema=object_schema(
                {
                    "parts": {"type": "array", "description": "The parts, in order.", "items": {"type": "string"}, "maxItems": MAX_PARTS},
                    "count": {"type": "integer", "description": "How many they are.", "minimum": 0},
                },
                required=("parts", "count"),
            ),
            example={"text": "sea, storm,, light", "by": "separator", "separator": ","},
        ),
    )

    def run(self, request: Request) -> Result:
        inputs = request.inputs
        text: str = inputs["text"]
        parts = text.split(inputs["separator"]) if inputs["by"] == "separator" else _SPLITTERS[inputs["by"]](text)
        if inputs["trim"]:
            parts = [part.strip() for part in parts]
        if not inputs["keep_empty"]:
            parts = [part for part in parts if part]
        if len(parts) > MAX_PARTS:
            raise ToolError(f"The text falls into {len(parts)} parts; at most {MAX_PARTS} are allowed.", code="too_many", permanent=True)
        return Result(output={"parts": parts, "count": len(parts)})
