"""json.parse: text to JSON."""

import json
import math
from typing import Any, ClassVar

from generations.outputs import MAX_OUTPUT_DEPTH

from .contract import Adapter, Request, Result, ToolDefinition, ToolError
from .definition import object_schema, text_schema

# An answer has few brackets before its JSON; each try looks through all of the text.
MAX_TRIES = 200


class BadJson(ValueError):
    """The text is no JSON that can be stored."""


def parse_json(text: str | bytes, *, extract: bool = False) -> Any:
    """Return the value that a JSON text stands for.

    `extract` takes the first object or list out of the words around it, as a model's answer often has it.

    Raises:
        BadJson: it is no JSON, nested too deep, or has a number (NaN, 1e999) that JSON cannot hold.
    """
    try:
        if extract:
            return _extracted(text if isinstance(text, str) else text.decode())
        return _DECODER.decode(text if isinstance(text, str) else text.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise BadJson(f"{error.msg} in line {error.lineno}, column {error.colno}") from error
    except RecursionError:
        raise BadJson(f"nested deeper than {MAX_OUTPUT_DEPTH} levels") from None
    except ValueError as error:  # not UTF-8, or a number of many thousand digits
        raise BadJson(str(error)) from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BadJson(f"the number {text[:30]} is too large")
    return number


def _refuse(name: str) -> float:
    raise BadJson(f"{name} is no JSON number")


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse)


def _extracted(text: str) -> Any:
    """Return the first object or list in a text. Each bracket inside a failed try is skipped with it."""
    start = 0
    first_error: json.JSONDecodeError | None = None
    for _ in range(MAX_TRIES):
        found = _first_bracket(text, start)
        if found is None:
            break
        try:
            return _DECODER.raw_decode(text, found)[0]
        except json.JSONDecodeError as error:
            first_error = first_error or error
            start = max(error.pos, found + 1)
    raise first_error or json.JSONDecodeError("No object and no list", text, 0)


def _first_bracket(text: str, start: int) -> int | None:
    places = [place for place in (text.find("{", start), text.find("[", start)) if place >= 0]
    return min(places, default=None)


class JsonParse(Adapter):
    """Reads JSON."""

    key = "json.parse"
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="json.parse",
            name="Parse JSON",
            description="Reads a JSON text. With `extract` it takes the first object or list out of the words around it.",
            category="json",
            input_schema=object_schema(
                {
                    "text": text_schema("The JSON text."),
                    "extract": {
                        "type": "boolean",
                        "description": "Find the JSON inside other text, like a model's answer with a code fence.",
                        "default": False,
                    },
                },
                required=("text",),
            ),
            output_schema=object_schema({"value": {"description": "What the text stands for."}}, required=("value",)),
            example={"text": 'Here it is:\n```json\n{"scenes": ["sea", "storm"]}\n```', "extract": True},
        ),
    )

    def run(self, request: Request) -> Result:
        try:
            return Result(output={"value": parse_json(request.inputs["text"], extract=request.inputs["extract"])})
        except BadJson as error:
            raise ToolError(f"The text is not JSON: {error}.", code="bad_json", permanent=True) from error
