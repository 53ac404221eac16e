"""text.replace: search and replace, literally or by regular expression."""

from collections.abc import Iterator
from typing import Any, ClassVar

import re2

from .contract import Adapter, Request, Result, ToolDefinition, ToolError
from .definition import integer_schema, object_schema, text_schema
from .text import bounded

# RE2 runs in time linear in the text and refuses patterns that need more memory than this.
MAX_PATTERN_MEMORY_BYTES = 4 * 1024 * 1024


class TextReplace(Adapter):
    """Replaces what it finds in a text."""

    key = "text.replace"
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="text.replace",
            name="Search and replace",
            description=(
                "Replaces each occurrence of a text, or of what a regular expression matches. Regular expressions are RE2's: "
                "without look-around and back-references in the pattern, and safe from endless matching. "
                "In the replacement \\1 or \\g<name> is what a group matched, \\\\ a backslash."
            ),
            category="text",
            input_schema=object_schema(
                {
                    "text": text_schema("The text to search in."),
                    "find": text_schema("What to look for.", max_length=2000, minLength=1),
                    "replace": text_schema("What to put there.", max_length=20_000, default=""),
                    "regex": {"type": "boolean", "description": "Read `find` as a regular expression.", "default": False},
                    "ignore_case": {"type": "boolean", "description": "Treat A and a as the same.", "default": False},
                    "limit": integer_schema("How many to replace at most; 0: all.", minimum=0, maximum=200_000, default=0),
                },
                required=("text", "find"),
            ),
            output_schema=object_schema(
                {
                    "text": text_schema("The text with its replacements."),
                    "count": {"type": "integer", "description": "How many were replaced.", "minimum": 0},
                },
                required=("text", "count"),
            ),
            example={"text": "A grey sea, a grey sky", "find": "gr[ae]y (\\w+)", "replace": "golden \\1", "regex": True},
        ),
    )

    def run(self, request: Request) -> Result:
        inputs = request.inputs
        pattern = _compiled(inputs["find"], literal=not inputs["regex"], ignore_case=inputs["ignore_case"])
        count = 0

        def pieces() -> Iterator[str]:
            nonlocal count
            text: str = inputs["text"]
            end = 0
            for match in pattern.finditer(text):
                if count == (inputs["limit"] or None):
                    break
                yield text[end : match.start()]
                yield _replacement(match, inputs["replace"]) if inputs["regex"] else inputs["replace"]
                end = match.end()
                count += 1
            yield text[end:]

        return Result(output={"text": bounded(pieces()), "count": count})


def _compiled(find: str, *, literal: bool, ignore_case: bool) -> Any:
    options = re2.Options()
    options.literal = literal
    options.case_sensitive = not ignore_case
    options.max_mem = MAX_PATTERN_MEMORY_BYTES
    options.log_errors = False
    try:
        return re2.compile(find, options)
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else error
        raise ToolError(f"`find` is no regular expression of RE2: {why}", code="bad_pattern", permanent=True) from error


def _replacement(match: Any, template: str) -> str:
    r"""Return the template with \1, \g<name> and \\ filled in. Any other backslash stands for itself."""
    pieces: list[str] = []
    end = 0
    for reference in _REFERENCE.finditer(template):
        pieces.append(template[end : reference.start()])
        end = reference.end()
        group = reference[1] or reference[2]
        pieces.append(_group(match, group) if group else "\\")
    pieces.append(template[end:])
    return "".join(pieces)


_REFERENCE = re2.compile(r"\\\\|\\([0-9]{1,2})|\\g<(\w{1,64})>")


def _group(match: Any, name: str) -> str:
    try:
        return match.group(int(name) if name.isdecimal() else name) or ""
    except (IndexError, KeyError) as error:
        raise ToolError(f"`replace` names the group {name}, which `find` does not have.", code="bad_pattern", permanent=True) from error
