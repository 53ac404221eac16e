"""openai.chat: a language model behind OpenAI's chat API, or any that speaks it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from spells.models.tool import Effects

from .chat_messages import built_messages, conversation_schema
from .configuration import read_config
from .contract import Adapter, Cost, Request, Result, ToolDefinition, ToolError
from .definition import object_schema
from .http_client import Answer
from .http_errors import proves_refusal, status_error
from .model_answers import OUTPUT_SCHEMA, ModelAnswer, asked_schema
from .openai_api import (
    API_KEY_ENV,
    BASE_URL,
    SHARED_PROPERTIES,
    Usage,
    cost_of,
    cost_told,
    declared_recovery,
    idempotency_header,
    model_property,
    openai_api,
    request_id_of,
)
from .provider_answers import read_as, taken
from .provider_api import ProviderApi, address_properties


class OpenAIChat(Adapter):
    """Asks a language model."""

    key = "openai.chat"
    config_schema: ClassVar[Mapping[str, Any]] = object_schema(
        {
            **address_properties(base_url=BASE_URL, api_key_env=API_KEY_ENV),
            "model": model_property("gpt-4o-mini"),
            "max_tokens_parameter": {
                "type": "string",
                "description": "How this server calls the limit of the answer's length.",
                "enum": ["max_completion_tokens", "max_tokens"],
                "default": "max_completion_tokens",
            },
            **SHARED_PROPERTIES,
        }
    )
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="openai.chat",
            provider="openai",
            name="Ask a language model",
            description=(
                "Asks a language model by OpenAI's chat API, at OpenAI or any server that speaks it: a prompt with an optional "
                "system text and pictures, or whole messages. Answers in text, or in JSON by a schema of yours."
            ),
            category="text",
            input_schema=conversation_schema(),
            output_schema=OUTPUT_SCHEMA,
            example={"system": "You write for children.", "prompt": "A story of two sentences about a lighthouse.", "max_tokens": 200},
            config={"base_url": BASE_URL, "api_key_env": API_KEY_ENV, "model": "gpt-4o-mini"},
            effects=Effects.BILLED,
            run_timeout_seconds=180,
        ),
    )

    def declares(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return declared_recovery(config)

    async def run(self, request: Request) -> Result:
        config = read_config(request, self.config_schema)
        body = await _body(request, config)
        api = openai_api(request, config)
        answer = await api.send("POST", "/chat/completions", json=body, headers=idempotency_header(request, config))
        said = _read(answer, api, request)
        return Result(output=said.output(request), cost=said.cost)


async def _body(request: Request, config: Mapping[str, Any]) -> dict[str, Any]:
    inputs, schema = request.inputs, asked_schema(request)
    body: dict[str, Any] = {**config["extra_body"], "model": config["model"], "messages": await built_messages(request)}
    if "temperature" in inputs:
        body["temperature"] = inputs["temperature"]
    if "max_tokens" in inputs:
        body[config["max_tokens_parameter"]] = inputs["max_tokens"]
    if schema:
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif inputs["response_format"] == "json":
        body["response_format"] = {"type": "json_object"}
    return body


class _Part(BaseModel):
    text: str = ""


class _Message(BaseModel):
    content: str | list[_Part] | None = None
    refusal: str | None = None

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content or ())


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Completion(BaseModel):
    """What we read of a chat completion. Other fields may come and go."""

    choices: list[_Choice] = Field(min_length=1)
    model: str | None = None
    usage: Usage | None = None

    def answer(self, request: Request, *, request_id: Mapping[str, str]) -> ModelAnswer:
        choice = self.choices[0]
        return ModelAnswer(
            text=choice.message.text,
            refusal=choice.message.refusal or "",
            finish_reason=choice.finish_reason or "",
            model=self.model or "",
            usage=self.usage.counts() if self.usage else {},
            request_id=request_id,
            cost=cost_of(self.usage, request),
        )


def _read(answer: Answer, api: ProviderApi, request: Request) -> ModelAnswer:
    """Return what a completion says.

    Raises:
        ToolError: ambiguous, `bad_answer`; or the provider's error, which routers before several of them send with a
            status of 200, once the model is at work.
    """
    told = api.json_of(answer)
    with taken():
        cost = cost_told(told, request)
    if isinstance(told, dict) and told.get("error") and not told.get("choices"):
        raise _routed_error(told["error"], answer, host=api.host, cost=cost)
    with taken(cost):
        completion = read_as(_Completion, told, host=api.host, what="chat completion")
        return completion.answer(request, request_id=request_id_of(answer))


_ERRORS = range(400, 600)


def _routed_error(error: Any, answer: Answer, *, host: str, cost: Cost | None) -> ToolError:
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) and code in _ERRORS else HTTPStatus.BAD_GATEWAY
    told = status_error(status, answer.headers, answer.body, host=host)
    told.ambiguous, told.cost = not proves_refusal(status, answer.headers), cost
    return told
