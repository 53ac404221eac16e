"""openai.chat: a language model behind OpenAI's chat API, or any that speaks it."""

from collections.abc import Mapping
from typing import Any, ClassVar

import httpx2
import openai
from pydantic import BaseModel, Field, ValidationError

from generations.outputs import clean_text
from spells.models.tool import Effects

from .chat_messages import MESSAGE_SCHEMA, built_messages, image_schema
from .configuration import read_config, read_secret
from .contract import Adapter, Cost, Request, Result, ToolDefinition, ToolError
from .definition import integer_schema, object_schema, text_schema
from .http_client import CONNECT_TIMEOUT_SECONDS, certificates
from .http_errors import status_error, transport_error
from .json_parse import BadJson, parse_json
from .pricing import token_cost

_FORMATS = ("text", "json")
_RESPONSE_FORMAT_SCHEMA = {
    "description": "How to answer: text, json (any JSON object), or an object with the JSON Schema of the answer.",
    "anyOf": [
        {"type": "string", "enum": list(_FORMATS)},
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


class OpenAIChat(Adapter):
    """Asks a language model."""

    key = "openai.chat"
    config_schema: ClassVar[Mapping[str, Any]] = object_schema(
        {
            "base_url": {
                "type": "string",
                "description": "Where the API is; /chat/completions is added.",
                "pattern": "^https?://[^\\s]+$",
                "maxLength": 500,
                "default": "https://api.openai.com/v1",
            },
            "api_key_env": {
                "type": "string",
                "description": "The environment variable with the API key. Empty for a server that wants none.",
                "pattern": "^([A-Z][A-Z0-9_]*)?$",
                "default": "OPENAI_API_KEY",
            },
            "model": {"type": "string", "description": "The model's name.", "minLength": 1, "maxLength": 200, "default": "gpt-4o-mini"},
            "max_tokens_parameter": {
                "type": "string",
                "description": "How this server calls the limit of the answer's length.",
                "enum": ["max_completion_tokens", "max_tokens"],
                "default": "max_completion_tokens",
            },
            "idempotency_key_header": {
                "type": "boolean",
                "description": "Send `Idempotency-Key`; only for servers that honour it.",
                "default": False,
            },
        }
    )
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="openai.chat",
            name="Ask a language model",
            description=(
                "Asks a language model by OpenAI's chat API, at OpenAI or any server that speaks it: a prompt with an optional "
                "system text and pictures, or whole messages. Answers in text, or in JSON by a schema of yours."
            ),
            category="text",
            input_schema={
                **object_schema(
                    {
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
                        "response_format": _RESPONSE_FORMAT_SCHEMA,
                    }
                ),
                "anyOf": [{"required": ["prompt"]}, {"required": ["messages"]}],
            },
            output_schema=object_schema(
                {
                    "text": {"type": "string", "description": "The answer."},
                    "json": {"description": "The answer read as JSON, when it was asked for."},
                    "finish_reason": {"type": "string", "description": "Why it ended: stop, length ..."},
                    "model": {"type": "string", "description": "The model that answered, by the provider's word."},
                    "usage": {"type": "object", "description": "Tokens used: prompt_tokens, completion_tokens, cached_tokens."},
                },
                required=("text", "finish_reason", "model", "usage"),
            ),
            example={"system": "You write for children.", "prompt": "A story of two sentences about a lighthouse.", "max_tokens": 200},
            config={"base_url": "https://api.openai.com/v1", "api_key_env": "OPENAI_API_KEY", "model": "gpt-4o-mini"},
            effects=Effects.BILLED,
            run_timeout_seconds=180,
        ),
    )

    async def run(self, request: Request) -> Result:
        config = read_config(request, self.config_schema)
        body = await _body(request, config)
        answer = await _ask(request, config, body)
        completion = _read_completion(answer)
        cost = _cost(completion, request)
        return Result(output=_output(completion, wants_json=request.inputs["response_format"] != "text", cost=cost), cost=cost)


