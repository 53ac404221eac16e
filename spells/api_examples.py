"""Examples that the API's documentation shows."""

from typing import Any

from drf_spectacular.utils import OpenApiExample

_DOCUMENT: dict[str, Any] = {
    "slug": "haiku-card",
    "name": "Haiku card",
    "inputs": {"theme": {"type": "string", "default": "a lighthouse keeper"}},
    "steps": [
        {"key": "story", "tool": "text.scenes", "params": {"theme": "{{ inputs.theme }}", "count": 1}},
        {"key": "art", "tool": "image.paint", "params": {"prompt": "{{ steps.story.scenes[0].text }}"}},
    ],
    "outputs": {"card": "{{ steps.art.image }}"},
}
_YAML = """\
slug: haiku-card
inputs:
  theme: {type: string, default: a lighthouse keeper}
steps:
  - key: story
    tool: text.scenes
    params: {theme: "{{ inputs.theme }}", count: 1}
  - key: art
    tool: image.paint
    params: {prompt: "{{ steps.story.scenes[0].text }}"}
outputs:
  card: "{{ steps.art.image }}"
"""
_INPUT_SCHEMA = {"type": "object", "properties": _DOCUMENT["inputs"], "required": [], "additionalProperties": False}
_SPELLS = "https://grimoire.example.org/api/v1/spells/haiku-card/"
_SPELL = {
    "slug": "haiku-card",
    "name": "Haiku card",
    "description": "",
    "tags": ["card", "picture"],
    "visibility": "listed",
    "owner": "ada",
    "latest_version": 2,
    "draft_version": None,
    "created_at": "2026-11-20T09:00:00Z",
    "updated_at": "2026-11-23T20:10:00Z",
    "versions": f"{_SPELLS}versions/",
}
_VERSION = {
    "spell": "haiku-card",
    "number": 2,
    "created_at": "2026-11-23T20:09:11Z",
    "published_at": "2026-11-23T20:10:00Z",
    "url": f"{_SPELLS}versions/2/",
}
_IMAGE = {"type": "object", "properties": {"artifact": {"type": "string", "format": "uuid"}}, "required": ["artifact"]}

DOCUMENT = OpenApiExample("A spell of two steps", value=_DOCUMENT, request_only=True, media_type="application/json")
YAML_DOCUMENT = OpenApiExample("A spell of two steps, in YAML", value=_YAML, request_only=True, media_type="application/yaml")
DESCRIPTION = OpenApiExample(
    "A description", value={"name": "Haiku card", "description": "", "tags": ["card"], "visibility": "listed"}, request_only=True
)
SPELL = OpenApiExample("A spell", value=_SPELL, response_only=True)
SPELL_DETAIL = OpenApiExample("A spell", value={**_SPELL, "input_schema": _INPUT_SCHEMA}, response_only=True)
LISTED_VERSION = OpenApiExample("A published version", value=_VERSION, response_only=True)
VERSION = OpenApiExample(
    "A published version", value={**_VERSION, "input_schema": _INPUT_SCHEMA, "document": _DOCUMENT}, response_only=True
)
DRAFT = OpenApiExample(
    "A draft",
    value={
        **_VERSION,
        "number": 3,
        "published_at": None,
        "url": f"{_SPELLS}versions/3/",
        "input_schema": _INPUT_SCHEMA,
        "document": _DOCUMENT,
    },
    response_only=True,
)
CHANGE = OpenApiExample("Let everybody cast it", value={"visibility": "public"}, request_only=True)
VALID = OpenApiExample("Nothing to mend", value={"valid": True, "errors": []}, response_only=True)
PROBLEMS = OpenApiExample(
    "Something to mend",
    value={
        "valid": False,
        "errors": [{"path": "steps.art.params.prompt", "message": "there is no step 'stroy'; did you mean 'story'?"}],
    },
    response_only=True,
)
TOOL = OpenApiExample(
    "A tool",
    value={
        "slug": "image.paint",
        "name": "Paint a picture",
        "description": "Paints what a text says, by procedural art.",
        "category": "image",
        "effects": "pure",
        "input_schema": {"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]},
        "output_schema": {"type": "object", "properties": {"image": _IMAGE}, "required": ["image"]},
        "pricing": {},
        "price_table": 1,
        "max_attempts": 3,
        "run_timeout_seconds": 60,
        "deadline_seconds": 3600,
        "enabled": True,
    },
    response_only=True,
)
