"""The messages of a chat, with the pictures that stand in them by reference."""

import base64
from collections.abc import Mapping
from typing import Any

from .contract import Request, ToolError
from .definition import artifact_schema, integer_schema, object_schema, text_schema
from .file_fetch import mime_type_of
from .model_answers import FORMAT_SCHEMA
from .threads import read_async

SEEN_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif")
MAX_IMAGE_BYTES = 20 * 2**20
MAX_IMAGES_BYTES = 50 * 2**20

_URL_SCHEMA = text_schema("Where the provider finds the picture.", max_length=2000, pattern="^https?://")


def image_schema() -> dict[str, Any]:
    """Return the schema of a picture that a model is shown."""
    return {"anyOf": [artifact_schema("A picture.", kind="image"), object_schema({"url": _URL_SCHEMA}, required=("url",))]}


_PARTS = (
    object_schema({"type": {"const": "text"}, "text": text_schema("The text.")}, required=("type", "text")),
    object_schema({"type": {"const": "image"}, "image": image_schema()}, required=("type", "image")),
)
MESSAGE_SCHEMA = object_schema(
    {
        "role": {"type": "string", "description": "Who speaks.", "enum": ["system", "developer", "user", "assistant"]},
        "content": {
            "description": "What is said: a text, or a list of texts and pictures.",
            "anyOf": [text_schema("The text."), {"type": "array", "items": {"anyOf": list(_PARTS)}, "minItems": 1, "maxItems": 50}],
        },
    },
    required=("role", "content"),
)


def conversation_schema() -> dict[str, Any]:
    """Return the schema of the params by which a language model is asked, whichever API takes them."""
    properties = {
        "prompt": text_schema("What to ask. Not together with `messages`.", minLength=1),
        "system": text_schema("How to behave. Not together with `messages`."),
        "images": {
            "type": "array",
            "description": "Pictures that go with the prompt, by reference or by URL.",
            "items": image_schema(),
            "maxItems": 16,
        },
        "messages": {
            "type": "array",
            "description": "A whole conversation, instead of `prompt`.",
            "items": MESSAGE_SCHEMA,
            "minItems": 1,
            "maxItems": 200,
        },
        "temperature": {"type": "number", "description": "How free to be.", "minimum": 0, "maximum": 2},
        "max_tokens": integer_schema("The longest answer, in tokens.", minimum=1, maximum=200_000),
        "response_format": FORMAT_SCHEMA,
    }
    return {**object_schema(properties), "anyOf": [{"required": ["prompt"]}, {"required": ["messages"]}]}


async def built_messages(request: Request) -> list[dict[str, Any]]:
    """Return the messages as the provider takes them, pictures of ours as data URLs.

    Raises:
        ToolError: permanent: both `prompt` and `messages` are given, or a picture is missing, too large, or none.
    """
    inputs = request.inputs
    pictures = _Pictures(request)
    if "messages" in inputs:
        if not {"prompt", "system", "images"}.isdisjoint(inputs):
            raise ToolError("Give `messages` alone, or `prompt` with `system` and `images`.", code="bad_messages", permanent=True)
        return [{"role": message["role"], "content": await _content(message["content"], pictures)} for message in inputs["messages"]]
    content: Any = inputs["prompt"]
    if inputs.get("images"):
        content = [{"type": "text", "text": content}, *[await pictures.part(image) for image in inputs["images"]]]
    system = [{"role": "system", "content": inputs["system"]}] if inputs.get("system") else []
    return [*system, {"role": "user", "content": content}]


async def _content(content: Any, pictures: "_Pictures") -> Any:
    if isinstance(content, str):
        return content
    return [await pictures.part(part["image"]) if part["type"] == "image" else dict(part) for part in content]


class _Pictures:
    """Reads the pictures of one request, and counts their bytes."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._left = MAX_IMAGES_BYTES

    async def part(self, image: Mapping[str, Any]) -> dict[str, Any]:
        url = image["url"] if "url" in image else await self._data_url(image)
        return {"type": "image_url", "image_url": {"url": url}}

    async def _data_url(self, reference: Mapping[str, Any]) -> str:
        size = self._request.size_of(reference)
        self._left -= size
        if size > MAX_IMAGE_BYTES or self._left < 0:
            raise ToolError(
                f"The pictures are too large: at most {MAX_IMAGE_BYTES} bytes each and {MAX_IMAGES_BYTES} together.",
                code="too_large",
                permanent=True,
            )
        data = await read_async(self._request, reference)
        mime_type = mime_type_of(data, claimed="")
        if mime_type not in SEEN_TYPES:
            raise ToolError(f"A model sees {', '.join(SEEN_TYPES)}, not {mime_type}.", code="bad_image", permanent=True)
        return f"data:{mime_type};base64,{base64.b64encode(data).decode()}"