async def _body(request: Request, config: Mapping[str, Any]) -> dict[str, Any]:
    inputs = request.inputs
    body: dict[str, Any] = {"model": config["model"], "messages": await built_messages(request)}
    if "temperature" in inputs:
        body["temperature"] = inputs["temperature"]
    if "max_tokens" in inputs:
        body[config["max_tokens_parameter"]] = inputs["max_tokens"]
    wanted = inputs["response_format"]
    if wanted == "json":
        body["response_format"] = {"type": "json_object"}
    elif wanted != "text":
        schema = {"name": wanted.get("name", "answer"), "schema": wanted["schema"], "strict": wanted.get("strict", True)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


async def _ask(request: Request, config: Mapping[str, Any], body: Mapping[str, Any]) -> bytes:
    """Return the provider's answer. Each failure is told as what the engine has to know of it."""
    host = httpx2.URL(config["base_url"]).host
    api_key = read_secret(config["api_key_env"], tool=request.tool) if config["api_key_env"] else "none"
    timeout = httpx2.Timeout(request.timeout_seconds, connect=min(CONNECT_TIMEOUT_SECONDS, request.timeout_seconds))
    headers = {"Idempotency-Key": str(request.idempotency_key)} if config["idempotency_key_header"] else {}
    http = httpx2.AsyncClient(verify=certificates(), timeout=timeout, follow_redirects=False)
    async with openai.AsyncOpenAI(api_key=api_key, base_url=config["base_url"], timeout=timeout, max_retries=0, http_client=http) as client:
        try:
            # The SDK's `create` has a parameter for each field, but not for those of other servers.
            response = await client.post("/chat/completions", cast_to=httpx2.Response, body=body, options={"headers": headers})
        except openai.APIStatusError as error:
            raise status_error(error.status_code, error.response.headers, error.response.content, host=host) from error
        except openai.APIConnectionError as error:
            cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
            raise transport_error(cause, host=host) from error
    return response.content


class _TokenDetails(BaseModel):
    cached_tokens: int | None = Field(default=None, ge=0)


class _Usage(BaseModel):
    prompt_tokens: int = Field(ge=0, le=10**12)
    completion_tokens: int = Field(default=0, ge=0, le=10**12)
    prompt_tokens_details: _TokenDetails | None = None


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Completion(BaseModel):
    """What we read of a chat completion. Other fields may come and go."""

    choices: list[_Choice] = Field(min_length=1)
    model: str = ""
    usage: _Usage | None = None


def _read_completion(answer: bytes) -> _Completion:
    try:
        return _Completion.model_validate(parse_json(answer))
    except BadJson as error:
        raise ToolError(f"The provider's answer is not JSON: {error}.", code="bad_answer", details=_excerpt(answer)) from error
    except ValidationError as error:
        places = ", ".join(".".join(map(str, fault["loc"])) or "all of it" for fault in error.errors()[:3])
        message = f"The provider's answer is no chat completion: wrong in {places}."
        raise ToolError(message, code="bad_answer", details=_excerpt(answer)) from error


def _excerpt(answer: bytes) -> dict[str, str]:
    return {"body": clean_text(answer[:2000].decode(errors="replace"))}


def _cost(completion: _Completion, request: Request) -> Cost | None:
    """Return what the tokens cost by the tool's prices; None when the provider counted none, or the tool has no prices."""
    return None if completion.usage is None else token_cost(request, **_usage(completion.usage))


def _usage(usage: _Usage) -> dict[str, int]:
    details = usage.prompt_tokens_details
    cached = min((details.cached_tokens if details else 0) or 0, usage.prompt_tokens)
    return {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens, "cached_tokens": cached}


def _output(completion: _Completion, *, wants_json: bool, cost: Cost | None) -> dict[str, Any]:
    """Return the output of an answer that can be used; what it cost is told also when it cannot."""
    choice = completion.choices[0]
    text = clean_text(choice.message.content or "")
    if choice.message.refusal:
        words = clean_text(choice.message.refusal[:1000])
        raise ToolError(f"The model refused: {words}", code="refused_by_model", permanent=True, cost=cost)
    if choice.finish_reason == "content_filter":
        raise ToolError("The provider's content filter stopped the answer.", code="content_filter", permanent=True, cost=cost)
    if not text.strip():
        raise ToolError(f"The model answered nothing (finish reason {choice.finish_reason}).", code="empty_answer", cost=cost)
    output = {
        "text": text,
        "finish_reason": clean_text((choice.finish_reason or "unknown")[:100]),
        "model": clean_text(completion.model[:200]),
        "usage": _usage(completion.usage) if completion.usage else {},
    }
    if wants_json:
        try:
            output["json"] = parse_json(text, extract=True)
        except BadJson as error:
            cut = " It was cut off at `max_tokens`." if choice.finish_reason == "length" else ""
            raise ToolError(f"The model's answer is not JSON: {error}.{cut}", code="bad_answer", permanent=bool(cut), cost=cost) from error
    return output
