"""openai.image: pictures by OpenAI's images API, or by any server that speaks it."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, ClassVar

import httpx2
from pydantic import BaseModel, Field, ValidationError

from generations.outputs import clean_text
from spells.models.tool import Effects

from .configuration import read_config
from .contract import Adapter, Cost, RemoteFile, Request, Result, ToolDefinition, ToolError
from .definition import artifact_schema, integer_schema, object_schema, text_schema
from .given_files import GivenFile, with_files
from .openai_api import (
    API_KEY_ENV,
    BASE_URL,
    SHARED_PROPERTIES,
    declared_recovery,
    idempotency_header,
    model_property,
    openai_api,
    request_id_of,
)
from .pricing import charge
from .provider_answers import Count, read_as, taken
from .provider_api import provider_schema

MAX_PICTURES = 10
MAX_GIVEN_PICTURES = 16
MAX_GIVEN_BYTES = 50 * 2**20
# Ten large pictures in base64.
MAX_ANSWER_BYTES = 128 * 2**20
_WORD = "^[a-z0-9_-]{1,30}$"


class OpenAIImage(Adapter):
    """Paints pictures, or changes some."""

    key = "openai.image"
    config_schema: ClassVar[Mapping[str, Any]] = provider_schema(
        {
            "model": model_property("gpt-image-1"),
            "response_format": {
                "type": "string",
                "description": "Ask for `b64_json` or `url`, of servers that let one choose. Empty: take what comes.",
                "enum": ["", "b64_json", "url"],
                "default": "",
            },
            **SHARED_PROPERTIES,
        },
        base_url=BASE_URL,
        api_key_env=API_KEY_ENV,
    )
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="openai.image",
            provider="openai",
            name="Make a picture with OpenAI",
            description=(
                "Paints pictures from a prompt by OpenAI's images API, at OpenAI or any server that speaks it; or changes "
                "pictures of yours, all of them or, with a mask, a part."
            ),
            category="image",
            input_schema=object_schema(
                {
                    "prompt": text_schema("What to paint, or what to change.", max_length=32_000, minLength=1),
                    "n": integer_schema("How many pictures.", minimum=1, maximum=MAX_PICTURES, default=1),
                    "size": {"type": "string", "description": "Like 1024x1024, or auto.", "pattern": "^(auto|[0-9]{2,5}x[0-9]{2,5})$"},
                    "quality": {"type": "string", "description": "Like low, medium, high or auto, as the model has it.", "pattern": _WORD},
                    "background": {
                        "type": "string",
                        "description": "transparent, opaque or auto.",
                        "enum": ["transparent", "opaque", "auto"],
                    },
                    "output_format": {"type": "string", "description": "The type of the pictures.", "enum": ["png", "jpeg", "webp"]},
                    "images": {
                        "type": "array",
                        "description": "Pictures to change. Left out: one is painted from nothing.",
                        "items": artifact_schema("A picture.", kind="image"),
                        "minItems": 1,
                        "maxItems": MAX_GIVEN_PICTURES,
                    },
                    "mask": artifact_schema("Where to change the first of `images`: its transparent places.", kind="image"),
                },
                required=("prompt",),
            ),
            output_schema=object_schema(
                {
                    "image": artifact_schema("The first picture.", kind="image"),
                    "images": {"type": "array", "description": "All pictures.", "items": artifact_schema("A picture.", kind="image")},
                    "revised_prompts": {
                        "type": "array",
                        "description": "What the provider made of the prompt, by picture; empty where it says nothing.",
                        "items": {"type": "string"},
                    },
                    "usage": {"type": "object", "description": "Tokens used, where the model counts them."},
                    "request_id": {"type": "string", "description": "The provider's id of the request, for its support."},
                },
                required=("image", "images", "revised_prompts", "usage"),
            ),
            example={"prompt": "A lighthouse in a storm, in oil", "size": "1024x1024", "quality": "low"},
            config={"base_url": BASE_URL, "api_key_env": API_KEY_ENV, "model": "gpt-image-1"},
            effects=Effects.BILLED,
            run_timeout_seconds=300,
        ),
    )

    def declares(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return declared_recovery(config)

    async def run(self, request: Request) -> Result:
        config = read_config(request, self.config_schema)
        api = openai_api(request, config)
        path, content, content_type = await _ordered(request, config)
        headers = {"Content-Type": content_type, **idempotency_header(request, config)}
        answer = await api.send("POST", path, content=content, headers=headers, max_bytes=MAX_ANSWER_BYTES)
        # Many megabytes of base64 would hold up the loop.
        told = await asyncio.to_thread(api.json_of, answer)
        with taken():
            cost = _cost_told(told, request)
        with taken(cost):
            made = read_as(_Pictures, told, host=api.host, what="list of pictures")
            cost = _cost(made, request)
        with taken(cost):
            files = _files(made, request)
        if not files:
            raise ToolError("The provider answered without a picture.", code="empty_answer", cost=cost)
        output = {
            "image": files[0],
            "images": files,
            "revised_prompts": [clean_text((picture.revised_prompt or "")[:40_000]) for picture in made.data],
            "usage": made.usage.counts() if made.usage else {},
            **request_id_of(answer),
        }
        return Result(output=output, cost=cost)


async def _ordered(request: Request, config: Mapping[str, Any]) -> tuple[str, bytes, str]:
    """Return where to send what: the path, the body and its type."""
    inputs = request.inputs
    fields: dict[str, Any] = {**config["extra_body"], "model": config["model"], "prompt": inputs["prompt"], "n": inputs["n"]}
    fields |= {name: inputs[name] for name in ("size", "quality", "background", "output_format") if name in inputs}
    if config["response_format"]:
        fields["response_format"] = config["response_format"]
    if "images" not in inputs:
        if "mask" in inputs:
            raise ToolError("A `mask` needs `images` to change.", code="bad_images", permanent=True)
        return "/images/generations", json.dumps(fields, ensure_ascii=False, allow_nan=False).encode(), "application/json"
    wanted = [*(("image[]", image) for image in inputs["images"]), *([("mask", inputs["mask"])] if "mask" in inputs else [])]
    if sum(request.size_of(reference) for _, reference in wanted) > MAX_GIVEN_BYTES:
        raise ToolError(f"The pictures are larger than {MAX_GIVEN_BYTES:,} bytes together.", code="too_large", permanent=True)
    given: list[tuple[str, GivenFile]] = [
        (name, await with_files(request, reference, give=_as_it_is, max_bytes=MAX_GIVEN_BYTES)) for name, reference in wanted
    ]
    strange = next((file.mime_type for _, file in given if not file.mime_type.startswith("image/")), None)
    if strange:
        raise ToolError(f"Only pictures can be changed, not {strange}.", code="bad_image", permanent=True)
    return "/images/edits", *await asyncio.to_thread(_form, fields, given)


async def _as_it_is(file: GivenFile) -> GivenFile:
    return file


def _form(fields: Mapping[str, Any], given: list[tuple[str, GivenFile]]) -> tuple[bytes, str]:
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    files = [(name, (file.name, file.data, file.mime_type)) for name, file in given]
    form = httpx2.Request("POST", "http://form.invalid/", data=texts, files=files)
    return form.read(), form.headers["content-type"]


class _Picture(BaseModel):
    b64_json: str | None = None
    url: str | None = None
    revised_prompt: str | None = None


class _InputDetails(BaseModel):
    image_tokens: Count | None = None


class _Usage(BaseModel):
    input_tokens: Count
    output_tokens: Count = 0
    input_tokens_details: _InputDetails | None = None

    @property
    def image_tokens(self) -> int:
        """The tokens of given pictures, which are among those of the input."""
        return min((self.input_tokens_details and self.input_tokens_details.image_tokens) or 0, self.input_tokens)

    def counts(self) -> dict[str, int]:
        return {"input_tokens": self.input_tokens, "image_input_tokens": self.image_tokens, "output_tokens": self.output_tokens}


class _Billed(BaseModel):
    usage: _Usage | None = None


class _Pictures(_Billed):
    """What we read of an answer with pictures."""

    data: list[_Picture] = Field(max_length=100)
    size: str | None = None
    quality: str | None = None


def _cost(made: _Pictures, request: Request) -> Cost | None:
    """Return what pictures cost: each, by the closest price of its kind; else by tokens."""
    size = made.size or request.inputs.get("size", "auto")
    quality = made.quality or request.inputs.get("quality", "auto")
    kinds = (f"per_image:{size}:{quality}", f"per_image:{size}", "per_image")
    if kind := next((kind for kind in kinds if kind in request.pricing), None):
        return charge(request, {kind: len(made.data)})
    return _token_cost(made.usage, request)


def _cost_told(told: Any, request: Request) -> Cost | None:
    """Return what an answer of another shape says that it cost: its tokens. It does not tell how many pictures there were."""
    if any(unit.startswith("per_image") for unit in request.pricing):
        return None
    try:
        return _token_cost(_Billed.model_validate(told).usage, request)
    except ValidationError:
        return None


def _token_cost(usage: _Usage | None, request: Request) -> Cost | None:
    if usage is None or "input_per_million" not in request.pricing:
        return None
    pictures = usage.image_tokens if "image_input_per_million" in request.pricing else 0
    quantities = {"input_per_million": usage.input_tokens - pictures, "output_per_million": usage.output_tokens}
    return charge(request, {**quantities, "image_input_per_million": pictures} if pictures else quantities)


def _files(made: _Pictures, request: Request) -> list[RemoteFile]:
    """Return the pictures, still where they are. Raises ToolError: one is nowhere."""
    claimed = f"image/{request.inputs.get('output_format', 'png')}"
    files = []
    for number, picture in enumerate(made.data, start=1):
        if picture.b64_json:
            files.append(RemoteFile(url=f"data:{claimed};base64,{picture.b64_json}", name=f"picture-{number}", mime_type=claimed))
        elif picture.url and picture.url.startswith(_PLACES):
            files.append(RemoteFile(url=picture.url))
        else:
            raise ToolError(f"Picture {number} of the answer is neither a URL nor base64.", code="bad_answer")
    return files


_PLACES = ("https://", "http://", "data:image/")
