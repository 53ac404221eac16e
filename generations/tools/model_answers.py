"""What a language model answers, whichever API brought it: text, or JSON by a schema; or a reason why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from generations.outputs import clean_text
from spells.schemas import check, check_schema

from .contract import Cost, Request, ToolError
from .definition import object_schema
from .json_parse import BadJson, parse_json

FORMAT_SCHEMA = {
    "description": "How to answer: text, json (any JSON object), or an object with the JSON Schema of the answer.",
    "anyOf": [
        {"type": "string", "enum": ["text", "json"]},
        object_schema(
            {
                "name": {
                    "type": "string",
                    "description": "A name for the schema.",
                    "pattern": "^[A-Za-z0-9_-]{1,64}$",
                    "default": "answer",
                },
                "schema": {"type": "object", "description": "The JSON Schema."},
                "strict": {"type": "boolean", "description": "Let the provider enforce the schema.", "default": True},
            },
            required=("schema",),
        ),
    ],
    "default": "text",
}

OUTPUT_SCHEMA = object_schema(
    {
        "text": {"type": "string", "description": "The answer."},
        "json": {"description": "The answer read as JSON, when it was asked for."},
        "finish_reason": {"type": "string", "description": "Why it ended: stop, length ..."},
        "model": {"type": "string", "description": "The model that answered, by the provider's word."},
        "usage": {"type": "object", "description": "Tokens used: prompt_tokens, completion_tokens, cached_tokens."},
        "request_id": {"type": "string", "description": "The provider's id of the request, for its support."},
    },
    required=("text", "finish_reason", "model", "usage"),
)


def asked_schema(request: Request) -> dict[str, Any] | None:
    """Return the schema that the answer must fit, as `{"name", "schema", "strict"}`; None when none was given.

    Raises:
        ToolError: permanent, `bad_schema`: no answer could be held against it.
    """
    wanted = request.inputs["response_format"]
    if isinstance(wanted, str):
        return None
    problems = check_schema(wanted["schema"], path="params.response_format.schema")
    if problems:
        raise ToolError(f"The schema of the answer cannot be used: {problems[0]}.", code="bad_schema", permanent=True)
    return {"name": wanted.get("name", "answer"), "schema": wanted["schema"], "strict": wanted.get("strict", True)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """An answer as an API told it. `finish_reason` is in the words of the chat API: stop, length, content_filter ..."""

    text: str
    refusal: str
    finish_reason: str
    model: str
    usage: Mapping[str, int]
    request_id: Mapping[str, str]
    cost: Cost | None

    def output(self, request: Request) -> dict[str, Any]:
        """Return the output of an answer that can be used.

        Raises:
            ToolError: it cannot; what it cost is told all the same.
        """
        text = clean_text(self.text)
        reason = clean_text(self.finish_reason[:100]) or "unknown"
        if self.refusal:
            raise self._error(f"The model refused: {clean_text(self.refusal[:1000])}", code="refused_by_model", permanent=True)
        if reason == "content_filter":
            raise self._error("The provider's content filter stopped the answer.", code="content_filter", permanent=True)
        if not text.strip():
            # A model that thinks may spend all that it was given on its thoughts: it would do so again.
            cut = " `max_tokens` left it no room." if reason == "length" else ""
            raise self._error(f"The model answered nothing (finish reason {reason}).{cut}", code="empty_answer", permanent=bool(cut))
        output = {
            "text": text,
            "finish_reason": reason,
            "model": clean_text(self.model[:200]),
            "usage": dict(self.usage),
            **self.request_id,
        }
        return output if request.inputs["response_format"] == "text" else {**output, "json": self._json(text, request)}

    def _json(self, text: str, request: Request) -> Any:
        cut = " It was cut off at `max_tokens`." if self.finish_reason == "length" else ""
        try:
            value = parse_json(text, extract=True)
        except BadJson as error:
            raise self._error(f"The model's answer is not JSON: {error}.{cut}", code="bad_answer", permanent=bool(cut)) from error
        wanted = request.inputs["response_format"]
        problems = [] if isinstance(wanted, str) else check(value, wanted["schema"], path="answer")
        if problems:
            raise self._error(f"The model's answer does not fit its schema: {problems[0]}.{cut}", code="bad_answer", permanent=bool(cut))
        return value

    def _error(self, message: str, *, code: str, permanent: bool) -> ToolError:
        return ToolError(message, code=code, permanent=permanent, cost=self.cost, details=dict(self.request_id) or None)
